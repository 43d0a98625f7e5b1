"""End to end: the loop runs adaptive_optimization as the process it is, commits what it proposes, and decides
otherwise in the next window.

The loop, its decisions and its database are the real ones; time is virtual, and so are all other tasks. In
the recorded nights `study` took 8 h and for the last twelve 4 h; `alpha` failed and `zeta` succeeded. From
18:00 to PREP at 04:00 there are 600 minutes; `gather`, which `study` waits for, takes 270, so 330 are left.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from hardware.panel import NullPanel
from orchestration.clock import VirtualClock
from orchestration.control import NoCommands
from orchestration.loop import Loop, World
from orchestration.narration import Narrator
from orchestration.policies import policy_for
from orchestration.ports import Launch, RunExit
from orchestration.registry import build_registry
from orchestration.reports import SessionTables
from orchestration.runs import Outcome, SchedulerState, TaskRecord
from orchestration.simulation.box import NOWHERE, simulated_launch
from orchestration.simulation.stand_ins import (
    Fortune,
    QuietLog,
    QuietNotifier,
    SimulatedRun,
    SimulatedRunner,
    SteadySensors,
    VirtualWaiter,
)
from orchestration.spec_file import load_tasks_file
from orchestration.state.store import SqlStore
from orchestration.task_specs import TASK_SPECS
from orchestration.types import TaskSpec
from tests.adaptive_box import a_run, nights_of, record
from tests.calendars import ny, nyse_2026
from tests.unit.living import Fortunes

Said = Mapping[str, object] | None
ROOT = Path(__file__).resolve().parents[2]
JOB = "adaptive_optimization"
FIRST_NIGHT, SECOND_NIGHT = "2026-11-24", "2026-11-25"
"""The cycles: the nights that lead up to these days."""
CLOSED = 'phases = ["OVERNIGHT", "WEEKEND", "HOLIDAY"]'
RESEARCH = f'category = "RESEARCH"\nmodes = ["research"]\n{CLOSED}'
TASKS = f"""
[[task]]
name = "gather"
argv = ["/bin/true"]
{CLOSED}
estimated_minutes = 270
timeout_minutes = 600

[[task]]
name = "late"
argv = ["/bin/true"]
{CLOSED}
estimated_minutes = 560
timeout_minutes = 600

[[task]]
name = "study"
argv = ["/bin/true"]
{RESEARCH}
dependencies = ["gather"]
estimated_minutes = 480
timeout_minutes = 600

[[task]]
name = "alpha"
argv = ["/bin/true"]
{RESEARCH}
conflicts = ["zeta"]
estimated_minutes = 60
timeout_minutes = 300

[[task]]
name = "zeta"
argv = ["/bin/true"]
{RESEARCH}
estimated_minutes = 60
timeout_minutes = 300

[[task]]
name = "{JOB}"
dependencies = ["late"]
"""
"""The job runs at the end of a window, so that only the next one can be decided by what it learned."""
LASTS = {"gather": 270.0, "late": 560.0, "study": 240.0, "alpha": 100.0, "zeta": 10.0, JOB: 0.1}
WOBBLE = (0.97, 1.0, 1.03)
STUDY = [minutes * WOBBLE[n % 3] for n, minutes in enumerate([480.0] * 30 + [240.0] * 12)]


@dataclass
class JobForReal(SimulatedRunner):
    """Virtual runs, but the job is run as a process when it starts; its virtual run takes six seconds.

    said: what a result file holds instead of the job's own. results: the exit code and the result by run.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    said: Said = None
    results: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def start(self, launch: Launch) -> int:
        if launch.task == JOB:
            self.results[launch.run_id] = self._run() if self.said is None else (0, dict(self.said))
        return super().start(launch)

    def _run(self) -> tuple[int, dict[str, Any]]:
        state = self.environ["ORCHESTRATOR_STATE_DIR"]
        done = subprocess.run(
            [sys.executable, "-m", f"scripts.{JOB}", "--state-dir", state],
            cwd=ROOT,
            env=dict(self.environ),
            check=False,
            start_new_session=True,
            timeout=60,
        )
        return done.returncode, json.loads(Path(self.environ["ORCHESTRATOR_RESULT"]).read_text())

    def _exit(self, run: SimulatedRun) -> RunExit:
        ended = super()._exit(run)
        if ended.run_id not in self.results:
            return ended
        code, report = self.results[ended.run_id]
        return replace(ended, exit_code=code, report=report)


