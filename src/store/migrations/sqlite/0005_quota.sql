-- Calls of the Web API that were taken, in slots of ten minutes, for all apps of one Spotify developer account.
CREATE TABLE api_calls (
  quota_group TEXT    NOT NULL,
  slot_at     INTEGER NOT NULL,
  calls       INTEGER NOT NULL,
  PRIMARY KEY (quota_group, slot_at)
) STRICT, WITHOUT ROWID;
