CREATE EXTENSION flex_api;
SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}') AS request \gset
SELECT state, sid FROM flex_outbox_await(:request);
DO $$
BEGIN
	ASSERT (SELECT count(*) FROM flex_outbox WHERE state = 'succeeded') = 1, 'the request was sent';
END $$;
