-- Examples for sql/REFERENCE.md, one for each function, by topic.
--
--   -- == TOPIC      begins a topic; the lines "-- " below it are its introduction
--   -- -- before     what the topic's examples need; shown above them
--   -- -- FUNCTION   begins the example for a function
--
-- The page shows them as they stand, and a test runs them with psql in this
-- order, against the simulator: an example must succeed, return a row, and
-- send the operation that it is for.  A topic whose functions are not installed
-- is left out.

-- == Catalogue
-- What there is, and a way to send what does not have a function yet.

-- -- flex_operations
SELECT name, method, path
FROM flex_operations()
WHERE repeatable AND path LIKE '/v1/Interactions%';

-- -- flex_request
SELECT answer.status, answer.body -> 'status' AS flex_status, answer.headers ->> 'twilio-request-id' AS request
FROM flex_request('GET', '/v1/Configuration', parameters => '{"UiVersion": "2.0"}') AS answer;

-- -- flex_request_list
SELECT segment ->> 'segment_id' AS segment, segment ->> 'agent_name' AS agent
FROM flex_request_list('/v1/Insights/Segments', parameters => '{"PageSize": 100}', max_rows => 1000) AS segment;

-- -- flex_call_many
SELECT many.number, many.http_status, many.response ->> 'identity' AS identity, many.sqlstate
FROM flex_call_many('flex_webchat_create',
	ARRAY['{"address_sid": "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "identity": "ada"}',
		'{"address_sid": "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "identity": "alan"}']::jsonb[], concurrency => 20) AS many;

-- == Interactions
-- Where everybody who starts today begins. An interaction has channels; a channel has participants, invites to
-- agents, and transfers between them. The service accepts a request before it has carried it out: a channel's
-- `status`, `error_code` and `error_message` tell later what became of it. A task's attributes come back as a string
-- that holds JSON, with members that the service adds. Published rate: 20 requests per second on each endpoint.

-- -- before
SELECT i.sid AS interaction, i.channel ->> 'sid' AS channel
FROM flex_interaction_create('{"type": "web", "initiated_by": "customer"}', '{"properties": {}}') AS i \gset

-- -- flex_interaction_create
SELECT i.sid, i.channel ->> 'sid' AS channel
FROM flex_interaction_create(
       channel => '{"type": "sms", "initiated_by": "agent",
                    "participants": [{"address": "+15550100", "proxy_address": "+15550199"}]}',
       routing => '{"properties": {"workspace_sid": "WSaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "workflow_sid": "WWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "queue_sid": "WQaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "worker_sid": "WKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}') AS i;

