--
-- arguments.sql
--	  What cannot be valid is refused before anything is sent, and what is
--	  valid arrives byte for byte.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
\set zeros 00000000000000000000000000000000
\set address IG :zeros

-- Carries statements out, all of them meant to be refused.
CREATE FUNCTION pg_temp.refused(VARIADIC statements text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM unnest(statements) AS statement, pg_temp.attempt('SELECT FROM ' || statement) AS outcome
$$;

-- NULL for a required argument
SELECT pg_temp.refused(
	'flex_channel_fetch(NULL)',
	'flex_channel_delete(NULL)',
	'flex_flow_create(NULL, NULL, NULL)',
	'flex_flow_create(''name'', NULL, ''web'')',
	'flex_flow_update(NULL, ''name'')',
	'flex_webchat_create(NULL)',
	'flex_request(NULL, ''/v1/Channels'')',
	'flex_request(''GET'', NULL)');

-- SIDs: of another kind, too short, too long, with another digit, with blanks, empty
SELECT pg_temp.refused(
	'flex_channel_fetch(''FO00000000000000000000000000000000'')',
	'flex_channel_fetch(''ch00000000000000000000000000000000'')',
	'flex_channel_fetch(''CH0000000000000000000000000000000'')',
	'flex_channel_fetch(''CH000000000000000000000000000000000'')',
	'flex_channel_fetch(''CH0000000000000000000000000000000g'')',
	'flex_channel_fetch('' CH0000000000000000000000000000000'')',
	'flex_channel_fetch(E''CH00000000000000000000000000000000\n'')',
	'flex_channel_fetch('''')',
	'flex_channel_delete(''../Flows'')',
	'flex_flow_delete(''CH00000000000000000000000000000000'')',
	'flex_web_channel_fetch(''WC00000000000000000000000000000000'')',
	'flex_flow_create(''name'', ''CH00000000000000000000000000000000'', ''web'')',
	'flex_flow_create(''name'', ''IS00000000000000000000000000000000'', ''web'', integration_workflow_sid => ''WS00000000000000000000000000000000'')',
	'flex_channel_create(''FO'', ''i'', ''n'', ''n'')',
	'flex_channel_create(''FO00000000000000000000000000000000'', ''i'', ''n'', ''n'', task_sid => ''WT'')');
-- A path value that would lead elsewhere: every operation with arguments in its path
-- refuses it in the first of them (the required ones come first, those of the path before others)
SELECT name, wrong, outcome AS unexpected
FROM flex_operations()
	JOIN pg_proc ON pg_proc.oid = name::regproc,
	unnest(ARRAY['../Flows', '..', '.', 'x/../../y', 'a\..\b', '/..', '']) AS wrong,
	LATERAL (
		SELECT format('SELECT %s(%s)', name, string_agg(
			CASE type WHEN 'text'::regtype THEN quote_literal(wrong) ELSE 'NULL' END, ', ' ORDER BY position)) AS statement
		FROM unnest(proargtypes) WITH ORDINALITY AS argument (type, position)
		WHERE position <= pronargs - pronargdefaults) AS call,
	pg_temp.attempt(statement) WITH ORDINALITY AS attempt (outcome, line)
WHERE path LIKE '%{%' AND line = 1
	AND outcome NOT LIKE format('22023: invalid value for argument "%s": "%s"', proargnames[1], replace(wrong, '\', '\\'));

-- Values that are not among the few
SELECT pg_temp.refused(
	'flex_flow_create(''name'', ''IS00000000000000000000000000000000'', ''telex'')',
	'flex_flow_create(''name'', ''IS00000000000000000000000000000000'', ''Web'')',
	'flex_flow_create(''name'', ''IS00000000000000000000000000000000'', '''')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_type => ''studio '')',
	'flex_web_channel_update(''CH00000000000000000000000000000000'', chat_status => ''active'')');

-- Numbers
SELECT pg_temp.refused(
	'flex_channels_list(page_size => 0)',
	'flex_channels_list(page_size => -1)',
	'flex_channels_list(page_size => 1001)',
	'flex_channels_list(page_size => 2147483647, max_rows => 0)',
	'flex_channels_list(max_rows => -1)',
	'flex_channels_list(max_rows => -9223372036854775808)');

-- JSON
SELECT pg_temp.refused(
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => ''{'')',
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => ''{"a": NaN}'')',
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => '''')',
	'flex_web_channel_update(''CH00000000000000000000000000000000'', post_engagement_data => ''{''''a'''': 1}'')',
	'flex_request(''POST'', ''/v1/Channels'', parameters => ''[]'')',
	'flex_request(''POST'', ''/v1/Channels'', parameters => ''"a"'')',
	'flex_request(''POST'', ''/v1/Channels'', body => ''{'')');

-- JSON that is no object where the service wants one: above all, a string that holds it,
-- which would be encoded twice
SELECT pg_temp.refused(
	'flex_interaction_create(to_jsonb(''{"type": "web"}''::text))',
	'flex_interaction_create(''[]'')',
	'flex_interaction_create(''"web"'')',
	'flex_interaction_create(''null'')',
	'flex_interaction_create(''{}'', routing => to_jsonb(''{}''::text))',
	'flex_interaction_create(''{}'', routing => ''[{}]'')',
	'flex_interaction_invite_create(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', to_jsonb(''{}''::text))',
	'flex_interaction_channel_update(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', ''closed'', to_jsonb(''{"status": "closed"}''::text))',
	'flex_interaction_participant_create(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', ''agent'', to_jsonb(''{}''::text))',
	'flex_interaction_participant_create(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', ''agent'', ''{}'', ''3'')',
	'flex_interaction_transfer_create(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', to_jsonb(''{}''::text))',
	'flex_configuration_update(to_jsonb(''{"account_sid": "AC"}''::text))',
	'flex_channel_create(''FO00000000000000000000000000000000'', ''i'', ''n'', ''n'', task_attributes => to_jsonb(''{}''::text))',
	'flex_channel_create(''FO00000000000000000000000000000000'', ''i'', ''n'', ''n'', pre_engagement_data => to_jsonb(''{"a": 1}''::text))',
	'flex_web_channel_create(''FO00000000000000000000000000000000'', ''i'', ''n'', ''n'', pre_engagement_data => to_jsonb('' {"a": 1} ''::text))',
	'flex_web_channel_update(''CH00000000000000000000000000000000'', post_engagement_data => to_jsonb(''{"a": 1}''::text))',
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => to_jsonb(''{"a": 1}''::text))');

-- Arrays: an empty one, a NULL element by its number, an element that no value could be
SELECT pg_temp.refused(
	'flex_insights_questions_list(category_sid => ''{}'')',
	'flex_insights_segments_list(reservation_id => ARRAY[]::text[])',
	'flex_insights_questionnaire_create(''name'', question_sids => ''{}'')',
	'flex_insights_questionnaire_update(''GM00000000000000000000000000000000'', false, question_sids => ''{}'')',
	'flex_plugin_configuration_create(''name'', plugins => ''{}'')',
	'flex_plugin_configuration_create(''name'', plugins => ''{"a", NULL}'')',
	'flex_insights_questions_list(category_sid => ARRAY[''FY00000000000000000000000000000000'', NULL, NULL])',
	'flex_insights_questions_list(category_sid => ARRAY[''FY00000000000000000000000000000000'', ''FY''])',
	'flex_insights_questions_list(category_sid => ''{}'', max_rows => 0)');

-- Control characters in a header's value
SELECT pg_temp.refused(
	'flex_webchat_create(''IG00000000000000000000000000000000'', ui_version => E''1\r\nX-Evil: 1'')',
	'flex_webchat_create(''IG00000000000000000000000000000000'', ui_version => E''1\n'')',
	'flex_webchat_create(''IG00000000000000000000000000000000'', ui_version => E''\x7f'')');

-- Lengths: characters of names, bytes of data
SELECT pg_temp.refused(
	'flex_webchat_create(''IG00000000000000000000000000000000'', identity => repeat(''x'', 257))',
	'flex_webchat_create(''IG00000000000000000000000000000000'', chat_friendly_name => repeat(''é'', 257))',
	'flex_webchat_create(''IG00000000000000000000000000000000'', customer_friendly_name => repeat(''x'', 100000))',
	'flex_channel_create(''FO00000000000000000000000000000000'', repeat(''x'', 257), ''n'', ''n'')',
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => to_jsonb(repeat(''x'', 16383)))',
	'flex_web_channel_update(''CH00000000000000000000000000000000'', post_engagement_data => to_jsonb(repeat(''é'', 8192)))',
	'flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => (''['' || repeat(''1, '', 8191) || ''1]'')::jsonb)');

-- URLs
SELECT pg_temp.refused(
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => ''example.com/hook'')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => ''/hook'')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => ''https://'')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => ''https://example.com/a b'')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => E''https://example.com/\n'')',
	'flex_flow_update(''FO00000000000000000000000000000000'', integration_url => '''')');

