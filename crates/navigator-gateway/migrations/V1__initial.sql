-- What the gateway keeps. SQLite and PostgreSQL both understand every word of it.
-- Ids are UUIDs as text, times are milliseconds since 1970, truth is 0 or 1.

CREATE TABLE sealing (
    key_id BIGINT NOT NULL PRIMARY KEY,
    proof BYTEA NOT NULL
);

CREATE TABLE sandboxes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    log_level TEXT NOT NULL,
    image TEXT NOT NULL,
    runtime_class_name TEXT NOT NULL,
    agent_socket TEXT NOT NULL,
    resources TEXT,
    pod_template TEXT,
    volume_claim_templates TEXT,
    desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped', 'deleted')),
    phase TEXT NOT NULL
        CHECK (phase IN ('provisioning', 'ready', 'error', 'deleting', 'unknown', 'stopped')),
    restarts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    policy_in_force BIGINT NOT NULL,
    token_hash BYTEA UNIQUE,
    event_count BIGINT NOT NULL,
    record_version BIGINT NOT NULL
);
CREATE INDEX sandboxes_in_order ON sandboxes (created_at, name);

CREATE TABLE sandbox_environment (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, name)
);

CREATE TABLE sandbox_template_environment (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, name)
);

CREATE TABLE sandbox_template_labels (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, name)
);

CREATE TABLE sandbox_template_annotations (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, name)
);

-- By name and without a foreign key: a provider may go, come back and then be used again.
CREATE TABLE sandbox_providers (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    provider TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
);
CREATE INDEX sandbox_providers_by_name ON sandbox_providers (provider);

-- Paths are bytes.
CREATE TABLE sandbox_mounts (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    source BYTEA NOT NULL,
    destination BYTEA NOT NULL,
    read_only BIGINT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
);

CREATE TABLE sandbox_conditions (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
);

CREATE TABLE sandbox_layers (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    degraded TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
);

CREATE TABLE sandbox_skipped_paths (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    path TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
);

CREATE TABLE policy_revisions (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    policy TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'loaded', 'failed', 'superseded')),
    failure TEXT,
    created_at BIGINT NOT NULL,
    loaded_at BIGINT,
    PRIMARY KEY (sandbox_id, version)
);

CREATE TABLE providers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    record_version BIGINT NOT NULL
);
CREATE INDEX providers_in_order ON providers (created_at, name);

CREATE TABLE provider_credentials (
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (provider_id, name)
);

CREATE TABLE provider_config (
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (provider_id, name)
);

CREATE TABLE inference_routes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    routing_hint TEXT NOT NULL,
    base_url TEXT NOT NULL,
    sealed_api_key BYTEA NOT NULL,
    model_id TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    record_version BIGINT NOT NULL
);
CREATE INDEX inference_routes_in_order ON inference_routes (created_at, name);
CREATE INDEX inference_routes_by_hint ON inference_routes (routing_hint);

CREATE TABLE inference_route_protocols (
    route_id TEXT NOT NULL REFERENCES inference_routes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    protocol TEXT NOT NULL,
    PRIMARY KEY (route_id, position)
);

CREATE TABLE ssh_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked BIGINT NOT NULL
);
CREATE INDEX ssh_sessions_of_sandbox ON ssh_sessions (sandbox_id);
CREATE INDEX ssh_sessions_by_end ON ssh_sessions (expires_at);

CREATE TABLE events (
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    source TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('normal', 'warning')),
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, number)
);

CREATE TABLE event_metadata (
    sandbox_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, number, name),
    FOREIGN KEY (sandbox_id, number) REFERENCES events (sandbox_id, number) ON DELETE CASCADE
);
