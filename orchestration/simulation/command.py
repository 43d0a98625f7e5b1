"""`--simulate`: run a stretch of time under one policy or several, and say what came of it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestration.decisions import Policy
from orchestration.errors import CalendarError, SettingsError, StoreError
from orchestration.policies import POLICIES, policy_for
from orchestration.registry import Registry
from orchestration.reports import SessionTables
from orchestration.simulation.comparison import Study, compare, without
from orchestration.simulation.options import ALL_POLICIES
from orchestration.simulation.research_windows import BUDGET_TYPES
from orchestration.simulation.stand_ins import Model
from orchestration.simulation.workload import StatedWorkload

ROOT = Path(__file__).resolve().parents[2]
DAYS = 7
EX_INTERRUPTED = 130
"""What a shell gives for a program that Ctrl-C ended."""


def simulate_command(
    registry: Registry, policy: Policy, tables: SessionTables, options: argparse.Namespace
) -> int:
    """Carry out `--simulate DAY`: print what came of it, or write report.json and its page, report.html, to
    the report's folder. Return the exit code.

    Raises:
        CalendarError: if the session table does not cover the stretch.
        SpecError: if the trace cannot be read.
        SettingsError: if the history cannot be read, the report not be written, or the week not be shown.
    """
    try:
        found = _simulated(registry, policy, tables, options)
        if options.report is None:
            print(page(found))
            return 0
        report = _written(found, options.report)
    except KeyboardInterrupt:
        print("simulation stopped: there is no report of it", file=sys.stderr)
        return EX_INTERRUPTED
    return _draw(report)


def _simulated(
    registry: Registry, policy: Policy, tables: SessionTables, options: argparse.Namespace
) -> dict[str, object]:
    study = study_of(registry, tables, options)
    if options.report is not None:
        _make_folder(options.report)
    policies = {policy.name: policy}
    if options.policy is not None:
        names = POLICIES if options.policy == ALL_POLICIES else (options.policy,)
        policies = {name: policy_for(name, policy.rules) for name in names}
    ablations = without(policy_for("unified", policy.rules)) if options.ablations else {}
    line = ProgressLine(sys.stderr)
    try:
        return compare(study, policies, ablations, jobs=options.jobs, progress=line.show)
    finally:
        line.clear()


def _written(found: Mapping[str, Any], folder: Path) -> Path:
    """Write report.json; return its path. Raises SettingsError."""
    path = folder / "report.json"
    try:
        write_whole(path, json.dumps(found, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise SettingsError(f"--report {folder}: {error}") from error
    return path


def _draw(report: Path) -> int:
    """Say that the report is there and draw its page beside it; return the exit code."""
    # It is drawn on the jobs' side, whose libraries this process never loads; in a session of its own, so
    # that Ctrl-C is answered here alone.
    command = [sys.executable, "-m", "scripts.simulation_report", str(report.absolute())]
    try:
        print(f"wrote {report}", flush=True)
        return subprocess.run(command, cwd=ROOT, check=False, start_new_session=True).returncode
    except KeyboardInterrupt:
        again = f"python -m scripts.simulation_report {report}"
        print(f"stopped while the page was drawn: {again} draws it anew", file=sys.stderr)
        return EX_INTERRUPTED


def study_of(registry: Registry, tables: SessionTables, options: argparse.Namespace) -> Study:
    """Return what the options ask to simulate. Raises as `simulate_command` does."""
    first, days = stretch_of(options.simulate, options.days)
    _check_covered(tables, first, first + timedelta(days=days))
    make_model: Callable[[], Model] = partial(StatedWorkload, seed=options.seed, first=first)
    study = Study(
        specs=registry.specs,
        tables=tables,
        first=first,
        days=days,
        seed=options.seed,
        make_model=make_model,
        week=options.week,
    )
    if options.week is not None and not _touches(options.week, first, days):
        last = first + timedelta(days=days - 1)
        raise SettingsError(f"--week {options.week}: no day of its week is simulated; {first} to {last} are")
    if options.history is not None:
        from orchestration.simulation.own_history import HistoryModel, telling_runs

        # Read once: each policy draws from the same runs, and counts its own attempts.
        try:
            runs = telling_runs(options.history)
        except StoreError as error:
            raise SettingsError(f"--history: {error}") from error

        def drawn() -> Model:
            return HistoryModel(runs, make_model(), options.seed)

        return replace(study, make_model=drawn, workload="history")
    if options.tasks is not None:
        from orchestration.simulation.replay import read_trace

        return replace(study, trace=read_trace(options.tasks), workload="trace")
    return study


def _touches(day: date, first: date, days: int) -> bool:
    """Return whether the week of `day`, Monday to Sunday, has a day in common with the stretch."""
    monday = day - timedelta(days=day.weekday())
    return monday < first + timedelta(days=days) and monday + timedelta(days=7) > first


def _make_folder(folder: Path) -> None:
    """Make the report's folder now: it would be a pity to find out after a year that it cannot be had."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--report {folder}: {error}") from error


