-- What was heard, summed by what top lists are of, so that the first of a list are read from an index; and when, with a
-- row for each week.
--
-- What was counted before this is counted again when somebody asks.
DELETE FROM counted;
DROP TABLE heard;
DROP TABLE heard_slots;

-- By time slot. `week` is its beginning; the others are lists, in JSON: which slots of the week have plays, from 0; of each
-- how many, and for how long.
CREATE TABLE heard_weeks (
  user_id INTEGER NOT NULL,
  week    INTEGER NOT NULL,
  slots   TEXT    NOT NULL,
  plays   TEXT    NOT NULL,
  ms      TEXT    NOT NULL,
  PRIMARY KEY (user_id, week)
) STRICT;

-- As it was, and of how many of the plays nothing but the track's length says how long they were heard.
CREATE TABLE heard (
  user_id   INTEGER NOT NULL,
  weeks     INTEGER NOT NULL,
  track_id  INTEGER NOT NULL,
  plays     INTEGER NOT NULL,
  ms        INTEGER NOT NULL,
  by_length INTEGER NOT NULL,
  PRIMARY KEY (user_id, weeks, track_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX heard_by_track ON heard (track_id);

-- The sums of `heard` by recording, artist and album, as tracks belong to them now. A row of nothing may be left. `id` is
-- the recording's ISRC, or the track's key where it has none; or the artist's or album's number.
CREATE TABLE heard_sums (
  user_id INTEGER NOT NULL,
  weeks   INTEGER NOT NULL,
  kind    TEXT    NOT NULL CHECK (kind IN ('track', 'artist', 'album')),
  id      TEXT    NOT NULL,
  plays   INTEGER NOT NULL,
  ms      INTEGER NOT NULL,
  PRIMARY KEY (user_id, weeks, kind, id)
) STRICT, WITHOUT ROWID;

-- Not of all, so that nobody takes it who looks for an id: before the table is analysed it looks as good.
CREATE INDEX heard_sums_by_plays ON heard_sums (user_id, weeks, kind, plays) WHERE plays > 0;

-- Which tracks are one recording.
CREATE INDEX tracks_by_isrc ON tracks (isrc) WHERE isrc IS NOT NULL;

DROP TRIGGER counted_track_updated;

CREATE TRIGGER counted_track_updated AFTER UPDATE OF duration_ms ON tracks
WHEN old.duration_ms IS NOT new.duration_ms
BEGIN
  DELETE FROM counted WHERE user_id IN
    (SELECT user_id FROM heard WHERE track_id = new.id AND weeks = 0 AND by_length > 0);
END;

CREATE TRIGGER summed_recording_updated AFTER UPDATE OF isrc ON tracks
WHEN old.isrc IS NOT new.isrc
BEGIN
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'track', COALESCE(old.isrc, old.key), -plays, -ms FROM heard WHERE track_id = old.id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'track', COALESCE(new.isrc, new.key), plays, ms FROM heard WHERE track_id = new.id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
END;

CREATE TRIGGER summed_album_updated AFTER UPDATE OF album_id ON tracks
WHEN old.album_id IS NOT new.album_id
BEGIN
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'album', CAST(old.album_id AS TEXT), -plays, -ms FROM heard
    WHERE track_id = old.id AND old.album_id IS NOT NULL
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'album', CAST(new.album_id AS TEXT), plays, ms FROM heard
    WHERE track_id = new.id AND new.album_id IS NOT NULL
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
END;

CREATE TRIGGER summed_credit_inserted AFTER INSERT ON track_artists
BEGIN
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'artist', CAST(new.artist_id AS TEXT), plays, ms FROM heard WHERE track_id = new.track_id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
END;

CREATE TRIGGER summed_credit_deleted AFTER DELETE ON track_artists
BEGIN
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'artist', CAST(old.artist_id AS TEXT), -plays, -ms FROM heard WHERE track_id = old.track_id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
END;

CREATE TRIGGER summed_credit_updated AFTER UPDATE ON track_artists
BEGIN
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'artist', CAST(old.artist_id AS TEXT), -plays, -ms FROM heard WHERE track_id = old.track_id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT user_id, weeks, 'artist', CAST(new.artist_id AS TEXT), plays, ms FROM heard WHERE track_id = new.track_id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET plays = plays + excluded.plays, ms = ms + excluded.ms;
END;
