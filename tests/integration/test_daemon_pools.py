"""The daemon's pools: against a stand-in for the control command, and against a real daemon."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import create_engine

from adaptive.daemon_pools import DaemonPools, DaemonPoolsError
from adaptive.runs import PoolRun
from adaptive.scheduler import AdaptiveScheduler
from adaptive.types import Pool, Status, Wave, WaveTask
from orchestration.state import schema
from tests.acceptance.daemon import Daemon
from tests.scripted_waves import place

COLUMNS = (
    "run_id, task, cycle, slot, attempt, status, pool, planned_at, started_at, ended_at, "
    "outcome, stop_cause, duration_s, reserved_mb, cpus, filler, detail, report, log"
)
ROW = (
    "INSERT INTO task_runs ({columns}) VALUES ('{run_id}', '{task}', '2026-11-20', '{slot}', 1, '{status}', "
    "'local', '2026-11-20T10:00:00.000000Z', '2026-11-20T10:00:00.000000Z', '2026-11-20T10:00:02.500000Z', "
    "{outcome}, {cause}, {duration}, 20, 1, 0, '{detail}', '{{}}', '')"
)
STAND_IN = """
import sqlite3, sys
assert sys.argv[1:3] == ["run", {task!r}], sys.argv
sys.stderr.write({said!r})
with sqlite3.connect({database!r}) as connection:
    for statement in {statements!r}:
        connection.execute(statement)
sys.exit({code})
"""
"""What `orchestratorctl` and the daemon behind it do, at once."""


class ImpatientClock:
    """A clock on which a sleep passes at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Box:
    """A state directory with a database, and a control command that does as it is told."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.folder = folder
        self.database = folder / "performance.db"
        copyfile(empty, self.database)

    def run_row(
        self,
        run_id: str,
        *,
        slot: str = "manual:1",
        status: str = "ended",
        outcome: str | None = "succeeded",
        cause: str | None = None,
        duration_s: float | None = 1.5,
        detail: str = "",
    ) -> str:
        """Return the statement that records a run of greet."""
        return ROW.format(
            columns=COLUMNS,
            run_id=run_id,
            task="greet",
            slot=slot,
            status=status,
            outcome="NULL" if outcome is None else f"'{outcome}'",
            cause="NULL" if cause is None else f"'{cause}'",
            duration="NULL" if duration_s is None else duration_s,
            detail=detail,
        )

    def record(self, statement: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement)

    def pools(self, *statements: str, code: int = 0, said: str = "", timeout_s: float = 5.0) -> DaemonPools:
        """Return pools whose command records these runs, says this and ends so."""
        script = self.folder / "orchestratorctl.py"
        script.write_text(
            STAND_IN.format(
                task="greet", said=said, database=str(self.database), statements=statements, code=code
            )
        )
        command = (sys.executable, "-I", "-S", str(script))
        return DaemonPools(self.folder, timeout_s=timeout_s, command=command, clock=ImpatientClock())


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with the daemon's own tables."""
    path = tmp_path_factory.mktemp("empty") / "performance.db"
    engine = create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def box(tmp_path: Path, empty: Path) -> Box:
    return Box(tmp_path, empty)


GREET = WaveTask(task_id="hello", kind="greet")


def test_a_run_that_succeeded_tells_how_long_it_took(box: Box) -> None:
    pools = box.pools(box.run_row("greet.1"))

    assert pools.run(GREET, "local/1") == PoolRun(success=True, duration_ms=1500.0)


def test_runs_from_before_the_order_and_those_of_the_timetable_are_not_its_answer(box: Box) -> None:
    box.record(box.run_row("greet.0", slot="manual:0", outcome="failed"))
    pools = box.pools(
        box.run_row("greet.1", slot="2026-11-20T10:00:00Z", outcome="failed"),
        box.run_row("greet.2", slot="manual:2"),
    )

    assert pools.run(GREET, "local/1").success


@pytest.mark.parametrize(
    ("outcome", "cause", "is_final"),
    [
        ("failed", None, False),
        ("checkpointed", None, False),
        ("checkpointed", "operator", True),
        ("killed", "operator", True),
        ("unknown", None, True),
    ],
)
def test_a_run_that_did_not_succeed_says_so_and_whether_it_may_be_repeated(
    box: Box, outcome: str, cause: str | None, is_final: bool
) -> None:
    pools = box.pools(box.run_row("greet.1", outcome=outcome, cause=cause, detail="exit code 1"))

    assert pools.run(GREET, "local/1") == PoolRun(
        success=False, duration_ms=1500.0, detail=f"{outcome}: exit code 1", is_final=is_final
    )


def test_a_run_without_a_measured_duration_lasted_from_its_start_to_its_end(box: Box) -> None:
    pools = box.pools(box.run_row("greet.1", duration_s=None))

    assert pools.run(GREET, "local/1").duration_ms == 2500.0


