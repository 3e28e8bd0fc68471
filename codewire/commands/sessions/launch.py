"""`cw launch`: start a session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output, usage
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context

# The request is one control frame of at most 16 MiB, and base64 makes 4 bytes of 3.
MAX_PROMPT = 12 * 1024 * 1024 - 256 * 1024


def launch(args: dict[str, Any], context: Context) -> int:
    """Start a session: a command that runs on in its own terminal, whoever is connected.

    Everything after -- is the command, exactly as it is run: no shell, no quoting. The name and
    the tag before it are optional; names are unique among running sessions. The command gets the
    environment of this shell, PATH included; on another node that node's, and what --env names.

    Usage:
      cw launch [options] -- <command>...
      cw launch [options] <name> -- <command>...
      cw launch [options] <name> <tag> -- <command>...

    Options:
      -d, --dir <dir>            Working directory (default: the current one; where another node
                                 has none of that name, the home directory there)
          --name <name>          Name of the session: letters, digits and hyphens, at most 32
      -t, --tag <tag,...>        Tag the session; repeatable
          --on <target>          Start it in this local runtime or on this node (local: here)
      -e, --env <KEY=VALUE>...   Set a variable in its environment; repeatable
          --clean-env            Of the environment only HOME, USER, LOGNAME, SHELL, PATH, LANG,
                                 TERM, and what --env names
          --no-save-env          Do not keep its environment for 'cw relaunch' (a file, mode 0600)
          --restart <on-failure|always>  Start it again when it ends, after growing pauses
          --max <count>          With --restart: so many times at most
          --size <COLSxROWS>     Size of its terminal until someone attaches (default: 80x24)
          --prompt <text>        Submit a text once the program is ready for input
          --prompt-file <file>   The same with the content of a file
          --auto-approve         Add --dangerously-skip-permissions to the agent's arguments
          --group <group>        Put the named session into a messaging group; where the node has
                                 a relay, one that is there (cw group create)
      -j, --json                 Print {"id": …} of the session on stdout
      -q, --quiet                Print only its id, on stdout

    Examples:
      cw launch -- claude -p "fix the auth bug"
      cw launch planner -- claude -p "plan the refactor"
      cw launch --dir ~/project --tag worker -- claude -p "add unit tests"
      cw launch -- bash -c "npm test && npm run lint"
      id=$(cw launch --quiet -- make all) && cw wait "$id"
    """
    command = args["<command>"]
    _check_filled(args)
    if args["--json"] or args["--quiet"]:
        output.require_stdout()
    if args["--auto-approve"]:
        command = [command[0], "--dangerously-skip-permissions", *command[1:]]
    _check_text(command)
    cols, rows = _size(args["--size"])
    _check_cells(args["--size"], cols, rows)
    text = _prompt(args)
    if args["--group"] and context.named_server:
        raise UsageError(
            "--group cannot be combined with --server: a node's name may stand before the session's"
        )
    client, name = _placement(args, context)
    directory, tags = args["--dir"], _tags(args, name)
    instance = context.exec_runtime(args["--on"], client)
    if instance is not None:
        from codewire.commands.runtime.sessions import inside_argv
        from codewire.runtimes.setup import runtime_tag

        command = inside_argv(instance, command, directory, _env(args["--env"]))
        tags, directory = [*tags, runtime_tag(instance)], "/"
    is_submitted = text is not None and client.knows("submit")
    session_id = client.launch(
        command,
        working_dir=directory,
        name=name,
        tags=tags,
        env=[*_terminal_env(client, args["--clean-env"]), *_env(args["--env"])],
        clean_env=args["--clean-env"],
        save_env=not args["--no-save-env"],
        **_restart(args),
        stdin_data=b"" if text is None or is_submitted else text,
        cols=cols,
        rows=rows,
    )
    _announce(args, session_id, name, command)
    return _submit(client, session_id, text) if text is not None and is_submitted else 0


def _restart(args: dict[str, Any]) -> dict[str, Any]:
    if not args["--restart"] and args["--max"] is None:
        return {}
    from codewire.commands.sessions.relaunch import restart_fields

    return restart_fields(args)


def _check_filled(args: dict[str, Any]) -> None:
    """Refuse words that are there but empty: a variable of a script that was not set."""
    if not args["<command>"][0]:
        raise UsageError("the command is empty")
    for word, what in (
        ("<name>", "name"),
        ("--name", "name"),
        ("<tag>", "tag"),
        ("--group", "group"),
    ):
        if args[word] == "":
            raise UsageError(f"the {what} is empty")


def _submit(client: Client, session_id: int, text: bytes) -> int:
    """Type the first prompt once the program is ready, and say what became of it."""
    from codewire.client.prompting import REFUSED, TYPED, refusal

    answer = client.submit(
        session_id, text.decode("utf-8", "surrogateescape"), paste=True, prompt=True
    )
    if answer.verdict == REFUSED:
        words = refusal(session_id, answer).splitlines()
        output.note("\n".join(map(output.plain, ["prompt not typed", *words])))
        return 1
    output.note(f"prompt {'typed, not confirmed' if answer.verdict == TYPED else 'submitted'}")
    return 0


def split_command(
    command: str, argv: list[str], options: tuple[usage.Option, ...], doc: str
) -> tuple[list[str], list[str]]:
    """Split at the first `--`: our own words, then the session's argv. Raises UsageError.

    Before the split nothing may be read as a flag: it could belong to the session's command.
    """
    if "--" in argv:
        at = argv.index("--")
        own, trailer = argv[:at], argv[at + 1 :]
        line = usage.scan(own, options)
        if not line.values.get("--help"):
            _check_words(line.words, trailer)
        return own, trailer
    line = usage.scan(argv, options, stop_at_word=True)
    if line.values.get("--help"):
        return ["--help"], []
    if not line.words:
        raise UsageError("command required", usage.usage_text(doc))
    from shlex import join

    raise UsageError(
        f"missing '--' before command\n\nDid you mean: cw {command} -- {join(line.words)}",
        usage.usage_text(doc),
    )


def _check_words(words: list[str], trailer: list[str]) -> None:
    if len(words) > 2:
        raise UsageError("expected at most two positional args (name, tag) before --")
    if not trailer:
        raise UsageError("command required after --")


def _placement(args: dict[str, Any], context: Context) -> tuple[Client, str | None]:
    """Return the node to launch on and the session's name, from `[node:]name` before `--`."""
    word = args["<name>"]
    name = args["--name"] or None
    if args["--on"]:
        return context.client_on(args["--on"]), name or word
    if word and ":" in word:
        client, word = context.locate(word)
        return client, name or word
    if context.names_node(word):
        return context.client_of(word), name
    return context.client(), name or word


