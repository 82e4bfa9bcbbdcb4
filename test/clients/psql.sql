-- A row, its arguments as parameters of a prepared statement (\bind from psql 16 on).
PREPARE open_chat (text, jsonb) AS
SELECT * FROM flex_webchat_create('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', identity => $1, pre_engagement_data => $2);
EXECUTE open_chat ('customer-4711', '{"topic": "billing"}');

-- A row as one value.
SELECT flex_webchat_create('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', identity => 'customer-4712');

-- An error: its SQLSTATE is in a variable, too.
SELECT * FROM flex_flow_fetch('FOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
\echo :LAST_ERROR_SQLSTATE

-- Ctrl-C cancels a call at once, as this does.
SET statement_timeout = '1s';
SELECT * FROM flex_provisioning_status_fetch();
\echo :LAST_ERROR_SQLSTATE
