\echo
\echo '3. A ticket that is rolled back sends nothing'
\echo
\set ECHO queries
BEGIN;
INSERT INTO support_tickets (customer, email, subject)
VALUES ('Charles Babbage', 'charles@example.com', 'It never happened');
ROLLBACK;
\echo
SELECT (SELECT count(*) FROM support_tickets) AS tickets,
       (SELECT count(*) FROM flex_outbox) AS requests;

\set ECHO none
SELECT demo.expect(count(*) = 1, 'the request was rolled back') FROM flex_outbox \g /dev/null
\set received `test/demo/service count flex_webchat_create`
\echo '   Requests for web chats that the service has seen so far:' :received
\echo '   Its number, 2, is used up: PostgreSQL gives a number of an identity column out only once.'
SELECT demo.expect(:received = 1, 'the service has one request') \g /dev/null
