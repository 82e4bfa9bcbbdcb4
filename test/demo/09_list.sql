\echo
\echo '9. What the service has, joined with our tickets'
\echo '   A list follows all its pages. Two rows per page are asked for here, only to show it.'
\echo
\set ECHO queries

SELECT t.id, t.customer, c.sid AS channel, c.date_created
FROM support_tickets AS t
JOIN flex_channels_list(page_size => 2) AS c ON c.sid = t.channel
ORDER BY t.id;

\set ECHO none
SELECT demo.expect(count(*) = 5, 'all tickets are in the service')
FROM support_tickets AS t JOIN flex_channels_list(page_size => 2) AS c ON c.sid = t.channel \g /dev/null
