\echo
\echo '6. A direct call: the caller waits for the answer'
\echo '   A call is a table of one row: it stands in FROM.'
\echo
\set ECHO queries

SELECT *
FROM flex_webchat_create(
       address_sid            => 'IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
       customer_friendly_name => 'Ada Lovelace',
       pre_engagement_data    => '{"language": "en", "topic": "billing"}',
       identity               => 'customer-4711');

\set ECHO none
SELECT demo.expect(:ROW_COUNT = 1, 'a web chat has begun') \g /dev/null
