"""Tools for hosted environments (spec/mcp.md 6). They need a platform login; without one each
answers with the same clear line, so an agent knows at once that it is not its arguments.
"""

from __future__ import annotations

import os
from typing import Any

from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import Tool
from codewire.paths import home


def unavailable(client: CallClient, args: dict[str, Any]) -> str:
    """Say why no environment can be reached."""
    directory = os.environ.get("CW_CONFIG_DIR") or os.path.join(home(), ".config", "cw")
    path = os.path.join(directory, "config.json")
    if os.path.exists(path) or os.environ.get("CODEWIRE_API_KEY"):
        raise RequestError("hosted environments are not supported by this version")
    raise RequestError(
        f"not logged in to Codewire platform (no {path}), and hosted environments are not in this "
        "version"
    )


ENVIRONMENT = Param("environment_id", "string", "The environment's id", required=True)
PATH = Param("path", "string", "Path inside the environment", required=True)

_CREATE = (
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
    Param("type", "string", "Kind of environment", choices=("coder", "sandbox")),
    Param("state", "string", "Only environments in this state"),
    Param("include_destroyed", "boolean", "Also deleted ones (default false)", default=False),
)

_EXEC = (
    ENVIRONMENT,
    Param("command", "strings", "The program and its arguments", required=True),
    Param("working_dir", "string", "Default /workspace", default="/workspace"),
    Param("timeout", "integer", "Seconds (default 30)", default=30),
)

_UPLOAD = (
    ENVIRONMENT,
    PATH,
    Param("content", "string", "The file's text (absent: an empty file)", default=""),
)

_NEEDS_LOGIN = " Needs a platform login."

TOOLS = tuple(
    Tool(f"codewire_{name}", text + _NEEDS_LOGIN, params, unavailable)
    for name, text, params in (
        ("list_environments", "List hosted environments as JSON.", _LIST),
        ("create_environment", "Create a hosted environment from a preset or an image.", _CREATE),
        ("get_environment", "Get one environment as JSON.", (ENVIRONMENT,)),
        ("start_environment", "Start a stopped environment.", (ENVIRONMENT,)),
        ("stop_environment", "Stop a running environment.", (ENVIRONMENT,)),
        ("delete_environment", "Delete an environment for good.", (ENVIRONMENT,)),
        ("exec_in_environment", "Run one command; JSON {exit_code, stdout, stderr}.", _EXEC),
        (
            "list_files",
            "List a directory of an environment as JSON.",
            (ENVIRONMENT, Param("path", "string", "Default /workspace", default="/workspace")),
        ),
        ("upload_file", "Write a text file into an environment.", _UPLOAD),
        ("download_file", "Read a text file from an environment.", (ENVIRONMENT, PATH)),
        ("get_environment_logs", "Provisioning and startup log as JSON.", (ENVIRONMENT,)),
        ("list_presets", "List presets as JSON.", ()),
    )
)
