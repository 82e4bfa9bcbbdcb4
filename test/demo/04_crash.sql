\echo
\echo '4. The server is killed in the middle'
\echo '   Four tickets. Here two requests may be under way at once (flex_api.concurrency), and the service'
\echo '   is slow: two are on the network, two wait.'
\! test/demo/service fault '{"path": "/v2/WebChats", "delay_ms": 60000, "times": 2}'
\echo
\set ECHO queries
INSERT INTO support_tickets (customer, subject)
VALUES ('Grace Hopper', 'A moth in relay 70'),
       ('Alan Turing', 'It does not stop'),
       ('Barbara Liskov', 'Not what it stands for'),
       ('Edsger Dijkstra', 'Too many ways to go');
\echo

\set ECHO none
SELECT demo.wait_for('sending', 2) \g /dev/null
\! test/demo/service await flex_webchat_create 3
\set ECHO queries
SELECT t.id, t.customer, o.state, o.attempts
FROM support_tickets AS t JOIN flex_outbox AS o ON o.context @> jsonb_build_object('ticket', t.id)
ORDER BY t.id;

\set ECHO none
SELECT demo.expect(count(*) FILTER (WHERE state = 'sending') = 2 AND count(*) FILTER (WHERE state = 'pending') = 2,
	'two are on the network, two wait') FROM flex_outbox \g /dev/null
\echo '   Now the server is killed, without a chance to tidy up, and started again.'
\echo
\! test/demo/crash
\connect - support
SELECT demo.wait_for('succeeded', 3), demo.wait_for('uncertain', 2) \g /dev/null
\echo
\echo '   Nothing is lost. What waited has been sent. What was on the network may have been carried out'
\echo '   or not: nobody knows, so it is not sent again, and its state is uncertain.'
\echo
\set ECHO queries
SELECT t.id, t.customer, o.state, o.attempts, t.conversation
FROM support_tickets AS t JOIN flex_outbox AS o ON o.context @> jsonb_build_object('ticket', t.id)
ORDER BY t.id;

\set ECHO none
SELECT demo.expect(count(*) FILTER (WHERE o.state = 'succeeded') = 3 AND count(*) FILTER (WHERE o.state = 'uncertain') = 2
		AND bool_and((o.state = 'succeeded') = (t.conversation IS NOT NULL)), 'all five tickets are accounted for')
FROM support_tickets AS t JOIN flex_outbox AS o ON o.context @> jsonb_build_object('ticket', t.id) \g /dev/null
\set received `test/demo/service count flex_webchat_create`
SELECT demo.expect(:received = 5, 'no request was sent twice') \g /dev/null
