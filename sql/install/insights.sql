--
-- insights.sql
--	  Flex Insights: sessions, roles, conversations, segments, assessments and comments (/v1/Insights).
--
--	  What belongs to questionnaires is in insights_questionnaires.sql. Every function can
--	  send an Authorization header of its own, such as a Flex user's token, in place of the
--	  configured credentials: Insights knows a user by it. Times and offsets that the
--	  published documents call plain strings stay text.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_insights_comment_create(...)).*
--	  calls the function once per column, and so makes twelve comments.
--

CREATE TYPE flex_insights_assessment AS (
	account_sid text,
	assessment_sid text,
	"offset" text,
	report boolean,
	weight text,
	agent_id text,
	segment_id text,
	user_name text,
	user_email text,
	answer_text text,
	answer_id text,
	assessment jsonb,
	"timestamp" text,
	url text);

COMMENT ON TYPE flex_insights_assessment IS
'An assessment: one answer that somebody gave to a question about a conversation.';
COMMENT ON COLUMN flex_insights_assessment.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_assessment.assessment_sid IS 'SID of the assessment (FM...).';
COMMENT ON COLUMN flex_insights_assessment."offset" IS 'Where in the conversation it belongs.';
COMMENT ON COLUMN flex_insights_assessment.report IS 'Whether it counts in reports.';
COMMENT ON COLUMN flex_insights_assessment.weight IS 'Its weight.';
COMMENT ON COLUMN flex_insights_assessment.agent_id IS 'Identifies the agent who is assessed.';
COMMENT ON COLUMN flex_insights_assessment.segment_id IS 'Identifies the segment of the conversation.';
COMMENT ON COLUMN flex_insights_assessment.user_name IS 'Name of the assessor.';
COMMENT ON COLUMN flex_insights_assessment.user_email IS 'E-mail address of the assessor.';
COMMENT ON COLUMN flex_insights_assessment.answer_text IS 'Text of the answer.';
COMMENT ON COLUMN flex_insights_assessment.answer_id IS 'Identifies the answer.';
COMMENT ON COLUMN flex_insights_assessment.assessment IS
'The questionnaire, the question and the category of the answer (object).';
COMMENT ON COLUMN flex_insights_assessment."timestamp" IS 'When it was made, as the service writes it.';
COMMENT ON COLUMN flex_insights_assessment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_comment AS (
	account_sid text,
	assessment_sid text,
	comment jsonb,
	"offset" text,
	report boolean,
	weight text,
	agent_id text,
	segment_id text,
	user_name text,
	user_email text,
	"timestamp" text,
	url text);

COMMENT ON TYPE flex_insights_comment IS
'A comment that an assessor made on a conversation.';
COMMENT ON COLUMN flex_insights_comment.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_comment.assessment_sid IS 'SID of the assessment (FM...).';
COMMENT ON COLUMN flex_insights_comment.comment IS 'The comment''s text and category (object).';
COMMENT ON COLUMN flex_insights_comment."offset" IS 'Where in the conversation it belongs.';
COMMENT ON COLUMN flex_insights_comment.report IS 'Whether it counts in reports.';
COMMENT ON COLUMN flex_insights_comment.weight IS 'Its weight.';
COMMENT ON COLUMN flex_insights_comment.agent_id IS 'Identifies the agent.';
COMMENT ON COLUMN flex_insights_comment.segment_id IS 'Identifies the segment of the conversation.';
COMMENT ON COLUMN flex_insights_comment.user_name IS 'Name of the assessor.';
COMMENT ON COLUMN flex_insights_comment.user_email IS 'E-mail address of the assessor.';
COMMENT ON COLUMN flex_insights_comment."timestamp" IS 'When it was made, as the service writes it.';
COMMENT ON COLUMN flex_insights_comment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_comment_tags AS (
	account_sid text,
	comments jsonb,
	url text);

COMMENT ON TYPE flex_insights_comment_tags IS
'The tags that the account offers for comments.';
COMMENT ON COLUMN flex_insights_comment_tags.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_comment_tags.comments IS 'The tags, each with id, name and order (array of objects).';
COMMENT ON COLUMN flex_insights_comment_tags.url IS 'Address of this resource.';

CREATE TYPE flex_insights_conversation AS (
	account_id text,
	conversation_id text,
	segment_count integer,
	segments jsonb);

