"""The tables, as numbered steps that are never changed once released: a new step is appended.

`{text}` is a text that compares by its bytes, `{blob}` bytes, `{serial}` a number of the database's
own. Only secrets' hashes are stored, or the secrets sealed (credentials/vault.py).
"""

from __future__ import annotations

from codewire.errors import StoreError
from codewire.relay.store.tx import Tx

FIRST = """
create table networks (
    network_id {text} primary key,
    created_at bigint not null,
    event_seq bigint not null default 0
);
create table network_members (
    network_id {text} not null,
    subject {text} not null,
    role {text} not null,
    created_at bigint not null,
    created_by {text} not null,
    primary key (network_id, subject)
);
create index network_members_subject on network_members (subject);
create table nodes (
    network_id {text} not null,
    name {text} not null,
    token_hash {text} not null unique,
    owner_subject {text} not null,
    authorized_by {text} not null,
    enrollment_id {text} not null,
    authorized_at bigint not null,
    last_seen_at bigint not null,
    peer_url {text} not null,
    features {text} not null default '',
    primary key (network_id, name)
);
create table node_enrollments (
    id {text} primary key,
    network_id {text} not null,
    token_hash {text} not null unique,
    owner_subject {text} not null,
    issued_by {text} not null,
    node_name {text} not null,
    may_replace bigint not null,
    uses_remaining bigint not null,
    expires_at bigint not null,
    created_at bigint not null
);
create table invites (
    token_hash {text} primary key,
    network_id {text} not null,
    token {blob} not null,
    created_by bigint,
    created_by_subject {text} not null,
    uses_remaining bigint not null,
    expires_at bigint not null,
    created_at bigint not null
);
create index invites_network on invites (network_id, created_at);
create table groups (
    network_id {text} not null,
    name {text} not null,
    created_at bigint not null,
    created_by {text} not null,
    messages_policy {text} not null,
    debug_policy {text} not null,
    updated_at bigint not null,
    primary key (network_id, name)
);
create table group_members (
    network_id {text} not null,
    group_name {text} not null,
    node_name {text} not null,
    session_name {text} not null,
    created_at bigint not null,
    primary key (network_id, group_name, node_name, session_name)
);
create index group_members_session on group_members (network_id, node_name, session_name);
create table issuers (
    kid {text} primary key,
    network_id {text} not null,
    seed {blob} not null,
    public_key {text} not null,
    created_at bigint not null,
    signs_from bigint not null,
    retired_at bigint
);
create index issuers_network on issuers (network_id, signs_from);
create table access_grants (
    id {text} primary key,
    network_id {text} not null,
    target_node {text} not null,
    session_id bigint,
    session_name {text} not null,
    verbs {text} not null,
    audience_subject_kind {text} not null,
    audience_subject_id {text} not null,
    audience_display {text} not null,
    issued_by {text} not null,
    created_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint
);
create index access_grants_network on access_grants (network_id, created_at);
create table used_jti (
    kind {text} not null,
    network_id {text} not null,
    jti {text} not null,
    expires_at bigint not null,
    primary key (kind, network_id, jti)
);
create index used_jti_expiry on used_jti (expires_at);
create table audit (
    id {serial},
    network_id {text} not null,
    at bigint not null,
    actor {text} not null,
    action {text} not null,
    target {text} not null,
    details {text} not null
);
create index audit_network on audit (network_id, id);
create table events (
    network_id {text} not null,
    seq bigint not null,
    stream {text} not null,
    type {text} not null,
    data {text} not null,
    at bigint not null,
    primary key (network_id, stream, seq)
);
create table event_floors (
    network_id {text} not null,
    stream {text} not null,
    seq bigint not null,
    primary key (network_id, stream)
);
create table tasks (
    network_id {text} not null,
    node_name {text} not null,
    session_id bigint not null,
    event_id {text} not null,
    stream_seq bigint not null,
    session_name {text} not null,
    summary {text} not null,
    state {text} not null,
    at bigint not null,
    primary key (network_id, node_name, session_id)
);
create table task_ids (
    network_id {text} not null,
    node_name {text} not null,
    event_id {text} not null,
    at bigint not null,
    primary key (network_id, node_name, event_id)
);
create index task_ids_age on task_ids (at);
create table people (
    subject {text} primary key,
    github_id bigint,
    sub {text} not null,
    username {text} not null,
    avatar_url {text} not null,
    created_at bigint not null,
    last_login_at bigint not null
);
create index people_username on people (username);
create table sessions (
    token_hash {text} primary key,
    subject {text} not null,
    expires_at bigint not null,
    created_at bigint not null
);
create index sessions_expiry on sessions (expires_at);
create table oauth_state (
    state_hash {text} primary key,
    expires_at bigint not null,
    created_at bigint not null
);
create table device_flows (
    poll_hash {text} primary key,
    device_code {blob} not null,
    network_id {text} not null,
    node_name {text} not null,
    node_token {blob},
    expires_at bigint not null
);
create table ssh_keys (
    fingerprint {text} primary key,
    subject {text} not null,
    public_key {text} not null,
    comment {text} not null,
    created_at bigint not null
);
create index ssh_keys_subject on ssh_keys (subject);
create table secrets (
    name {text} primary key,
    data {blob} not null
);
create table kv (
    network_id {text} not null,
    namespace {blob} not null,
    key {blob} not null,
    value {blob} not null,
    expires_at bigint,
    updated_at bigint not null,
    primary key (network_id, namespace, key)
);
create index kv_expiry on kv (expires_at);
create table rate_limits (
    key {text} not null,
    window_start bigint not null,
    count bigint not null,
    primary key (key, window_start)
);
create index rate_limits_window on rate_limits (window_start);
create table whereabouts (
    network_id {text} not null,
    node {text} not null,
    relay_url {text} not null,
    conn_id {text} not null,
    lease_until bigint not null,
    primary key (network_id, node)
);
create index whereabouts_connection on whereabouts (conn_id)
"""

SECOND = """
create table logins (
    device_hash {text} primary key,
    user_code {text} not null unique,
    subject {text} not null,
    is_denied bigint not null,
    expires_at bigint not null
)
"""

# A key may be several people's: nobody keeps another from theirs by being there first.
THIRD = """
drop table ssh_keys;
create table ssh_keys (
    subject {text} not null,
    fingerprint {text} not null,
    public_key {text} not null,
    comment {text} not null,
    created_at bigint not null,
    primary key (subject, fingerprint)
);
create index ssh_keys_fingerprint on ssh_keys (fingerprint);
create index nodes_owner on nodes (owner_subject, name)
"""

STEPS = (FIRST, SECOND, THIRD)


def migrate(tx: Tx, types: dict[str, str]) -> None:
    """Bring the tables up to date, in the caller's transaction.

    Raises StoreError for a database that a newer relay has used.
    """
    tx.lock("schema")
    tx.run("create table if not exists schema_version (version bigint not null)")
    row = tx.one("select version from schema_version")
    version = int(row[0]) if row else 0
    if version > len(STEPS):
        raise StoreError(
            f"the database is of a newer relay (schema {version}, this one knows {len(STEPS)}): "
            "upgrade codewire"
        )
    for step in STEPS[version:]:
        for statement in step.format_map(types).split(";"):
            tx.run(statement.strip())
    if version < len(STEPS):
        tx.run("delete from schema_version")
        tx.run("insert into schema_version (version) values (?)", len(STEPS))
