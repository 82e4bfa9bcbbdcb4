--
-- operations.sql
--	  Each operation does what its name says: the rows that come back, and what
--	  the service was sent for them.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

-- Whatever else is installed: without its required arguments no operation sends anything.
CREATE FUNCTION pg_temp.call_with_nulls(function regproc) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	required int := (SELECT pronargs - pronargdefaults FROM pg_proc WHERE oid = function);
BEGIN
	EXECUTE format('SELECT %s(%s)', function, array_to_string(array_fill('NULL'::text, ARRAY[required]), ', '));
	RETURN 'accepted';
EXCEPTION WHEN null_value_not_allowed THEN
	RETURN regexp_replace(SQLERRM, '".*"', '"..."');
END $$;
CALL pg_temp.forget();
SELECT count(*) > 0 AS some, string_agg(DISTINCT outcome, '; ') AS outcomes
FROM flex_operations()
	JOIN pg_proc ON pg_proc.oid = name::regproc AND pronargs > pronargdefaults,
	pg_temp.call_with_nulls(name::regproc) AS outcome;
SELECT request FROM pg_temp.sent();

-- Flex flows
SELECT * FROM flex_flow_create('Sales', 'IS00000000000000000000000000000001', 'web') \gset flow_
SELECT pg_temp.steady(flow::text) AS flow FROM flex_flow_fetch(:'flow_sid') AS flow;
SELECT friendly_name, channel_type, contact_identity, enabled, integration_type, long_lived, janitor_enabled,
	pg_temp.steady(integration::text) AS integration
FROM flex_flow_update(
	sid => :'flow_sid',
	friendly_name => 'Support',
	chat_service_sid => 'IS00000000000000000000000000000002',
	channel_type => 'sms',
	contact_identity => '+15550100',
	enabled => true,
	integration_type => 'task',
	integration_flow_sid => 'FW00000000000000000000000000000001',
	integration_url => 'https://example.com/hook?a=b&c=d',
	integration_workspace_sid => 'WS00000000000000000000000000000001',
	integration_workflow_sid => 'WW00000000000000000000000000000001',
	integration_channel => 'sms',
	integration_timeout => 60,
	integration_priority => 0,
	integration_creation_on_message => false,
	long_lived => true,
	janitor_enabled => false,
	integration_retry_count => 3);
SELECT friendly_name, channel_type FROM flex_flows_list();
SELECT friendly_name FROM flex_flows_list(friendly_name => 'Support', page_size => 10, max_rows => 1);
SELECT count(*) FROM flex_flows_list(friendly_name => 'Sales');

-- Channels
SELECT * FROM flex_channel_create(
	flex_flow_sid => :'flow_sid',
	identity => 'larry',
	chat_user_friendly_name => 'Larry',
	chat_friendly_name => 'Larry''s chat',
	target => '+15550101',
	chat_unique_name => 'larrys',
	pre_engagement_data => '{"question": "When?"}',
	task_sid => 'WT00000000000000000000000000000001',
	task_attributes => '{"priority": 1.50}',
	long_lived => true) \gset channel_
SELECT pg_temp.steady(channel::text) AS channel FROM flex_channel_fetch(:'channel_sid') AS channel;
SELECT count(*), min(sid) = :'channel_sid' AS it FROM flex_channels_list();
SELECT flex_channel_delete(:'channel_sid');
SELECT * FROM pg_temp.attempt(format('SELECT flex_channel_delete(%L)', :'channel_sid'));
SELECT count(*) FROM flex_channels_list();

-- Web channels
SELECT * FROM flex_web_channel_create(
	flex_flow_sid => :'flow_sid',
	identity => 'moe',
	customer_friendly_name => 'Moe',
	chat_friendly_name => 'Moe''s chat',
	chat_unique_name => 'moes',
	pre_engagement_data => '["array"]') \gset web_
SELECT pg_temp.steady(channel::text) AS web_channel FROM flex_web_channel_fetch(:'web_sid') AS channel;
SELECT sid = :'web_sid' AS it FROM flex_web_channel_update(:'web_sid', 'inactive', '{"stars": 5}');
SELECT sid = :'web_sid' AS it FROM flex_web_channels_list();
SELECT flex_web_channel_delete(:'web_sid');
SELECT count(*) FROM flex_web_channels_list();
SELECT flex_flow_delete(:'flow_sid');
SELECT count(*) FROM flex_flows_list();

-- Web chats
SELECT pg_temp.steady(chat::text) AS webchat FROM flex_webchat_create(
	address_sid => 'IG00000000000000000000000000000001',
	ui_version => '2.0.1',
	chat_friendly_name => 'Curly''s chat',
	customer_friendly_name => 'Curly',
	pre_engagement_data => 'null',
	identity => 'curly') AS chat;

-- All that was sent
SELECT request, status, parameters FROM pg_temp.sent();

-- Headers: of a request with a body, of one without, and the one that is an argument
SELECT * FROM flex_channels_list();
SELECT FROM flex_webchat_create('IG00000000000000000000000000000001', ui_version => '2.0.1');
SELECT request, key, regexp_replace(pg_temp.steady(value), '^flex_api/[0-9.]+ \(PostgreSQL .+\)$', 'flex_api/VERSION (PostgreSQL VERSION)') AS value
FROM pg_temp.sent(), jsonb_each_text(headers)
WHERE key <> 'accept-encoding' -- as many as libcurl was built with
ORDER BY request COLLATE "C", key COLLATE "C";
SELECT convert_from(decode('QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDp0ZXN0LXRva2Vu', 'base64'), 'UTF8') AS credentials;

-- In FROM and LATERAL a function is called once for each row
CREATE TEMPORARY TABLE customers AS SELECT * FROM (VALUES ('larry'), ('moe')) AS rows (identity);
SELECT customers.identity, chat.identity AS same
FROM customers, LATERAL flex_webchat_create('IG00000000000000000000000000000001', identity => customers.identity) AS chat;
SELECT request, parameters FROM pg_temp.sent();

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
