--
-- insights_questionnaires.sql
--	  Flex Insights: questionnaires, their questions, categories and answer sets
--	  (/v1/Insights/QualityManagement).
--
--	  A questionnaire is a list of questions; a question belongs to a category and takes
--	  its answers from an answer set. The answers that assessors give are in insights.sql.
--	  Every function can send an Authorization header of its own, such as a Flex user's
--	  token, in place of the configured credentials.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_insights_question_create(...)).*
--	  calls the function once per column, and so makes ten questions.
--

CREATE TYPE flex_insights_answer_sets AS (
	account_sid text,
	answer_sets jsonb,
	answer_set_categories jsonb,
	not_applicable jsonb,
	url text);

COMMENT ON TYPE flex_insights_answer_sets IS
'The answer sets that the account offers for questions.';
COMMENT ON COLUMN flex_insights_answer_sets.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_answer_sets.answer_sets IS
'The sets, each with its answers and their scores (array of objects).';
COMMENT ON COLUMN flex_insights_answer_sets.answer_set_categories IS
'The categories of answer sets (array of objects).';
COMMENT ON COLUMN flex_insights_answer_sets.not_applicable IS 'The answer that stands for "not applicable" (object).';
COMMENT ON COLUMN flex_insights_answer_sets.url IS 'Address of this resource.';

CREATE TYPE flex_insights_category AS (
	account_sid text,
	category_sid text,
	name text,
	url text);

COMMENT ON TYPE flex_insights_category IS
'A category of questions.';
COMMENT ON COLUMN flex_insights_category.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_category.category_sid IS 'SID of the category (FY...).';
COMMENT ON COLUMN flex_insights_category.name IS 'Name of the category.';
COMMENT ON COLUMN flex_insights_category.url IS 'Address of this resource.';

CREATE TYPE flex_insights_question AS (
	account_sid text,
	question_sid text,
	question text,
	description text,
	category jsonb,
	answer_set_id text,
	allow_na boolean,
	usage integer,
	answer_set jsonb,
	url text);

COMMENT ON TYPE flex_insights_question IS
'A question that assessors answer.';
COMMENT ON COLUMN flex_insights_question.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_question.question_sid IS 'SID of the question (GE...).';
COMMENT ON COLUMN flex_insights_question.question IS 'Its text.';
COMMENT ON COLUMN flex_insights_question.description IS 'What is meant by it.';
COMMENT ON COLUMN flex_insights_question.category IS 'SID and name of its category (object).';
COMMENT ON COLUMN flex_insights_question.answer_set_id IS 'Identifies its answer set.';
COMMENT ON COLUMN flex_insights_question.allow_na IS 'Whether "not applicable" is an answer.';
COMMENT ON COLUMN flex_insights_question.usage IS 'How many questionnaires have it.';
COMMENT ON COLUMN flex_insights_question.answer_set IS 'Its answer set, with answers and scores (object).';
COMMENT ON COLUMN flex_insights_question.url IS 'Address of this resource.';

CREATE TYPE flex_insights_questionnaire AS (
	account_sid text,
	questionnaire_sid text,
	name text,
	description text,
	active boolean,
	questions jsonb,
	url text);

COMMENT ON TYPE flex_insights_questionnaire IS
'A questionnaire for assessing conversations.';
COMMENT ON COLUMN flex_insights_questionnaire.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_questionnaire.questionnaire_sid IS 'SID of the questionnaire (GM...).';
COMMENT ON COLUMN flex_insights_questionnaire.name IS 'Its name.';
COMMENT ON COLUMN flex_insights_questionnaire.description IS 'What it is for.';
COMMENT ON COLUMN flex_insights_questionnaire.active IS 'Whether it is in use.';
COMMENT ON COLUMN flex_insights_questionnaire.questions IS 'Its questions with their categories (array of objects).';
COMMENT ON COLUMN flex_insights_questionnaire.url IS 'Address of this resource.';

CREATE FUNCTION flex_insights_answer_sets_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_answer_sets
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_answer_sets_fetch(text) IS
'Fetches the answer sets that the account offers for questions.
GET /v1/Insights/QualityManagement/Settings/AnswerSets
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all answer sets in it.';