def stretch_of(day: str, days: int | None) -> tuple[date, int]:
    """Return the first day and the number of days; `day` is a date or a year, which is taken whole."""
    if len(day) != 4:
        return date.fromisoformat(day), days or DAYS
    first = date(int(day), 1, 1)
    return first, days or (date(first.year + 1, 1, 1) - first).days


def _check_covered(tables: SessionTables, first: date, last: date) -> None:
    home = tables.calendars(first).home
    if home.covers(first) and home.covers(last):
        return
    if not home.coverage:
        raise CalendarError("there is no session table")
    raise CalendarError(
        f"the session table of {home.exchange} does not cover {first} to {last}; it reaches from"
        f" {home.coverage[0]} to {home.coverage[1]}"
    )


# --- what is shown ------------------------------------------------------------------------------------------


class ProgressLine:
    """One line that says how far each policy is, where a person watches."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_watched = stream, stream.isatty()
        self._shares: dict[str, float] = {}

    def show(self, name: str, share: float) -> None:
        """So much of `name` has been simulated."""
        self._shares[name] = share
        if self._is_watched:
            text = ", ".join(f"{known} {done:.0%}" for known, done in self._shares.items())
            self._stream.write(f"\rsimulating {text}\x1b[K")
            self._stream.flush()

    def clear(self) -> None:
        """Give the line back."""
        if self._is_watched and self._shares:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def page(report: Mapping[str, Any]) -> str:
    """Return the short form of a report, for people."""
    days = report["simulated"]["days"]
    parts = {**report["policies"], **report["ablations"]}
    return "\n".join(_paragraph(name, found, days) for name, found in parts.items())


def _paragraph(name: str, found: Mapping[str, Any], days: int) -> str:
    lines = [
        f"policy {name}, {days} days in {found['wall_seconds']:.2f} s, {found['decisions']} decisions",
        "runs: " + (", ".join(f"{n} {what}" for what, n in found["runs"].items()) or "none"),
        f"research hours {found['research_hours']['all']:.1f}, in use {_share(found['utilisation']['all'])}",
    ]
    for kind in BUDGET_TYPES:
        if found["research_hours"][kind]:
            core, filler = found["core_utilisation"][kind], found["filler_utilisation"][kind]
            used = f"{_share(found['utilisation'][kind])} ({_share(core)} core, {_share(filler)} filler)"
            lines.append(f"  {kind}: {used} of {found['research_hours'][kind]:.1f} h")
    lines += _demand_lines(found["demand"])
    lines.append(
        f"late duties {found['late_duties']}, because of research {found['late_trading_tasks']};"
        f" memory conflicts {found['memory_conflicts']}, overlaps {found['overlapping_conflicts']}"
    )
    predicted = found["prediction"]
    if predicted["runs"]:
        lines.append(
            f"{_share(predicted['coverage'])} of {predicted['runs']} runs within their prediction,"
            f" which was {_share(predicted['over_estimate'])} too long"
        )
    if "trace" in found:
        told = found["trace"]
        lines.append(f"trace: {told['finished']} of {told['submitted']} submitted tasks finished")
    return "\n".join(lines)


def _demand_lines(demand: Mapping[str, Any] | None) -> list[str]:
    if demand is None or not demand["demanded"]:
        return []
    text = (
        f"demand: {demand['finished']} of {demand['demanded']} finished in their windows,"
        f" {demand['bound']['finished']} at best"
    )
    if demand["time_ratio"] is not None:
        text += f"; in {demand['time_ratio']:.3f} of the least time"
    return [text]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
