-- A right to reach a sandbox is good for one connection.
ALTER TABLE ssh_sessions ADD COLUMN used BIGINT NOT NULL DEFAULT 0;
