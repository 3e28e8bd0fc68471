"""The entry of `cw hook` in an agent's settings.json: put there once, the rest left as it is."""

from __future__ import annotations

import json
from typing import Any

COMMAND, STRICT = "cw hook", "cw hook --strict"
EVENT = "PreToolUse"


def edit(before: str | None, is_strict: bool) -> str:
    """Return a settings.json that runs `cw hook` before each tool. Raises ValueError.

    One that is there already stays; strict or not is changed in place.
    """
    settings = json.loads(before) if before and before.strip() else {}
    if not isinstance(settings, dict):
        raise ValueError("it is no JSON object")
    hooks = settings.setdefault("hooks", {})
    entries = hooks.setdefault(EVENT, []) if isinstance(hooks, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it has no hooks as they are known")
    command = STRICT if is_strict else COMMAND
    found = [hook for hook in _commands(entries) if hook["command"] in (COMMAND, STRICT)]
    if before is not None and any(hook["command"] == command for hook in found):
        return before
    for hook in found:
        hook["command"] = command
    if not found:
        entries.append({"hooks": [{"type": "command", "command": command}]})
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _commands(entries: list[Any]) -> list[dict[str, Any]]:
    return [
        hook
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("hooks"), list)
        for hook in entry["hooks"]
        if isinstance(hook, dict) and isinstance(hook.get("command"), str)
    ]
