--
-- privileges.sql
--	  Takes EXECUTE on the extension's functions away from PUBLIC.
--
--	  Every function spends credentials that the whole server shares, so who may call
--	  which is for the database's owner to say. This stands last in the script and finds
--	  the functions and procedures as the extension's members: none can be forgotten.
--	  A cast's function, which only arranges columns, is everybody's, as the cast is.
--	  An upgrade script that adds functions has to do the same for them.
--

DO $privileges$
DECLARE
	routine text;
BEGIN
	FOR routine IN
		SELECT pg_catalog.format('%s', p.oid::pg_catalog.regprocedure)
		FROM pg_catalog.pg_extension AS e
		JOIN pg_catalog.pg_depend AS d
			ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.refobjid OPERATOR(pg_catalog.=) e.oid
			AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
			AND d.deptype OPERATOR(pg_catalog.=) 'e'
		JOIN pg_catalog.pg_proc AS p
			ON p.oid OPERATOR(pg_catalog.=) d.objid
		WHERE e.extname OPERATOR(pg_catalog.=) 'flex_api'
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_cast AS c WHERE c.castfunc OPERATOR(pg_catalog.=) p.oid)
		ORDER BY p.oid
	LOOP
		EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', routine);
	END LOOP;
END
$privileges$;

-- What these show is one's own, and they send nothing.
GRANT EXECUTE ON FUNCTION flex_stat_get_operations(), flex_stat_get_progress(), flex_stat_get_rates() TO PUBLIC;
