-- What was heard, counted beforehand, so that a read doesn't go through years of plays: a cache, made again whenever
-- plays that it counts come or go. It is of a user's plays that ended before `until`; the rest is counted by who reads.
-- There are no foreign keys: nothing here is told to anybody unless `counted` says that it holds.
CREATE TABLE counted (
  user_id BIGINT NOT NULL PRIMARY KEY,
  until   BIGINT NOT NULL,
  -- How long the time slots are, in milliseconds.
  slot    BIGINT NOT NULL
);

-- By track, over so many weeks before `until`; 0: over all time.
CREATE TABLE heard (
  user_id  BIGINT NOT NULL,
  weeks    BIGINT NOT NULL,
  track_id BIGINT NOT NULL,
  plays    BIGINT NOT NULL,
  ms       BIGINT NOT NULL,
  PRIMARY KEY (user_id, weeks, track_id)
);

CREATE INDEX heard_by_track ON heard (track_id) WHERE weeks = 0;

-- By time slot; `at` is its beginning.
CREATE TABLE heard_slots (
  user_id BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  plays   BIGINT NOT NULL,
  ms      BIGINT NOT NULL,
  PRIMARY KEY (user_id, at)
);

-- Whoever writes plays: a count that a change makes wrong holds no more. Most plays come after what is counted, and
-- cost a look at one row. Who counts takes the users' rows FOR UPDATE: so of a change and a count at the same time one
-- sees the other.
CREATE FUNCTION count_plays_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM 1 FROM users WHERE id IN (SELECT user_id FROM touched) ORDER BY id FOR KEY SHARE;
  DELETE FROM counted USING (SELECT user_id, min(played_at) AS first FROM touched GROUP BY user_id) AS changed
    WHERE counted.user_id = changed.user_id AND changed.first < counted.until;
  RETURN NULL;
END;
$$;

CREATE TRIGGER counted_plays_inserted AFTER INSERT ON plays REFERENCING NEW TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_plays_again();

CREATE TRIGGER counted_plays_deleted AFTER DELETE ON plays REFERENCING OLD TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_plays_again();

CREATE TRIGGER counted_plays_were AFTER UPDATE ON plays REFERENCING OLD TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_plays_again();

CREATE TRIGGER counted_plays_became AFTER UPDATE ON plays REFERENCING NEW TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_plays_again();

CREATE FUNCTION count_track_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  DELETE FROM counted WHERE user_id IN (SELECT user_id FROM heard WHERE weeks = 0 AND track_id = new.id);
  RETURN NULL;
END;
$$;

CREATE TRIGGER counted_track_updated AFTER UPDATE OF duration_ms ON tracks FOR EACH ROW
WHEN (old.duration_ms IS DISTINCT FROM new.duration_ms) EXECUTE FUNCTION count_track_again();
