-- How many plays a user made in each hour of the last weeks: a byte an hour, from from_hour (hours since the Unix epoch)
-- on. Reckoned from plays, about once a day.
CREATE TABLE habits (
  user_id   INTEGER NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  from_hour INTEGER NOT NULL,
  counts    BLOB    NOT NULL
) STRICT;
