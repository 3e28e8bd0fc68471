"""Hooks of agent programs that run `cw report`: put into the programs' own settings, and taken out.

Only entries that carry MARK are ours; everything else in those files stays as it is. Which events
there are was seen firing: see docs/agents.md.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.files import open_regular, read_regular
from codewire.paths import check_owner, home

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "# cw integrate"
BEGIN, END = f"{MARK}: begin", f"{MARK}: end"
MAX_BYTES = 4 << 20

# Event -> what is reported, and which of its occurrences (a matcher), "" for all.
CLAUDE = {
    "SessionStart": ("idle", ""),
    "UserPromptSubmit": ("working", ""),
    "PermissionRequest": ("blocked", "*"),
    "PostToolUse": ("working", "*"),
    "Stop": ("done", ""),
    "StopFailure": ("error", ""),
    "SessionEnd": ("idle", ""),
}
GEMINI = {
    "SessionStart": ("idle", ""),
    "BeforeAgent": ("working", ""),
    "Notification": ("blocked", "ToolPermission"),
    "AfterTool": ("working", "*"),
    "AfterAgent": ("done", ""),
    "SessionEnd": ("idle", ""),
}
QWEN = {
    "SessionStart": ("idle", ""),
    "UserPromptSubmit": ("working", ""),
    "PermissionRequest": ("blocked", "*"),
    "PostToolUse": ("working", "*"),
    "Stop": ("done", ""),
    "SessionEnd": ("idle", ""),
}

PLUGIN = """\
// {mark}: reports what opencode is doing to the Codewire session it runs in.
import {{ spawn }} from "node:child_process"

const run = (words) => new Promise((resolve) => {{
  try {{
    const line = 'cw report --hook "$@" </dev/null >/dev/null 2>&1'
    const child = spawn("sh", ["-c", line, "cw", ...words], {{ stdio: "ignore" }})
    child.on("error", resolve)
    child.on("close", resolve)
    child.unref()
  }} catch {{ resolve() }}
}})

// One after the other: the last one said is the one that counts.
let last = Promise.resolve()
const report = (...words) => {{
  if (process.env.CW_SESSION_ID) last = last.then(() => run(words))
}}

export const Codewire = async () => ({{
  event: async ({{ event }}) => {{
    const about = event.properties ?? {{}}
    if (event.type === "session.status") {{
      if (about.status?.type === "busy" || about.status?.type === "retry") report("working")
    }} else if (event.type === "session.idle") report("done")
    else if (event.type === "permission.asked") report("blocked", "--kind", "permission")
    else if (event.type === "question.asked") report("blocked", "--kind", "question")
    else if (event.type === "permission.replied") report("working")
    else if (event.type === "question.replied") report("working")
    else if (event.type === "session.error") report("error")
  }},
}})
"""


class Change:
    """What integrating does to one file: its text before and after; None where there is none."""

    def __init__(self, path: str, before: str | None, after: str | None) -> None:
        self.path = path
        self.before = before
        self.after = after

    @property
    def is_needed(self) -> bool:
        """Say whether anything is to be done."""
        return self.before != self.after

    def diff(self) -> str:
        """Return the change as `diff -u` shows it."""
        from difflib import unified_diff

        before, after = (
            (text or "").splitlines(keepends=True) for text in (self.before, self.after)
        )
        lines = unified_diff(before, after, self.path, self.path)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def make(self) -> None:
        """Write the file, whole or not at all. Raises CodewireError."""
        path = os.path.realpath(self.path)
        check_owner(path)
        try:
            if self.after is None:
                os.unlink(path)
            else:
                _replace(path, self.after)
        except OSError as error:
            raise CodewireError(f"writing {self.path}: {error.strerror or error}") from error


def _replace(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mode = 0o600
    draft = f"{path}.cw-{os.getpid()}"
    fd = open_regular(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(fd, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def plan(program: str, *, uninstall: bool) -> Change:
    """Return what there is to do for a program. Raises CodewireError for unknown settings."""
    path, edit = PROGRAMS[program]
    return planned(path(), lambda before: edit(before, uninstall))


def planned(where: str, edit: Callable[[str | None], str | None]) -> Change:
    """Return what `edit` makes of a file. Raises CodewireError where it does not understand it."""
    before = _read(where)
    try:
        return Change(where, before, edit(before))
    except json.JSONDecodeError as error:
        what = f"line {error.lineno} is not JSON"
        raise CodewireError(f"{where} is not understood, so it stays as it is: {what}") from error
    except (ValueError, RecursionError) as error:
        raise CodewireError(f"{where} is not understood, so it stays as it is: {error}") from error


def _read(path: str) -> str | None:
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise CodewireError(f"reading {path}: {cause}") from error


def command(words: str) -> str:
    """Return the shell command of a hook: does nothing outside a session, and never fails."""
    return f'[ -z "$CW_SESSION_ID" ] || cw report {words} --hook || : {MARK}'


def _hooks(events: dict[str, tuple[str, str]]) -> Callable[[str | None, bool], str | None]:
    """Return what edits a settings.json with hooks of the shape that Claude Code began."""

    def edit(before: str | None, uninstall: bool) -> str | None:
        settings = json.loads(before) if before and before.strip() else {}
        if not isinstance(settings, dict) or not isinstance(settings.get("hooks", {}), dict):
            raise ValueError("it has no hooks as they are known")
        kept = _without_ours(settings)
        if not uninstall:
            hooks = kept.setdefault("hooks", {})
            for event, (state, matcher) in events.items():
                hook = {"type": "command", "command": command(state)}
                entry = {"matcher": matcher, "hooks": [hook]} if matcher else {"hooks": [hook]}
                hooks.setdefault(event, []).append(entry)
        if kept == settings:
            return before
        if not kept and uninstall:
            return None
        return json.dumps(kept, indent=_indent(before), ensure_ascii=False) + "\n"

    return edit


def _without_ours(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without what carries the mark, and without what is empty for want of it."""
    hooks = {}
    for event, entries in settings.get("hooks", {}).items():
        if not isinstance(entries, list):
            raise ValueError(f"hooks.{event} is no list")
        kept = [entry for entry in map(_entry_without_ours, entries) if entry is not None]
        if kept or not entries:
            hooks[event] = kept
    rest = {key: value for key, value in settings.items() if key != "hooks"}
    if hooks or settings.get("hooks") == {}:
        # In its place among the others.
        return {k: hooks if k == "hooks" else v for k, v in settings.items()}
    return rest


