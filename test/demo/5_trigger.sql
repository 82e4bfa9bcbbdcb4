\echo
\echo '5. Each new support ticket opens a web chat and a channel'
\echo '   A trigger calls the service, and the ticket is stored with the answers. (A call is not undone by'
\echo '   ROLLBACK, and the INSERT waits for it: the README says more under "Transactions".)'
\echo
\set ECHO queries

CREATE TABLE support_tickets (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer     text NOT NULL,
  email        text NOT NULL,
  subject      text NOT NULL,
  open         boolean NOT NULL DEFAULT true,
  conversation text,
  channel      text);
\echo
CREATE FUNCTION open_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT w.conversation_sid INTO STRICT NEW.conversation
  FROM flex_webchat_create(
         address_sid            => 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
         customer_friendly_name => NEW.customer,
         pre_engagement_data    => jsonb_build_object('ticket', NEW.id, 'subject', NEW.subject),
         identity               => NEW.email) AS w;

  SELECT c.sid INTO STRICT NEW.channel
  FROM support_flow AS f,
       LATERAL flex_channel_create(
         flex_flow_sid           => f.sid,
         identity                => NEW.email,
         chat_user_friendly_name => NEW.customer,
         chat_friendly_name      => NEW.subject) AS c;
  RETURN NEW;
END $$;
\echo
CREATE TRIGGER open_ticket BEFORE INSERT ON support_tickets
FOR EACH ROW EXECUTE FUNCTION open_ticket();
\echo
INSERT INTO support_tickets (customer, email, subject)
VALUES ('Ada Lovelace', 'ada@example.com',   'The engine is slow'),
       ('Grace Hopper', 'grace@example.com', 'A moth in relay 70'),
       ('Alan Turing',  'alan@example.com',  'It does not stop')
RETURNING id, customer, conversation;

\set ECHO none
SELECT demo.expect(count(*) = 3 AND bool_and(conversation ~ '^CH' AND channel ~ '^CH'),
	'each ticket has its conversation and its channel') FROM support_tickets \g /dev/null