class LearningBox:
    """A state directory with a history, and the loop that goes on from it.

    learns: whether the job is switched on. said: see JobForReal.
    """

    def __init__(self, folder: Path, *, learns: bool = True, said: Said = None) -> None:
        self.state = folder / "state"
        self.database = record(self.state, history())
        tasks = folder / "tasks.toml"
        off = [
            f'[[task]]\nname = "{spec.name}"\nenabled = false\n'
            for spec in TASK_SPECS
            if spec.name != JOB or not learns
        ]
        own = TASKS if learns else TASKS.replace(f'[[task]]\nname = "{JOB}"\ndependencies = ["late"]\n', "")
        tasks.write_text("\n".join([*off, own]))
        self.environ = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "ORCHESTRATOR_STATE_DIR": str(self.state),
            "ORCHESTRATOR_TASKS": str(tasks),
            "ORCHESTRATOR_RESULT": str(folder / "result.json"),
        }
        registry = build_registry(
            TASK_SPECS,
            load_tasks_file(tasks),
            total_mb=4000,
            slots=4,
            calendars=SessionTables({"XNYS": tuple(nyse_2026().table)}).calendars(date(2026, 11, 20)),
            today=date(2026, 11, 20),
        )
        self.specs: dict[str, TaskSpec] = {spec.name: spec for spec in registry.enabled}
        self.said = said

    def run(self, hours: float) -> None:
        """Live from Monday 17:00 in New York for so many hours."""
        start = ny("2026-11-23T17:00")
        with closing(SqlStore(self.database)) as store:
            clock = VirtualClock(start)
            fortunes = Fortunes({task: [Fortune(minutes, 50.0)] for task, minutes in LASTS.items()})
            runner = JobForReal(clock, self.specs, fortunes, environ=self.environ, said=self.said)
            world = World(
                clock=clock,
                waiter=VirtualWaiter(clock, runner),
                runner=runner,
                store=store,
                panel=NullPanel(),
                sensors=SteadySensors(),
                inbox=NoCommands(),
                notifier=QuietNotifier(),
            )
            loop = Loop(
                world=world,
                policy=policy_for("unified"),
                specs=self.specs,
                tables=SessionTables({"XNYS": tuple(nyse_2026().table)}),
                launching=NOWHERE,
                narrator=Narrator(QuietLog(), QuietLog()),
                state=SchedulerState(records=dict(store.load().records)),
                make_launch=simulated_launch,
            )
            end = start + timedelta(hours=hours)
            while clock.now() < end:
                loop.turn()
                loop.wait(end)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query, values).fetchall()

    def starts(self, cycle: str, *tasks: str) -> list[str]:
        """Return those of the tasks that were started in a cycle, the first one first."""
        query = "SELECT task FROM task_runs WHERE cycle = ? ORDER BY started_at, rowid"
        return [task for (task,) in self.rows(query, cycle) if task in tasks]

    def would_not_fit(self, task: str) -> list[str]:
        """Return the nights, by the UTC date of the evening or the next morning, that were too short."""
        query = "SELECT DISTINCT substr(at, 1, 10) FROM decisions WHERE task = ? AND reason = 'WONT_FIT'"
        return sorted(day for (day,) in self.rows(query, task))

    def outcomes(self) -> list[tuple[Any, ...]]:
        """Return how each run of the job ended, and why."""
        return self.rows("SELECT outcome, detail FROM task_runs WHERE task = ? ORDER BY started_at", JOB)

    def records(self) -> Mapping[str, TaskRecord]:
        with closing(SqlStore(self.database)) as store:
            return store.load().records


