-- Imports of what users have asked Spotify for.
CREATE TABLE imports (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id         INTEGER NOT NULL REFERENCES users (id),
  digest          TEXT    NOT NULL,
  state           TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'undone')),
  begun_at        INTEGER NOT NULL,
  ended_at        INTEGER,
  rows_read       INTEGER NOT NULL DEFAULT 0,
  imported        INTEGER NOT NULL DEFAULT 0,
  already_there   INTEGER NOT NULL DEFAULT 0,
  below_threshold INTEGER NOT NULL DEFAULT 0,
  podcasts        INTEGER NOT NULL DEFAULT 0,
  audiobooks      INTEGER NOT NULL DEFAULT 0,
  without_track   INTEGER NOT NULL DEFAULT 0,
  unreadable      INTEGER NOT NULL DEFAULT 0,
  gaps_closed     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX imports_by_user ON imports (user_id, id);

-- Which import a play came with; for how long it was played; the length in milliseconds of the stretch in which it
-- ended, where its time is not known to the millisecond. No foreign key: it would be looked at for each row.
ALTER TABLE plays ADD COLUMN import_id INTEGER;
ALTER TABLE plays ADD COLUMN ms_played INTEGER;
ALTER TABLE plays ADD COLUMN precision_ms INTEGER;

-- Rows of imports that were too short to be plays. What is said of keys holds here too.
CREATE TABLE short_plays (
  user_id      INTEGER NOT NULL,
  played_at    INTEGER NOT NULL,
  track_id     INTEGER NOT NULL,
  context_uri  TEXT,
  source       TEXT    NOT NULL,
  import_id    INTEGER,
  ms_played    INTEGER,
  precision_ms INTEGER,
  PRIMARY KEY (user_id, played_at, track_id)
) STRICT, WITHOUT ROWID;

-- What an import changed of rows that were there: as they were before.
CREATE TABLE import_changes (
  user_id          INTEGER NOT NULL REFERENCES users (id),
  import_id        INTEGER NOT NULL REFERENCES imports (id),
  short            INTEGER NOT NULL CHECK (short IN (FALSE, TRUE)),
  played_at        INTEGER NOT NULL,
  track_id         INTEGER NOT NULL,
  old_played_at    INTEGER NOT NULL,
  old_track_id     INTEGER NOT NULL,
  old_context_uri  TEXT,
  old_import_id    INTEGER,
  old_ms_played    INTEGER,
  old_precision_ms INTEGER,
  PRIMARY KEY (user_id, import_id, short, played_at, track_id)
) STRICT, WITHOUT ROWID;

-- The newest play whose time is not known to the millisecond: what the API shows up to there may be one of those.
ALTER TABLE users ADD COLUMN imported_until INTEGER;

-- Which import closed a gap.
ALTER TABLE gaps ADD COLUMN closed_by INTEGER;

-- Exports name artists without their ids.
CREATE INDEX artists_by_name ON artists (name) WHERE uri IS NOT NULL;