COMMENT ON TYPE flex_insights_conversation IS
'A conversation and the segments it consists of.';
COMMENT ON COLUMN flex_insights_conversation.account_id IS 'Identifies the account.';
COMMENT ON COLUMN flex_insights_conversation.conversation_id IS 'Identifies the conversation.';
COMMENT ON COLUMN flex_insights_conversation.segment_count IS 'How many segments it has.';
COMMENT ON COLUMN flex_insights_conversation.segments IS 'The segments (array of objects).';

CREATE TYPE flex_insights_segment AS (
	segment_id text,
	external_id text,
	queue text,
	external_contact text,
	external_segment_link_id text,
	date text,
	account_id text,
	external_segment_link text,
	agent_id text,
	agent_phone text,
	agent_name text,
	agent_team_name text,
	agent_team_name_in_hierarchy text,
	agent_link text,
	customer_phone text,
	customer_name text,
	customer_link text,
	segment_recording_offset text,
	media jsonb,
	assessment_type jsonb,
	assessment_percentage jsonb,
	url text);

COMMENT ON TYPE flex_insights_segment IS
'A segment: one agent''s part in a conversation.';
COMMENT ON COLUMN flex_insights_segment.segment_id IS 'Identifies the segment.';
COMMENT ON COLUMN flex_insights_segment.external_id IS 'Identifies the conversation.';
COMMENT ON COLUMN flex_insights_segment.queue IS 'The queue that it came from.';
COMMENT ON COLUMN flex_insights_segment.external_contact IS 'External contact of the segment.';
COMMENT ON COLUMN flex_insights_segment.external_segment_link_id IS 'Identifies the link to the recording.';
COMMENT ON COLUMN flex_insights_segment.date IS 'Date of the conversation, as the service writes it.';
COMMENT ON COLUMN flex_insights_segment.account_id IS 'Identifies the account.';
COMMENT ON COLUMN flex_insights_segment.external_segment_link IS 'Link to the recording.';
COMMENT ON COLUMN flex_insights_segment.agent_id IS 'Identifies the agent.';
COMMENT ON COLUMN flex_insights_segment.agent_phone IS 'The agent''s telephone number.';
COMMENT ON COLUMN flex_insights_segment.agent_name IS 'The agent''s name.';
COMMENT ON COLUMN flex_insights_segment.agent_team_name IS 'The agent''s team.';
COMMENT ON COLUMN flex_insights_segment.agent_team_name_in_hierarchy IS 'The agent''s team with those above it.';
COMMENT ON COLUMN flex_insights_segment.agent_link IS 'Link to the agent''s conversation.';
COMMENT ON COLUMN flex_insights_segment.customer_phone IS 'The customer''s telephone number.';
COMMENT ON COLUMN flex_insights_segment.customer_name IS 'The customer''s name.';
COMMENT ON COLUMN flex_insights_segment.customer_link IS 'Link to the customer''s conversation.';
COMMENT ON COLUMN flex_insights_segment.segment_recording_offset IS 'Where in the recording the segment begins.';
COMMENT ON COLUMN flex_insights_segment.media IS 'Identifies the media of the conversation.';
COMMENT ON COLUMN flex_insights_segment.assessment_type IS 'Kinds of assessment.';
COMMENT ON COLUMN flex_insights_segment.assessment_percentage IS 'Scores of the assessments, in percent.';
COMMENT ON COLUMN flex_insights_segment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_session AS (
	workspace_id text,
	session_expiry text,
	session_id text,
	base_url text,
	url text);

COMMENT ON TYPE flex_insights_session IS
'A session in which reports and dashboards can be fetched.';
COMMENT ON COLUMN flex_insights_session.workspace_id IS 'Identifies the user''s workspace.';
COMMENT ON COLUMN flex_insights_session.session_expiry IS 'When the session ends, as the service writes it.';
COMMENT ON COLUMN flex_insights_session.session_id IS 'Identifies the session.';
COMMENT ON COLUMN flex_insights_session.base_url IS 'Where reports and dashboards are fetched.';
COMMENT ON COLUMN flex_insights_session.url IS 'Address of this resource.';

CREATE TYPE flex_insights_user_roles AS (
	roles jsonb,
	url text);

