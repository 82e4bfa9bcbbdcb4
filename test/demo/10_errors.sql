\echo
\echo '10. Errors'
\echo '   What the service refuses has the SQLSTATE TW and the HTTP status.'
\echo
\set ON_ERROR_STOP off
\set ECHO queries

SELECT * FROM flex_channel_fetch('CHffffffffffffffffffffffffffffffff');

\set ECHO none
\set state :SQLSTATE
\set ON_ERROR_STOP on
SELECT demo.expect(:'state' = 'TW404', 'TW404 for a channel that is not there') \g /dev/null
\echo
\echo '   So PL/pgSQL can catch it:'
\echo
\set ECHO queries

CREATE FUNCTION channel_exists(sid text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM flex_channel_fetch(sid);
  RETURN true;
EXCEPTION
  WHEN SQLSTATE 'TW404' THEN
    RETURN false;
END $$;
\echo
SELECT channel_exists('CHffffffffffffffffffffffffffffffff') AS a_made_up_one,
       channel_exists(channel) AS a_ticket_s
FROM support_tickets WHERE id = 1;

\set ECHO none
SELECT demo.expect(NOT channel_exists('CHffffffffffffffffffffffffffffffff'), 'TW404 is caught') \g /dev/null
\echo '   A bad argument is refused before anything is sent:'
\echo
\set ON_ERROR_STOP off
\set ECHO queries

SELECT sid
FROM flex_flow_create('Faxes', 'ISaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', channel_type => 'fax');

\set ECHO none
\set state :SQLSTATE
\set ON_ERROR_STOP on
SELECT demo.expect(:'state' = '22023', 'SQLSTATE 22023 for a bad argument') \g /dev/null
\echo
\echo '   And what was not granted is refused by PostgreSQL:'
\echo
\set ON_ERROR_STOP off
\set ECHO queries

SELECT * FROM flex_configuration_fetch();

\set ECHO none
\set state :SQLSTATE
\set ON_ERROR_STOP on
SELECT demo.expect(:'state' = '42501', 'SQLSTATE 42501 without EXECUTE') \g /dev/null
