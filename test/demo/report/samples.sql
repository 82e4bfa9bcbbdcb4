-- Where test/demo/sample keeps what it has read, for the report at the end of make demo.
-- The role that reads has pg_monitor and no other rights on the extension, as an exporter would.
CREATE ROLE monitor LOGIN;
GRANT pg_monitor TO monitor;
CREATE SCHEMA report;
GRANT USAGE ON SCHEMA report TO monitor;
CREATE TABLE report.steps (at double precision, number integer, title text);
CREATE TABLE report.looks (at timestamptz);
CREATE TABLE report.samples (at timestamptz, operation text, way text, since timestamptz, name text, value double precision);
GRANT INSERT ON report.looks, report.samples TO monitor;

-- One look at the statistics.  "since" says since when a counter counts; what is no counter has none.
CREATE FUNCTION report.sample() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	moment timestamptz := clock_timestamp();
BEGIN
	INSERT INTO report.looks VALUES (moment);
	IF to_regclass('flex_stat_operations') IS NULL THEN
		RETURN;
	END IF;
	INSERT INTO report.samples
	SELECT moment, s.operation, s.way, s.stats_reset, c.key, c.value::float8
	FROM flex_stat_operations AS s CROSS JOIN LATERAL jsonb_each_text(to_jsonb(s)) AS c
	WHERE c.key IN ('requests', 'succeeded', 'refused', 'throttled', 'failed', 'lost', 'unsent', 'repeats', 'total_time');
	INSERT INTO report.samples
	SELECT moment, operation, NULL, NULL, 'learned_rate', learned_rate
	FROM flex_stat_rates WHERE learned_rate IS NOT NULL;
END $$;
