"""What a run was made from, and how it is run again, as blocks of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from observability.report_document import WARN, Block, Heading, Notice, Table, Text
from trading.backtest.reports import numbers
from trading.backtest.reports.facts import Reported

NEEDS_SAME_BARS = "It must be given the same bars: others are refused, by the fingerprint above."


def made_from(run: Reported, how_to_rerun: str | None) -> Iterator[Block]:
    """Strategies, bars and settings. how_to_rerun: a command, None if there was none."""
    saved = run.specification
    yield Heading("What it was made from")
    if saved is None:
        yield Notice(
            WARN, f"That cannot be saved, and so this result cannot be run again: {run.unspecified}."
        )
        return
    strategies = saved["strategies"] if "strategies" in saved else [saved["strategy"]]
    yield Table(
        ("Strategy", "#Weight", "Class", "Parameters"),
        tuple(
            (
                each["name"],
                f"{each['weight']:g}" if "weight" in each else numbers.NONE,
                each["class"],
                written(each["parameters"]) or "none",
            )
            for each in strategies
        ),
    )
    history = saved["history"]
    rows = [
        ("data", f"{', '.join(history['symbols'])} from {history['from']} to {history['to']}"),
        ("data.instants", f"{history['instants']:,}"),
        ("data.fingerprint", f"SHA-256 {history['fingerprint']}"),
        ("initial_capital", numbers.money(saved["initial_capital"])),
        *flat({key: saved[key] for key in ("config", "arrays", "versions") if key in saved}),
    ]
    yield Table(("Setting", "Value"), tuple(rows))
    yield Heading("How to run it again")
    if how_to_rerun:
        yield Text(how_to_rerun)
    yield Text(
        f"From a saved result (.json): orchestratorctl backtest rerun FILE; it says whether the numbers are "
        f"the same. {NEEDS_SAME_BARS}"
    )


def written(parameters: Mapping[str, Any]) -> str:
    """Return a strategy's parameters as the command line takes them, but for empty lists."""
    parts = []
    for name, value in parameters.items():
        value = _untagged(value)
        if isinstance(value, (list, tuple)):
            value = "+".join(str(_untagged(each)) for each in value)
        if value != "":
            parts.append(f"{name}={value}")
    return ":".join(parts)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting in nested ones with its whole name, "config.commission.bps", and its value."""
    for key, value in values.items():
        value = _untagged(value)
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _said(value)


def _untagged(value: Any) -> Any:
    """Return what stands for a value that JSON has no word for, {"$decimal": "0.5"}, as its text alone."""
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith("$"):
        return next(iter(value.values()))
    return value


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_untagged(each)) for each in value) or "none"
    return "none" if value is None or value == {} else str(value)
