--
-- teams.sql
--	  Teams, their members and their owners (/v1/Instances/{InstanceSid}/Teams): how the agents and
--	  supervisors of a Flex instance are grouped.
--

CREATE TYPE flex_team AS (
	team_sid text,
	account_sid text,
	instance_sid text,
	friendly_name text,
	description text,
	level integer,
	parent_team_sid text,
	member_count integer,
	date_created timestamptz,
	date_updated timestamptz,
	version integer);

COMMENT ON TYPE flex_team IS
'A team of a Flex instance.';
COMMENT ON COLUMN flex_team.team_sid IS 'SID of the team (QO...).';
COMMENT ON COLUMN flex_team.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_team.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_team.friendly_name IS 'The team''s name, which is unique; no personal data.';
COMMENT ON COLUMN flex_team.description IS 'What the team is for; no personal data.';
COMMENT ON COLUMN flex_team.level IS '1: a team, with members; 2 and 3: groups of teams, with owners alone.';
COMMENT ON COLUMN flex_team.parent_team_sid IS 'SID of the team of the next level that it belongs to (QO...).';
COMMENT ON COLUMN flex_team.member_count IS 'How many members it has.';
COMMENT ON COLUMN flex_team.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_team.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_team.version IS 'Version of the team''s record.';

CREATE TYPE flex_team_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	team_sid text,
	friendly_name text,
	email text,
	worker_sid text);

COMMENT ON TYPE flex_team_user IS
'A member or an owner of a team.';
COMMENT ON COLUMN flex_team_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_team_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_team_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_team_user.team_sid IS 'SID of the team (QO...).';
COMMENT ON COLUMN flex_team_user.friendly_name IS 'The user''s name.';
COMMENT ON COLUMN flex_team_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_team_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';

CREATE FUNCTION flex_team_create(
	instance_sid text,
	friendly_name text,
	description text DEFAULT NULL,
	level integer DEFAULT NULL,
	parent_team_sid text DEFAULT NULL)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_create(text, text, text, integer, text) IS
'Creates a team.
POST /v1/Instances/{InstanceSid}/Teams
instance_sid: the instance''s SID (GO...). friendly_name: a unique name of 1 to 100 characters, without personal data.
description: what it is for, 1 to 1000 characters, without personal data. level: 1 for a team, 2 or 3 for a group of
teams; the service''s default is 1. parent_team_sid: SID of the team of the next level that it belongs to (QO...); a
team of level 3 has none.
Returns the team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_teams_list(
	instance_sid text,
	owner text DEFAULT NULL,
	include_transitive boolean DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_teams_list(text, text, boolean, integer, bigint) IS
'Lists the instance''s teams.
GET /v1/Instances/{InstanceSid}/Teams
instance_sid: the instance''s SID (GO...). owner: SID of a Flex user (FU...), for the teams that this user owns.
include_transitive: also the teams below those. page_size: rows per request, 1 to 1000; NULL for the fewest requests.
max_rows: stop after so many; NULL for all.
Returns one row per team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_team_fetch(
	instance_sid text,
	team_sid text)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_fetch(text, text) IS
'Fetches one team.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...).
Returns the team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_update(
	instance_sid text,
	team_sid text,
	friendly_name text,
	description text,
	parent_team_sid text DEFAULT NULL)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_update(text, text, text, text, text) IS
'Changes a team.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). friendly_name: its name, also where it
stays. description: what it is for, also where it stays. parent_team_sid: SID of the team of the next level that it
belongs to (QO...); a team of level 3 has none. The page calls it required; it can be left out here, for there are
teams without one.
Returns the team as it is afterwards.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_delete(
	instance_sid text,
	team_sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_delete(text, text) IS
'Deletes a team.
DELETE /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team. The default team cannot be deleted.';

CREATE FUNCTION flex_team_member_create(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_member_create(text, text, text) IS
'Makes a user a member of a team. The user leaves the previous team, because each user has one team.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Members
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns the member.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or user.';

CREATE FUNCTION flex_team_members_list(
	instance_sid text,
	team_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_team_members_list(text, text, integer, bigint) IS
'Lists a team''s members.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Members
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). page_size: rows per request, 1 to 1000;
NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns one row per member.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_owner_create(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_owner_create(text, text, text) IS
'Makes a user an owner of a team. A user may own several teams.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns the owner.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or user.';

CREATE FUNCTION flex_team_owners_list(
	instance_sid text,
	team_sid text,
	include_transitive boolean DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_team_owners_list(text, text, boolean, integer, bigint) IS
'Lists a team''s owners.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). include_transitive: also those who own it
by a team above it. page_size: rows per request, 1 to 1000; NULL for the fewest requests. max_rows: stop after so
many; NULL for all.
Returns one row per owner.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_owner_delete(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_owner_delete(text, text, text) IS
'Removes an owner of a team.
DELETE /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners/{FlexUserSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or owner.';
