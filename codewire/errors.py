"""The error tree. Every class owns its exit code; `str(error)` is the one line a user sees.

CodewireError              1
├── UsageError             1   the command line is wrong
├── ConfigError            1   a configuration file or variable cannot be used
├── ProtocolError          1   the peer sent what the wire format does not allow
├── RequestError           1   the node refused a request
│   ├── NoSuchName         1   no session has that name, or tag
│   ├── WaitTimedOut     124   what was waited for has not come in time
│   ├── RequestTimedOut  124   nobody replied to a request in time; a late reply is kept
│   ├── LogUnavailable     1   a session's output cannot be read
│   └── CredentialError    1   a token is not what it must be, or a secret cannot be opened
├── NodeUnreachable        1   no node can be reached or started
│   ├── NodeRefused        1   what answers will not serve us, however often it is asked
│   │   └── NodeHungUp     1   it closed the connection in good order instead of answering
│   ├── NoWorker           1   the node's keeper answers that its worker cannot start
│   └── NodeSilent         1   a node lets clients in but does not answer
│       └── OutOfTime    124   it did not answer before the caller's own deadline
├── ConnectionLost         1   the node went away in the middle of an answer
├── NodeRunning            1   another node owns the data directory
├── LaunchError            1   a session cannot be started
├── RelayError             1   a relay cannot be asked, or its answer not understood
│   ├── RelayUnreachable   1   nobody answers there now
│   └── RelayRefused       1   it answered no: `status` and `text`
├── StoreError             1   a relay's database cannot be used
│   └── Unavailable        1   it cannot for the moment: what was asked may be asked again
├── BadValue               1   a value that no column of a database can hold
├── KeeperError            1   keeper and worker cannot work together
└── OutOfThreads           1   the machine gives the node no more threads: one client too many

Messages say what happened and, where there is something to do, what to do next. `code` says it in
one word for programs: what the node said (wire/codes.py), else the class's own; "" where neither.
"""


class CodewireError(Exception):
    """Base of everything Codewire raises on purpose."""

    exit_code = 1
    code = ""


class UsageError(CodewireError):
    """The command line is wrong; `usage`, when given, is printed after the message."""

    code = "usage"

    def __init__(self, message: str, usage: str = "", code: str = "") -> None:
        super().__init__(message)
        self.usage = usage
        self.code = code or self.code


class ConfigError(CodewireError):
    """A configuration file or variable cannot be used."""

    code = "bad_config"


class ProtocolError(CodewireError):
    """The peer sent what the wire format does not allow."""

    code = "bad_protocol"


class RequestError(CodewireError):
    """The request is refused; the message goes to the client as it is.

    `code` says why in one word (wire/codes.py), "" where nobody said.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code


class NoSuchName(RequestError):
    """No session has that name, or tag: the client has looked."""

    code = "no_such_session"


class RequestTimedOut(RequestError):
    """Nobody replied to a request in time; `note` says if it was delivered otherwise than asked."""

    exit_code = 124

    def __init__(self, message: str, request_id: str = "", note: str = "") -> None:
        super().__init__(message, "timed_out")
        self.request_id = request_id
        self.note = note


class WaitTimedOut(RequestError):
    """What was waited for has not come in time."""

    exit_code = 124

    def __init__(self, message: str) -> None:
        super().__init__(message, "timed_out")


class LogUnavailable(RequestError):
    """A session's output cannot be read; `cause` is why."""

    code = "unavailable"

    def __init__(self, cause: str) -> None:
        super().__init__(f"failed to read session log: {cause}")


class CredentialError(RequestError):
    """A token is forged, expired, used up or meant for another, or a secret cannot be opened."""

    code = "unauthorised"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class NodeUnreachable(CodewireError):
    """No node can be reached or started."""

    code = "unreachable"


class NoWorker(NodeUnreachable):
    """The node's keeper answers itself: its worker cannot start. The message is the node's."""

    code = "no_worker"


class NodeSilent(NodeUnreachable):
    """A node lets clients in but does not answer; `is_stopped` if its worker is seen stopped."""

    code = "silent"

    def __init__(self, message: str, is_stopped: bool = False) -> None:
        super().__init__(message)
        self.is_stopped = is_stopped


class OutOfTime(NodeSilent):
    """The node did not answer before the deadline that the caller had set."""

    exit_code = 124
    code = "timed_out"


class NodeRefused(NodeUnreachable):
    """What answers there will not serve us: a wrong token, no node, no valid certificate."""

    code = "refused"


class NodeHungUp(NodeRefused):
    """What answers read the request and closed the connection in good order, without an answer."""

    code = "connection_lost"


class ConnectionLost(CodewireError):
    """The node went away in the middle of an answer."""

    code = "connection_lost"


class NodeRunning(CodewireError):
    """Another node owns the data directory."""

    code = "node_running"

    def __init__(self, pid: int) -> None:
        super().__init__(f"node already running (pid {pid})")
        self.pid = pid


class LaunchError(RequestError):
    """A session cannot be started; nothing was."""


class RelayError(CodewireError):
    """A relay cannot be asked, or what it answers is not understood."""

    code = "relay"


class RelayUnreachable(RelayError):
    """No relay answers there now; it may later."""

    code = "unreachable"


class RelayRefused(RelayError):
    """A relay answered with an error. `text` is its own words, "" where it had none."""

    code = "refused"

    def __init__(self, message: str, status: int, text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.text = text

    @property
    def is_transient(self) -> bool:
        """Say whether the same may succeed later."""
        return self.status in (408, 425, 429) or (self.status >= 500 and self.status != 501)


class StoreError(CodewireError):
    """A relay's database cannot be reached, is too old or damaged; the message says what to do."""

    code = "unavailable"


class Unavailable(StoreError):
    """The database does not serve for the moment; nothing is known to be lost."""


class BadValue(CodewireError):
    """A value that cannot be kept: a text with NUL, a huge number, a key of a kind not taken."""

    code = "bad_request"


class KeeperError(CodewireError):
    """Keeper and worker cannot work together."""

    code = "unavailable"


class OutOfThreads(CodewireError):
    """The machine gives the node no more threads (limits, memory). Who is served goes on."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__("too many clients: the node cannot start another thread")