-- A list's arguments are checked as well when no row is wanted; and a refusal is
-- not put off until after the first request
SELECT pg_temp.refused('flex_channels_list(page_size => 0, max_rows => 0)');

-- Nothing of all this was sent
SELECT body -> 'requests' AS requests FROM flex_request('GET', '/_simulator/counters');

-- The longest that is valid
SELECT length(identity) FROM flex_webchat_create(:'address',
	identity => repeat('é', 256), chat_friendly_name => repeat('x', 256),
	pre_engagement_data => to_jsonb(repeat('x', 16382)));
SELECT FROM flex_webchat_create(:'address', pre_engagement_data => ('[' || repeat('1, ', 8190) || '1]')::jsonb);
SELECT pair ->> 0 AS name, length(pair ->> 1) AS characters
FROM flex_request('GET', '/_simulator/requests'), jsonb_path_query(body, '$.requests[*].parameters[*]') AS pair;
CALL pg_temp.forget();

-- Nasty but good
CREATE TEMPORARY TABLE nasty AS SELECT * FROM (VALUES
	('spaces', '  two  and two  '),
	('reserved', '&=+%/?#;,:@!$*()[]|^`~'),
	('percent-encoded already', '%20%2F+%00'),
	('quotes', '''single'' "double" \back\\slashes\" {braces}'),
	('newlines', E'\n\r\n\t'),
	('control characters', E'\x01\x1b\x7f'),
	('accents', 'Grüße, Zoë; e' || chr(769)),
	('emoji', '👩‍👩‍👧 🇪🇺'),
	('beyond', chr(65533) || chr(1114109)),
	('right to left', 'שלום ' || chr(8238) || 'abc'),
	('JSON', '{"a": [1, "two"]}'),
	('SQL', '''; DROP TABLE nasty; --'),
	('template', '{Sid} %s %n ${x}'),
	('empty', '')) AS rows (what, value);
SELECT what, convert_to(chat.identity, 'UTF8') = convert_to(value, 'UTF8') AS came_back
FROM nasty, LATERAL flex_webchat_create(:'address', identity => value, chat_friendly_name => value) AS chat;
SELECT what, pairs = jsonb_build_array(
	jsonb_build_array('AddressSid', :'address'),
	jsonb_build_array('ChatFriendlyName', value),
	jsonb_build_array('Identity', value)) AS arrived
FROM (SELECT *, row_number() OVER () AS n FROM nasty) AS nasty
	JOIN (SELECT r -> 'parameters' AS pairs, row_number() OVER () AS n
		FROM flex_request('GET', '/_simulator/requests'), jsonb_array_elements(body -> 'requests') AS r) AS sent USING (n);
-- as they look on the wire, in the form and in the query
SELECT body FROM pg_temp.sent() LIMIT 5;
SELECT count(*) FROM nasty, LATERAL flex_flows_list(friendly_name => value);
SELECT what, pairs = jsonb_build_array(
	jsonb_build_array('FriendlyName', value),
	jsonb_build_array('PageSize', '1000')) AS arrived
FROM (SELECT *, row_number() OVER () AS n FROM nasty) AS nasty
	JOIN (SELECT r -> 'parameters' AS pairs, row_number() OVER () AS n
		FROM flex_request('GET', '/_simulator/requests'), jsonb_array_elements(body -> 'requests') AS r) AS sent USING (n);
CALL pg_temp.forget();

-- An empty header is sent as such
SELECT FROM flex_webchat_create(:'address', ui_version => '');
SELECT FROM flex_webchat_create(:'address', ui_version => '  é & : "');
SELECT headers -> 'ui-version' AS ui_version FROM pg_temp.sent();

-- False and 0 are values, NULL is none; JSON null is one; deep JSON keeps its shape
SELECT FROM flex_flow_create('f', 'IS00000000000000000000000000000000', 'web', enabled => false, integration_timeout => 0,
	integration_priority => -5, long_lived => NULL);
SELECT FROM flex_webchat_create(:'address', pre_engagement_data => 'null', identity => NULL);
SELECT FROM flex_webchat_create(:'address', pre_engagement_data => '{"n": 1.10, "big": 123456789012345678901234567890, "e": 1e3}');
SELECT parameters FROM pg_temp.sent();
-- JSON is sent without blanks between values, and with those in texts
SELECT FROM flex_webchat_create(:'address', pre_engagement_data => '{"a, b": "c, d: \" e, \\", "f: ": [1, " \\\" ", {}, [], true]}');
SELECT parameters FROM pg_temp.sent();
CALL pg_temp.fault('{"path": "/v2/WebChats", "status": 200, "body": "{}"}');
SELECT FROM flex_webchat_create(:'address', pre_engagement_data => (repeat('[', 1000) || repeat(']', 1000))::jsonb);
SELECT parameters LIKE '% & PreEngagementData=' || repeat('[', 1000) || repeat(']', 1000) AS arrived FROM pg_temp.sent();

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
