-- What the installed extension says of itself, as one JSON document: settings,
-- functions with their arguments, and the row types and relations.
SELECT json_build_object(
	'settings', (
		SELECT json_agg(json_build_object('name', name, 'default', boot_val, 'unit', unit, 'least', min_val, 'most', max_val,
			'type', vartype, 'values', enumvals, 'context', context, 'what', short_desc, 'more', extra_desc) ORDER BY name COLLATE "C")
		FROM pg_settings WHERE name LIKE 'flex\_api.%'),
	'secrets', (
		SELECT json_agg(name) FROM unnest(ARRAY['flex_api.auth_token', 'flex_api.auth_token_previous', 'flex_api.api_secret', 'flex_api.proxy']) AS name
		WHERE current_setting(name, true) IS NOT NULL),
	'functions', (
		SELECT json_agg(json_build_object('name', proname, 'kind', prokind, 'result', pg_get_function_result(p.oid),
			'out', (SELECT string_agg(a.name || ' ' || format_type(a.type, NULL), ', ' ORDER BY n)
				FROM unnest(proargnames, proallargtypes, proargmodes) WITH ORDINALITY AS a (name, type, mode, n) WHERE a.mode = 'o'),
			'row', CASE WHEN t.typrelid <> 0 THEN t.typname END, 'trigger', prorettype = 'trigger'::regtype,
			'comment', obj_description(p.oid, 'pg_proc'),
			'arguments', (
				SELECT json_agg(json_build_object('name', quote_ident(a.name), 'type', format_type(a.type, NULL),
					'default', pg_get_function_arg_default(p.oid, n::int)) ORDER BY n)
				FROM unnest(proargnames[1:pronargs], proargtypes::oid[]) WITH ORDINALITY AS a (name, type, n))) ORDER BY proname COLLATE "C")
		FROM pg_proc AS p LEFT JOIN pg_type AS t ON t.oid = prorettype
		WHERE EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api'))),
	'relations', (
		SELECT json_agg(json_build_object('name', relname, 'kind', relkind, 'comment',
			coalesce(CASE relkind WHEN 'c' THEN obj_description(reltype, 'pg_type') END, obj_description(c.oid, 'pg_class')),
			'columns', (
				SELECT json_agg(json_build_object('name', quote_ident(attname), 'type', format_type(atttypid, NULL),
					'comment', col_description(c.oid, attnum)) ORDER BY attnum)
				FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)) ORDER BY relname COLLATE "C")
		FROM pg_class AS c
		WHERE relkind IN ('c', 'r', 'v') AND EXISTS (SELECT FROM pg_depend WHERE deptype = 'e'
			AND (classid = 'pg_class'::regclass AND objid = c.oid OR classid = 'pg_type'::regclass AND objid = c.reltype)
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api'))),
	'operations', (SELECT json_object_agg(name, json_build_object('rate', rate, 'repeatable', repeatable, 'path', path)) FROM flex_operations()));