def _entry_without_ours(entry: Any) -> Any:
    inner = entry.get("hooks") if isinstance(entry, dict) else None
    if not isinstance(inner, list):
        return entry
    kept = [hook for hook in inner if not _is_ours(hook)]
    if len(kept) == len(inner):
        return entry
    return {**entry, "hooks": kept} if kept else None


def _is_ours(hook: Any) -> bool:
    text = hook.get("command") if isinstance(hook, dict) else None
    return isinstance(text, str) and text.endswith(MARK)


def _indent(text: str | None) -> int | str:
    """Return the indentation that a JSON file has."""
    for line in (text or "").splitlines()[1:]:
        margin = line[: len(line) - len(line.lstrip())]
        if margin:
            return "\t" if margin.startswith("\t") else min(len(margin), 8)
    return 2


def _codex(before: str | None, uninstall: bool) -> str | None:
    """Edit config.toml: its own text stays as it is, our lines go before the first table."""
    text = before or ""
    kept = _without_block(text)
    if not uninstall:
        import toml

        try:
            settings = toml.loads(kept)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(str(error)) from error
        if "notify" in settings:
            raise ValueError("it has a notify of its own, and there can be only one")
        words = json.dumps(["sh", "-c", command("done"), "cw"])
        kept = f"{BEGIN}\nnotify = {words}\n{END}\n{kept}"
    return kept if kept or (before is not None and not text) else None


def _without_block(text: str) -> str:
    before, found, rest = text.partition(f"{BEGIN}\n")
    if not found:
        return text
    _, found, after = rest.partition(f"{END}\n")
    if not found:
        raise ValueError(f"the end of our lines ({END}) is missing")
    return before + after


def _opencode(before: str | None, uninstall: bool) -> str | None:
    if before is not None and MARK.removeprefix("# ") not in before.partition("\n")[0]:
        raise ValueError("it is not ours")
    return None if uninstall else PLUGIN.format(mark=MARK.removeprefix("# "))


def _under(variable: str, default: str, *names: str) -> Callable[[], str]:
    """Return what finds a file in a program's own directory, which a variable may move."""

    def path() -> str:
        root = os.environ.get(variable, "") if variable else ""
        return os.path.join(root or os.path.join(home(), default), *names)

    return path


PROGRAMS: dict[str, tuple[Callable[[], str], Callable[[str | None, bool], str | None]]] = {
    "claude": (_under("CLAUDE_CONFIG_DIR", ".claude", "settings.json"), _hooks(CLAUDE)),
    "codex": (_under("CODEX_HOME", ".codex", "config.toml"), _codex),
    "gemini": (_under("", ".gemini", "settings.json"), _hooks(GEMINI)),
    "opencode": (
        _under("XDG_CONFIG_HOME", ".config", "opencode", "plugin", "cw-integrate.js"),
        _opencode,
    ),
    "qwen": (_under("", ".qwen", "settings.json"), _hooks(QWEN)),
}
