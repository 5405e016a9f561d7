-- Spotify's pages as they came, compressed, for archive.raw_journal_days.
CREATE TABLE raw_pages (
  user_id    BIGINT  NOT NULL REFERENCES users (id),
  fetched_at BIGINT  NOT NULL,
  run_id     BIGINT  NOT NULL,
  body       BYTEA   NOT NULL,
  PRIMARY KEY (user_id, fetched_at, run_id)
);

CREATE INDEX raw_pages_by_time ON raw_pages (fetched_at);
