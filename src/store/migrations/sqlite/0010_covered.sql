-- What each import has everything of: of a gap that is found there later nothing is missing.
CREATE TABLE import_stretches (
  user_id   INTEGER NOT NULL REFERENCES users (id),
  import_id INTEGER NOT NULL REFERENCES imports (id),
  from_at   INTEGER NOT NULL,
  to_at     INTEGER NOT NULL,
  PRIMARY KEY (user_id, import_id, from_at)
) STRICT, WITHOUT ROWID;

-- A gap of which an import has a part is cut: the gap as it was before, of which this is a part.
ALTER TABLE gaps ADD COLUMN whole_from INTEGER;
ALTER TABLE gaps ADD COLUMN whole_to INTEGER;
ALTER TABLE gaps ADD COLUMN whole_at_most INTEGER;

ALTER TABLE imports ADD COLUMN gaps_narrowed INTEGER NOT NULL DEFAULT 0;
