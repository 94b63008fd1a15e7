-- What the CSV files of DSBulk are copied into: no keys, no indexes, no write-ahead log.
CREATE SCHEMA staged;
CREATE UNLOGGED TABLE staged.workspaces (id uuid, name text, comment text, created_at timestamptz, meta jsonb, config jsonb);
CREATE UNLOGGED TABLE staged.consumers (
  id uuid, ws_id uuid, created_at timestamptz, username text, custom_id text, tags jsonb);
CREATE UNLOGGED TABLE staged.basicauth_credentials (
  id uuid, ws_id uuid, created_at timestamptz, consumer_id uuid, username text, password text, tags jsonb);
CREATE UNLOGGED TABLE staged.keyauth_credentials (
  id uuid, ws_id uuid, created_at timestamptz, consumer_id uuid, key text, tags jsonb, lifetime integer);
