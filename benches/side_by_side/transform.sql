-- What makes Kong's rows of the staged ones, in tables with their indexes, keys and triggers in place.
CREATE FUNCTION staged.without_workspace(value text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE WHEN substr(value, 37, 1) = ':' THEN nullif(substr(value, 38), '') ELSE nullif(value, '') END $$;
-- A set that is not there is unloaded as an empty one.
CREATE FUNCTION staged.as_array(tags jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE WHEN tags <> '[]' THEN ARRAY(SELECT jsonb_array_elements_text(tags)) END $$;

BEGIN;
DELETE FROM workspaces;
INSERT INTO workspaces (id, name, comment, created_at, meta, config)
  SELECT id, name, comment, created_at, meta, config FROM staged.workspaces;
INSERT INTO consumers (id, ws_id, created_at, username, custom_id, tags)
  SELECT id, ws_id, created_at, staged.without_workspace(username), staged.without_workspace(custom_id), staged.as_array(tags)
  FROM staged.consumers;
INSERT INTO basicauth_credentials (id, ws_id, created_at, consumer_id, username, password, tags)
  SELECT id, ws_id, created_at, consumer_id, staged.without_workspace(username), password, staged.as_array(tags)
  FROM staged.basicauth_credentials;
INSERT INTO keyauth_credentials (id, ws_id, created_at, consumer_id, key, tags, ttl)
  SELECT id, ws_id, created_at, consumer_id, staged.without_workspace(key), staged.as_array(tags),
    to_timestamp(:unloaded_at) + lifetime * interval '1 second'
  FROM staged.keyauth_credentials;
COMMIT;
SET client_min_messages = warning;
DROP SCHEMA staged CASCADE;
ANALYZE;
