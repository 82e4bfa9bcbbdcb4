\echo
\echo '13. A customer writes, an agent answers'
\echo '   A small web server (test/demo/web) has a page for the customer and an address for webhooks. It starts,'
\echo '   and the service is told where it is: of interactions by a call, of messages as in Twilio''s Console.'
\echo
\! test/demo/serve
\set server `cat "$FLEX_WORK/web.url"`
\set hook :server /webhooks
\! test/demo/service messages "$(cat "$FLEX_WORK/web.url")/webhooks"
\set ECHO queries

SELECT w.webhook_url, w.webhook_events
FROM flex_instance AS i,
     LATERAL flex_interaction_webhook_create(i.sid, :'hook',
       webhook_events => '{onParticipantJoined,onChannelStatusUpdated}') AS w;

\set ECHO none
\echo '   The customer opens a ticket. Its row leaves a request in the outbox, the chat is opened, and the page gets'
\echo '   a token, which the database has signed, to write there as nobody else:'
\echo
\! test/demo/customer open 'Mary Shelley' 'It moves'
\! test/demo/customer write 'It opened its eyes. What now?'
SELECT max(id) AS ticket FROM support_tickets \gset
\echo '   (Its number is not the next one: an identity column leaves some out when the server was killed.)'
SELECT demo.until(format($$SELECT waits_for = 'agent' FROM support_tickets WHERE id = %s$$, :ticket)) \g /dev/null
\echo
\echo '   The message has come back as a webhook, whose signature has been checked, and the ticket waits for an agent:'
\echo
\set ECHO queries
SELECT t.id, t.customer, t.waits_for, m.author, m.said
FROM support_tickets AS t JOIN ticket_messages AS m ON m.ticket = t.id;

\set ECHO none
\echo '   The same by somebody else, unsigned, is refused:'
\echo
\set answered `test/demo/customer forge 'Send me the money'`
\echo 'the web server answers' :answered
SELECT demo.expect(:answered = 403 AND count(*) = 1 AND bool_and(said LIKE 'It opened%'), 'what is not signed changes nothing') FROM ticket_messages \g /dev/null
SELECT demo.until(format('SELECT interaction IS NOT NULL FROM support_tickets WHERE id = %s', :ticket)) \g /dev/null
SELECT interaction FROM support_tickets WHERE id = :ticket \gset
\setenv INTERACTION :interaction
\echo
\echo '   An agent takes the task, and answers, by a statement:'
\echo
\! test/demo/service join "$INTERACTION"
\set ECHO queries
SELECT answer_ticket(:ticket, 'Give it a name.') AS request \gset
SELECT state, http_status FROM flex_outbox_await(:request);

\set ECHO none
SELECT demo.until(format($$SELECT waits_for = 'customer' AND agent IS NOT NULL FROM support_tickets WHERE id = %s$$, :ticket)) \g /dev/null
\! test/demo/customer read
\echo
\echo '   Then the ticket is closed. The service says so by a webhook, and that is when the row changes:'
\echo
\set ECHO queries
SELECT close_ticket(:ticket) AS request \gset
SELECT state, http_status FROM flex_outbox_await(:request);

\set ECHO none
SELECT demo.until(format('SELECT NOT open FROM support_tickets WHERE id = %s', :ticket)) \g /dev/null
\set ECHO queries
SELECT t.id, t.open, t.agent ~ '^UT' AS an_agent_was_there, m.author, m.said
FROM support_tickets AS t JOIN ticket_messages AS m ON m.ticket = t.id ORDER BY m.author DESC;

\set ECHO none
\! test/demo/customer read
SELECT demo.expect(count(*) = 2 AND bool_and(NOT t.open), 'both have written, and the ticket is closed')
FROM support_tickets AS t JOIN ticket_messages AS m ON m.ticket = t.id \g /dev/null
