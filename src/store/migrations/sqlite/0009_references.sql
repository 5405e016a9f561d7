-- On PostgreSQL the references of tracks are no longer looked at for each row. Here that costs next to nothing.
SELECT 1;
