"""`cw agent`: how it is known what a session's agent is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context


def agent(args: dict[str, Any], context: Context) -> int:
    """Look into how a session's state is known.

    Usage:
      cw agent [options]

    Examples:
      cw agent explain claude
    """
    from codewire.commands import table

    output.write(table.command_help("agent explain"))
    return 0


def explain(args: dict[str, Any], context: Context) -> int:
    """Show why a session's state is what it is: the program, its reports, and every rule.

    Rules are tried in the order shown; the first that says something wins, unless the program
    reports its state itself.

    Usage:
      cw agent explain [options] <session>

    Options:
      -j, --json                Print everything as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw agent explain claude
      cw agent explain 3 --json
    """
    from codewire.client.addressing import resolve_session

    client, ref = context.locate(args["<session>"])
    found = client.explain_agent(resolve_session(client, ref))
    if output.wants_json(args):
        output.show_json({key: value for key, value in found.items() if key != "type"})
        return 0
    _show(found)
    return 0


def _show(found: dict[str, Any]) -> None:
    from codewire.term.width import printable

    report = found.get("report") or {}
    kind = f" ({found['kind']})" if found.get("kind") else ""
    pairs = [
        ("State", f"{found.get('state')}{kind}"),
        ("Since", found.get("since")),
        ("Why", found.get("reason") or None),
        ("Source", found.get("source") or None),
        ("Rule", found.get("rule") or None),
        ("Program", found.get("program") or "not known"),
        ("Reports", " ".join(str(report[k]) for k in report if k != "at" and report[k]) or "none"),
        ("Title", found.get("title") or None),
        ("Progress", found.get("progress") or None),
        ("Silent for", f"{found.get('quiet_seconds')}s"),
    ]
    output.line(f"Session {found.get('id')}")
    output.fields(pairs, width=13)
    output.line("  Rules:")
    for rule in found.get("rules") or ():
        said = " ".join(str(rule[k]) for k in ("state", "kind", "text") if rule.get(k)) or "-"
        output.line(printable(f"    {rule.get('rule', ''):<22}{said}"))
    output.line("  Bottom of the screen:")
    for text in found.get("bottom") or ():
        output.line(f"    {printable(str(text))}".rstrip())
