--
-- catalogue.sql
--	  The catalogue, the functions and the published documents agree: names,
--	  methods, paths, arguments, columns.  Which operations there are
--	  flex_operations() says; each comparison is made both ways, and shows what
--	  has no partner.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

\set facts :directory '/sql/include/facts.psql'
\i :facts

SELECT (SELECT count(*) FROM operations) > 0 AS some_published, (SELECT count(*) FROM operations) = (SELECT count(*) FROM flex_operations()) AS as_many_in_the_catalogue;

-- The catalogue and the documents: name, method, path
SELECT name, method, path, 'not in the documents' AS problem FROM (SELECT name, method, path FROM flex_operations()
	EXCEPT SELECT function, method, path FROM operations) AS ours
UNION ALL
SELECT function, method, path, 'not in the catalogue' FROM operations
WHERE function IN (SELECT name FROM flex_operations()) AND (function, method, path) NOT IN (SELECT name, method, path FROM flex_operations());
SELECT name, count(*) FROM flex_operations() GROUP BY name HAVING count(*) > 1;
SELECT method, repeatable, count(*) > 0 AS some FROM flex_operations() GROUP BY method, repeatable ORDER BY method COLLATE "C";
-- rates are published for all that is below a path
SELECT substring(path FROM '^/v[0-9]+/[A-Za-z]+') AS below, rate, count(*) > 0 AS some FROM flex_operations()
WHERE rate IS NOT NULL OR path ~ '^(/v1/Interactions|/v2/WebChats)' GROUP BY 1, 2 ORDER BY min(path) COLLATE "C", 2;

-- The catalogue and the functions: one of each name, and no other that calls the same code
SELECT name AS without_one_function, count(p.oid) FROM flex_operations() LEFT JOIN pg_proc AS p ON proname = name GROUP BY name HAVING count(p.oid) <> 1;
SELECT oid::regprocedure AS not_in_the_catalogue FROM pg_proc WHERE prosrc IN ('flex_api_call', 'flex_api_list') AND proname NOT IN (SELECT name FROM flex_operations());
SELECT oid::regprocedure AS wrong_entry_point FROM pg_proc JOIN operations ON function = proname
WHERE prosrc <> CASE WHEN list_key IS NULL THEN 'flex_api_call' ELSE 'flex_api_list' END;

-- Arguments as the documents have them: order, name, type, whether there is a default
CREATE TEMPORARY VIEW documented AS
	SELECT function, position, pg_temp.sql_name(name) AS name, pg_temp.sql_type(type, format, pg_temp.sql_name(name)) AS type, required
	FROM parameters WHERE function IN (SELECT name FROM flex_operations())
	UNION ALL
	SELECT function, (SELECT count(*) FROM parameters AS p WHERE p.function = operations.function) + n, name, type, false
	FROM operations, (VALUES (1, 'page_size', 'integer'::regtype), (2, 'max_rows', 'bigint')) AS paging (n, name, type)
	WHERE list_key IS NOT NULL AND function IN (SELECT name FROM flex_operations());
CREATE TEMPORARY VIEW declared AS
	SELECT proname AS function, position, proargnames[position] AS name, type::regtype, position <= pronargs - pronargdefaults AS required
	FROM pg_proc, unnest(proargtypes) WITH ORDINALITY AS argument (type, position)
	WHERE proname IN (SELECT name FROM flex_operations());
SELECT 'only in the documents' AS problem, * FROM (TABLE documented EXCEPT TABLE declared) AS theirs
UNION ALL
SELECT 'only in SQL', * FROM (TABLE declared EXCEPT TABLE documented) AS ours ORDER BY 2, 3;
SELECT oid::regprocedure AS default_is_not_null FROM pg_proc
WHERE proname IN (SELECT name FROM flex_operations()) AND pg_get_expr(proargdefaults, 0) !~ '^(NULL::[a-z \[\]]+(, |$))+$';

-- Columns as the documents have the answer's members: order, name, type
CREATE TEMPORARY VIEW documented_columns AS
	SELECT function, position, name, CASE type WHEN 'array' THEN 'jsonb' ELSE pg_temp.sql_type(type, format, NULL) END AS type
	FROM operations JOIN members USING (schema) WHERE function IN (SELECT name FROM flex_operations());
CREATE TEMPORARY VIEW declared_columns AS
	SELECT proname AS function, attnum::int AS position, attname::text AS name, atttypid::regtype AS type
	FROM pg_proc JOIN pg_type ON pg_type.oid = prorettype JOIN pg_attribute ON attrelid = typrelid AND attnum > 0 AND NOT attisdropped
	WHERE proname IN (SELECT name FROM flex_operations());
SELECT 'only in the documents' AS problem, * FROM (TABLE documented_columns EXCEPT TABLE declared_columns) AS theirs
UNION ALL
SELECT 'only in SQL', * FROM (TABLE declared_columns EXCEPT TABLE documented_columns) AS ours ORDER BY 2, 3;
SELECT proname AS not_void_or_set FROM pg_proc JOIN operations ON function = proname
WHERE (schema IS NULL) <> (prorettype = 'void'::regtype) OR (list_key IS NOT NULL) <> proretset;
SELECT typname AS type_of_nothing FROM pg_depend JOIN pg_type ON pg_type.oid = objid AND classid = 'pg_type'::regclass
WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api') AND typtype = 'c' AND typname !~ '^flex_(response|outbox|stat)'
	AND pg_type.oid NOT IN (SELECT prorettype FROM pg_proc WHERE proname IN (SELECT name FROM flex_operations()));

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
