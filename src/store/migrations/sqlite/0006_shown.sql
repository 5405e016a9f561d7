-- When the oldest play ended that Spotify ever showed of a user: from then on the archive claims to be whole.
ALTER TABLE users ADD COLUMN shown_since INTEGER;
UPDATE users SET shown_since = (SELECT min(played_at) FROM plays WHERE user_id = users.id AND source = 'api');
