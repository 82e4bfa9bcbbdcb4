--
-- outbox_enqueue.sql
--	  What is wrong with a request is an error of flex_enqueue(), as it would be
--	  of the call itself, and nothing is sent; what is right stands in the table.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

-- A warning that nobody sends this is another file's
SET client_min_messages = error;
SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}') AS first_id;
RESET client_min_messages;

-- Carries statements out, all of them meant to be refused.
CREATE FUNCTION pg_temp.refused(VARIADIC calls text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM unnest(calls) AS call, pg_temp.attempt('SELECT flex_enqueue(' || call || ')') AS outcome
$$;

-- The operation: none, unknown, not an operation, a list, with a schema
SELECT pg_temp.refused(
	$$NULL, '{}'$$,
	$$'', '{}'$$,
	$$'flex_nothing', '{}'$$,
	$$'flex_request_list', '{"path": "/v1/Channels"}'$$,
	$$'flex_enqueue', '{}'$$,
	$$'public.flex_channel_fetch', '{}'$$,
	$$'flex_channels_list', '{}'$$,
	$$'flex_channels_list', '{"page_size": 5}'$$);

-- The arguments: none, no object, names that are not there
SELECT pg_temp.refused(
	$$'flex_channel_fetch', NULL$$,
	$$'flex_channel_fetch', 'null'$$,
	$$'flex_channel_fetch', '[]'$$,
	$$'flex_channel_fetch', '"sid"'$$,
	$$'flex_channel_fetch', '[{"sid": "CH00000000000000000000000000000000"}]'$$,
	$$'flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000", "Sid": 1}'$$,
	$$'flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000", "": null}'$$,
	$$'flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000", "unknown": null}'$$);

-- flex_request is an operation too: what it would refuse is refused in the same words
SELECT pg_temp.refused(
	$$'flex_request', '{}'$$,
	$$'flex_request', '{"method": "GET"}'$$,
	$$'flex_request', '{"method": "get", "path": "/v1/Channels"}'$$,
	$$'flex_request', '{"method": "GET", "path": "v1/Channels"}'$$,
	$$'flex_request', '{"method": "GET", "path": "/v1/../v1/Channels"}'$$,
	$$'flex_request', '{"method": 1, "path": "/v1/Channels"}'$$,
	$$'flex_request', '{"method": "GET", "path": "/v1/Channels", "parameters": []}'$$,
	$$'flex_request', '{"method": "GET", "path": "/v1/Channels", "headers": {"Authorization": "Basic s3cret"}}'$$,
	$$'flex_request', '{"method": "GET", "path": "/v1/Channels", "headers": {"X": "a\nb"}}'$$,
	$$'flex_request', '{"method": "GET", "path": "/v1/Channels", "product": "none"}'$$,
	$$'flex_request', '{"method": "POST", "path": "/v1/Insights/Session?a=1"}'$$,
	$$'flex_request', '{"method": "POST", "path": "/v1//%49nsights%2fsession/"}'$$);

-- JSON, arrays and enumerations as in a direct call
SELECT pg_temp.refused(
	$$'flex_interaction_create', '{"channel": "{\"type\": \"web\"}"}'$$,
	$$'flex_interaction_create', '{"channel": {}, "routing": []}'$$,
	$$'flex_configuration_update', '{"body": "{}"}'$$,
	$$'flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000000", "pre_engagement_data": "{\"a\": 1}"}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": []}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": ["a", null]}'$$,
	$$'flex_interaction_channel_update', '{"interaction_sid": "KD00000000000000000000000000000000", "sid": "UO00000000000000000000000000000000", "status": "paused"}'$$);

-- NULL for a required one, left out or said
SELECT pg_temp.refused(
	$$'flex_channel_fetch', '{}'$$,
	$$'flex_channel_fetch', '{"sid": null}'$$,
	$$'flex_flow_create', '{"friendly_name": "x", "channel_type": "web"}'$$,
	$$'flex_webchat_create', '{"identity": "larry"}'$$);

-- Values that are not of the argument's type
SELECT pg_temp.refused(
	$$'flex_channel_fetch', '{"sid": 5}'$$,
	$$'flex_channel_fetch', '{"sid": {"sid": "CH00000000000000000000000000000000"}}'$$,
	$$'flex_channel_fetch', '{"sid": ["CH00000000000000000000000000000000"]}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "enabled": "true"}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "enabled": 1}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": "5"}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": 5.5}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": 2147483648}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": 1.00000000000000000000001}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": 1e-400}'$$,
	$$'flex_flow_update', '{"sid": "FO00000000000000000000000000000000", "integration_priority": true}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": "[]"}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": {}}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": [5]}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": [null]}'$$,
	$$'flex_plugin_configuration_create', '{"name": "x", "plugins": [["a"]]}'$$);

-- Values that the call itself would refuse, in the same words
CREATE TEMPORARY TABLE twice (operation text, arguments jsonb, call text);
INSERT INTO twice VALUES
	('flex_channel_fetch', '{"sid": "FO00000000000000000000000000000000"}', 'flex_channel_fetch(''FO00000000000000000000000000000000'')'),
	('flex_channel_fetch', '{"sid": "../Flows"}', 'flex_channel_fetch(''../Flows'')'),
	('flex_channel_fetch', '{"sid": ""}', 'flex_channel_fetch('''')'),
	('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000000', 'identity', repeat('x', 257)),
		'flex_webchat_create(''IG00000000000000000000000000000000'', identity => repeat(''x'', 257))'),
	('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000000', 'pre_engagement_data', jsonb_build_object('a', repeat('x', 16384))),
		'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => jsonb_build_object(''a'', repeat(''x'', 16384)))'),
	('flex_interaction_channel_update', '{"interaction_sid": "KD00000000000000000000000000000000", "sid": "UO00000000000000000000000000000000", "status": "gone"}',
		'flex_interaction_channel_update(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', ''gone'')'),
	('flex_flow_create', '{"friendly_name": "x", "chat_service_sid": "IS00000000000000000000000000000000", "channel_type": "pigeon"}',
		'flex_flow_create(''x'', ''IS00000000000000000000000000000000'', ''pigeon'')'),
	('flex_channel_fetch', '{"sid": null}', 'flex_channel_fetch(NULL)');
SELECT call, enqueued.outcome, enqueued.line
FROM twice, pg_temp.attempt(format('SELECT flex_enqueue(%L, %L)', operation, arguments)) WITH ORDINALITY AS enqueued (outcome, line)
EXCEPT ALL
SELECT call, called.outcome, called.line
FROM twice, pg_temp.attempt('SELECT FROM ' || call) WITH ORDINALITY AS called (outcome, line);
SELECT count(*) FROM twice, pg_temp.attempt(format('SELECT flex_enqueue(%L, %L)', operation, arguments)) WITH ORDINALITY AS enqueued (outcome, line)
WHERE line = 1 AND outcome ~ '^2(2023|2004)';

-- Secrets are not kept
SELECT pg_temp.refused(
	$$'flex_insights_session_create', '{"authorization": "Bearer s3cret"}'$$,
	$$'flex_insights_user_roles_fetch', '{"authorization": 5}'$$,
	$$'flex_insights_questionnaire_fetch', '{"questionnaire_sid": "x", "authorization": "s3cret"}'$$);
SELECT pg_temp.attempt($$SELECT FROM (SELECT flex_enqueue('flex_insights_user_roles_fetch', '{"authorization": null}')) AS enqueued$$);

-- The rest of the arguments
SELECT pg_temp.refused(
	$$'flex_provisioning_status_fetch', '{}', max_attempts => 0$$,
	$$'flex_provisioning_status_fetch', '{}', max_attempts => -1$$);
-- of what the server itself refuses the message alone: the rest differs between releases
SELECT line FROM pg_temp.refused(
	$$'flex_provisioning_status_fetch', '{}', max_attempts => 2147483648$$,
	$$'flex_provisioning_status_fetch', '{}', nothing => 1$$) AS line
WHERE line !~ '^ ';

-- Callbacks
CREATE FUNCTION good_callback(flex_outbox) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION no_argument() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION wrong_argument(jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION second_argument(flex_outbox, integer DEFAULT 1) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE a_procedure(flex_outbox) LANGUAGE sql AS '';
CREATE AGGREGATE an_aggregate(flex_outbox) (SFUNC = array_append, STYPE = flex_outbox[]);
SELECT pg_temp.refused(
	$$'flex_provisioning_status_fetch', '{}', on_success => 'nothing'$$,
	$$'flex_provisioning_status_fetch', '{}', on_failure => 'nothing'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => ''$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'a..b'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'nowhere.good_callback'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'good_callback(flex_outbox)'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'good_callback; DROP TABLE twice'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'GOOD_CALLBACK', on_failure => '"GOOD_CALLBACK"'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'no_argument'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'wrong_argument'$$,
	$$'flex_provisioning_status_fetch', '{}', on_success => 'second_argument'$$);
-- what is not a function is refused, in the server's words
SELECT callback, left(outcome, 5) AS sqlstate
FROM unnest(ARRAY['a_procedure', 'an_aggregate']) AS callback,
	pg_temp.attempt(format($$SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => %L)$$, callback)) WITH ORDINALITY AS a (outcome, line)
WHERE line = 1;
-- a temporary function would be another session's
CREATE FUNCTION pg_temp.mine(flex_outbox) RETURNS void LANGUAGE sql AS '';
SELECT outcome NOT LIKE 'succeeded%' AS refused
FROM pg_temp.attempt($$SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => 'pg_temp.mine')$$) WITH ORDINALITY AS a (outcome, line)
WHERE line = 1;

-- Nothing was sent, and nothing stands there but what was good
SELECT count(*) FROM pg_temp.sent();
SELECT count(*) FROM flex_outbox;
DELETE FROM flex_outbox_requests;

-- What is stored: the defaults, and all that can be said
CREATE SCHEMA "Odd Schema";
CREATE FUNCTION "Odd Schema"."Odd'Name"(flex_outbox) RETURNS void LANGUAGE sql AS '';
SET flex_api.account_sid = 'AC00000000000000000000000000000001';
SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001", "identity": null, "pre_engagement_data": {"a": [1.50]}}'));
SET flex_api.account_sid = '';
SELECT count(flex_enqueue('flex_channel_delete', '{"sid": "CH00000000000000000000000000000001"}', context => '{"ticket": 5}',
	on_success => 'good_callback', on_failure => '"Odd Schema"."Odd''Name"', run_at => '2030-01-01 00:00:00+00', priority => -5,
	max_attempts => 3, unique_key => 'one'));
SELECT operation, arguments, context, state, priority, attempts, max_attempts, run_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now,
	unique_key, on_success, on_failure, account_sid, enqueued_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS enqueued_now,
	enqueued_by = current_user AS by_me, enqueued_role = current_user::regrole AS by_my_role,
	enqueued_in = (SELECT oid FROM pg_database WHERE datname = current_database()) AS here,
	num_nulls(started_at, finished_at, http_status, error_code, error_message, response, request_id, sender_pid, sender_start, outcome,
		callback_at, callback_error) AS empty, callback_attempts
FROM flex_outbox ORDER BY id \gx
SELECT run_at AT TIME ZONE 'UTC' AS run_at FROM flex_outbox WHERE unique_key = 'one';
-- no secret of the session's
SET flex_api.auth_token = 's3cret-token';
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}'));
SELECT count(*) FROM flex_outbox AS o WHERE o::text LIKE '%s3cret%';
-- all operations that are not lists can be enqueued with what a call of theirs needs: none is refused as unknown
SELECT name FROM flex_operations(), pg_temp.attempt(format('SELECT flex_enqueue(%L, ''{"nothing": 1}'')', name)) WITH ORDINALITY AS a (outcome, line)
WHERE line = 1 AND outcome <> format('22023: %s has no argument "nothing"', name) AND outcome !~ '^0A000: (a list|flex_insights_session_create) cannot be enqueued$';
DELETE FROM flex_outbox_requests;

-- unique_key: the id of the first, whatever the rest, in whatever state; a rolled back one is free again
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'k') AS first \gset
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'k') = :first AS same;
SELECT flex_enqueue('flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000"}', unique_key => 'k') = :first AS same;
SELECT pg_temp.refused($$'flex_channel_fetch', '{"sid": "no"}', unique_key => 'k'$$);
SELECT flex_outbox_cancel(:first);
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'k') = :first AS same_though_cancelled;
BEGIN;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'l') AS second \gset
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'l') = :second AS same;
SAVEPOINT s;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'm') AS third \gset
ROLLBACK TO s;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'm') > :third AS another;
ROLLBACK;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'l') > :second AS another;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => '') IS NOT NULL AS empty_is_a_key;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}') <> flex_enqueue('flex_provisioning_status_fetch', '{}') AS null_is_none;
SELECT unique_key, count(*) FROM flex_outbox GROUP BY 1 ORDER BY 1;
-- one that no index can hold is an error, not another key
SELECT left(outcome, 5) AS sqlstate FROM pg_temp.attempt($$SELECT flex_enqueue('flex_provisioning_status_fetch', '{}',
	unique_key => (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) AS i))$$) WITH ORDINALITY AS a (outcome, line) WHERE line = 1;
DELETE FROM flex_outbox_requests;

-- Rolled back with its transaction, its savepoint, its exception block
BEGIN;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', '1'));
SAVEPOINT s;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', '2'));
ROLLBACK TO s;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', '3'));
DO $$
BEGIN
	PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', '4');
	BEGIN
		PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', '5');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', '6');
	END;
	BEGIN
		PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', '7');
		PERFORM flex_enqueue('flex_provisioning_status_fetch', '{"no": 1}', '8');
	EXCEPTION WHEN invalid_parameter_value THEN
		NULL;
	END;
END $$;
COMMIT;
BEGIN;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', '9'));
ROLLBACK;
SELECT context FROM flex_outbox ORDER BY id;
DELETE FROM flex_outbox_requests;

-- In a trigger with an exception block: the ticket stays, its request does not
CREATE TABLE tickets (id integer PRIMARY KEY, channel text, trouble text);
CREATE FUNCTION close_chat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		PERFORM flex_enqueue('flex_channel_delete', jsonb_build_object('sid', NEW.channel), to_jsonb(NEW.id));
	EXCEPTION WHEN invalid_parameter_value OR null_value_not_allowed THEN
		NEW.trouble := SQLERRM;
	END;
	RETURN NEW;
END $$;
CREATE TRIGGER close_chat BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION close_chat();
INSERT INTO tickets VALUES (1, 'CH00000000000000000000000000000001'), (2, 'nonsense'), (3, NULL), (4, 'CH00000000000000000000000000000004');
INSERT INTO tickets VALUES (4, 'CH00000000000000000000000000000004');
BEGIN;
INSERT INTO tickets VALUES (5, 'CH00000000000000000000000000000005');
ROLLBACK;
SELECT * FROM tickets ORDER BY id;
SELECT arguments, context FROM flex_outbox ORDER BY id;

-- A session whose triggers are those of a replica may enqueue as well
DELETE FROM flex_outbox_requests;
SET session_replication_role = replica;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}'));
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'replica'));
SHOW session_replication_role;
RESET session_replication_role;
SELECT count(*) FROM flex_outbox;

-- The caller's settings and search_path do not matter, nor are they changed
SET search_path = pg_temp;
SET enable_indexscan = off;
SELECT count(public.flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => 'public.good_callback'));
SHOW search_path;
SHOW enable_seqscan;
RESET search_path;
RESET enable_indexscan;
BEGIN READ ONLY;
SELECT left(pg_temp.refused($$'flex_provisioning_status_fetch', '{}'$$), 5) AS sqlstate;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}'));
COMMIT;
SELECT count(*) FROM flex_outbox;

-- What nobody sends is not sent
SET flex_api.account_sid = 'AC00000000000000000000000000000000';
SET flex_api.auth_token = 'test-token';
SELECT count(*) FROM pg_temp.sent();
DROP TABLE tickets;
DROP FUNCTION close_chat, no_argument, wrong_argument;
SET client_min_messages = warning;
DROP SCHEMA "Odd Schema" CASCADE;
DROP EXTENSION flex_api CASCADE;