CREATE FUNCTION flex_insights_categories_list(
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_categories_list(text, integer, bigint) IS
'Lists the categories of questions.
GET /v1/Insights/QualityManagement/Categories
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per category.';

CREATE FUNCTION flex_insights_category_create(
	name text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_create(text, text) IS
'Creates a category of questions.
POST /v1/Insights/QualityManagement/Categories
name: a name for it.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the category.
Errors: TW400 for a name that the service refuses.
Call it in FROM: SELECT (flex_insights_category_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_category_delete(
	category_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_delete(text, text) IS
'Deletes a category of questions.
DELETE /v1/Insights/QualityManagement/Categories/{CategorySid}
category_sid: the category''s SID (FY...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such category.';

CREATE FUNCTION flex_insights_category_update(
	category_sid text,
	name text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_update(text, text, text) IS
'Renames a category of questions.
POST /v1/Insights/QualityManagement/Categories/{CategorySid}
category_sid: the category''s SID (FY...). name: the new name.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the category as it is afterwards.
Errors: TW404 when there is no such category.';

CREATE FUNCTION flex_insights_question_create(
	category_sid text,
	question text,
	answer_set_id text,
	allow_na boolean,
	"authorization" text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_create(text, text, text, boolean, text, text) IS
'Creates a question in a category.
POST /v1/Insights/QualityManagement/Questions
category_sid: the category''s SID (FY...). question: its text.
answer_set_id: identifies its answer set, see flex_insights_answer_sets_fetch.
allow_na: whether "not applicable" is an answer. description: what is meant by it.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the question.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_question_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_question_delete(
	question_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_delete(text, text) IS
'Deletes a question.
DELETE /v1/Insights/QualityManagement/Questions/{QuestionSid}
question_sid: the question''s SID (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such question.';

CREATE FUNCTION flex_insights_question_update(
	question_sid text,
	allow_na boolean,
	"authorization" text DEFAULT NULL,
	category_sid text DEFAULT NULL,
	question text DEFAULT NULL,
	description text DEFAULT NULL,
	answer_set_id text DEFAULT NULL)
RETURNS flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_update(text, boolean, text, text, text, text, text) IS
'Changes a question; what is NULL stays as it is, but allow_na must be said.
POST /v1/Insights/QualityManagement/Questions/{QuestionSid}
question_sid: the question''s SID (GE...). allow_na: whether "not applicable" is an answer.
category_sid: SID of its category (FY...). question: its text. description: what is meant by it.
answer_set_id: identifies its answer set.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the question as it is afterwards.
Errors: TW404 when there is no such question.';

CREATE FUNCTION flex_insights_questions_list(
	category_sid text[] DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_questions_list(text[], text, integer, bigint) IS
'Lists questions.
GET /v1/Insights/QualityManagement/Questions
category_sid: only those of these categories, SIDs (FY...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per question.';

CREATE FUNCTION flex_insights_questionnaire_create(
	name text,
	"authorization" text DEFAULT NULL,
	description text DEFAULT NULL,
	active boolean DEFAULT NULL,
	question_sids text[] DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_create(text, text, text, boolean, text[]) IS
'Creates a questionnaire.
POST /v1/Insights/QualityManagement/Questionnaires
name: a name for it. description: what it is for. active: whether it is in use at once.
question_sids: its questions, SIDs (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_questionnaire_create(...)).* calls it once per column.';

CREATE FUNCTION flex_insights_questionnaire_delete(
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_delete(text, text) IS
'Deletes a questionnaire.
DELETE /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaire_fetch(
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_fetch(text, text) IS
'Fetches one questionnaire with its questions.
GET /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaire_update(
	questionnaire_sid text,
	active boolean,
	"authorization" text DEFAULT NULL,
	name text DEFAULT NULL,
	description text DEFAULT NULL,
	question_sids text[] DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_update(text, boolean, text, text, text, text[]) IS
'Changes a questionnaire; what is NULL stays as it is, but active must be said.
POST /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...). active: whether it is in use.
name: a name for it. description: what it is for. question_sids: its questions, SIDs (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire as it is afterwards.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaires_list(
	include_inactive boolean DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_questionnaires_list(boolean, text, integer, bigint) IS
'Lists questionnaires with their questions.
GET /v1/Insights/QualityManagement/Questionnaires
include_inactive: whether those that are not in use come too.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per questionnaire.';
