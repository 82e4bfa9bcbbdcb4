\echo
\echo '12. The whole loop: the customer''s browser, webhooks, an agent'
\echo '   From here on a ticket that has its chat also asks for an agent. An administrator adds what that needs,'
\echo '   and a role for a web server, which will be able to call three functions and see no table.'
\echo
\set ECHO none
\connect - postgres
\set ECHO queries

GRANT EXECUTE ON FUNCTION flex_request, flex_access_token, flex_configuration_fetch, flex_interaction_webhook_create,
      flex_webhook_is_authentic TO support;
CREATE ROLE web LOGIN;
\echo
\set ECHO none
\connect - support
\set ECHO queries
ALTER TABLE support_tickets
  ADD key         uuid NOT NULL DEFAULT gen_random_uuid(),     -- by which the customer's browser knows it
  ADD interaction text,
  ADD contact     text,                                        -- the interaction's channel
  ADD agent       text,
  ADD waits_for   text NOT NULL DEFAULT 'customer';
CREATE TABLE ticket_messages (
  sid    text PRIMARY KEY,                                     -- a webhook that is sent again changes nothing
  ticket bigint NOT NULL REFERENCES support_tickets,
  author text NOT NULL,
  said   text NOT NULL);
CREATE TABLE flex_instance AS
SELECT flex_instance_sid AS sid, chat_service_instance_sid AS chat_service FROM flex_configuration_fetch();
\echo
\echo '   When the chat is open, an interaction asks for an agent:'
\echo
CREATE OR REPLACE FUNCTION chat_opened(request flex_outbox) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE support_tickets SET conversation = request.sid
  WHERE id = (request.context ->> 'ticket')::bigint;
  PERFORM flex_enqueue('flex_interaction_create',
    jsonb_build_object(
      'channel', jsonb_build_object('type', 'web', 'initiated_by', 'customer',
                 'properties', jsonb_build_object('media_channel_sid', request.sid)),
      'routing', jsonb_build_object('properties', jsonb_build_object(
                 'workspace_sid', 'WSaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
                 'workflow_sid', 'WWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
                 'attributes', request.context))),
    context    => request.context,
    on_success => 'agent_asked_for');
END $$;
CREATE FUNCTION agent_asked_for(request flex_outbox) RETURNS void LANGUAGE sql
SET search_path = public, pg_temp AS $$
  UPDATE support_tickets SET interaction = request.sid, contact = request.response #>> '{channel,sid}'
  WHERE id = (request.context ->> 'ticket')::bigint;
$$;
\echo
\echo '   What the web server calls: for a new ticket, for a customer''s page, and with a webhook.'
\echo
CREATE FUNCTION open_ticket(customer text, subject text) RETURNS uuid LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO support_tickets (customer, subject) VALUES (customer, subject) RETURNING key;
$$;
CREATE FUNCTION ticket_of(wanted text) RETURNS jsonb LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT jsonb_build_object('number', t.id, 'open', t.open, 'agent', t.agent, 'conversation', t.conversation,
           'identity', 'ticket-' || t.id,
           'token', flex_access_token('ticket-' || t.id, i.chat_service, ttl => '1 hour'))
  FROM support_tickets AS t, flex_instance AS i WHERE t.key::text = wanted;
$$;
CREATE FUNCTION receive_webhook(url text, parameters jsonb, signature text) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT flex_webhook_is_authentic(url, parameters, signature) THEN
    RETURN false;
  END IF;
  CASE parameters ->> 'EventType'
    WHEN 'onMessageAdded' THEN
      WITH added AS (
        INSERT INTO ticket_messages
        SELECT parameters ->> 'MessageSid', id, parameters ->> 'Author', parameters ->> 'Body'
        FROM support_tickets WHERE conversation = parameters ->> 'ConversationSid'
        ON CONFLICT DO NOTHING RETURNING *)
      UPDATE support_tickets AS t
      SET waits_for = CASE added.author WHEN 'ticket-' || t.id THEN 'agent' ELSE 'customer' END
      FROM added WHERE t.id = added.ticket;
    WHEN 'onParticipantJoined' THEN
      UPDATE support_tickets SET agent = parameters ->> 'ParticipantSid'
      WHERE interaction = parameters ->> 'InteractionSid' AND parameters ->> 'ParticipantType' = 'agent';
    WHEN 'onChannelStatusUpdated' THEN
      UPDATE support_tickets SET open = false
      WHERE interaction = parameters ->> 'InteractionSid' AND parameters ->> 'ChannelStatus' = 'closed';
    ELSE NULL;
  END CASE;
  RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION open_ticket, ticket_of, receive_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_ticket, ticket_of, receive_webhook TO web;
\echo
\echo '   And what an agent''s program calls: an answer goes into the conversation, closing to the interaction.'
\echo
CREATE FUNCTION answer_ticket(ticket bigint, said text) RETURNS bigint LANGUAGE sql AS $$
  SELECT flex_enqueue('flex_request', jsonb_build_object('method', 'POST', 'service', 'conversations',
           'path', format('/v1/Conversations/%s/Messages', conversation),
           'parameters', jsonb_build_object('Author', 'agent-7', 'Body', said)))
  FROM support_tickets WHERE id = ticket AND conversation IS NOT NULL;
$$;
CREATE FUNCTION close_ticket(ticket bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT flex_enqueue('flex_interaction_channel_update',
           jsonb_build_object('interaction_sid', interaction, 'sid', contact, 'status', 'closed'))
  FROM support_tickets WHERE id = ticket AND interaction IS NOT NULL;
$$;
\set ECHO none
