"""Tools for environments (spec/mcp.md 6): local runtimes; hosted ones need a platform login.

Without one each answers with the same clear line for those, so an agent knows at once that it is
not its arguments.
"""

from __future__ import annotations

import os
from typing import Any

from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import Run, Tool
from codewire.paths import has_runtimes, home


def unavailable(client: CallClient, args: dict[str, Any]) -> str:
    """Say why no environment can be reached."""
    directory = os.environ.get("CW_CONFIG_DIR") or os.path.join(home(), ".config", "cw")
    path = os.path.join(directory, "config.json")
    if os.path.exists(path) or os.environ.get("CODEWIRE_API_KEY"):
        raise RequestError(
            "hosted environments are not supported by this version; codewire_create_environment "
            "with backend: local makes one on this machine"
        )
    raise RequestError(
        f"not logged in to Codewire platform (no {path}), and hosted environments are not in this "
        "version; codewire_create_environment with backend: local makes one on this machine"
    )


def create(client: CallClient, args: dict[str, Any]) -> str | list[str]:
    """Run codewire_create_environment."""
    if not args["backend"]:
        return unavailable(client, args)
    from codewire.mcp import local_environments

    return local_environments.create(client, args)


def list_environments(client: CallClient, args: dict[str, Any]) -> str | list[str]:
    """Run codewire_list_environments."""
    if not has_runtimes():
        return unavailable(client, args)
    from codewire.mcp import local_environments

    return local_environments.list_environments(args)


def list_presets(client: CallClient, args: dict[str, Any]) -> str | list[str]:
    """Run codewire_list_presets: those in the files of a project."""
    from codewire.mcp import local_environments

    found = local_environments.list_presets(args)
    # Where nothing of this machine is meant, say why there is nothing.
    is_local = args["path"] or has_runtimes() or isinstance(found, list)
    return found if is_local else unavailable(client, args)


def on_one(name: str) -> Run:
    """Return a tool's work on the runtime its environment_id means, by the name of what does it."""

    def work(client: CallClient, args: dict[str, Any]) -> str | list[str]:
        if not has_runtimes():
            return unavailable(client, args)
        from codewire.mcp import local_environments
        from codewire.runtimes.records import load

        instance = local_environments.find(args)
        if instance is None:
            raise RequestError(
                f'environment "{args["environment_id"]}" not found; on this machine: '
                f"{', '.join(load()) or 'none'}",
                "no_such_environment",
            )
        found: str | list[str] = getattr(local_environments, name)(client, instance, args)
        return found

    return work


ENVIRONMENT = Param(
    "environment_id", "string", "The environment's id; of a local one its name", required=True
)
PATH = Param("path", "string", "Path inside the environment", required=True)

_CREATE = (
    Param(
        "backend",
        "string",
        "local: a container on this machine, by the engine that is installed, or by the one named",
        choices=("local", "docker", "podman", "incus"),
    ),
    Param("path", "string", "Local: the project's directory (default: this server's)"),
    Param("file", "string", "Local: its preset file (default codewire.yaml, if it is there)"),
    Param(
        "run_setup",
        "boolean",
        "Local: run install and startup of the project's file. Show them to your user first",
        default=False,
    ),
    Param("preset_id", "string", "Preset by id (one of preset_id, preset_slug, image)"),
    Param("preset_slug", "string", "Preset by slug"),
    Param("image", "string", "Container image"),
    Param("name", "string", "Name of the environment"),
    Param("ttl", "string", "Delete after this long, e.g. 1h"),
    Param("cpu", "integer", "Millicores"),
    Param("memory", "integer", "MB"),
    Param("disk", "integer", "GB"),
    Param("repo_url", "string", "Repository to clone"),
    Param("branch", "string", "Branch to check out"),
    Param("install_command", "string", "Runs once after cloning"),
    Param("startup_script", "string", "Runs at every start"),
    Param("agent", "string", "Agent to install"),
    Param("env_vars", "pairs", 'Environment variables, e.g. ["LANG=C"]'),
    Param("secret_project", "string", "Project whose secrets are included"),
    Param("include_org_secrets", "boolean", "Default true", default=True),
    Param("include_user_secrets", "boolean", "Default true", default=True),
    Param("network", "string", "Network to join"),
)

_LIST = (
    Param("type", "string", "Kind of environment", choices=("coder", "sandbox", "local")),
    Param("state", "string", "Only environments in this state"),
    Param("include_destroyed", "boolean", "Also deleted ones (default false)", default=False),
)

_EXEC = (
    ENVIRONMENT,
    Param("command", "strings", "The program and its arguments", required=True),
    Param("working_dir", "string", "Default /workspace", default="/workspace"),
    Param(
        "timeout", "integer", "End it after so many seconds, 124 (default 30; 0: never)", default=30
    ),
)

_UPLOAD = (
    ENVIRONMENT,
    PATH,
    Param("content", "string", "The file's text (absent: an empty file)", default=""),
)

_PLACE = " Local ones are containers on this machine; hosted ones need a platform login."

TOOLS = tuple(
    Tool(f"codewire_{name}", text + _PLACE, params, run)
    for name, text, params, run in (
        ("list_environments", "List environments as JSON.", _LIST, list_environments),
        ("create_environment", "Create an environment from a preset or an image.", _CREATE, create),
        ("get_environment", "Get one environment as JSON.", (ENVIRONMENT,), on_one("get")),
        ("start_environment", "Start a stopped environment.", (ENVIRONMENT,), on_one("start")),
        ("stop_environment", "Stop a running environment.", (ENVIRONMENT,), on_one("stop")),
        ("delete_environment", "Delete an environment for good.", (ENVIRONMENT,), on_one("delete")),
        (
            "exec_in_environment",
            "Run one command; JSON {exit_code, stdout, stderr}.",
            _EXEC,
            on_one("run"),
        ),
        (
            "list_files",
            "List a directory of an environment as JSON.",
            (ENVIRONMENT, Param("path", "string", "Default /workspace", default="/workspace")),
            on_one("list_files"),
        ),
        (
            "upload_file",
            "Write a text file into an environment.",
            _UPLOAD,
            on_one("upload"),
        ),
        (
            "download_file",
            "Read a text file from an environment.",
            (ENVIRONMENT, PATH),
            on_one("download"),
        ),
        (
            "get_environment_logs",
            "Provisioning and startup log as JSON.",
            (ENVIRONMENT,),
            on_one("logs"),
        ),
        (
            "list_presets",
            "List presets as JSON: codewire.yaml and NAME.codewire.yaml of a project.",
            (Param("path", "string", "The project's directory (default: this server's)"),),
            list_presets,
        ),
    )
)
