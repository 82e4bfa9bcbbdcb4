--
-- users.sql
--	  Flex users (/v2/Instances/{InstanceSid}/Users): the people who work in a Flex instance.
--
--	  The published API has no call to list users, so their SIDs must be known. Call the
--	  functions in FROM or LATERAL only: SELECT (flex_user_update(...)).* calls the
--	  function once per column, and so updates fifteen times.
--

CREATE TYPE flex_user AS (
	account_sid text,
	instance_sid text,
	user_sid text,
	flex_user_sid text,
	worker_sid text,
	workspace_sid text,
	flex_team_sid text,
	username text,
	email text,
	locale text,
	roles jsonb,
	created_date timestamptz,
	updated_date timestamptz,
	version integer,
	url text);

COMMENT ON TYPE flex_user IS
'A user of a Flex instance.';
COMMENT ON COLUMN flex_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_user.user_sid IS 'SID of the Twilio user behind it (US...).';
COMMENT ON COLUMN flex_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';
COMMENT ON COLUMN flex_user.workspace_sid IS 'SID of the TaskRouter workspace (WS...).';
COMMENT ON COLUMN flex_user.flex_team_sid IS 'SID of the Flex team (QO...).';
COMMENT ON COLUMN flex_user.username IS 'The user''s name.';
COMMENT ON COLUMN flex_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_user.roles IS 'The user''s roles (array of strings).';
COMMENT ON COLUMN flex_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_user.version IS 'Version of this user''s record.';
COMMENT ON COLUMN flex_user.url IS 'Address of this resource.';

CREATE FUNCTION flex_user_fetch(
	instance_sid text,
	flex_user_sid text)
RETURNS flex_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_fetch(text, text) IS
'Fetches one Flex user.
GET /v2/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
Returns the user.
Errors: TW404 when there is no such instance or user.';

CREATE FUNCTION flex_user_update(
	instance_sid text,
	flex_user_sid text,
	email text DEFAULT NULL,
	user_sid text DEFAULT NULL,
	locale text DEFAULT NULL)
RETURNS flex_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_update(text, text, text, text, text) IS
'Changes a Flex user; what is NULL stays as it is.
POST /v2/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
email: an e-mail address. user_sid: SID of a Twilio user (US...). locale: a language and region.
Returns the user as it is afterwards.
Errors: TW404 when there is no such instance or user.';
