"""The same year drawn anew: what of its figures is the box's, and what is the luck of one seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial

from observability.report_document import FAIL, OK, WARN, Block, Heading, Table, Text
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.comparison import Study, measured
from orchestration.simulation.workload import StatedWorkload
from orchestration.task_specs import TASK_SPECS
from orchestration.types import TaskSpec
from scripts._year_facts import Figures, built
from scripts._year_numbers import NONE, named, ratio, share
from scripts._year_targets import AIM, MANY_RUNS, MOST_OVER, judged

POLICY = "unified"
KINDS = ("overnight", "weekend", "holiday", "holiday_weekend")


def seldom(specs: Sequence[TaskSpec] = TASK_SPECS) -> dict[str, TaskSpec]:
    """Return the enabled tasks but those that recur every few minutes: most of the runs, and no research.

    Those that another must clear after a lost run go with them, and a dependency on one that is left out.
    """
    kept = {s.name: s for s in specs if s.enabled and s.every is None and s.reconciled_by is None}
    return {name: spec.but(dependencies=spec.dependencies & kept.keys()) for name, spec in kept.items()}


def drawn_years(first: date, days: int, seeds: Iterable[int]) -> dict[int, Figures]:
    """Return what came of the days from `first` under unified, by seed; simulated in this process."""
    tables, specs = SessionTables(), seldom()
    found = {}
    for seed in seeds:
        study = Study(
            specs=specs,
            tables=tables,
            first=first,
            days=days,
            seed=seed,
            make_model=partial(StatedWorkload, seed=seed, first=first),
        )
        report = json.loads(json.dumps(measured(study, policy_for(POLICY))))
        found[seed] = built(Figures, report, f"seed {seed}")
    return found


def seeds_section(years: Mapping[int, Figures]) -> Iterator[Block]:
    """Yield what came of each seed; nothing without any."""
    if not years:
        return
    yield Heading("The same year, drawn anew")
    yield Text(
        "Everything above is one draw of durations, sizes and failures. Here is the same year under unified"
        f" with {len(years)} seeds, without the tasks of every few minutes, which are most of the runs and no"
        " research:"
    )
    yield seeds_table(years)
    figures = years.values()
    yield Text(
        f"All of them together: {sum(f.late_duties for f in figures):,} trading tasks late,"
        f" {sum(f.memory_conflicts for f in figures):,} memory conflicts,"
        f" {sum(f.overlapping_conflicts for f in figures):,} conflicting tasks that overlapped,"
        f" {sum(f.intrusions.runs for f in figures):,} research runs in trading hours or in PREP."
        " What is not in use went above all to long runs that failed in the end: such a run counts for"
        " nothing, and a year has few windows of some kinds. Over the best: a task's over-estimate over"
        " that of the best of three plain rules, each with its dial set afterwards on these very runs; the"
        f" worst task of those with {MANY_RUNS} runs or more, and how many of them are above {MOST_OVER}."
    )


def seeds_table(years: Mapping[int, Figures]) -> Table:
    """Return a row for each seed: hours in use, the finite demand, how durations were predicted."""
    rows, levels = [], []
    for seed, figures in years.items():
        used = [figures.utilisation.get(kind) for kind in KINDS]
        missed = len(figures.demand.missed_though_possible) if figures.demand is not None else 0
        often = judged(figures.prediction.tasks).values()
        covered = [score.coverage for score in often if score.coverage is not None]
        ratios = [score.ratio for score in often if score.ratio is not None]
        above = sum(found > MOST_OVER for found in ratios)
        rows.append(
            (
                str(seed),
                *map(share, used),
                f"{figures.demand.finished:,}" if figures.demand is not None else NONE,
                f"{missed:,}",
                share(min(covered, default=None)),
                ratio(max(ratios, default=None)),
                f"{above} of {len(ratios)}",
            )
        )
        is_short = above or any(part is not None and part < AIM for part in used)
        levels.append(FAIL if missed else WARN if is_short else OK)
    hours = (f"#{named(kind).capitalize()}" for kind in KINDS)
    rest = ("#Finished", "#Missed though possible", "#Least coverage", "#Over the best", "#Above")
    return Table(("Seed", *hours, *rest), tuple(rows), tuple(levels))
