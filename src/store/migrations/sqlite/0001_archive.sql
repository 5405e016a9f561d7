-- Times are milliseconds since the Unix epoch, in UTC. What belongs to a user has user_id first in its key.
PRAGMA application_id = 1819307129;

CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- This store, told from every other: part of what each token is sealed with.
INSERT INTO meta (name, value) VALUES ('deployment', randomblob(16));

-- Which daemons are at work, and the id of the key that each seals with.
CREATE TABLE daemons (
  instance BLOB    NOT NULL PRIMARY KEY,
  key_id   BLOB    NOT NULL,
  seen_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
  name       TEXT NOT NULL PRIMARY KEY,
  state      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

-- While a daemon runs a user, run_owner is that daemon, run_claim names its claim, and next_run_at is when the claim
-- lapses; otherwise next_run_at is when the next run is due.
--
-- Numbers are never given out twice: a late answer for a purged user must not meet somebody else.
CREATE TABLE users (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  name             TEXT    NOT NULL UNIQUE,
  app              TEXT    NOT NULL DEFAULT 'default',
  schedule         TEXT,
  timezone         TEXT,
  origin           TEXT    NOT NULL DEFAULT 'store' CHECK (origin IN ('file', 'store')),
  declared_by      BLOB,
  paused           INTEGER NOT NULL DEFAULT FALSE CHECK (paused IN (FALSE, TRUE)),
  active           INTEGER NOT NULL DEFAULT TRUE CHECK (active IN (FALSE, TRUE)),
  change           INTEGER NOT NULL DEFAULT 0,
  next_run_at      INTEGER,
  run_owner        BLOB,
  run_claim        BLOB,
  last_run_at      INTEGER,
  last_run_result  TEXT,
  last_run_reason  TEXT,
  last_archived_at INTEGER,
  newest_played_at INTEGER,
  blocked          TEXT,
  top_fetched_at   INTEGER,
  runs             INTEGER NOT NULL DEFAULT 0,
  plays            INTEGER NOT NULL DEFAULT 0,
  gaps             INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX users_by_change ON users (change);
CREATE INDEX users_by_declarer ON users (declared_by) WHERE declared_by IS NOT NULL;
CREATE INDEX users_by_next_run ON users (next_run_at, id) WHERE active;
CREATE INDEX users_by_run_owner ON users (run_owner) WHERE run_owner IS NOT NULL;

-- Other programs add users too: every change of what a daemon must know gets the next number, whoever makes it.
CREATE TABLE user_changes (
  last INTEGER NOT NULL
) STRICT;

INSERT INTO user_changes (last) VALUES (0);

CREATE TRIGGER users_inserted AFTER INSERT ON users
BEGIN
  UPDATE user_changes SET last = last + 1;
  UPDATE users SET change = (SELECT last FROM user_changes) WHERE id = new.id;
END;

CREATE TRIGGER users_updated AFTER UPDATE OF name, app, schedule, timezone, paused, active ON users
WHEN (old.name, old.app, old.schedule, old.timezone, old.paused, old.active)
  IS NOT (new.name, new.app, new.schedule, new.timezone, new.paused, new.active)
BEGIN
  UPDATE user_changes SET last = last + 1;
  UPDATE users SET change = (SELECT last FROM user_changes) WHERE id = new.id;
END;

-- Who was deleted, by number alone, so that every daemon hears of it.
CREATE TABLE purged_users (
  user_id   INTEGER NOT NULL PRIMARY KEY,
  change    INTEGER NOT NULL,
  purged_at INTEGER NOT NULL
) STRICT;

CREATE INDEX purged_users_by_change ON purged_users (change);

CREATE TRIGGER users_deleted AFTER DELETE ON users
BEGIN
  UPDATE user_changes SET last = last + 1;
  INSERT INTO purged_users (user_id, change, purged_at)
    SELECT old.id, last, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) FROM user_changes;
END;

CREATE TABLE logins (
  state      TEXT    NOT NULL PRIMARY KEY,
  user_name  TEXT    NOT NULL,
  app        TEXT    NOT NULL,
  verifier   BLOB    NOT NULL,
  expires_at INTEGER NOT NULL,
  taken      INTEGER NOT NULL DEFAULT FALSE,
  done       TEXT,
  failed     TEXT
) STRICT;

CREATE TABLE grants (
  user_id             INTEGER NOT NULL PRIMARY KEY REFERENCES users (id),
  client_id           TEXT    NOT NULL,
  epoch               INTEGER NOT NULL,
  generation          INTEGER NOT NULL,
  account_id          TEXT,
  login_at            INTEGER,
  scope               TEXT,
  refresh_token       BLOB,
  access_token        BLOB,
  access_sent_at      INTEGER,
  access_lifetime     INTEGER,
  access_expires_at   INTEGER,
  -- When the login was committed: its tokens come and go since.
  taken_at            INTEGER NOT NULL,
  committed_at        INTEGER NOT NULL,
  born_of             TEXT,
  attempt             BLOB,
  attempt_owner       BLOB,
  attempt_lease_until INTEGER,
  attempt_cause       TEXT,
  doubt_since         INTEGER,
  doubt_owner         BLOB,
  doubt_reason        TEXT,
  refusal_since       INTEGER,
  refusal_reason      TEXT,
  refusal_tries       INTEGER,
  refusal_next_try_at INTEGER,
  -- How many days before its end the login's end was told of last.
  ending_told         INTEGER
) STRICT;

CREATE INDEX grants_in_trouble ON grants (user_id)
  WHERE attempt IS NOT NULL OR doubt_since IS NOT NULL OR refusal_next_try_at IS NOT NULL;

CREATE INDEX grants_by_commit ON grants (committed_at);

-- The last generations with the attempts that brought them: a commit whose answer was lost is recognised by them.
CREATE TABLE grant_generations (
  user_id      INTEGER NOT NULL REFERENCES users (id),
  generation   INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  attempt      BLOB,
  committed_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE artists (
  id   INTEGER PRIMARY KEY,
  key  TEXT NOT NULL UNIQUE,
  uri  TEXT,
  name TEXT NOT NULL
) STRICT;

CREATE TABLE albums (
  id   INTEGER PRIMARY KEY,
  key  TEXT NOT NULL UNIQUE,
  uri  TEXT,
  name TEXT NOT NULL
) STRICT;

CREATE TABLE tracks (
  id          INTEGER PRIMARY KEY,
  key         TEXT NOT NULL UNIQUE,
  uri         TEXT,
  name        TEXT NOT NULL,
  album_id    INTEGER REFERENCES albums (id),
  isrc        TEXT,
  duration_ms INTEGER
) STRICT;

CREATE INDEX tracks_by_album ON tracks (album_id);

CREATE TABLE track_artists (
  track_id  INTEGER NOT NULL REFERENCES tracks (id),
  position  INTEGER NOT NULL,
  artist_id INTEGER NOT NULL REFERENCES artists (id),
  PRIMARY KEY (track_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE plays (
  user_id     INTEGER NOT NULL REFERENCES users (id),
  played_at   INTEGER NOT NULL,
  track_id    INTEGER NOT NULL REFERENCES tracks (id),
  context_uri TEXT,
  source      TEXT    NOT NULL,
  run         INTEGER,
  PRIMARY KEY (user_id, played_at, track_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  user_id     INTEGER NOT NULL REFERENCES users (id),
  run_id      INTEGER NOT NULL,
  cause       TEXT    NOT NULL,
  started_at  INTEGER NOT NULL,
  finished_at INTEGER,
  result      TEXT,
  reason      TEXT,
  new_plays   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_start ON runs (started_at);

CREATE TABLE gaps (
  user_id   INTEGER NOT NULL REFERENCES users (id),
  from_at   INTEGER NOT NULL,
  to_at     INTEGER NOT NULL,
  cause     TEXT    NOT NULL,
  at_most   INTEGER NOT NULL,
  closed_at INTEGER,
  run       INTEGER,
  PRIMARY KEY (user_id, from_at, to_at, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE top_artists (
  user_id    INTEGER NOT NULL REFERENCES users (id),
  rank       INTEGER NOT NULL,
  artist_id  INTEGER NOT NULL REFERENCES artists (id),
  fetched_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, rank)
) STRICT, WITHOUT ROWID;

-- By name, not by number: an event may be about somebody who is no user yet, or no more.
CREATE TABLE events (
  id        INTEGER PRIMARY KEY,
  at        INTEGER NOT NULL,
  kind      TEXT    NOT NULL,
  user_name TEXT,
  app       TEXT,
  run       INTEGER,
  attempt   TEXT,
  message   TEXT    NOT NULL
) STRICT;

CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_user ON events (user_name, at);
