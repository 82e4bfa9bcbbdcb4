-- The chat button of a web page, without a login: one function, and no right on anything else.
CREATE ROLE web_anon NOLOGIN;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO web_anon;

-- POST /rpc/open_chat with {"topic": "billing"}: PostgREST calls it with named arguments, as web_anon, in a transaction,
-- where it has set what came in the request's headers.  Its owner's credentials count, not what the caller sets.
CREATE FUNCTION api.open_chat(topic text, OUT conversation text, OUT "identity" text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    headers jsonb := current_setting('request.headers', true);
BEGIN
    IF headers ->> 'origin' IS DISTINCT FROM 'https://shop.example' THEN
        RAISE SQLSTATE 'PT403' USING MESSAGE = 'this button is not yours';
    END IF;
    SELECT chat.conversation_sid, chat.identity INTO conversation, "identity"
    FROM flex_webchat_create('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', identity => 'web-' || gen_random_uuid(),
                             pre_engagement_data => jsonb_build_object('topic', topic)) AS chat;
END $$;
REVOKE EXECUTE ON FUNCTION api.open_chat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.open_chat TO web_anon;
