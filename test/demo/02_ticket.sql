\echo
\echo '2. A new support ticket opens a web chat'
\echo '   The role "support" works from here on. A trigger leaves the request in the outbox, and says which'
\echo '   function is to be called with the answer.'
\echo
\set ECHO queries

CREATE TABLE support_tickets (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer     text NOT NULL,
  subject      text NOT NULL,
  open         boolean NOT NULL DEFAULT true,
  conversation text,
  channel      text);
\echo
CREATE FUNCTION chat_opened(request flex_outbox) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE support_tickets SET conversation = request.response ->> 'conversation_sid'
  WHERE id = (request.context ->> 'ticket')::bigint;
END $$;
\echo
CREATE FUNCTION open_chat() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM flex_enqueue('flex_webchat_create',
    jsonb_build_object(
      'address_sid',            'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
      'customer_friendly_name', NEW.customer,
      'pre_engagement_data',    jsonb_build_object('ticket', NEW.id, 'subject', NEW.subject),
      'identity',               'ticket-' || NEW.id),
    context    => jsonb_build_object('ticket', NEW.id),
    on_success => 'chat_opened');
  RETURN NULL;
END $$;
\echo
CREATE TRIGGER open_chat AFTER INSERT ON support_tickets
FOR EACH ROW EXECUTE FUNCTION open_chat();

\set ECHO none
\! test/demo/service fault '{"path": "/v2/WebChats", "delay_ms": 500}'
\echo
\echo '   The simulator has been told to take half a second for this answer.'
\echo '   The INSERT and its commit do not wait:'
\echo
\timing on
\set ECHO queries
INSERT INTO support_tickets (customer, subject)
VALUES ('Ada Lovelace', 'The engine is slow');
\timing off
\echo
SELECT id, customer, conversation FROM support_tickets;

\set ECHO none
SELECT demo.expect(count(*) = 1 AND bool_and(conversation IS NULL), 'the commit did not wait')
FROM support_tickets \g /dev/null
\echo '   The background worker has sent it. When the answer comes, the callback writes it to the ticket:'
\echo
\set ECHO queries
SELECT state, http_status, finished_at - enqueued_at AS took FROM flex_outbox_await(1);

SELECT id, customer, conversation FROM support_tickets;

\set ECHO none
SELECT demo.expect(count(*) = 1 AND bool_and(conversation ~ '^CH'), 'the ticket has its conversation')
FROM support_tickets \g /dev/null