-- -- flex_interaction_fetch
SELECT channel ->> 'sid' AS channel, (routing #>> '{properties,attributes}')::jsonb ->> 'conversationSid' AS conversation
FROM flex_interaction_fetch(:'interaction');

-- -- flex_interaction_update
SELECT sid, webhook_ttid FROM flex_interaction_update(:'interaction', webhook_ttid => 'UX01');

-- -- flex_interaction_channels_list
SELECT sid, type, status, error_message FROM flex_interaction_channels_list(:'interaction');

-- -- flex_interaction_channel_fetch
SELECT status, error_code, error_message FROM flex_interaction_channel_fetch(:'interaction', :'channel');

-- -- flex_interaction_invite_create
SELECT sid, routing #>> '{properties,sid}' AS task
FROM flex_interaction_invite_create(:'interaction', :'channel',
       routing => '{"properties": {"workspace_sid": "WSaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "workflow_sid": "WWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "queue_sid": "WQaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}');

-- -- flex_interaction_invites_list
SELECT sid, (routing #>> '{properties,attributes}')::jsonb ->> 'channelType' AS type
FROM flex_interaction_invites_list(:'interaction', :'channel');

-- -- flex_interaction_participant_create
SELECT sid AS participant, type
FROM flex_interaction_participant_create(:'interaction', :'channel',
       type             => 'external',
       media_properties => '{"type": "email", "level": "cc", "name": "Ada", "address": "ada@example.com"}') \gset

-- -- flex_interaction_participants_list
SELECT sid, type FROM flex_interaction_participants_list(:'interaction', :'channel');

-- -- flex_interaction_participant_update
SELECT sid FROM flex_interaction_participant_update(:'interaction', :'channel', :'participant', status => 'closed');

-- -- flex_interaction_transfer_create
SELECT sid AS transfer, status
FROM flex_interaction_transfer_create(:'interaction', :'channel',
       body => '{"type": "warm", "to": "WQaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}') \gset

-- -- flex_interaction_transfer_fetch
SELECT type, status, "from", "to" FROM flex_interaction_transfer_fetch(:'interaction', :'channel', :'transfer');

-- -- flex_interaction_transfer_update
SELECT status
FROM flex_interaction_transfer_update(:'interaction', :'channel', :'transfer', body => '{"status": "completed"}');

-- -- flex_interaction_channel_update
SELECT closed.sid, closed.status
FROM flex_interaction_channel_update(:'interaction', :'channel', status => 'closed') AS closed;

-- == Web chats
-- The current way to begin a chat on a web page. The service has no call that lists or fetches web chats: keep the
-- conversation's SID. Published rate: 5 per second.

-- -- flex_webchat_create
SELECT chat.conversation_sid, chat.identity
FROM flex_webchat_create(
       address_sid            => 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
       identity               => 'customer-4711',
       customer_friendly_name => 'Ada Lovelace',
       pre_engagement_data    => '{"language": "en", "topic": "billing"}') AS chat;

-- == Interaction webhooks
-- Where the service tells what becomes of interactions. Twilio's page names two of the form's members in two ways: its
-- examples have `WebhookEvents` and `WebhookMethod`, as these functions, and a table has `Filters` and `Method`, which
-- `flex_request` sends. Absent from the OpenAPI documents.

-- -- before
\set instance GOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

-- -- flex_interaction_webhook_create
SELECT ttid, type FROM flex_interaction_webhook_create(:'instance', 'https://example.com/flex',
	webhook_events => ARRAY['onInteractionCreated', 'onChannelStatusUpdated'], webhook_method => 'POST') \gset webhook_

-- -- flex_interaction_webhooks_list
SELECT ttid, webhook_url, webhook_events FROM flex_interaction_webhooks_list(:'instance', type => 'global');

-- -- flex_interaction_webhook_fetch
SELECT webhook_method, friendly_name FROM flex_interaction_webhook_fetch(:'instance', :'webhook_ttid');

-- -- flex_interaction_webhook_update
SELECT webhook_events FROM flex_interaction_webhook_update(:'instance', :'webhook_ttid', webhook_events => ARRAY['onParticipantLeft']);

-- -- flex_interaction_webhook_delete
SELECT flex_interaction_webhook_delete(:'instance', :'webhook_ttid');

-- == Users
-- The people who work in a Flex instance. Version 2 fetches and changes one whose SID is known. The other functions are for
-- what Twilio's page alone describes, in public beta: users are listed, found, provisioned and deprovisioned.

-- -- before
\set instance GOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
\set user FUaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

-- -- flex_user_provision
SELECT flex_user_sid, worker ->> 'worker_sid' AS worker
FROM flex_user_provision(:'instance', '{"username": "ada", "full_name": "Ada Lovelace", "email": "ada@example.com",
	"roles": ["agent"], "worker": {"attributes": {"languages": ["en"]}}}') \gset ada_

-- -- flex_instance_users_list
SELECT username, roles FROM flex_instance_users_list(:'instance') WHERE NOT deactivated;

-- -- flex_instance_users_named_list
SELECT flex_user_sid, worker_sid FROM flex_instance_users_named_list(:'instance', 'ada');

-- -- flex_instance_user_fetch
SELECT full_name, version FROM flex_instance_user_fetch(:'instance', :'ada_flex_user_sid');

-- -- flex_user_deprovision
SELECT flex_user_deprovision(:'instance', jsonb_build_object('flex_user_sid', :'ada_flex_user_sid'));

-- -- flex_user_fetch
SELECT username, email, locale, roles FROM flex_user_fetch(:'instance', :'user');

-- -- flex_user_update
SELECT email, version FROM flex_user_update(:'instance', :'user', email => 'ada@example.com');

-- == Teams
-- How the agents and supervisors of a Flex instance are grouped: a team has members and owners, and belongs to a team of the
-- next level. In public beta, and absent from the OpenAPI documents. Published rates: 20 reads and 5 writes per second.

-- -- before
\set instance GOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
\set user FUaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

-- -- flex_team_create
SELECT team_sid, level FROM flex_team_create(:'instance', 'Night shift', description => 'From ten to six') \gset team_

-- -- flex_teams_list
SELECT friendly_name, member_count FROM flex_teams_list(:'instance');

-- -- flex_team_fetch
SELECT friendly_name, version FROM flex_team_fetch(:'instance', :'team_team_sid');

-- -- flex_team_update
SELECT friendly_name, version FROM flex_team_update(:'instance', :'team_team_sid', 'Late shift', 'From two to ten');

-- -- flex_team_member_create
SELECT flex_user_sid, team_sid FROM flex_team_member_create(:'instance', :'team_team_sid', :'user');

-- -- flex_team_members_list
SELECT flex_user_sid, email FROM flex_team_members_list(:'instance', :'team_team_sid');

-- -- flex_team_owner_create
SELECT flex_user_sid FROM flex_team_owner_create(:'instance', :'team_team_sid', :'user');

-- -- flex_team_owners_list
SELECT flex_user_sid, friendly_name FROM flex_team_owners_list(:'instance', :'team_team_sid', include_transitive => true);

-- -- flex_team_owner_delete
SELECT flex_team_owner_delete(:'instance', :'team_team_sid', :'user');

-- -- flex_team_delete
SELECT flex_team_delete(:'instance', :'team_team_sid');

-- == Configuration and provisioning
-- The configuration of the account's Flex instance, and how far the provisioning of e-mail has come.

-- -- flex_configuration_fetch
SELECT status, ui_version, taskrouter_workspace_sid FROM flex_configuration_fetch();

-- -- flex_configuration_update
-- A JSON member is replaced whole: fetch it, merge, and send the result. The operator || merges the top level alone.
SELECT updated.ui_attributes
FROM flex_configuration_fetch() AS before,
     LATERAL flex_configuration_update(jsonb_build_object(
       'account_sid', before.account_sid,
       'ui_attributes', before.ui_attributes || '{"theme": "dark"}')) AS updated;

-- -- flex_configuration_merge
-- A member deep inside is changed, another removed; all others stay.
SELECT ui_attributes
FROM flex_configuration_merge('{"ui_attributes": {"colorTheme": {"baseName": "GreyLight", "overrides": null}}}');

-- -- flex_json_merge_patch
SELECT flex_json_merge_patch('{"colour": "grey", "size": {"width": 3, "depth": 1}}', '{"size": {"depth": null, "height": 2}}');

-- -- flex_provisioning_status_fetch
SELECT status FROM flex_provisioning_status_fetch();

-- == Plugins
-- Plugins of the Flex UI. A plugin has versions; both are archived, never deleted. Where a function takes a plugin's or
-- a version's SID, its unique name or number does as well.

-- -- before
SELECT sid AS plugin FROM flex_plugin_create('caller-notes', friendly_name => 'Caller notes') \gset

-- -- flex_plugin_create
SELECT sid, unique_name FROM flex_plugin_create('queue-colours', description => 'Colours queues by their length.');

-- -- flex_plugin_fetch
SELECT friendly_name, archived FROM flex_plugin_fetch('caller-notes');

-- -- flex_plugin_update
SELECT description, date_updated FROM flex_plugin_update(:'plugin', description => 'Notes beside a call.');

-- -- flex_plugins_list
SELECT unique_name, friendly_name, archived FROM flex_plugins_list();

-- -- flex_plugin_version_create
SELECT sid AS plugin_version, version
FROM flex_plugin_version_create(:'plugin', '1.2.0', 'https://example.com/caller-notes-1.2.0.js',
       changelog => 'Notes are kept.', private => true) \gset

-- -- flex_plugin_version_fetch
SELECT version, plugin_url, validated FROM flex_plugin_version_fetch(:'plugin', '1.2.0');

-- -- flex_plugin_versions_list
SELECT version, changelog, archived FROM flex_plugin_versions_list(:'plugin') ORDER BY date_created DESC;

-- -- flex_plugin_version_archive
SELECT archived.version
FROM flex_plugin_version_create('queue-colours', '0.9.0', 'https://example.com/queue-colours-0.9.0.js') AS version,
     LATERAL flex_plugin_version_archive(version.plugin_sid, version.sid) AS archived;

-- -- flex_plugin_archive
SELECT unique_name, archived FROM flex_plugin_archive('queue-colours');

-- == Plugin configurations and releases
-- A plugin configuration names the versions that run together; a release puts one into force for the whole account.

-- -- flex_plugin_configuration_create
SELECT sid AS configuration, name
FROM flex_plugin_configuration_create('Spring',
       plugins     => ARRAY[jsonb_build_object('plugin_version', :'plugin_version', 'phase', 3)::text],
       description => 'Caller notes for all.') \gset

-- -- flex_plugin_configuration_fetch
SELECT name, description, archived FROM flex_plugin_configuration_fetch(:'configuration');

-- -- flex_plugin_configurations_list
SELECT sid, name, date_created FROM flex_plugin_configurations_list(max_rows => 10);

-- -- flex_configured_plugins_list
SELECT unique_name, version, phase FROM flex_configured_plugins_list(:'configuration');

-- -- flex_configured_plugin_fetch
SELECT version, plugin_url FROM flex_configured_plugin_fetch(:'configuration', :'plugin');

-- -- flex_plugin_release_create
SELECT sid AS release, date_created FROM flex_plugin_release_create(:'configuration') \gset

-- -- flex_plugin_release_fetch
SELECT configuration_sid FROM flex_plugin_release_fetch('active');

-- -- flex_plugin_releases_list
SELECT sid, configuration_sid, date_created FROM flex_plugin_releases_list(max_rows => 5);

-- -- flex_plugin_configuration_archive
SELECT archived.name
FROM flex_plugin_configuration_create('A draft') AS draft, LATERAL flex_plugin_configuration_archive(draft.sid) AS archived;

-- == Insights
-- Conversations and their segments, what assessors say of them, and the session in which reports are fetched. Every
-- function can send an `Authorization` header of its own, such as a Flex user's token, in place of the configured
-- credentials.

-- -- flex_insights_session_create
SELECT base_url, session_expiry FROM flex_insights_session_create("authorization" => 'Bearer insights-token');

-- -- flex_insights_user_roles_fetch
SELECT role FROM flex_insights_user_roles_fetch() AS r, jsonb_array_elements_text(r.roles) AS role;

-- -- flex_insights_conversations_list
SELECT conversation_id, segment_count FROM flex_insights_conversations_list(max_rows => 100);

-- -- flex_insights_segments_list
SELECT segment_id, agent_name, queue, date FROM flex_insights_segments_list(max_rows => 100);

-- -- flex_insights_assessment_create
SELECT assessment_sid AS assessment, answer_text
FROM flex_insights_assessment_create(
       category_sid      => 'FYaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
       category_name     => 'Greeting',
       segment_id        => '02dd8a65-c9e3-550b-9e98-5b11abb9b3a5',
       agent_id          => '0e4a8059-18a3-5e48-9efb-29ae3213e7fe',
       "offset"          => 12.5,
       metric_id         => 'GEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
       metric_name       => 'Was the customer greeted by name?',
       answer_text       => 'Yes',
       answer_id         => '4e34f701-8206-4670-b376-c9fe26bb3ca3',
       questionnaire_sid => 'GMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') \gset

-- -- flex_insights_assessment_update
SELECT answer_text
FROM flex_insights_assessment_update(:'assessment', 12.5, 'No', '5e926651-fa5d-4aba-86e1-8440bb8faa6c');

-- -- flex_insights_assessments_list
SELECT assessment_sid, answer_text, user_email
FROM flex_insights_assessments_list(segment_id => '02dd8a65-c9e3-550b-9e98-5b11abb9b3a5');

-- -- flex_insights_comment_create
SELECT comment
FROM flex_insights_comment_create(
       category_id   => '4c5ba39a-e192-4c5d-a41c-b765a833665b',
       category_name => 'Good',
       comment       => 'Calm and clear.',
       segment_id    => '02dd8a65-c9e3-550b-9e98-5b11abb9b3a5',
       agent_id      => '0e4a8059-18a3-5e48-9efb-29ae3213e7fe',
       "offset"      => 30);

-- -- flex_insights_comments_list
SELECT comment ->> 'comment' AS comment, user_name
FROM flex_insights_comments_list(agent_id => '0e4a8059-18a3-5e48-9efb-29ae3213e7fe');

-- -- flex_insights_comment_tags_fetch
SELECT tag ->> 'id' AS id, tag ->> 'name' AS name
FROM flex_insights_comment_tags_fetch() AS tags, jsonb_array_elements(tags.comments) AS tag;

-- == Insights: questionnaires
-- A questionnaire is a list of questions; a question belongs to a category and takes its answers from an answer set.

-- -- flex_insights_category_create
SELECT category_sid AS category, name FROM flex_insights_category_create('Courtesy') \gset

-- -- flex_insights_category_update
SELECT name FROM flex_insights_category_update(:'category', 'Courtesy and tone');

-- -- flex_insights_categories_list
SELECT category_sid, name FROM flex_insights_categories_list();

-- -- flex_insights_answer_sets_fetch
SELECT answers ->> 'id' AS id, answers ->> 'name' AS name
FROM flex_insights_answer_sets_fetch() AS sets, jsonb_array_elements(sets.answer_sets) AS answers;

-- -- flex_insights_question_create
SELECT question_sid AS question
FROM flex_insights_question_create(:'category', 'Was the customer greeted by name?',
       'a6a8a54f-5305-4aec-b92c-a6e429932f58', allow_na => true) \gset

-- -- flex_insights_question_update
SELECT question, description
FROM flex_insights_question_update(:'question', allow_na => false, description => 'The name as the customer gave it.');

-- -- flex_insights_questions_list
SELECT question_sid, question FROM flex_insights_questions_list(category_sid => ARRAY[:'category']);

-- -- flex_insights_questionnaire_create
SELECT questionnaire_sid AS questionnaire
FROM flex_insights_questionnaire_create('First contact', active => true, question_sids => ARRAY[:'question']) \gset

-- -- flex_insights_questionnaire_fetch
SELECT name, jsonb_array_length(questions) AS questions FROM flex_insights_questionnaire_fetch(:'questionnaire');

-- -- flex_insights_questionnaire_update
SELECT active, description
FROM flex_insights_questionnaire_update(:'questionnaire', active => false, description => 'Until the summer.');

-- -- flex_insights_questionnaires_list
SELECT name, active FROM flex_insights_questionnaires_list(include_inactive => true);

-- -- flex_insights_questionnaire_delete
SELECT flex_insights_questionnaire_delete(:'questionnaire');

-- -- flex_insights_question_delete
SELECT flex_insights_question_delete(:'question');

-- -- flex_insights_category_delete
SELECT flex_insights_category_delete(:'category');

-- == Foreign tables
-- The resources as foreign tables: see [using them](USING.md#foreign-tables). A user mapping can be set with its secret as a bind
-- parameter.

-- -- before
CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid 'ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');

-- -- flex_user_mapping_set
PREPARE set_mapping (jsonb) AS SELECT flex_user_mapping_set('twilio', 'public', $1);
EXECUTE set_mapping ('{"api_key": "SKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "api_secret": "made up"}');

-- == Webhooks
-- Whether what has come in is Twilio's. The database receives nothing itself: a web server, or PostgREST, asks these.
-- The URL is the one that Twilio was given; behind a proxy that changes scheme or host it has to be put together again.

-- -- flex_webhook_is_authentic
SELECT flex_webhook_is_authentic(
         url        => 'https://flex.example/webhooks?tenant=1',
         parameters => '{"EventType": "onMessageAdded", "Body": "Hello"}',
         signature  => '87GxcoPISQvgrqZreTL74pN+VS4=');

-- -- flex_webhook_body_is_authentic
SELECT flex_webhook_body_is_authentic(
         url       => 'https://flex.example/events?bodySHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
         body      => 'abc',
         signature => NULL);

-- == Access tokens
-- With these a browser or an app reaches Twilio itself, as the customer or the agent that they name. They are signed
-- with the secret of an API key, which never leaves the server.

-- -- flex_access_token
SELECT chat.conversation_sid, flex_access_token(chat.identity, c.chat_service_instance_sid, ttl => '2 hours') AS token
FROM flex_configuration_fetch() AS c, flex_webchat_create('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') AS chat;

-- == Legacy: flows
-- Programmable Chat ended for Flex UI 1.x on 2026-06-01. These functions, those for [channels](#legacy-channels) and those for
-- [web channels](#legacy-web-channels) are for accounts that still have such resources, above all to list and to remove
-- them.

-- -- flex_flow_create
SELECT sid AS flow
FROM flex_flow_create('Web support', 'ISaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'web',
       enabled          => true,
       integration_type => 'external',
       integration_url  => 'https://example.com/contact') \gset

-- -- flex_flow_fetch
SELECT friendly_name, channel_type, enabled, integration FROM flex_flow_fetch(:'flow');

-- -- flex_flow_update
SELECT enabled FROM flex_flow_update(:'flow', enabled => false);

-- -- flex_flows_list
SELECT sid, friendly_name, channel_type FROM flex_flows_list();

-- -- flex_flow_delete
SELECT flex_flow_delete(old.sid)
FROM flex_flow_create('Old', 'ISaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'web') AS old;

-- == Legacy: channels
-- Chat channels of Programmable Chat.

-- -- flex_channel_create
SELECT sid AS chat
FROM flex_channel_create(:'flow', identity => 'customer-4711', chat_user_friendly_name => 'Ada',
       chat_friendly_name => 'Ada asks about billing', pre_engagement_data => '{"topic": "billing"}') \gset

-- -- flex_channel_fetch
SELECT flex_flow_sid, task_sid, date_created FROM flex_channel_fetch(:'chat');

-- -- flex_channels_list
SELECT sid, date_updated FROM flex_channels_list(max_rows => 100) ORDER BY date_updated;

-- -- flex_channel_delete
SELECT flex_channel_delete(:'chat');

-- == Legacy: web channels
-- Web chats of Programmable Chat.

-- -- flex_web_channel_create
SELECT sid AS web_chat
FROM flex_web_channel_create(:'flow', identity => 'customer-4712', customer_friendly_name => 'Ada',
       chat_friendly_name => 'Ada asks about billing') \gset

-- -- flex_web_channel_fetch
SELECT flex_flow_sid, date_created FROM flex_web_channel_fetch(:'web_chat');

-- -- flex_web_channel_update
SELECT sid FROM flex_web_channel_update(:'web_chat', chat_status => 'inactive', post_engagement_data => '{"stars": 5}');

-- -- flex_web_channels_list
SELECT sid, date_updated FROM flex_web_channels_list(max_rows => 100);

-- -- flex_web_channel_delete
SELECT flex_web_channel_delete(:'web_chat');

-- == The outbox
-- Requests that triggers and scheduled jobs leave behind; they are sent after their transaction has committed, by the
-- background worker or by `CALL flex_outbox_drain()`.

-- -- flex_enqueue
SELECT flex_enqueue('flex_webchat_create',
         '{"address_sid": "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "identity": "customer-4711"}',
         context => '{"ticket": 42}', unique_key => 'ticket 42') AS request \gset

-- -- flex_enqueue_many
SELECT flex_enqueue_many('flex_webchat_create',
         array_agg(jsonb_build_object('address_sid', 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'identity', 'customer-' || n)))
  FROM generate_series(1, 3) AS n;

-- -- flex_outbox_drain
CALL flex_outbox_drain();

-- -- flex_outbox_await
SELECT state, http_status, response FROM flex_outbox_await(:request, timeout => '10 seconds');

-- -- flex_outbox_cancel
SELECT flex_outbox_cancel(flex_enqueue('flex_webchat_create',
         '{"address_sid": "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}', run_at => now() + interval '1 day', unique_key => 'tomorrow'));

-- -- flex_outbox_retry
SELECT flex_outbox_retry(id) FROM flex_outbox WHERE unique_key = 'tomorrow' AND state = 'cancelled';

-- -- flex_outbox_confirm
SELECT count(flex_outbox_confirm(id, response => '{"conversation_sid": "CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}')) AS confirmed
  FROM flex_outbox WHERE unique_key = 'ticket 42' AND state = 'uncertain';

-- == Statistics
-- What requests came to, and what is under way.

-- -- flex_stat_reset
SELECT flex_stat_reset();
SELECT count(*) FROM flex_channels_list(max_rows => 1);
SELECT operation, way, requests, succeeded, p95_time FROM flex_stat_operations;
