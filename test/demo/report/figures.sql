-- What the report shows, as one JSON document, from the samples that test/demo/sample has taken.
WITH span AS (
	SELECT min(at) AS began, extract(epoch FROM max(at) - min(at))::float8 AS seconds, 0.5::float8 AS width FROM report.looks),
-- What each look found that the one before had not; a counter that began anew (a crash, a reset) grows from 0.
growth AS (
	SELECT floor(extract(epoch FROM at - began) / width)::int AS slice, operation, way, name,
		value - CASE WHEN since = lag(since) OVER series THEN lag(value) OVER series ELSE 0 END AS value
	FROM span, report.samples WHERE since IS NOT NULL
	WINDOW series AS (PARTITION BY operation, way, name ORDER BY at)),
totals AS (
	SELECT operation, way, jsonb_object_agg(name, value) AS counters, max(value) FILTER (WHERE name = 'requests') AS requests
	FROM (SELECT operation, way, name, sum(value) AS value FROM growth GROUP BY 1, 2, 3) AS summed GROUP BY 1, 2),
-- Per second, of each slice of the time.
counted AS (
	SELECT 'ends' AS chart, name AS label, slice, value FROM growth
	WHERE name IN ('succeeded', 'refused', 'throttled', 'failed', 'lost', 'unsent')
	UNION ALL
	SELECT 'repeats', operation, slice, value FROM growth
	WHERE name = 'repeats' AND operation IN (SELECT operation FROM growth WHERE name = 'repeats' AND value > 0)
	UNION ALL
	SELECT 'carried_out', operation, slice, value FROM growth
	WHERE name = 'succeeded' AND operation IN (SELECT operation FROM report.samples WHERE name = 'learned_rate')),
points AS (
	SELECT chart, label, (slice + 0.5) * width AS x, (coalesce(sum(value), 0) / width)::numeric AS y
	FROM span CROSS JOIN (SELECT DISTINCT chart, label FROM counted) AS labels
		CROSS JOIN generate_series(0, ceil(seconds / width)::int) AS slice
		LEFT JOIN counted USING (chart, label, slice)
	GROUP BY chart, label, slice, width
	UNION ALL
	-- Milliseconds per request, of the operations with the most: more lines could not be told apart.
	SELECT 'latency', operation, (slice + 0.5) * width,
		(sum(value) FILTER (WHERE name = 'total_time') / sum(value) FILTER (WHERE name = 'requests'))::numeric
	FROM span, growth
	WHERE operation IN (SELECT operation FROM totals GROUP BY 1 ORDER BY sum(requests) DESC, 1 LIMIT 6)
	GROUP BY operation, slice, width HAVING sum(value) FILTER (WHERE name = 'requests') > 0
	UNION ALL
	SELECT 'learned', operation, extract(epoch FROM at - began), value::numeric FROM span, report.samples WHERE name = 'learned_rate'),
series AS (
	SELECT chart, label, jsonb_agg(jsonb_build_array(round(x::numeric, 3), round(y, 3)) ORDER BY x) AS points FROM points GROUP BY 1, 2)
SELECT jsonb_build_object(
	'server', 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1),
	'extension', (SELECT extversion FROM pg_extension WHERE extname = 'flex_api'),
	'began', to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
	'seconds', seconds,
	'steps', (SELECT jsonb_agg(jsonb_build_object('at', round((at - extract(epoch FROM began))::numeric, 3), 'number', number, 'title', title) ORDER BY at) FROM report.steps),
	'charts', (SELECT jsonb_object_agg(chart, labels) FROM (SELECT chart, jsonb_object_agg(label, points) AS labels FROM series GROUP BY 1) AS charts),
	'operations', (
		SELECT jsonb_agg(counters || jsonb_build_object('operation', operation, 'way', way, 'p50', p50_time, 'p95', p95_time, 'p99', p99_time)
			ORDER BY t.requests DESC, operation, way)
		FROM totals AS t LEFT JOIN flex_stat_operations AS s USING (operation, way)))
FROM span;
