\echo
\echo '11. Clean-up: the tickets that are closed lose their channels'
\echo '   First the rows are chosen, then the service is called: MATERIALIZED keeps that order.'
\echo
\set ECHO queries

UPDATE support_tickets SET open = false WHERE id IN (1, 3);
\echo
WITH closed AS MATERIALIZED (
  SELECT t.id, t.customer, c.sid
  FROM support_tickets AS t
  JOIN flex_channels_list() AS c ON c.sid = t.channel
  WHERE NOT t.open)
SELECT closed.id, closed.customer
FROM closed, LATERAL flex_channel_delete(closed.sid)
ORDER BY closed.id;

SELECT t.id, t.customer, t.open, c.sid AS channel
FROM support_tickets AS t
LEFT JOIN flex_channels_list() AS c ON c.sid = t.channel
ORDER BY t.id;

\set ECHO none
SELECT demo.expect(count(c.sid) = 3 AND bool_and(t.open = (c.sid IS NOT NULL)),
	'the channels of closed tickets are gone, the others are there')
FROM support_tickets AS t LEFT JOIN flex_channels_list() AS c ON c.sid = t.channel \g /dev/null
