"""`cw init` and `cw preset init`: write a project's codewire.yaml, offline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context


def init(args: dict[str, Any], context: Context) -> int:
    """Write a codewire.yaml for this project: image, commands, variables, ports.

    Usage:
      cw init [options]
      cw preset init [options]

    Options:
          --file <file>          The file [default: codewire.yaml]
          --force                Replace one that is there
          --image <image>        Image [default: base]
          --install <command>    Run once, in /workspace
          --startup <command>    Run at the end, as a session that goes on
          --env <KEY=VALUE>...   Set a variable inside; repeatable
          --port <port>...       Publish [host:]port; repeatable
          --agent <name>         Agent to use
          --cpu <n>              Millicores
          --memory <n>           MB
          --disk <n>             GB

    Examples:
      cw init --image python:3.12 --install "pip install -r requirements.txt"
      cw local create --backend docker
    """
    from codewire.commands.runtime.create import _env
    from codewire.runtimes.spec import Spec, canonical_agent, parse_port
    from codewire.runtimes.yamlwriting import write_spec

    spec = Spec().merged(
        image=args["--image"],
        install=args["--install"],
        startup=args["--startup"],
        env=_env(args["--env"]),
        ports=tuple(parse_port(text) for text in args["--port"]),
        tools=(canonical_agent(args["--agent"]),) if args["--agent"] else (),
        **{key: args[f"--{key}"] or 0 for key in ("cpu", "memory", "disk")},
    )
    write_spec(os.path.abspath(args["--file"]), spec, replaces=bool(args["--force"]))
    output.note(f"codewire.yaml written: {args['--file']}\nNext:\n  cw local create")
    return 0