def history() -> list[Any]:
    """Return 42 recorded nights."""
    alpha = [
        change
        for night in range(len(STUDY))
        for change in a_run(
            "alpha", night, 200.0, Outcome.SUCCEEDED if night % 10 == 0 else Outcome.FAILED, after=20
        )
    ]
    return [*nights_of("study", STUDY, after=300), *alpha, *nights_of("zeta", [10.0] * len(STUDY))]


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> LearningBox:
    """A box that has lived with the job through one night, and until 02:00 of the next."""
    box = LearningBox(tmp_path_factory.mktemp("learning"))
    box.run(33)
    return box


@pytest.fixture(scope="module")
def unlearning(tmp_path_factory: pytest.TempPathFactory) -> LearningBox:
    """The same box without the job."""
    box = LearningBox(tmp_path_factory.mktemp("unlearning"), learns=False)
    box.run(33)
    return box


def test_the_job_succeeds_and_its_result_is_kept(learning: LearningBox) -> None:
    assert learning.outcomes() == [("succeeded", "")]

    (report,) = learning.rows("SELECT report FROM task_runs WHERE task = ? AND cycle = ?", JOB, FIRST_NIGHT)[
        0
    ]
    proposed = json.loads(report)
    # A median of the newest nights: 4 h, and not the 8 h of long ago.
    assert exp(proposed["estimates"]["study"]["log_mean"]) == pytest.approx(240.0, rel=0.04)
    assert proposed["weights"]["alpha"] < proposed["weights"]["zeta"]


def test_what_the_job_proposed_is_in_the_daemons_own_tables(
    learning: LearningBox, unlearning: LearningBox
) -> None:
    query = "SELECT log_mean FROM task_estimates WHERE task = 'study'"
    ((taught,),), ((own,),) = learning.rows(query), unlearning.rows(query)

    # By itself the daemon is on its way from 480 to 240 minutes, with 12 % of the distance per run.
    assert exp(own) > 270.0
    assert exp(taught) == pytest.approx(240.0, rel=0.04)
    assert learning.records()["zeta"].preference > learning.records()["alpha"].preference


def test_a_task_that_would_not_fit_fits_in_the_next_window(
    learning: LearningBox, unlearning: LearningBox
) -> None:
    assert learning.starts(FIRST_NIGHT, "study") == []
    assert learning.starts(SECOND_NIGHT, "study") == ["study"]
    # 22:30 in New York is 03:30 of the next day in UTC.
    assert learning.would_not_fit("study") == ["2026-11-24"]

    assert unlearning.starts(FIRST_NIGHT, "study") == unlearning.starts(SECOND_NIGHT, "study") == []
    assert unlearning.would_not_fit("study")[0] == "2026-11-24"


def test_two_tasks_otherwise_equal_start_in_the_learned_order_in_the_next_window(
    learning: LearningBox, unlearning: LearningBox
) -> None:
    assert learning.starts(FIRST_NIGHT, "alpha", "zeta") == ["alpha", "zeta"]
    assert learning.starts(SECOND_NIGHT, "alpha", "zeta") == ["zeta", "alpha"]

    assert unlearning.starts(SECOND_NIGHT, "alpha", "zeta") == ["alpha", "zeta"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"study": {"log_mean": None, "log_error": 0.1}}, "estimates.study.log_mean is None"),
        ({"study": {"log_mean": "four hours", "log_error": 0.1}}, "log_mean is 'four hours'"),
        ({"study": {"log_mean": log(240), "log_error": -1}}, "estimates.study.log_error is -1"),
    ],
)
def test_a_refused_result_leaves_the_records_and_fails_the_run_with_the_reason(
    tmp_path: Path, said: dict[str, Any], why: str
) -> None:
    """None is what becomes of a NaN in a result file."""
    box = LearningBox(tmp_path, said={"estimates": said, "weights": {"zeta": 1.0}})
    before = box.records()

    box.run(12)

    (outcome, detail), *_ = box.outcomes()
    assert outcome == "failed"
    assert "what it learned was refused" in detail
    assert why in detail
    after = box.records()
    assert after["study"].estimate == before["study"].estimate
    assert after["zeta"].preference == 0.0
