--
-- tickets.sql
--	  What is tested here: an application of one table, whose trigger opens a web chat for each
--	  new ticket, and two callbacks that write down what has become of it.
--
CREATE TABLE tickets (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer     text NOT NULL,
    conversation text,
    problem      text);

CREATE FUNCTION chat_opened(request flex_outbox) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE tickets SET conversation = request.sid, problem = NULL
    WHERE id = (request.context ->> 'ticket')::bigint;
END $$;

CREATE FUNCTION chat_failed(request flex_outbox) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE tickets SET problem = format('%s: %s', request.state, request.http_status)
    WHERE id = (request.context ->> 'ticket')::bigint;
END $$;

CREATE FUNCTION open_chat() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM flex_enqueue('flex_webchat_create',
        jsonb_build_object(
            'address_sid', 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
            'identity', 'ticket-' || NEW.id,
            'customer_friendly_name', NEW.customer),
        context    => jsonb_build_object('ticket', NEW.id),
        on_success => 'chat_opened',
        on_failure => 'chat_failed',
        unique_key => 'chat of ticket ' || NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER open_chat AFTER INSERT ON tickets
FOR EACH ROW EXECUTE FUNCTION open_chat();
