-- Calls of the Web API that were taken, in slots of ten minutes, for all apps of one Spotify developer account.
CREATE TABLE api_calls (
  quota_group TEXT COLLATE "C" NOT NULL,
  slot_at     BIGINT  NOT NULL,
  calls       BIGINT  NOT NULL,
  PRIMARY KEY (quota_group, slot_at)
);
