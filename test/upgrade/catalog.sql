-- All that the catalogs have of the extension, a line each, in a stable order: what a
-- fresh install and an upgraded one must have in common.  OIDs and the order of
-- creation are left out, since they tell nothing.
SET search_path = pg_catalog;

CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid
FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'flex_api' AND d.deptype = 'e';

CREATE TEMPORARY VIEW relation AS
SELECT c.* FROM pg_class AS c
WHERE c.relkind <> 't' AND (EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
	OR EXISTS (SELECT FROM pg_depend AS d JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = d.refobjid
		WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass));

CREATE TEMPORARY VIEW acl AS
SELECT classid, objid, string_agg(item, ' ' ORDER BY item) AS rights
FROM (SELECT 'pg_proc'::regclass::oid, oid, unnest(proacl)::text FROM pg_proc
	UNION ALL SELECT 'pg_class'::regclass::oid, oid, unnest(relacl)::text FROM pg_class
	UNION ALL SELECT 'pg_type'::regclass::oid, oid, unnest(typacl)::text FROM pg_type) AS one (classid, objid, item)
GROUP BY classid, objid;

SELECT line FROM (
	SELECT format('member %s: rights %s, initial %s, comment %s', pg_describe_object(m.classid, m.objid, 0),
		(SELECT rights FROM acl WHERE acl.classid = m.classid AND acl.objid = m.objid),
		(SELECT string_agg(i::text, ' ' ORDER BY i::text) FROM pg_init_privs AS p, unnest(p.initprivs) AS i
			WHERE p.classoid = m.classid AND p.objoid = m.objid AND p.objsubid = 0),
		quote_nullable(obj_description(m.objid, (SELECT relname FROM pg_class WHERE oid = m.classid)))) AS line
	FROM member AS m
	UNION ALL
	SELECT format('routine %s: %s cost %s rows %s', p.oid::regprocedure,
		CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END, p.procost, p.prorows)
	FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION ALL
	SELECT format('relation %s: kind %s, options %s, row security %s %s, identity %s, persistence %s', c.oid::regclass, c.relkind,
		array_to_string(c.reloptions, ' '), c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relpersistence)
	FROM relation AS c
	UNION ALL
	SELECT format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM relation AS c WHERE c.relkind IN ('v', 'm')
	UNION ALL
	SELECT format('index %s: %s', c.oid::regclass, pg_get_indexdef(c.oid)) FROM relation AS c WHERE c.relkind = 'i'
	UNION ALL
	SELECT format('sequence %s: %s', s.seqrelid::regclass,
		concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle))
	FROM pg_sequence AS s JOIN relation AS c ON c.oid = s.seqrelid
	UNION ALL
	SELECT format('column %s.%s: number %s, %s, not null %s, default %s, identity %s, generated %s, storage %s, statistics %s, collation %s, rights %s, comment %s',
		c.oid::regclass, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
		a.attidentity, a.attgenerated, a.attstorage, nullif(a.attstattarget, -1), a.attcollation::regcollation, a.attacl,
		quote_nullable(col_description(c.oid, a.attnum)))
	FROM relation AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('columns %s: %s', c.oid::regclass, c.relnatts) FROM relation AS c
	UNION ALL
	SELECT format('constraint %s on %s: %s', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid))
	FROM pg_constraint AS k JOIN relation AS c ON c.oid = k.conrelid
	UNION ALL
	SELECT format('trigger on %s: %s, enabled %s', t.tgrelid::regclass, pg_get_triggerdef(t.oid), t.tgenabled)
	FROM pg_trigger AS t JOIN relation AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
	UNION ALL
	SELECT format('policy %s on %s: %s, permissive %s, roles %s, using %s, check %s', p.polname, p.polrelid::regclass, p.polcmd,
		p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
	FROM pg_policy AS p JOIN relation AS c ON c.oid = p.polrelid
	UNION ALL
	SELECT format('rule on %s: %s', r.ev_class::regclass, pg_get_ruledef(r.oid))
	FROM pg_rewrite AS r JOIN relation AS c ON c.oid = r.ev_class
	UNION ALL
	SELECT format('type %s: %s %s', t.oid::regtype, t.typtype, t.typcategory)
	FROM pg_type AS t JOIN member AS m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	UNION ALL
	SELECT format('dependency of %s on %s (%s), %s times', pg_describe_object(d.classid, d.objid, d.objsubid),
		pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype, count(*))
	FROM pg_depend AS d JOIN member AS m ON m.classid = d.classid AND m.objid = d.objid
	GROUP BY d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid, d.deptype
	UNION ALL
	SELECT format('foreign-data wrapper %s: %s, %s, options %s, rights %s, %s', w.fdwname, w.fdwhandler::regprocedure,
		w.fdwvalidator::regprocedure, w.fdwoptions, w.fdwacl, obj_description(w.oid, 'pg_foreign_data_wrapper'))
	FROM pg_foreign_data_wrapper AS w JOIN member AS m ON m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = w.oid
	UNION ALL
	SELECT format('dumped %s: %s', configured::regclass, condition)
	FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS u (configured, condition) WHERE e.extname = 'flex_api'
	UNION ALL
	SELECT format('extension: version %s, relocatable %s, schema %s', extversion, extrelocatable, extnamespace::regnamespace)
	FROM pg_extension WHERE extname = 'flex_api'
) AS lines
ORDER BY line COLLATE "C";
