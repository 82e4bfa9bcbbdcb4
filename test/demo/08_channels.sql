\echo
\echo '8. A flow, and a channel for each ticket (legacy: for accounts that still have them)'
\echo '   LATERAL calls once for each row.'
\echo
\set ECHO queries

CREATE TABLE support_flow AS
SELECT sid, friendly_name, channel_type, enabled
FROM flex_flow_create(
       friendly_name    => 'Support tickets',
       chat_service_sid => 'ISaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
       channel_type     => 'web',
       enabled          => true);
\echo
TABLE support_flow;

WITH opened AS MATERIALIZED (
  SELECT t.id, c.sid
  FROM support_flow AS f, support_tickets AS t,
       LATERAL flex_channel_create(
         flex_flow_sid           => f.sid,
         identity                => 'ticket-' || t.id,
         chat_user_friendly_name => t.customer,
         chat_friendly_name      => t.subject) AS c)
UPDATE support_tickets AS t SET channel = opened.sid
FROM opened WHERE opened.id = t.id;

\set ECHO none
SELECT demo.expect(count(*) = 1 AND bool_and(enabled), 'the flow is there') FROM support_flow \g /dev/null
SELECT demo.expect(count(*) = 5 AND bool_and(channel ~ '^CH'), 'each ticket has its channel') FROM support_tickets \g /dev/null
