"""`cw agent`: how it is known what a session's agent is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.agents import Explanation


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
        output.show_json({key: value for key, value in found.sent.items() if key != "type"})
        return 0
    _show(found)
    return 0


def _show(found: Explanation) -> None:
    from codewire.term.width import printable

    report = found.report
    kind = f" ({found.kind})" if found.kind else ""
    pairs = [
        ("State", f"{found.state}{kind}"),
        ("Since", found.since or None),
        ("Why", found.reason or None),
        ("Source", found.source or None),
        ("Rule", found.rule or None),
        ("Program", found.program or "not known"),
        ("Reports", " ".join(str(report[k]) for k in report if k != "at" and report[k]) or "none"),
        ("Title", found.title or None),
        ("Progress", found.sent.get("progress") or None),
        ("Silent for", f"{found.quiet_seconds}s"),
    ]
    output.line(f"Session {found.id}")
    output.fields(pairs, width=13)
    output.line("  Rules:")
    for rule in found.rules:
        said = " ".join(word for word in (rule.state, rule.kind, rule.text) if word) or "-"
        output.line(printable(f"    {rule.rule:<22}{said}"))
    output.line("  Bottom of the screen:")
    for text in found.bottom:
        output.line(f"    {printable(text)}".rstrip())
