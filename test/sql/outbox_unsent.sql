--
-- outbox_unsent.sql
--	  That nobody sends what is enqueued is said once a session, and not when
--	  somebody drains.
--
--	  Where the server has a worker there is nothing to say: see outbox_unsent_1.out.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect

SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}');
SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}');
CALL flex_outbox_drain();
\c
SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}');

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
