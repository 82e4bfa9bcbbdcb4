--
-- loading.sql
--	  What the library finds when it comes to a session that has begun without it:
--	  secrets that were stored, and settings that were made before.
--
--	  A server that preloads it says all that at another time: see loading_1.out.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_flex_api_reader;
RESET client_min_messages;
CREATE ROLE regress_flex_api_reader IN ROLE pg_read_all_settings;

-- A secret that is stored where everybody can read it draws a warning when it is used
ALTER DATABASE :"DBNAME" SET flex_api.auth_token = 's3cret';
\connect -
LOAD 'flex_api';
-- where the value that RESET would give is as secret
SET ROLE regress_flex_api_reader;
SELECT count(*) AS secrets FROM pg_settings AS s WHERE s::text ~ 's3cret';
SHOW flex_api.auth_token;
RESET ROLE;
SHOW flex_api.auth_token;
DROP ROLE regress_flex_api_reader;
ALTER DATABASE :"DBNAME" RESET flex_api.auth_token;

-- What was set before the library was there is checked when it comes
\connect -
SET flex_api.base_url = 'http://evil.example';
SET flex_api.timeout = 'never';
SET flex_api.nonsense = '1';
LOAD 'flex_api';
SHOW flex_api.base_url;
SHOW flex_api.timeout;
SHOW flex_api.nonsense;
-- with the name that was probably meant
\connect -
SET flex_api.acount_sid = 'AC00000000000000000000000000000000';
LOAD 'flex_api';

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
