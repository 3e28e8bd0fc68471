"""What of this process's environment goes along with a launch, and what older nodes make of it.

A local node gets the whole, so that a command runs as it would here; another machine only what is
named. Private variables stay behind (codewire/environment.py); values are in no message or log.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire import environment
from codewire.errors import UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from codewire.client.reach.route import Route

NAMED_AT_MOST = 3
OLDER = (
    "[cw] the node is older than this cw: the session also has what the node's own environment "
    "has and yours does not"
)


def launch_fields(
    route: Route,
    entries: Iterable[str],
    environ: Mapping[str, str] | None,
    is_clean: bool,
    notify: Callable[[str], None],
) -> dict[str, Any]:
    """Return the fields of a Launch that say what its environment is.

    `entries` are KEY=VALUE, `environ` stands for this process's own. Raises UsageError for entries
    that are none, and for more than a command can be started with.
    """
    named = checked_entries(entries)
    if environ is None and not route.shares_environment:
        return {"env": named or None, "clean_env": is_clean or None}
    kept = _callers(os.environ if environ is None else environ, is_clean)
    unfit = [name for name, value in kept.items() if not _is_text(name + value)]
    for name in unfit:
        del kept[name]
    if unfit:
        shown = ", ".join(sorted(unfit)[:NAMED_AT_MOST])
        more = f" and {len(unfit) - NAMED_AT_MOST} more" if len(unfit) > NAMED_AT_MOST else ""
        notify(f"[cw] not valid UTF-8, so the session goes without: {shown}{more}")
    whole = {**kept, **dict(entry.split("=", 1) for entry in named)}
    if environment.is_too_large(whole):
        raise UsageError(environment.too_large(whole))
    return {
        "env": [*(f"{name}={value}" for name, value in kept.items()), *named],
        "env_base": "none",
        "env_caller": len(kept),
        "clean_env": is_clean or None,
    }


def _callers(environ: Mapping[str, str], is_clean: bool) -> dict[str, str]:
    """Return what a session may have of the caller's environment, fit for another directory."""
    kept = {**environment.for_session(environ), **environment.terminal_variables(environ)}
    if is_clean:
        return environment.clean(kept)
    if kept.get("CODEWIRE_DIR"):
        # It may count from the directory this process is in.
        kept["CODEWIRE_DIR"] = data_dir().root
    return kept


def warn_of_older(
    request: Mapping[str, Any], answer: Mapping[str, Any], notify: Callable[[str], None]
) -> None:
    """Say so where a node took the caller's environment for additions to its own."""
    if request.get("env_base") and answer.get("env_base") is None:
        notify(OLDER)


def checked_entries(entries: Iterable[str]) -> list[str]:
    """Return KEY=VALUE entries. Raises UsageError for one that is none."""
    checked = list(entries)
    for entry in checked:
        if "=" not in entry[1:] or "\0" in entry:
            raise UsageError(f"env entries must be KEY=VALUE, got {entry!r}")
    return checked


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
