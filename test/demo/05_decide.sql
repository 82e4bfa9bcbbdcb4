\echo '5. Somebody decides'
\echo '   Of the two that are uncertain, one is sent again, and one is given up.'
\echo
\set ECHO queries
SELECT id AS retried
FROM flex_outbox, LATERAL flex_outbox_retry(id)
WHERE state = 'uncertain' AND context @> '{"ticket": 3}';

SELECT id AS cancelled
FROM flex_outbox, LATERAL flex_outbox_cancel(id)
WHERE state = 'uncertain' AND context @> '{"ticket": 4}';

\set ECHO none
SELECT id AS request FROM flex_outbox WHERE context @> '{"ticket": 3}' \gset
SELECT demo.expect(state = 'succeeded', 'the repeated request has succeeded')
FROM flex_outbox_await(:request) \g /dev/null
\set ECHO queries
SELECT t.id, t.customer, o.state, t.conversation
FROM support_tickets AS t JOIN flex_outbox AS o ON o.context @> jsonb_build_object('ticket', t.id)
ORDER BY t.id;

SELECT operation, pending, sending, succeeded, failed, uncertain, cancelled
FROM flex_outbox_summary;

\set ECHO none
SELECT demo.expect(pending + sending + failed + uncertain = 0 AND succeeded = 4 AND cancelled = 1, 'the summary adds up')
FROM flex_outbox_summary \g /dev/null
SELECT demo.expect(count(conversation) = 4, 'four tickets have their conversation') FROM support_tickets \g /dev/null
