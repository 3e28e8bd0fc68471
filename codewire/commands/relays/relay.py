"""`cw relay serve` and what its operator does to its data."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire import paths
from codewire.commands import output, table
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.relay import Relay
    from codewire.relay.settings import Settings


def relay(args: dict[str, Any], context: Context) -> int:
    """Run a relay, over which nodes behind NAT are found and reached.

    Usage:
      cw relay [options] [<command>...]

    Commands:
      cw relay serve --base-url <url>   Run one
      cw relay status                   Show how one is
      cw relay keys rotate              Make new signing keys
      cw relay backup <file>            Copy its database
      cw relay import <database>        Take over an older relay's database

    Examples:
      cw relay serve --base-url https://relay.example.com
      cw help relay serve
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw relay"')
    output.write(table.command_help("relay"))
    return 0


def serve(args: dict[str, Any], context: Context) -> int:
    """Run a relay in the foreground. Ctrl-C or SIGTERM stops it.

    It needs `pip install 'codewire[relay]'` and nothing else: everything is kept in its data
    directory. Each flag may also come from the environment as CW_<FLAG>, such as CW_BASE_URL or
    CW_AUTH_TOKEN; a secret also from a file.

    Usage:
      cw relay serve [options]

    Options:
          --base-url <url>                     What clients call the relay: https://host[:port]
          --listen <address>                   Listen here (default :8080)
          --ssh-listen <address>               Serve SSH here, or off (default :2222 if it is free)
          --ssh-public <host:port>             Where clients come for SSH (default: the base URL's
                                               host, and the port of --ssh-listen)
          --data-dir <dir>                     Keep everything here (default ~/.codewire/relay)
          --auth-mode <none|token|github|oidc>  How users log in (default none)
          --auth-token <token>                 The admin's token, good in every mode
          --auth-token-file <file>             The same, from a file
          --database-url <url>                 PostgreSQL instead of a file (or DATABASE_URL)
          --database-url-file <file>           The same, from a file
          --secret-key-file <file>             What seals secrets (default <data-dir>/secret.key)
          --tls-cert <file>                    Serve HTTPS with this certificate chain (PEM)
          --tls-key <file>                     Its key
          --trusted-proxy <address,...>        Believe X-Forwarded-For of these (or networks)
          --metrics-listen <address>           Serve /metrics here without a token, too
          --advertise-url <url>                Where other relays of the same --database-url reach
                                               this one: https, or http to a private address
          --allowed-users <user,...>           GitHub logins that may come in
          --github-client-id <id>              The GitHub app's
          --github-client-secret <secret>      The GitHub app's
          --github-client-secret-file <file>   The same, from a file
          --github-url <url>                   An enterprise's own GitHub, its pages
          --github-api-url <url>               Its API
          --oidc-issuer <url>                  The OpenID provider
          --oidc-client-id <id>                What the provider knows the relay as
          --oidc-client-secret <secret>        What proves it
          --oidc-client-secret-file <file>     The same, from a file
          --oidc-allowed-groups <group,...>    Groups that may come in
          --nats-url <url>                     Without effect: reports are in the database
          --nats-creds <file>                  Without effect
          --nats-subject-root <root>           Without effect
          --task-events-stream <name>          Without effect
          --task-latest-bucket <name>          Without effect

    Examples:
      cw relay serve --base-url https://relay.example.com --auth-token-file /etc/cw/token
      CW_AUTH_TOKEN=… cw relay serve --base-url http://localhost:8080 --listen 127.0.0.1:8080
    """
    from codewire.relay import settings as given
    from codewire.relay.premises import prepare
    from codewire.relay.process import pass_settings

    settings = _settings(args)
    given.check_settings(settings)
    for name in given.names_without_effect(args, os.environ):
        output.note(f"[relay] {name} has no effect: task reports are kept in the database")
    prepare(settings)
    descriptor = pass_settings(settings)
    sys.stderr.flush()
    command = [*paths.program(), "relay-process", str(descriptor)]
    os.execve(command[0], command, given.without_secrets(os.environ))


def backup(args: dict[str, Any], context: Context) -> int:
    """Copy a relay's database to a new file, also while the relay serves.

    The secret key is not in it: keep <data-dir>/secret.key in another place. Without it nobody
    needs to log in anew, but invites, signing keys and the SSH host key cannot be read.

    Usage:
      cw relay backup [options] <file>

    Options:
          --data-dir <dir>          The relay's (default ~/.codewire/relay)
          --database-url <url>      A relay's PostgreSQL: says how that is copied
          --secret-key-file <file>  The relay's, when it is not in --data-dir

    Examples:
      cw relay backup /backups/relay-2026-04-03.db
    """
    settings = _settings(args)
    store = _open_store(settings, must_exist=True)
    path = os.path.abspath(args["<file>"])
    try:
        store.backup(path)
    finally:
        store.close()
    output.note(
        f"{path} written; {settings.secret_key_file} is not in it: keep a copy of that, too"
    )
    return 0


