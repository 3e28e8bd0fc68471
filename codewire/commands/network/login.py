"""`cw login`, `cw logout`, `cw whoami`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.spinner import Spinner
from codewire.errors import CodewireError, RelayRefused, RelayUnreachable, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.accounts import Device, Session, User
    from codewire.network.exchange import Server

DEFAULT_SERVER = "https://codewire.sh"
# Whoever confirms at once need not wait for the server's whole interval.
FIRST_POLL_SECONDS = 1.0
# What a server that is asked too often wants (RFC 8628 3.5).
SLOWER_SECONDS = 5.0
# A line longer than this is no token.
MAX_TOKEN = 4096
ENDS = {403: "login denied", 410: "the code has expired: log in again"}
TOKENS = ("CODEWIRE_API_KEY", "CODEWIRE_RELAY_AUTH_TOKEN")
LOOPBACK = ("localhost", "127.", "[::1]")


def login(args: dict[str, Any], context: Context) -> int:
    """Log in to a relay or a platform, by a code that you confirm in a browser.

    The login serves the network commands, and nodes that enrol in your name. It is sent to that
    server and to the relay you have configured, to nobody else, and changes nothing about sessions.

    Usage:
      cw login [options]

    Options:
      -s, --server <url>         Where to (or CODEWIRE_SERVER_URL; default: the last one)
          --password             Ask for mail address and password, here
          --token <token>        Keep this session, API key or admin's token; - reads it from stdin
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw login --server https://relay.example.com
      cw login --server https://relay.example.com --token - < /etc/cw/admin-token
    """
    from codewire.network import accounts
    from codewire.network.exchange import Server
    from codewire.network.logins import save_login

    if args["--password"] and args["--token"] is not None:
        raise UsageError("--password and --token are two ways; use one of them")
    url = _server_url(context.named_server)
    server = Server(url, context.ca or "", context.insecure)
    if context.token:
        token = _token(context.token)
        session = accounts.Session(token, _whose(server, token))
    elif args["--password"]:
        session = _by_password(server)
    else:
        session = _by_device(server)
    save_login(os.environ, url, session.token)
    showing.say(
        args,
        {"server_url": url, "user": session.user._asdict()},
        f"Logged in to {url} as {session.user.label}",
    )
    _use_as_relay(server)
    return 0


def _server_url(named: str | None) -> str:
    """Return where to log in. Raises RelayError for what is no URL."""
    from codewire.network.configuration import load_configuration
    from codewire.network.exchange import parse_base
    from codewire.network.logins import HOSTED_RELAY, login_of

    url = named or login_of(os.environ).server
    if not url:
        relay = load_configuration(data_dir().config).url
        url = relay if relay and HOSTED_RELAY not in relay else DEFAULT_SERVER
    if "://" not in url:
        url = f"{'http' if url.startswith(LOOPBACK) else 'https'}://{url}"
    parse_base(url)
    return url.rstrip("/")


def _token(given: str) -> str:
    if given != "-":
        return given.strip()
    token = sys.stdin.readline(MAX_TOKEN).strip() if sys.stdin is not None else ""
    if not token:
        raise UsageError("no token on stdin")
    return token


def _whose(server: Server, token: str) -> User:
    from codewire.network.accounts import whose

    try:
        with Spinner(f"waiting for {server.url}"):
            return whose(server, token)
    except RelayRefused as error:
        if error.status == 401:
            raise CodewireError(f"{server.url} does not accept this token") from error
        raise


def _by_password(server: Server) -> Session:
    from codewire.network.accounts import complete, sign_in

    email, password = _asked("Email: "), _asked("Password: ", is_secret=True)
    with Spinner(f"waiting for {server.url}"):
        session = sign_in(server, email, password)
    if session.second_factor:
        code = _asked("2FA Code: ")
        with Spinner(f"waiting for {server.url}"):
            session = complete(server, session, code)
    if not session.token:
        raise CodewireError("login failed: the server wants one more step than is known here")
    return session


def _asked(question: str, *, is_secret: bool = False) -> str:
    if is_secret and sys.stdin is not None and sys.stdin.isatty():
        answer = _typed_blindly(question)
    else:
        answer = asking.ask(question)
    if not answer:
        raise CodewireError(f"login failed: {question.rstrip(': ')} is empty")
    return answer


def _typed_blindly(question: str) -> str:
    import getpass

    try:
        return getpass.getpass(question)
    except BaseException as error:
        # Neither ^C nor ^D is shown: what comes next is to have a line of its own.
        output.note("")
        if isinstance(error, EOFError):
            raise CodewireError(f"no answer to {question.rstrip(': ')}") from error
        raise


def _by_device(server: Server) -> Session:
    from codewire.network.accounts import begin_device

    try:
        with Spinner(f"waiting for {server.url}"):
            device = begin_device(server)
    except RelayRefused as error:
        if error.status in (404, 405, 501):
            words = f"{server.url} cannot log programs in; pass --token"
            raise CodewireError(words) from error
        raise
    output.note(f"Open {device.url}\nand confirm the code {device.user_code}")
    try:
        with Spinner("waiting for you to confirm", 0.0):
            return _await(server, device)
    except RelayRefused as error:
        raise CodewireError(ENDS.get(error.status, str(error))) from error


def _await(server: Server, device: Device) -> Session:
    """Return the session once the code is confirmed. Raises CodewireError, RelayRefused."""
    from codewire.network.accounts import SLOW_DOWN, poll_device

    deadline = time.monotonic() + device.expires
    pause, interval = min(FIRST_POLL_SECONDS, device.interval), float(device.interval)
    while time.monotonic() < deadline:
        time.sleep(pause)
        pause = interval
        try:
            found = poll_device(server, device)
        except RelayUnreachable:
            # It may be back before the code is too old.
            continue
        except RelayRefused as error:
            if not error.is_transient:
                raise
            found = SLOW_DOWN
        if not isinstance(found, str):
            return found
        if found == SLOW_DOWN:
            pause = interval = interval + SLOWER_SECONDS
    raise CodewireError("the code has expired: log in again")


def _use_as_relay(server: Server) -> None:
    """Have the server be the relay in use, where it is one and nothing depends on another.

    Says what keeps the login from being used. Raises ConfigError.
    """
    from codewire.network import configuration
    from codewire.network.exchange import is_same_url
    from codewire.network.logins import Login

    for name in TOKENS:
        if os.environ.get(name, "").strip():
            output.notice(f"{name} is set and counts before this login")
    path = data_dir().config
    relay = configuration.load_configuration(path)
    if is_same_url(relay.url, Login(server.url).relay_url()):
        return
    is_bound = relay.node_token or relay.invite_token
    is_bound = is_bound or os.environ.get("CODEWIRE_RELAY_URL", "").strip()
    if not is_bound and _is_relay(server):
        configuration.save(path, {configuration.URL: server.url})
        output.notice(f"the relay in use is {server.url} from now on; it was {relay.url}")
    else:
        output.notice(f"the relay in use stays {relay.url}; this login is used there, too")


def _is_relay(server: Server) -> bool:
    from codewire.errors import RelayError
    from codewire.network.relay import Relay

    try:
        return bool(Relay(server).auth_mode())
    except RelayError:
        return False


def logout(args: dict[str, Any], context: Context) -> int:
    """Log out: end the session and forget it. Nodes that are enrolled stay so.

    Usage:
      cw logout [options]

    Options:
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw logout
    """
    from codewire.network import configuration
    from codewire.network.logins import Login, forget_login, login_of, read_stored

    stored = login_of({**os.environ, "CODEWIRE_SERVER_URL": "", "CODEWIRE_API_KEY": ""})
    has_file = bool(read_stored(os.environ))
    forget_login(os.environ)
    if os.path.exists(data_dir().config):
        configuration.save(data_dir().config, {configuration.SESSION: ""})
    if stored.token:
        _end(stored, context)
    showing.say(
        args,
        {"server_url": stored.server or None, "was_logged_in": has_file},
        f"Logged out of {stored.server}" if stored != Login() else "Not logged in",
    )
    for name in TOKENS:
        if os.environ.get(name, "").strip():
            output.notice(f"{name} is still set")
    return 0


def _end(stored: Any, context: Context) -> None:
    """End the session at its server; where that fails it ends by itself one day."""
    from codewire.errors import RelayError
    from codewire.network.accounts import sign_out
    from codewire.network.exchange import Server

    try:
        with Spinner(f"waiting for {stored.server}"):
            sign_out(Server(stored.server, context.ca or "", context.insecure), stored.token)
    except RelayRefused as error:
        if error.status != 401:
            output.notice(f"the session is forgotten here but not ended there: {error}")
    except RelayError as error:
        output.notice(f"the session is forgotten here but not ended there: {error}")


def whoami(args: dict[str, Any], context: Context) -> int:
    """Say as whom the network commands act, and where.

    Usage:
      cw whoami [options]

    Options:
          --relay-url <url>      Ask this relay
          --token <token>        Whose token this is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw whoami
    """
    from codewire.network.exchange import Server
    from codewire.network.logins import login_of

    relay, stored = asking.configuration(args, context), login_of(os.environ)
    is_told = bool(context.token or args["--relay-url"])
    is_told = is_told or bool(os.environ.get("CODEWIRE_RELAY_AUTH_TOKEN", "").strip())
    if not is_told and stored.server and stored.token:
        server = Server(stored.server, context.ca or "", context.insecure)
        token = stored.token
    else:
        if not (is_told or relay.user_token):
            raise CodewireError("not logged in (run: cw login)")
        relay = asking.allowed(relay)
        relay.as_user()
        server, token = relay.server, relay.user_token
    user = _whose(server, token)
    if output.wants_json(args):
        network = relay.network or None
        output.show_json({"server_url": server.url, "user": user._asdict(), "network": network})
        return 0
    output.fields(
        [
            ("User", user.label),
            ("Subject", user.id if user.id != user.label else None),
            ("Server", server.url),
            ("Relay", relay.url if relay.url != server.url else None),
            ("Network", relay.network or "none"),
        ],
        width=10,
    )
    return 0
