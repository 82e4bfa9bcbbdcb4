-- flex_api: from 1.0.0 to 1.1.0.
--
-- What a fresh install of 1.1.0 has beyond one of 1.0.0, or otherwise; a test compares
-- the two.  A function that is new here is not PUBLIC's: REVOKE EXECUTE on it.
\echo Use "ALTER EXTENSION flex_api UPDATE TO '1.1.0'" to load this file. \quit

-- At the end: a worker that waited for these tables goes on.
SELECT flex_outbox_wake();