def _tags(args: dict[str, Any], name: str | None) -> list[str]:
    tags = list(args["--tag"])
    if args["<tag>"]:
        tags.append(args["<tag>"])
    if args["--group"]:
        if not name:
            raise UsageError("--group requires --name")
        tags.append(f"group:{args['--group']}")
    return tags


def _check_text(command: list[str]) -> None:
    """Refuse what JSON cannot carry: another command than the one typed would run."""
    for number, argument in enumerate(command):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"argument {number} of the command is not valid UTF-8") from None


def _env(entries: list[str]) -> list[str]:
    for entry in entries:
        if "=" not in entry[1:]:
            raise UsageError(f'invalid argument "{entry}" for "-e, --env" flag: must be KEY=VALUE')
    return entries


def _terminal_env(client: Client, is_clean: bool) -> list[str]:
    """Return what this terminal can do, for another node; a local one gets it with the rest."""
    if client.route.shares_environment:
        return []
    from codewire.environment import terminal_variables

    found = terminal_variables(os.environ)
    return [f"{name}={found[name]}" for name in (("TERM",) if is_clean else found)]


def _size(text: str | None) -> tuple[int | None, int | None]:
    """Return columns and rows of `--size 200x50`, None where the node is to choose."""
    if text is None:
        return None, None
    cols, _, rows = text.partition("x")
    if all(part.isascii() and part.isdigit() and 0 < int(part) <= 0xFFFF for part in (cols, rows)):
        return int(cols), int(rows)
    raise UsageError(
        f'invalid argument "{text}" for "--size" flag: must be COLSxROWS, each from 1 to 65535'
    )


def _check_cells(text: str | None, cols: int | None, rows: int | None) -> None:
    """Raise UsageError for a terminal that is too large, before anything is started."""
    from codewire.wire.sizes import MAX_CELLS, is_allowed

    if not is_allowed(rows or 1, cols or 1):
        raise UsageError(f'invalid argument "{text}" for "--size" flag: at most {MAX_CELLS} cells')


def _prompt(args: dict[str, Any]) -> bytes | None:
    text, path = args["--prompt"], args["--prompt-file"]
    if text is not None and path is not None:
        raise UsageError("--prompt and --prompt-file are mutually exclusive")
    if path is None:
        return None if text is None else str(text).encode("utf-8", "surrogateescape")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_PROMPT + 1)
    except OSError as error:
        raise UsageError(f"reading prompt file: {output.go_cause(error)}") from error
    if len(data) > MAX_PROMPT:
        raise UsageError(f"reading prompt file: {path} is larger than {MAX_PROMPT} bytes")
    return data


def _announce(args: dict[str, Any], session_id: int, name: str | None, command: list[str]) -> None:
    if args["--json"]:
        named = {"name": name} if name else {}
        output.line(output.compact_json({"id": session_id, **named}))
    elif args["--quiet"]:
        output.line(str(session_id))
    else:
        from codewire.term.width import printable

        output.note(f"Session {session_id} launched: {printable(' '.join(command))}")
