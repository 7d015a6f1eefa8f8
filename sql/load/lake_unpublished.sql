-- The branches that were decided and perhaps not published, in order. Reads lake_night.
select branch from lake_night where published_at is null order by decided_at;
