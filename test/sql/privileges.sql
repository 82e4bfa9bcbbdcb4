--
-- privileges.sql
--	  Which role may call what, what the planner is told, and that the extension comes
--	  and goes without a trace, in any schema.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

-- Everything that the extension has
CREATE TEMPORARY VIEW members AS
	SELECT classid::regclass AS catalog, objid, pg_describe_object(classid, objid, objsubid) AS what
	FROM pg_depend
	WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api');
CREATE TEMPORARY VIEW functions AS
	SELECT pg_proc.* FROM members JOIN pg_proc ON pg_proc.oid = objid WHERE catalog = 'pg_proc'::regclass;
-- those that call the service
CREATE TEMPORARY VIEW calls AS
	SELECT * FROM functions WHERE proname IN (SELECT name FROM flex_operations()) OR proname ~ '^flex_request';
SELECT count(*) = (SELECT count(*) + 2 FROM flex_operations()) AS as_many_as_operations FROM calls;

-- EXECUTE is nobody's but the owner's, but for what shows one's own statistics
SELECT oid::regprocedure AS public FROM functions
WHERE proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0) ORDER BY 1;
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_flex_api_plain, regress_flex_api_reader;
RESET client_min_messages;
CREATE ROLE regress_flex_api_plain;
SELECT oid::regprocedure AS executable FROM functions WHERE has_function_privilege('regress_flex_api_plain', oid, 'EXECUTE') ORDER BY 1;
SET ROLE regress_flex_api_plain;
SELECT * FROM flex_channels_list();
SELECT flex_channel_delete('CH00000000000000000000000000000000');
SELECT * FROM flex_request('GET', '/v1/Channels');
SELECT * FROM flex_request_list('/v1/Channels');
SELECT count(*) FROM flex_operations();
CREATE FUNCTION pg_temp.flex_channels_list() RETURNS SETOF flex_channel AS '$libdir/flex_api', 'flex_api_list' LANGUAGE C;
RESET ROLE;
-- GRANT gives what it names and no more
GRANT EXECUTE ON FUNCTION flex_channels_list(integer, bigint) TO regress_flex_api_plain;
SET ROLE regress_flex_api_plain;
SELECT count(*) FROM flex_channels_list();
SELECT * FROM flex_flows_list();
RESET ROLE;
-- a function of the owner's hands out a single use
CREATE FUNCTION pg_temp.count_flows() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM flex_flows_list()';
SET ROLE regress_flex_api_plain;
SELECT pg_temp.count_flows();
RESET ROLE;

-- The extension is not for everybody to install
SELECT name, superuser, trusted, relocatable, schema
FROM pg_available_extension_versions WHERE name = 'flex_api' AND installed;

-- Each call has an effect outside: nothing is left out, repeated or moved to a worker; and it is dear
SELECT provolatile AS volatile, proparallel AS parallel, proleakproof AS leakproof, prosecdef AS security_definer,
	proisstrict AS strict, procost >= 1000 AS dear, proretset AND prorows > 0 AS has_rows, lanname AS language, prokind AS kind, proconfig AS settings
FROM calls JOIN pg_language ON pg_language.oid = prolang
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY has_rows;
SELECT proname, provolatile AS volatile, proparallel AS parallel, prosecdef AS security_definer FROM functions
WHERE oid NOT IN (SELECT oid FROM calls) ORDER BY proname COLLATE "C";
-- lists, and only they, say so by their name
SELECT proname AS list_or_not FROM calls WHERE proretset <> (proname LIKE '%\_list');
EXPLAIN (COSTS OFF, VERBOSE) SELECT sid FROM flex_channels_list(max_rows => 5) WHERE sid <> 'x';

-- Everything has a comment; a function's names each of its arguments
SELECT what AS without_comment FROM members WHERE obj_description(objid, catalog::name) IS NULL
	AND NOT (catalog = 'pg_type'::regclass AND NOT EXISTS
		(SELECT FROM pg_type JOIN pg_class ON pg_class.oid = typrelid WHERE pg_type.oid = objid AND relkind = 'c'))
	AND NOT (catalog = 'pg_class'::regclass AND (SELECT relkind IN ('c', 'S') FROM pg_class WHERE oid = objid));
SELECT typname, attname AS without_comment
FROM members JOIN pg_type ON pg_type.oid = objid JOIN pg_attribute ON attrelid = typrelid AND attnum > 0 AND NOT attisdropped
WHERE catalog = 'pg_type'::regclass AND col_description(attrelid, attnum) IS NULL;
SELECT relname, attname AS without_comment
FROM members JOIN pg_class ON pg_class.oid = objid AND relkind IN ('r', 'v') JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
WHERE catalog = 'pg_class'::regclass AND col_description(attrelid, attnum) IS NULL;
SELECT proname, argument AS not_mentioned FROM calls, unnest(proargnames) AS argument
WHERE position(argument IN obj_description(oid, 'pg_proc')) = 0;
SELECT proname AS comment_without_path FROM calls JOIN flex_operations() ON name = proname
WHERE obj_description(oid, 'pg_proc') NOT LIKE format(E'%%\n%s %s\n%%', method, path);

-- DROP EXTENSION leaves nothing
CREATE TEMPORARY TABLE before AS SELECT * FROM members;
DROP VIEW calls, functions, members;
REVOKE EXECUTE ON FUNCTION flex_channels_list(integer, bigint) FROM regress_flex_api_plain;
DROP EXTENSION flex_api;
SELECT count(*) AS remains FROM pg_proc WHERE proname LIKE 'flex\_%' OR prosrc LIKE 'flex\_api%';
SELECT count(*) AS remains FROM pg_type WHERE typname LIKE 'flex\_%' OR typname LIKE '\_flex\_%';
SELECT count(*) AS remains FROM pg_class WHERE relname LIKE 'flex\_%';
SELECT count(*) AS remains FROM before JOIN pg_depend ON classid = catalog AND pg_depend.objid = before.objid;

-- In another schema, with a search_path that has neither it nor its functions' names to itself
CREATE SCHEMA regress_flex_api;
CREATE SCHEMA regress_flex_api_decoy;
CREATE FUNCTION regress_flex_api_decoy.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'decoy'::text $$;
SET search_path = regress_flex_api_decoy, pg_catalog;
CREATE EXTENSION flex_api SCHEMA regress_flex_api;
RESET search_path;
SELECT n.nspname, count(*) = (SELECT count(*) FROM before WHERE catalog = 'pg_proc'::regclass) AS all_functions, string_agg(proname, ' ' ORDER BY proname) FILTER (WHERE EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)) AS public
FROM pg_depend JOIN pg_extension AS e ON refobjid = e.oid AND extname = 'flex_api' JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass JOIN pg_namespace AS n ON n.oid = pronamespace
WHERE deptype = 'e' GROUP BY n.nspname;
SELECT count(*) AS operations_without_function FROM regress_flex_api.flex_operations() WHERE to_regproc('regress_flex_api.' || name) IS NULL;
SELECT identity FROM regress_flex_api.flex_webchat_create('IG00000000000000000000000000000000', identity => 'schema');
SELECT count(*) FROM regress_flex_api.flex_channels_list();
ALTER EXTENSION flex_api SET SCHEMA public;
DROP EXTENSION flex_api;
DROP SCHEMA regress_flex_api, regress_flex_api_decoy CASCADE;
DROP ROLE regress_flex_api_plain;
