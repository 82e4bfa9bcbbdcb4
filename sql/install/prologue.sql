-- flex_api: typed SQL functions for the Twilio Flex API.
-- Built from sql/install/*.sql; change those.
\echo Use "CREATE EXTENSION flex_api" to load this file. \quit

