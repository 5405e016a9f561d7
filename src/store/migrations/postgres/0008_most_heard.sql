-- What was heard, summed by what top lists are of, so that the first of a list are read from an index; and when, with a
-- row for each week.
--
-- In the order in which whoever stores a page takes them.
LOCK TABLE users, tracks, track_artists, plays, counted, heard IN ACCESS EXCLUSIVE MODE;

-- What was counted before this is counted again when somebody asks.
TRUNCATE counted, heard;
DROP TABLE heard_slots;

-- By time slot. `week` is its beginning; the others are lists, in JSON: which slots of the week have plays, from 0; of each
-- how many, and for how long.
CREATE TABLE heard_weeks (
  user_id BIGINT NOT NULL,
  week    BIGINT NOT NULL,
  slots   TEXT   NOT NULL,
  plays   TEXT   NOT NULL,
  ms      TEXT   NOT NULL,
  PRIMARY KEY (user_id, week)
);

-- Of how many of the plays nothing but the track's length says how long they were heard.
ALTER TABLE heard ADD COLUMN by_length BIGINT NOT NULL;

DROP INDEX heard_by_track;
CREATE INDEX heard_by_track ON heard (track_id);

-- The sums of `heard` by recording, artist and album, as tracks belong to them now. A row of nothing may be left. `id` is
-- the recording's ISRC, or the track's key where it has none; or the artist's or album's number.
CREATE TABLE heard_sums (
  user_id BIGINT NOT NULL,
  weeks   BIGINT NOT NULL,
  kind    TEXT   NOT NULL CHECK (kind IN ('track', 'artist', 'album')),
  id      TEXT COLLATE "C" NOT NULL,
  plays   BIGINT NOT NULL,
  ms      BIGINT NOT NULL,
  PRIMARY KEY (user_id, weeks, kind, id)
);

-- Not of all, so that nobody takes it who looks for an id: before the table is analysed it looks as good.
CREATE INDEX heard_sums_by_plays ON heard_sums (user_id, weeks, kind, plays) WHERE plays > 0;

-- Which tracks are one recording. An ISRC has 12 characters; what is far longer fits into no index.
UPDATE tracks SET isrc = NULL WHERE length(isrc) > 64;
ALTER TABLE tracks ALTER COLUMN isrc TYPE TEXT COLLATE "C";
CREATE INDEX tracks_by_isrc ON tracks (isrc) WHERE isrc IS NOT NULL;

-- In the order of the users, as everyone takes more than one row of `counted`.
CREATE OR REPLACE FUNCTION count_plays_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM 1 FROM users WHERE id IN (SELECT user_id FROM touched) ORDER BY id FOR KEY SHARE;
  DELETE FROM counted WHERE user_id IN
    (SELECT counted.user_id FROM counted
       JOIN (SELECT user_id, min(played_at) AS first FROM touched GROUP BY user_id) AS changed
         ON counted.user_id = changed.user_id AND changed.first < counted.until
     ORDER BY counted.user_id FOR UPDATE OF counted);
  RETURN NULL;
END;
$$;

-- Whoever changes tracks that may be counted, or who made them, and whoever counts, take the lock: so of a change and a
-- count at the same time one sees the other, and two changes never meet in the rows of others. It comes after the user's
-- row and those of the tracks. Few of what is touched is counted: each is looked up, where the planner would sooner read a
-- whole table (OFFSET 0 keeps it from that).
DROP TRIGGER counted_track_updated ON tracks;
DROP FUNCTION count_track_again();

