--
-- instance_users.sql
--	  The users of a Flex instance as version 4 of the API has them: listed, found by name, provisioned
--	  and deprovisioned (/v1 and /v4/Instances/{InstanceSid}/Users).
--
--	  Version 2, in users.sql, fetches and changes a user whose SID is known.
--

CREATE TYPE flex_instance_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	flex_team_sid text,
	worker_sid text,
	workspace_sid text,
	username text,
	full_name text,
	email text,
	roles jsonb,
	locale text,
	deactivated boolean,
	created_date timestamptz,
	updated_date timestamptz,
	deactivated_date timestamptz,
	version integer);

COMMENT ON TYPE flex_instance_user IS
'A user of a Flex instance, as version 4 of the API has it.';
COMMENT ON COLUMN flex_instance_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_instance_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_instance_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_instance_user.flex_team_sid IS 'SID of the team that the user is a member of (QO...).';
COMMENT ON COLUMN flex_instance_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';
COMMENT ON COLUMN flex_instance_user.workspace_sid IS 'SID of the TaskRouter workspace (WS...).';
COMMENT ON COLUMN flex_instance_user.username IS 'The user''s unique name.';
COMMENT ON COLUMN flex_instance_user.full_name IS 'The user''s full name.';
COMMENT ON COLUMN flex_instance_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_instance_user.roles IS 'The user''s roles: agent, supervisor, admin (array of strings).';
COMMENT ON COLUMN flex_instance_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_instance_user.deactivated IS 'Whether the user has been deprovisioned.';
COMMENT ON COLUMN flex_instance_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_instance_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_instance_user.deactivated_date IS 'When the user was deprovisioned.';
COMMENT ON COLUMN flex_instance_user.version IS 'Version of the user''s record.';

CREATE TYPE flex_provisioned_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	username text,
	email text,
	full_name text,
	flex_team_sid text,
	roles jsonb,
	locale text,
	worker jsonb,
	deactivated boolean,
	created_date timestamptz,
	updated_date timestamptz,
	deactivated_date timestamptz,
	version integer);

COMMENT ON TYPE flex_provisioned_user IS
'A user of a Flex instance, as provisioning returns it.';
COMMENT ON COLUMN flex_provisioned_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_provisioned_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_provisioned_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_provisioned_user.username IS 'The user''s unique name.';
COMMENT ON COLUMN flex_provisioned_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_provisioned_user.full_name IS 'The user''s full name.';
COMMENT ON COLUMN flex_provisioned_user.flex_team_sid IS 'SID of the team that the user is a member of (QO...).';
COMMENT ON COLUMN flex_provisioned_user.roles IS 'The user''s roles: agent, supervisor, admin (array of strings).';
COMMENT ON COLUMN flex_provisioned_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_provisioned_user.worker IS 'The TaskRouter worker: worker_sid and workspace_sid (object).';
COMMENT ON COLUMN flex_provisioned_user.deactivated IS 'Whether the user has been deprovisioned.';
COMMENT ON COLUMN flex_provisioned_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_provisioned_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_provisioned_user.deactivated_date IS 'When the user was deprovisioned.';
COMMENT ON COLUMN flex_provisioned_user.version IS 'Version of the user''s record.';

CREATE FUNCTION flex_user_provision(
	instance_sid text,
	body jsonb)
RETURNS flex_provisioned_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_provision(text, jsonb) IS
'Creates a Flex user and a TaskRouter worker, or updates existing ones.
POST /v4/Instances/{InstanceSid}/Users/Provision
instance_sid: the instance''s SID (GO...). body: a JSON object with username, email and full_name (1 to 256 characters
each), roles (an array of agent, supervisor, admin) and worker (an object, which may be empty or have attributes). It
is sent as it is; with the same username again it makes no second user.
Returns the user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_users_list(
	instance_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_instance_users_list(text, integer, bigint) IS
'Lists the instance''s users, those that were deprovisioned included.
GET /v1/Instances/{InstanceSid}/Users
instance_sid: the instance''s SID (GO...). page_size: rows per request, 1 to 1000; NULL for the fewest requests.
max_rows: stop after so many; NULL for all.
Returns one row per user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_users_named_list(
	instance_sid text,
	username text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_instance_users_named_list(text, text, integer, bigint) IS
'Finds a user by name.
GET /v4/Instances/{InstanceSid}/Users
instance_sid: the instance''s SID (GO...). username: the user''s unique name. page_size: rows per request, 1 to 1000;
NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns the user, or no row.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_user_fetch(
	instance_sid text,
	flex_user_sid text)
RETURNS flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_instance_user_fetch(text, text) IS
'Fetches one user of the instance.
GET /v4/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
Returns the user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance or user.';

CREATE FUNCTION flex_user_deprovision(
	instance_sid text,
	body jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_deprovision(text, jsonb) IS
'Deactivates a Flex user and deletes the user''s TaskRouter worker.
POST /v4/Instances/{InstanceSid}/Users/Deprovision
instance_sid: the instance''s SID (GO...). body: a JSON object with flex_user_sid, the user''s SID (FU...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance or user.';