def test_a_refusal_is_a_failure_in_the_daemons_words_that_is_not_repeated(box: Box) -> None:
    pools = box.pools(code=1, said="orchestratorctl: greet is disabled\n")

    assert pools.run(GREET, "local/1") == PoolRun(
        success=False, duration_ms=0.0, detail="orchestratorctl: greet is disabled", is_final=True
    )


def test_an_order_that_was_withdrawn_may_be_given_again(box: Box) -> None:
    pools = box.pools(code=4, said="no answer within 10 s")

    assert pools.run(GREET, "local/1") == PoolRun(
        success=False, duration_ms=0.0, detail="no answer within 10 s"
    )


def test_a_run_that_does_not_start_in_time_is_a_failure_that_says_that_it_still_may(box: Box) -> None:
    found = box.pools().run(GREET, "local/1")

    assert found.detail == "after 5 s greet has not started, and will as soon as the daemon's gates let it"
    assert found.is_final


def test_a_run_that_does_not_end_in_time_is_a_failure_that_is_not_repeated(box: Box) -> None:
    found = box.pools(box.run_row("greet.1", status="running", outcome=None)).run(GREET, "local/1")

    assert (found.detail, found.is_final) == ("after 5 s greet is still running", True)


def test_a_task_that_runs_for_others_is_waited_for_before_it_is_ordered(box: Box) -> None:
    box.record(box.run_row("greet.0", slot="2026-11-20T10:00:00Z", status="running", outcome=None))

    found = box.pools(code=1, said="greet is running already").run(GREET, "local/1")

    assert found.detail == "after 5 s greet was still running for others"


def test_a_missing_daemon_is_an_error_in_the_commands_words(tmp_path: Path) -> None:
    """Here with the real control command, in a state directory that no daemon has ever seen."""
    pools = DaemonPools(tmp_path, timeout_s=5)

    with pytest.raises(
        DaemonPoolsError, match=r"no daemon: orchestratorctl: no daemon is running on .*Start it"
    ):
        pools.run(GREET, "local/1")


def test_a_missing_command_is_an_error(tmp_path: Path) -> None:
    pools = DaemonPools(tmp_path, timeout_s=5, command=(str(tmp_path / "nothing"),))

    with pytest.raises(DaemonPoolsError, match="nothing cannot be used"):
        pools.run(GREET, "local/1")


def test_a_database_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "performance.db").write_text("no database" * 100)

    with pytest.raises(DaemonPoolsError, match=r"performance\.db cannot be read"):
        DaemonPools(tmp_path).run(GREET, "local/1")


def test_a_timeout_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="timeout_s is 0: expected seconds above 0"):
        DaemonPools(tmp_path, timeout_s=0)


# --- a real daemon ----------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    found = Daemon(tmp_path)
    try:
        yield found
    finally:
        found.clean_up()


@pytest.mark.slow
def test_a_wave_runs_in_the_pools_of_a_real_daemon(daemon: Daemon) -> None:
    """Two tasks, one after the other, of which the first fails once; a third always fails."""
    never = {"cron": "0 3 1 1 *"}
    once = f'test -e "{daemon.folder}/tried" || {{ touch "{daemon.folder}/tried"; exit 3; }}'
    daemon.write_tasks(
        daemon.job("first", once, **never),
        daemon.job("second", ":", **never),
        daemon.job("bad", "exit 4", **never),
    )
    daemon.start()
    wave = Wave(
        number=1,
        tasks=(
            WaveTask(task_id="first"),
            WaveTask(task_id="second", dependencies=frozenset({"first"})),
            WaveTask(task_id="bad"),
            WaveTask(task_id="worse", kind="bad", dependencies=frozenset({"bad"})),
        ),
    )
    pools = DaemonPools(daemon.state, timeout_s=30, environ=daemon.environment())
    scheduler = AdaptiveScheduler(Pool(agents=("local/1", "local/2")), max_attempts=2)

    executed = scheduler.execute(
        {
            "local/1": (place("first", "local/1", 0, 500), place("second", "local/1", 500, 900)),
            "local/2": (place("bad", "local/2", 0, 500), place("worse", "local/2", 500, 900)),
        },
        wave,
        dry_run=False,
        pools=pools,
    )

    assert {each.task_id: each.status for each in executed.scheduled} == {
        "first": Status.RETRIED,
        "second": Status.COMPLETED,
        "bad": Status.FAILED,
        "worse": Status.SKIPPED,
    }
    assert daemon.outcomes("first") == ["failed", "succeeded"]
    assert daemon.outcomes("bad") == ["failed", "failed"]
    assert executed.reasons["bad"][-1].startswith("given up after 2 of 2 attempts (failed")
    starts = {each.task_id: each.actual_start_time or 0.0 for each in executed.scheduled}
    ends = {each.task_id: each.actual_end_time or 0.0 for each in executed.scheduled}
    assert starts["second"] >= ends["first"]
