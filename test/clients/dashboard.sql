-- What dashboards read are tables: such programs read every view now and then, to guess what is in it.
CREATE TABLE channels_now AS
SELECT sid, flex_flow_sid, user_sid, date_created, date_updated, now() AS read_at FROM flex_channels_list();

CREATE PROCEDURE read_channels() LANGUAGE sql AS $$
    DELETE FROM channels_now;
    INSERT INTO channels_now
    SELECT sid, flex_flow_sid, user_sid, date_created, date_updated, now() FROM flex_channels_list();
$$;   -- a scheduled job calls it

CREATE ROLE dashboard LOGIN;
ALTER ROLE dashboard SET default_transaction_read_only = on;
GRANT SELECT ON channels_now, flex_outbox_status TO dashboard;
GRANT EXECUTE ON FUNCTION flex_outbox_sender() TO dashboard;
