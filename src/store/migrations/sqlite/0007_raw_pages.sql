-- Spotify's pages as they came, compressed, for archive.raw_journal_days.
CREATE TABLE raw_pages (
  user_id    INTEGER NOT NULL REFERENCES users (id),
  fetched_at INTEGER NOT NULL,
  run_id     INTEGER NOT NULL,
  body       BLOB    NOT NULL,
  PRIMARY KEY (user_id, fetched_at, run_id)
) STRICT;

CREATE INDEX raw_pages_by_time ON raw_pages (fetched_at);