COMMENT ON TYPE flex_insights_user_roles IS
'The Insights roles of a user.';
COMMENT ON COLUMN flex_insights_user_roles.roles IS 'The roles, for instance wfo.full_access (array of strings).';
COMMENT ON COLUMN flex_insights_user_roles.url IS 'Address of this resource.';

CREATE FUNCTION flex_insights_assessment_create(
	category_sid text,
	category_name text,
	segment_id text,
	agent_id text,
	"offset" double precision,
	metric_id text,
	metric_name text,
	answer_text text,
	answer_id text,
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_assessment_create(
	text, text, text, text, double precision, text, text, text, text, text, text) IS
'Records an answer to a question about a conversation.
POST /v1/Insights/QualityManagement/Assessments
category_sid: SID of the question''s category (FY...). category_name: its name.
segment_id: the segment assessed. agent_id: the agent assessed. "offset": where in the conversation, a number.
metric_id: SID of the question (GE...). metric_name: its text.
answer_text: text of the answer. answer_id: identifies it in the question''s answer set.
questionnaire_sid: SID of the questionnaire (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the assessment.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Call it in FROM: SELECT (flex_insights_assessment_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_assessment_update(
	assessment_sid text,
	"offset" double precision,
	answer_text text,
	answer_id text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_assessment_update(text, double precision, text, text, text) IS
'Changes an answer that was given earlier.
POST /v1/Insights/QualityManagement/Assessments/{AssessmentSid}
assessment_sid: the assessment''s SID (FM...). "offset": where in the conversation, a number.
answer_text: text of the new answer. answer_id: identifies it in the question''s answer set.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the assessment as it is afterwards.
Errors: TW404 when there is no such assessment.';

CREATE FUNCTION flex_insights_assessments_list(
	segment_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_assessments_list(text, text, integer, bigint) IS
'Lists the assessments that the user behind the Authorization header has made.
GET /v1/Insights/QualityManagement/Assessments
segment_id: only those of this segment.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per assessment.';

CREATE FUNCTION flex_insights_comment_create(
	category_id text,
	category_name text,
	comment text,
	segment_id text,
	agent_id text,
	"offset" double precision,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_comment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_comment_create(text, text, text, text, text, double precision, text) IS
'Records a comment on a conversation.
POST /v1/Insights/QualityManagement/Assessments/Comments
category_id: identifies the comment''s tag, see flex_insights_comment_tags_fetch. category_name: its name.
comment: the text. segment_id: the segment. agent_id: the agent. "offset": where in the conversation, a number.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the comment.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_comment_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_comment_tags_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_comment_tags
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_comment_tags_fetch(text) IS
'Fetches the tags that the account offers for comments.
GET /v1/Insights/QualityManagement/Settings/CommentTags
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all tags in it.';

CREATE FUNCTION flex_insights_comments_list(
	segment_id text DEFAULT NULL,
	agent_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_comment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_comments_list(text, text, text, integer, bigint) IS
'Lists comments on conversations.
GET /v1/Insights/QualityManagement/Assessments/Comments
segment_id: only those of this segment. agent_id: only those about this agent.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per comment.';

CREATE FUNCTION flex_insights_conversations_list(
	segment_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_conversation
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_conversations_list(text, text, integer, bigint) IS
'Lists conversations with their segments.
GET /v1/Insights/Conversations
segment_id: only the conversation that this segment belongs to.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per conversation.';

CREATE FUNCTION flex_insights_segments_list(
	segment_id text DEFAULT NULL,
	reservation_id text[] DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_segment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_segments_list(text, text[], text, integer, bigint) IS
'Lists segments of conversations.
GET /v1/Insights/Segments
segment_id: only this segment. reservation_id: only those of these reservations, SIDs (WR...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per segment.';

CREATE FUNCTION flex_insights_session_create(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_session
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_session_create(text) IS
'Opens a session for reports and dashboards.
POST /v1/Insights/Session
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the session and the address that it is good for.
Errors: TW401 or TW403 when the user may not use Insights.
Call it in FROM: SELECT (flex_insights_session_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_user_roles_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_user_roles
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_user_roles_fetch(text) IS
'Fetches the Insights roles of the user behind the Authorization header.
GET /v1/Insights/UserRoles
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all roles in it.
Errors: TW401 or TW403 when the user may not use Insights.';
