--
-- What the callbacks make of the service's answers. A request is sent after the commit, so these
-- transactions are committed; the worker of a server that preloads flex_api sends it to the
-- simulator. Each waits for the request's end, and for nothing else.
--
SELECT plan(7);

-- It goes well.
INSERT INTO tickets (customer) VALUES ('Ada Lovelace') RETURNING id AS ticket \gset
SELECT id AS request FROM flex_outbox WHERE context = jsonb_build_object('ticket', :ticket) \gset
SELECT is((SELECT state FROM flex_outbox_await(:request)), 'succeeded', 'the chat is opened');
SELECT matches((SELECT conversation FROM tickets WHERE id = :ticket), '^CH[0-9a-f]{32}$', 'the ticket has its conversation');
SELECT is((SELECT problem FROM tickets WHERE id = :ticket), NULL, 'and no problem');

-- The service refuses. What the simulator is to do is told over the same connection.
SELECT status AS told FROM flex_request('POST', '/_simulator/faults', body => '{"path": "/v2/WebChats", "status": 403}') \gset
INSERT INTO tickets (customer) VALUES ('Mallory') RETURNING id AS ticket \gset
SELECT id AS request FROM flex_outbox WHERE context = jsonb_build_object('ticket', :ticket) \gset
SELECT is((SELECT state FROM flex_outbox_await(:request)), 'failed', 'a chat is refused');
SELECT is((SELECT problem FROM tickets WHERE id = :ticket), 'failed: 403', 'the ticket says so');

-- The answer is lost: nobody knows whether there is a chat, and it is not opened again.
SELECT status AS told FROM flex_request('POST', '/_simulator/faults', body => '{"path": "/v2/WebChats", "fault": "lost_answer"}') \gset
INSERT INTO tickets (customer) VALUES ('Alan Turing') RETURNING id AS ticket \gset
SELECT id AS request FROM flex_outbox WHERE context = jsonb_build_object('ticket', :ticket) \gset
SELECT is((SELECT state FROM flex_outbox_await(:request)), 'uncertain', 'an answer is lost');
SELECT is((SELECT conversation FROM tickets WHERE id = :ticket), NULL, 'the ticket waits for somebody to decide');

SELECT * FROM finish();