CREATE FUNCTION count_tracks_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM became) THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock(1819307131), set_config('longplay.tracks_changed', 'yes', TRUE);
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT known.user_id, known.weeks, moved.kind, moved.id,
      CAST(sum(moved.sign * known.plays) AS BIGINT), CAST(sum(moved.sign * known.ms) AS BIGINT)
    FROM (SELECT was.id AS track_id, 'track' AS kind, COALESCE(was.isrc, was.key) AS id, -1 AS sign
            FROM was JOIN became ON became.id = was.id AND became.isrc IS DISTINCT FROM was.isrc
          UNION ALL
          SELECT became.id, 'track', COALESCE(became.isrc, became.key), 1
            FROM was JOIN became ON became.id = was.id AND became.isrc IS DISTINCT FROM was.isrc
          UNION ALL
          SELECT was.id, 'album', CAST(was.album_id AS TEXT), -1
            FROM was JOIN became ON became.id = was.id AND became.album_id IS DISTINCT FROM was.album_id
            WHERE was.album_id IS NOT NULL
          UNION ALL
          SELECT became.id, 'album', CAST(became.album_id AS TEXT), 1
            FROM was JOIN became ON became.id = was.id AND became.album_id IS DISTINCT FROM was.album_id
            WHERE became.album_id IS NOT NULL) AS moved
      CROSS JOIN LATERAL
        (SELECT user_id, weeks, plays, ms FROM heard WHERE heard.track_id = moved.track_id OFFSET 0) AS known
    GROUP BY known.user_id, known.weeks, moved.kind, moved.id
    ORDER BY known.user_id, known.weeks, moved.kind, moved.id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET
      plays = heard_sums.plays + excluded.plays, ms = heard_sums.ms + excluded.ms;
  DELETE FROM counted WHERE user_id IN
    (SELECT counted.user_id FROM counted
     WHERE counted.user_id IN
       (SELECT known.user_id
        FROM was JOIN became ON became.id = was.id AND became.duration_ms IS DISTINCT FROM was.duration_ms
          CROSS JOIN LATERAL
            (SELECT user_id FROM heard
             WHERE heard.track_id = became.id AND heard.weeks = 0 AND heard.by_length > 0 OFFSET 0) AS known)
     ORDER BY counted.user_id FOR UPDATE OF counted);
  RETURN NULL;
END;
$$;

CREATE TRIGGER counted_tracks_updated AFTER UPDATE ON tracks REFERENCING OLD TABLE AS was NEW TABLE AS became
FOR EACH STATEMENT EXECUTE FUNCTION count_tracks_again();

-- A track that this transaction has made is counted by nobody yet, and that is most that are credited: it is known by the
-- transaction that wrote its row, unless rows were changed too.
CREATE FUNCTION count_credits_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF COALESCE(current_setting('longplay.tracks_changed', TRUE), '') = ''
    AND NOT EXISTS (SELECT 1 FROM touched
                    WHERE (SELECT tracks.xmin FROM tracks WHERE tracks.id = touched.track_id)
                      <> CAST(pg_current_xact_id() AS xid))
  THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock(1819307131);
  INSERT INTO heard_sums (user_id, weeks, kind, id, plays, ms)
    SELECT known.user_id, known.weeks, 'artist', CAST(touched.artist_id AS TEXT),
      CAST(sum(CAST(TG_ARGV[0] AS BIGINT) * known.plays) AS BIGINT),
      CAST(sum(CAST(TG_ARGV[0] AS BIGINT) * known.ms) AS BIGINT)
    FROM touched CROSS JOIN LATERAL
      (SELECT user_id, weeks, plays, ms FROM heard WHERE heard.track_id = touched.track_id OFFSET 0) AS known
    GROUP BY known.user_id, known.weeks, touched.artist_id
    ORDER BY known.user_id, known.weeks, touched.artist_id
    ON CONFLICT (user_id, weeks, kind, id) DO UPDATE SET
      plays = heard_sums.plays + excluded.plays, ms = heard_sums.ms + excluded.ms;
  RETURN NULL;
END;
$$;

CREATE TRIGGER counted_credits_inserted AFTER INSERT ON track_artists REFERENCING NEW TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_credits_again('1');
CREATE TRIGGER counted_credits_deleted AFTER DELETE ON track_artists REFERENCING OLD TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_credits_again('-1');
CREATE TRIGGER counted_credits_were AFTER UPDATE ON track_artists REFERENCING OLD TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_credits_again('-1');
CREATE TRIGGER counted_credits_became AFTER UPDATE ON track_artists REFERENCING NEW TABLE AS touched
FOR EACH STATEMENT EXECUTE FUNCTION count_credits_again('1');
