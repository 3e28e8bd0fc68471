"""Help that belongs to no single command: `cw help exit-codes` and others."""

from __future__ import annotations

EXIT_CODES = """\
Exit codes, for scripts.

  0     Done. 'wait', too, however the sessions ended, unless --exit-status is given
  1     It failed, or was refused: the reason is the line on stderr that begins with Error:
  2     Only 'hook': the tool call is denied
  3     Only 'prompt': the agent stalled, its screen has not changed for 10 s after Enter
  124   The time is up: 'wait', 'request', 'prompt' and 'exec' with --timeout. A session's own 124
        (wait --exit-status) prints no Error: line
  126   'exec': the command cannot be executed
  127   'exec': there is no such command
  130   Interrupted by Ctrl-C
  141   Whoever read stdout has gone

Of a command whose code is another program's:

  wait --exit-status   the session's own code, 128+n if signal n ended it, 1 if it is unknown
  exec                 the command's own code, 128+n if signal n ended it

What one might look at instead of a code:

  watch --timeout      0 when the time is up, with a line on stderr
  wait --state         0 in one of the states, 1 if it ended in another
  kv get               1 if there is no such key, and nothing on stdout
  kv delete            0 also if it was not there; stderr says so
  send, prompt         1 if nothing was typed: stderr says why, --json as well
  kill                 1 if something survived
  status --json        exit_code is -1 if a signal ended the session, and `signal` says which
"""

ENVIRONMENT = """\
Environment variables.

What a session's command finds:

  Everything that the shell has which launches it, as with nohup: PATH, virtual environments,
  exported keys. On top, each over the one before: environment.json in the data directory (an
  object of strings), --env, CW_SESSION_ID, CW_SESSION_NAME, CW_COHORT_TAG (the first tag).
  Left out is what is about another process: CODEWIRE_TOKEN, CODEWIRE_NATS_*,
  CODEWIRE_RELAY_NODE_TOKEN and _INVITE_TOKEN, CLAUDECODE*, TMUX*, STY, SSH_TTY, LINES, COLUMNS,
  and CW_* of other sessions.
  --clean-env leaves HOME, USER, LOGNAME, SHELL, PATH, LANG and TERM, and what --env names.
  [node] env = "node" in config.toml: nothing of the shell's, all that the node was started with.
  On another node: what that node was started with, and what --env names.

What cw reads:

  CODEWIRE_DIR            Data directory instead of ~/.codewire
  CODEWIRE_SERVER         Stands for --server
  CODEWIRE_NODE_NAME      Name of the node; wins over config.toml
  CODEWIRE_LISTEN         Address for other machines, where config.toml names none
  CODEWIRE_EXTERNAL_URL   Where others reach that, where config.toml does not say it
  CODEWIRE_TOKEN          Access token of the node, for its start
  CODEWIRE_RELAY_URL      The relay; wins over relay_url in config.toml
  CODEWIRE_RELAY_NETWORK  The network; wins over 'cw network use'
  CODEWIRE_RELAY_AUTH_TOKEN  Token of a user of the relay; wins over 'cw login'
  CODEWIRE_SERVER_URL     Where 'cw login' goes, and with CODEWIRE_API_KEY a login itself
  CW_CONFIG_DIR           Where the login is kept, instead of ~/.config/cw
  CODEWIRE_RELAY_INVITE_TOKEN  Has a node join a network of the relay by it
  CW_SESSION_ID           The session this command runs in: sender of messages
  CW_DETACH_KEY           Key that detaches, then d (ctrl-b)
  CW_AGENT                What the agent in a session is, where its process does not say it
  CW_NO_TTY_QUERIES       1: the node answers no terminal queries
  CW_RUNTIME              gevent or threads, for the node
  CW_DEBUG                1: tracebacks, and debug lines in the node's log
  NO_COLOR                Anything: no colours
"""

NAMES = """\
How sessions and nodes are named.

  3              A session by its id
  planner        By its name; of several, the running one, else the newest. @planner is the same
  worker         kill, watch, wait and subscribe take a tag as well, where no session has that name
  gpu:planner    On another node, then a session there: a local runtime, a name saved with
                 'cw server add', a node of the relay's network ('cw node list'), one of the fleet
  gpu            A node alone, where a command is about all its sessions (list, kill --all)
  --server gpu   The same for any command; also a URL: wss://host:9100, with --token
  --network team  The node named is one of this network of the relay, not of the selected one

Words of a command that begin with a dash are behind --.
"""

# Name -> what it is about, and its text.
TOPICS = {
    "exit-codes": ("What the exit status of each command means", EXIT_CODES),
    "environment": ("Which variables sessions get, and which cw reads", ENVIRONMENT),
    "names": ("How sessions and nodes are named", NAMES),
}
