--
-- What the trigger leaves in the outbox, seen by the transaction that leaves it and rolls it
-- back at the end: nothing is sent, so there is no simulator and no network here.
--
BEGIN;
SELECT plan(8);

SELECT has_trigger('tickets', 'open_chat');
SELECT trigger_is('tickets', 'open_chat', 'open_chat');

INSERT INTO tickets (customer) VALUES ('Ada Lovelace') RETURNING id AS ticket \gset
SELECT is(
    (SELECT string_agg(operation || ' ' || state || ' ' || context, ', ') FROM flex_outbox),
    format('flex_webchat_create pending {"ticket": %s}', :ticket),
    'a new ticket leaves one request');
SELECT is(
    (SELECT arguments FROM flex_outbox),
    jsonb_build_object(
        'address_sid', 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
        'identity', 'ticket-' || :ticket,
        'customer_friendly_name', 'Ada Lovelace'),
    'it has what the ticket says');
SELECT is((SELECT (on_success, on_failure)::text FROM flex_outbox), '(public.chat_opened,public.chat_failed)', 'and both callbacks');

UPDATE tickets SET customer = 'Grace Hopper';
SELECT is((SELECT count(*) FROM flex_outbox), 1::bigint, 'a change leaves none');

SAVEPOINT undone;
INSERT INTO tickets (customer) VALUES ('Nobody');
ROLLBACK TO undone;
SELECT is((SELECT count(*) FROM flex_outbox), 1::bigint, 'a ticket that is rolled back leaves none');

-- What the service would refuse is refused here.
SELECT throws_ok(
    $$SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "not a SID"}')$$,
    '22023', NULL, 'a bad argument is an error of the statement');

SELECT * FROM finish();
ROLLBACK;
