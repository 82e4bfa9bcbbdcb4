\echo
\echo '7. An interaction: a text message of a customer goes to a queue of agents'
\echo '   A result is rows like any others: here they are kept in a table.'
\echo
\set ECHO queries

CREATE TEMPORARY TABLE contact AS
SELECT *
FROM flex_interaction_create(
       channel => '{"type": "sms", "initiated_by": "customer",
                    "properties": {"media_channel_sid": "CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}',
       routing => '{"properties": {"workspace_sid": "WSaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "workflow_sid": "WWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}');
\echo
SELECT sid AS interaction, (routing #>> '{properties,attributes}')::jsonb ->> 'conversationSid' AS conversation
FROM contact;

\set ECHO none
\echo '   The service has accepted it. Its channel''s status tells what becomes of it. We close it.'
\echo
\set ECHO queries

SELECT c.sid AS channel, c.type, c.status
FROM contact, LATERAL flex_interaction_channels_list(contact.sid) AS c;

SELECT closed.sid AS channel, closed.status
FROM contact,
     LATERAL flex_interaction_channels_list(contact.sid) AS c,
     LATERAL flex_interaction_channel_update(contact.sid, c.sid, status => 'closed') AS closed;

\set ECHO none
SELECT demo.expect(count(*) = 1 AND bool_and(c.status = 'closed'), 'the channel is closed')
FROM contact, LATERAL flex_interaction_channels_list(contact.sid) AS c \g /dev/null
