"""The relay's figures as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

# How the names of figures of `Service.status` end that only ever grow; others go up and down.
GROWING = "_total"


def render_metrics(figures: dict[str, object]) -> str:
    """Return all figures that are numbers; texts become labels of `codewire_relay_info`.

    >>> print(render_metrics({"uplinks": 3, "version": "1"}), end="")
    # TYPE codewire_relay_uplinks gauge
    codewire_relay_uplinks 3
    # TYPE codewire_relay_info gauge
    codewire_relay_info{version="1"} 1
    """
    lines, labels = [], []
    for name, value in figures.items():
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, (int, float)):
            kind = "counter" if name.endswith(GROWING) else "gauge"
            lines += [f"# TYPE codewire_relay_{name} {kind}", f"codewire_relay_{name} {value}"]
        elif isinstance(value, str):
            labels.append(f'{name}="{_escaped(value)}"')
    lines += ["# TYPE codewire_relay_info gauge", f"codewire_relay_info{{{','.join(labels)}}} 1"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
