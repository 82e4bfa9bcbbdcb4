-- What users have beside the outbox in the crash test.

-- A callback notes that it has run, and when.
CREATE TABLE effects (id bigint PRIMARY KEY, runs integer NOT NULL, at timestamptz NOT NULL);
CREATE FUNCTION note_end(request flex_outbox) RETURNS void LANGUAGE sql AS
	'INSERT INTO public.effects VALUES (request.id, 1, clock_timestamp())
	 ON CONFLICT (id) DO UPDATE SET runs = public.effects.runs + 1, at = clock_timestamp()';

-- Some requests have a ticket that refers to them: these cannot be deleted.
CREATE TABLE tickets (request_id bigint PRIMARY KEY REFERENCES flex_outbox_requests (id));

-- What is deleted is kept here, to be judged.
CREATE TABLE deleted (LIKE flex_outbox_requests);
CREATE FUNCTION keep_deleted() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO public.deleted SELECT OLD.*; RETURN OLD; END';
CREATE TRIGGER keep_deleted AFTER DELETE ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION keep_deleted();

-- What an operator has decided, and in which state the request was: noted with the decision, or not at all.
CREATE TABLE decisions (id bigint NOT NULL, what text NOT NULL, was text NOT NULL, at timestamptz NOT NULL);
CREATE FUNCTION decide(request bigint, what text, expected text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	now flex_outbox;
BEGIN
	-- From here on no sender claims or settles it.
	PERFORM FROM flex_outbox_requests WHERE id = request FOR UPDATE;
	SELECT * INTO now FROM flex_outbox WHERE id = request;
	-- To cancel what is being sent is tried, and has to be refused.
	IF now.callback_at IS NULL AND (now.state = expected OR now.state = 'sending' AND what = 'cancel') THEN
		EXECUTE format('SELECT flex_outbox_%s($1)', what) USING request;
		INSERT INTO decisions VALUES (request, what, now.state, clock_timestamp());
	END IF;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	IF now.state <> 'sending' THEN
		RAISE;
	END IF;
END $$;

-- All that the judge has to know of a request.
CREATE VIEW judged AS
SELECT r.id, r.operation, r.context ->> 'tag' AS tag, r.state, r.request_id, r.response ->> 'sid' AS sid, r.unique_key AS key,
	extract(epoch FROM r.finished_at) AS finished_at, r.is_deleted,
	EXISTS (SELECT FROM tickets AS t WHERE t.request_id = r.id) AS has_ticket,
	coalesce(e.runs, 0) AS effects, extract(epoch FROM e.at) AS effect_at,
	(SELECT string_agg(concat_ws(' ', d.what, d.was, extract(epoch FROM d.at)), ',' ORDER BY d.at)
	 FROM decisions AS d WHERE d.id = r.id) AS decisions
FROM (SELECT id, operation, context, state, request_id, response, unique_key, finished_at, false AS is_deleted FROM flex_outbox
	UNION ALL SELECT id, operation, context, state, request_id, response, unique_key, finished_at, true FROM deleted) AS r
	LEFT JOIN effects AS e USING (id);

CREATE INDEX ON deleted (id);
CREATE INDEX ON decisions (id);

-- A role without further rights, which is loud.
CREATE ROLE loud LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO loud;
GRANT SELECT, INSERT, UPDATE ON effects TO loud;
