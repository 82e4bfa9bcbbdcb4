\echo
\echo '4. A flow, for the chat channels that follow (legacy: for accounts that still have them)'
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

\set ECHO none
SELECT demo.expect(count(*) = 1 AND bool_and(enabled), 'the flow is there') FROM support_flow \g /dev/null
