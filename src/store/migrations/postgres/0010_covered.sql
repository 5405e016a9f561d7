-- What each import has everything of: of a gap that is found there later nothing is missing.
CREATE TABLE import_stretches (
  user_id   BIGINT NOT NULL REFERENCES users (id),
  import_id BIGINT NOT NULL REFERENCES imports (id),
  from_at   BIGINT NOT NULL,
  to_at     BIGINT NOT NULL,
  PRIMARY KEY (user_id, import_id, from_at)
);

-- A gap of which an import has a part is cut: the gap as it was before, of which this is a part.
ALTER TABLE gaps ADD COLUMN whole_from BIGINT;
ALTER TABLE gaps ADD COLUMN whole_to BIGINT;
ALTER TABLE gaps ADD COLUMN whole_at_most BIGINT;

ALTER TABLE imports ADD COLUMN gaps_narrowed BIGINT NOT NULL DEFAULT 0;
