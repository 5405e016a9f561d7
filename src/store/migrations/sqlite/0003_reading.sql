-- What was heard, counted beforehand, so that a read doesn't go through years of plays: a cache, made again whenever
-- plays that it counts come or go. It is of a user's plays that ended before `until`; the rest is counted by who reads.
-- There are no foreign keys: nothing here is told to anybody unless `counted` says that it holds.
CREATE TABLE counted (
  user_id INTEGER NOT NULL PRIMARY KEY,
  until   INTEGER NOT NULL,
  -- How long the time slots are, in milliseconds.
  slot    INTEGER NOT NULL
) STRICT;

-- By track, over so many weeks before `until`; 0: over all time.
CREATE TABLE heard (
  user_id  INTEGER NOT NULL,
  weeks    INTEGER NOT NULL,
  track_id INTEGER NOT NULL,
  plays    INTEGER NOT NULL,
  ms       INTEGER NOT NULL,
  PRIMARY KEY (user_id, weeks, track_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX heard_by_track ON heard (track_id) WHERE weeks = 0;

-- By time slot; `at` is its beginning.
CREATE TABLE heard_slots (
  user_id INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  plays   INTEGER NOT NULL,
  ms      INTEGER NOT NULL,
  PRIMARY KEY (user_id, at)
) STRICT, WITHOUT ROWID;

-- Whoever writes plays: a count that a change makes wrong holds no more. Most plays come after what is counted, and
-- cost a look at one row.
CREATE TRIGGER counted_play_inserted AFTER INSERT ON plays
WHEN new.played_at < (SELECT until FROM counted WHERE user_id = new.user_id)
BEGIN
  DELETE FROM counted WHERE user_id = new.user_id;
END;

CREATE TRIGGER counted_play_deleted AFTER DELETE ON plays
WHEN old.played_at < (SELECT until FROM counted WHERE user_id = old.user_id)
BEGIN
  DELETE FROM counted WHERE user_id = old.user_id;
END;

CREATE TRIGGER counted_play_updated AFTER UPDATE ON plays
BEGIN
  DELETE FROM counted WHERE user_id = old.user_id AND old.played_at < until;
  DELETE FROM counted WHERE user_id = new.user_id AND new.played_at < until;
END;

CREATE TRIGGER counted_track_updated AFTER UPDATE OF duration_ms ON tracks
WHEN old.duration_ms IS NOT new.duration_ms
BEGIN
  DELETE FROM counted WHERE user_id IN (SELECT user_id FROM heard WHERE weeks = 0 AND track_id = new.id);
END;