def import_database(args: dict[str, Any], context: Context) -> int:
    """Take over the SQLite database of an older relay (codewire in Go) into a new one.

    That relay must have been stopped. Networks, members, nodes with their tokens, groups, grants,
    keys, users and values come along, and the SSH host key where it lies beside the file
    (ssh_host_ed25519); all is only read.

    Usage:
      cw relay import [options] <database>

    Options:
          --data-dir <dir>          The new relay's (default ~/.codewire/relay)
          --database-url <url>      The new relay's PostgreSQL instead
          --secret-key-file <file>  The new relay's, when it is not in --data-dir

    Examples:
      cw relay import /data/relay.db --data-dir /var/lib/cw-relay
    """
    import time

    from codewire.relay.premises import lock, prepare
    from codewire.relay.ssh.hostkey import take_over
    from codewire.relay.store.importing import import_go

    settings = _settings(args)
    prepare(settings)
    lock(settings)
    store = _open_store(settings, must_exist=False)
    try:
        rows = import_go(store, args["<database>"], time.time_ns())
        older = os.path.dirname(os.path.abspath(args["<database>"]))
        rows["ssh_host_key"] = int(take_over(store, older))
    finally:
        store.close()
    for name, count in rows.items():
        output.line(f"{name:<24} {count}")
    return 0


def status(args: dict[str, Any], context: Context) -> int:
    """Show how a relay is: what is connected, what it runs on.

    Usage:
      cw relay status [options]

    Options:
          --relay-url <url>         The relay (or CODEWIRE_RELAY_URL)
          --auth-token <token>      Its admin's token (or CW_AUTH_TOKEN)
          --auth-token-file <file>  The same, from a file
          --json                    Print JSON

    Examples:
      cw relay status --relay-url https://relay.example.com
    """
    found = _relay(args, context, "cw relay status").get("/api/v1/admin/status")
    if args["--json"]:
        output.show_json(found)
        return 0
    output.fields([(name.replace("_", " "), found[name]) for name in found], width=24)
    return 0


def rotate_keys(args: dict[str, Any], context: Context) -> int:
    """Make new signing keys, of one network or all.

    Nodes learn of a new key at once; the relay signs with it 16 minutes later, when all of them
    have. What the old key signed stays good until it expires.

    Usage:
      cw relay keys rotate [options]

    Options:
          --network <network>       Only this network's
          --relay-url <url>         The relay (or CODEWIRE_RELAY_URL)
          --auth-token <token>      Its admin's token (or CW_AUTH_TOKEN)
          --auth-token-file <file>  The same, from a file

    Examples:
      cw relay keys rotate --network project-alpha
    """
    body = {"network_id": args["--network"]}
    rotated = _relay(args, context, "cw relay keys rotate").post("/api/v1/admin/keys/rotate", body)[
        "rotated"
    ]
    if not rotated:
        output.note("No network has signed anything yet: there is no key to replace")
    for entry in rotated:
        output.line(f"{entry['network_id']:<24} {entry['key_id']}")
    return 0


def _settings(args: dict[str, Any]) -> Settings:
    from codewire.relay.settings import read_settings

    return read_settings(args, os.environ, os.path.join(paths.data_dir().root, "relay"))


def _open_store(settings: Settings, *, must_exist: bool) -> Any:
    """Return a relay's database. Raises CodewireError."""
    from codewire.credentials.vault import Vault
    from codewire.relay.store.database import FILE_NAME, open_database

    path = os.path.join(settings.data_dir, FILE_NAME)
    if must_exist and not settings.database_url and not os.path.exists(path):
        raise CodewireError(f"no relay has its data in {settings.data_dir}: give --data-dir")
    vault = Vault.open(settings.secret_key_file)
    return open_database(settings.database_url, settings.data_dir, vault)


def _relay(args: dict[str, Any], context: Context, command: str) -> Relay:
    """Return the relay to ask as its admin. Raises CodewireError."""
    context.refuse_server(command)
    from codewire.network.configuration import Given, load_configuration

    token = _settings({**args, "--data-dir": None}).auth_token
    if not token:
        raise UsageError(
            "the admin's token is needed: --auth-token, --auth-token-file or CW_AUTH_TOKEN"
        )
    given = Given(
        url=args["--relay-url"] or "",
        token=token,
        ca=context.ca or "",
        insecure=context.insecure,
    )
    return load_configuration(paths.data_dir().config, given).as_user()
