"""Measure how each symbol's volume spreads over the day, for VWAP orders, from the stored intraday bars.

Exit codes: 0 the profiles are those of the stored bars (without intraday bars there are none, and plans use
the default U shape); 1 stored bars cannot be read or profiles not written (the others are done); 2 wrong
arguments; 75 asked to stop (what was measured is kept, the next run goes on from there).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser
from trading.execution.errors import PlanError
from trading.execution.volume_profiles import Profile, ProfileStore, measure_profile
from trading.marketdata.errors import BarStoreError
from trading.marketdata.intraday import IntradayStore
from trading.marketdata.intraday_index import IntradayEntry


@dataclass(slots=True)
class Work:
    """What a run has come to. profiles: those that stand; skipped: symbols with too few sessions, and why;
    failed: symbols whose bars cannot be read, and why; left: symbols that were not looked at any more."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = parse(parser(__doc__, "data_dir"), argv)
    stop = StopRequest()
    store, kept = IntradayStore(arguments.data_dir), ProfileStore(arguments.data_dir)
    marks = marks_of(list(store.entries().values()))
    if not marks:
        text = (
            f"no intraday bars are stored in {arguments.data_dir}: no profiles, plans use the default U shape"
        )
        return finish(0, {"symbols": 0, "remark": text}, text)
    try:
        before = kept.read()
    except PlanError as error:
        print(f"made again: {error}", flush=True)
        before = {}
    work = carry_out(store, before, marks, stop)
    if work.profiles != before:
        try:
            kept.write(work.profiles)
        except OSError as error:
            text = f"profiles cannot be written to {kept.path} ({error})"
            return finish(1, {"symbols": len(marks), "error": str(error)}, text)
    return conclude(work, len(marks))


def marks_of(entries: Sequence[IntradayEntry]) -> dict[str, str]:
    """Return by symbol a mark that changes whenever any of its stored intraday bars do."""
    marks: dict[str, list[str]] = {}
    for entry in entries:
        part = (
            f"{entry.minutes}min {entry.first}..{entry.last} {entry.rows} bars {entry.fetched_at.isoformat()}"
        )
        marks.setdefault(entry.symbol, []).append(part)
    return {symbol: "; ".join(sorted(parts)) for symbol, parts in sorted(marks.items())}


def carry_out(
    store: IntradayStore, before: Mapping[str, Profile], marks: Mapping[str, str], stop: Callable[[], bool]
) -> Work:
    """Measure what has changed; keep what has not, what cannot be read, and what there was no time for."""
    work = Work()
    for symbol, mark in marks.items():
        known = before.get(symbol)
        if known is not None:
            work.profiles[symbol] = known
        if known is not None and known.mark == mark:
            continue
        if stop():
            work.left.append(symbol)
            continue
        try:
            work.profiles[symbol] = measure_profile(symbol, store, mark=mark)
            work.measured.append(symbol)
        except PlanError as error:
            work.skipped[symbol] = str(error)
            work.profiles.pop(symbol, None)
        except BarStoreError as error:
            work.failed[symbol] = str(error)
    return work


def conclude(work: Work, symbols: int) -> int:
    """Write the result, say the sum, return the exit code."""
    for symbol in work.measured:
        profile = work.profiles[symbol]
        early = f", {profile.early_days} early closes" if profile.early_shape else ""
        print(f"{symbol:<8} {profile.days} sessions to {profile.as_of}{early}", flush=True)
    for symbol, why in {**work.skipped, **work.failed}.items():
        print(f"{symbol:<8} {why}", flush=True)
    report = {
        "symbols": symbols,
        "measured": len(work.measured),
        "profiles": len(work.profiles),
        "skipped": work.skipped,
        "failed": work.failed,
        "left": work.left,
    }
    text = (
        f"{symbols} symbols with intraday bars: {len(work.measured)} measured, {len(work.profiles)} profiles"
    )
    if work.skipped:
        text += f", {len(work.skipped)} without (too few sessions)"
    if work.left:
        return finish(EX_TEMPFAIL, report, f"{text}; stopped early, {len(work.left)} left for the next run")
    return finish(
        1 if work.failed else 0, report, f"{text}, {len(work.failed)} failed" if work.failed else text
    )


if __name__ == "__main__":
    sys.exit(main())
