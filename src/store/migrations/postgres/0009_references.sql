-- Looked at for each row these took longer than all else that is kept of a new track. Tracks, artists and albums are
-- never deleted, and whoever keeps a track finds the others by their keys in the same transaction.
ALTER TABLE track_artists DROP CONSTRAINT track_artists_track_id_fkey;
ALTER TABLE track_artists DROP CONSTRAINT track_artists_artist_id_fkey;
ALTER TABLE tracks DROP CONSTRAINT tracks_album_id_fkey;
