\echo
\echo '3. A ticket that is rolled back sends nothing'
\echo
\set ECHO queries
BEGIN;
INSERT INTO support_tickets (customer, subject)
VALUES ('Charles Babbage', 'It never happened');
ROLLBACK;
\echo
SELECT (SELECT count(*) FROM support_tickets) AS tickets,
       (SELECT count(*) FROM flex_outbox) AS requests;

\set ECHO none
SELECT demo.expect(count(*) = 1, 'the request was rolled back') FROM flex_outbox \g /dev/null
\set received `test/demo/service count flex_webchat_create`
\echo '   Requests for web chats that the service has seen so far:' :received
\echo '   The rolled-back ticket''s number, 2, is used up:'
\echo '   an identity column does not give a number out twice.'
SELECT demo.expect(:received = 1, 'the service has one request') \g /dev/null
