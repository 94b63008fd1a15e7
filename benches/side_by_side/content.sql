-- One digest over everything the contenders write.
SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
  SELECT 'w' || count(*) || md5(coalesce(string_agg(t::text, ',' ORDER BY id), '')) AS part FROM workspaces t
  UNION ALL
  SELECT 'c' || count(*) || md5(coalesce(string_agg(
    concat_ws('|', id, created_at, username, custom_id, tags, ws_id), ',' ORDER BY id), '')) FROM consumers
  UNION ALL
  SELECT 'b' || count(*) || md5(coalesce(string_agg(
    concat_ws('|', id, created_at, consumer_id, username, password, tags, ws_id), ',' ORDER BY id), '')) FROM basicauth_credentials
  UNION ALL
  SELECT 'k' || count(*) || md5(coalesce(string_agg(
    concat_ws('|', id, created_at, consumer_id, key, tags, ws_id, ttl IS NULL), ',' ORDER BY id), '')) FROM keyauth_credentials
  UNION ALL
  SELECT 't' || count(*) || md5(coalesce(string_agg(t::text, ',' ORDER BY entity_id), '')) FROM tags t
) parts
