"""The figures to reach, and the table of what was measured."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

SYSTEMS = ("kernel", "python", "cw", "dtach", "tmux")


class Target(NamedTuple):
    """A limit for cw's median, as it is or divided by another measurement's.

    `against` names a system of the same measure, or another measure of cw; "" is absolute.
    """

    limit: float
    at_least: bool = False
    against: str = ""


class Measure(NamedTuple):
    key: str
    title: str
    unit: str
    targets: tuple[Target, ...] = ()


MEASURES = (
    Measure(
        "throughput",
        "one session to one client",
        "MB/s",
        (Target(0.85, True, "kernel"), Target(1.3, True, "tmux")),
    ),
    Measure("delivered", "  of its bytes delivered", "%", (Target(100, True),)),
    Measure("cpu", "  server CPU for that", "s", (Target(0.4, False, "tmux"),)),
    Measure("fan_out", "one session to many clients", "s"),
    Measure("fan_out_ratio", "  against one client", "x", (Target(2),)),
    Measure("fan_out_delivered", "  of their bytes delivered", "%", (Target(100, True),)),
    Measure("stalled_rss", "a stalled client: node RSS", "kB more", (Target(1024),)),
    Measure("stalled_delivered", "  got in the end", "%", (Target(100, True),)),
    Measure("echo_p50", "echo p50, idle", "us", (Target(1.4, False, "tmux"),)),
    Measure("echo_p99", "echo p99, idle", "us"),
    Measure("echo_flood_p50", "echo p50, beside a flood", "us", (Target(1, False, "tmux"),)),
    Measure("echo_flood_p99", "echo p99, beside a flood", "us"),
    Measure("finger_p50", "key through the client p50", "us", (Target(2, False, "tmux"),)),
    Measure("finger_p99", "key through the client p99", "us"),
    Measure("finger_flood_p50", "  beside a flood p50", "us"),
    Measure("finger_flood_p99", "  beside a flood p99", "us", (Target(3, False, "tmux"),)),
    Measure("launch_wire", "launch, own protocol", "ms", (Target(0.6, False, "tmux"),)),
    Measure("launch_command", "launch, as a command", "ms"),
    Measure("memory_empty", "server memory, empty", "kB"),
    Measure("memory", "  and a session", "kB", (Target(12),)),
    Measure("restart", "worker kill -9 to serving", "ms", (Target(200),)),
    Measure("request_reply", "request to reply", "ms"),
    Measure("start", "cw list / python / tmux ls", "ms", (Target(1.6, False, "python"),)),
    Measure("flood_unix", "flood over the Unix socket", "MB/s"),
    Measure("flood_ws", "  over a WebSocket", "MB/s", (Target(0.7, True, "flood_unix"),)),
    Measure("typing_unix", "echo over the Unix socket", "us"),
    Measure("typing_ws", "  over a WebSocket", "us", (Target(1.5, False, "typing_unix"),)),
    Measure("parse_plain", "terminal parser, plain", "MB/s"),
    Measure("parse_coloured", "  coloured", "MB/s"),
    Measure("query_plain", "looking for queries, plain", "MB/s"),
    Measure("query_coloured", "  coloured", "MB/s"),
    Measure("draw_plain", "drawing a screen, plain", "MB/s"),
    Measure("draw_coloured", "  coloured", "MB/s"),
    Measure("tail_short", "logs --tail 100, short log", "ms"),
    Measure("tail_long", "logs --tail 100, long log", "ms", (Target(2, False, "tail_short"),)),
)


class Results:
    """Samples by measure and system, in the order they were taken."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = {}

    def add(self, measure: str, system: str, value: float) -> None:
        self.samples.setdefault(measure, {}).setdefault(system, []).append(value)

    def median(self, measure: str, system: str) -> float | None:
        samples = self.samples.get(measure, {}).get(system)
        return statistics.median(samples) if samples else None

    def ratio(self, measure: str, against: str) -> float | None:
        """Return cw's figure by another system's, or by cw's own in another measure.

        Both sampled in turn: the median of the rounds' ratios, which drifts of the machine spoil
        less than the ratio of medians.
        """
        ours = self.samples.get(measure, {}).get("cw", [])
        theirs = (
            self.samples.get(measure, {}).get(against, [])
            if against in SYSTEMS
            else self.samples.get(against, {}).get("cw", [])
        )
        if not ours or not theirs:
            return None
        if len(ours) == len(theirs):
            return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        return statistics.median(ours) / statistics.median(theirs)


def verdicts(results: Results) -> list[dict[str, Any]]:
    """Return one entry for each target that could be judged."""
    found = []
    for measure in MEASURES:
        for target in measure.targets:
            value = (
                results.ratio(measure.key, target.against)
                if target.against
                else results.median(measure.key, "cw")
            )
            if value is None:
                continue
            met = value >= target.limit if target.at_least else value <= target.limit
            found.append({"measure": measure.key, "value": value, "met": met, **target._asdict()})
    return found


def table(results: Results) -> str:
    """Return the medians as text, with the targets and whether they are met."""
    judged = verdicts(results)
    systems = [name for name in SYSTEMS if any(name in by for by in results.samples.values())]
    lines = [f"{'':28}{'':9}" + "".join(f"{name:>10}" for name in systems) + "   target"]
    for measure in MEASURES:
        if measure.key not in results.samples:
            continue
        cells = [_cell(results.median(measure.key, name)) for name in systems]
        words = [_verdict(v) for v in judged if v["measure"] == measure.key]
        row = f"{measure.title:28}{measure.unit:>9}" + "".join(f"{cell:>10}" for cell in cells)
        lines.append((row + "   " + ", ".join(words)).rstrip())
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )


def _verdict(entry: dict[str, Any]) -> str:
    sign = ">=" if entry["at_least"] else "<="
    against = f" x {entry['against']}" if entry["against"] else ""
    end = "" if entry["met"] else "  MISSED"
    return f"{entry['value']:.2f}{against} ({sign} {entry['limit']:g}){end}"
