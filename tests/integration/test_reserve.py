"""The room kept on the disk: given up to record what ended, taken back when there is room again."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orchestration
from orchestration.changes import Change
from orchestration.errors import StoreError
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.state.ballast import Ballast
from orchestration.state.memory import MemoryStore
from orchestration.types import TaskCategory, TaskPriority, TaskSpec

ROOT = Path(__file__).resolve().parents[2]
OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


class FullDisk(MemoryStore):
    """A store whose disk is full, but for what the ballast holds, once it is `filled`."""

    def __init__(self, ballast: Path) -> None:
        super().__init__()
        self.ballast, self.filled = ballast, False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.filled and self.ballast.exists():
            raise StoreError(errno.ENOSPC, "the disk is full")
        super().commit(changes)


def box(tmp_path: Path) -> tuple[Simulation, FullDisk, Ballast]:
    ballast = Ballast(tmp_path / "ballast", 100_000)
    assert ballast.restore()
    store = FullDisk(tmp_path / "ballast")
    duty = TaskSpec(
        name="duty",
        every=timedelta(minutes=5),
        window="open..close",
        category=TaskCategory.RISK,
        priority=TaskPriority.CRITICAL,
        estimated_minutes=0.1,
    )
    chore = TaskSpec(name="chore", every=timedelta(minutes=5), window="open..close", estimated_minutes=0.1)
    made = build({"duty": duty, "chore": chore}, policy_for("unified"), SessionTables(), OPEN, store=store)
    made.loop._reserve = ballast
    return made, store, ballast


def test_on_a_full_disk_results_are_kept_and_only_duties_go_on(tmp_path: Path) -> None:
    made, store, ballast = box(tmp_path)
    made.run_until(OPEN + timedelta(seconds=1))
    store.filled = True
    ballast.restore = lambda: False  # type: ignore[method-assign]  # the disk stays full

    made.run_until(OPEN + timedelta(minutes=21))

    assert not (tmp_path / "ballast").exists()
    ended = [result.key.task for result in store.results]
    assert ended.count("duty") == 5  # 15:00, 15:05, 15:10, 15:15, 15:20
    assert ended.count("chore") == 1  # the one that ran when the disk filled


def test_with_room_again_the_reserve_is_taken_back_and_everything_goes_on(tmp_path: Path) -> None:
    made, store, _ = box(tmp_path)
    made.run_until(OPEN + timedelta(seconds=1))
    store.filled = True
    made.run_until(OPEN + timedelta(minutes=4))
    store.filled = False

    made.run_until(OPEN + timedelta(minutes=11))

    assert (tmp_path / "ballast").stat().st_size == 100_000
    assert [r.key.task for r in store.results].count("chore") == 3  # 15:00, 15:05, 15:10


def test_the_version_is_the_package_s() -> None:
    assert f'version = "{orchestration.VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_a_run_s_end_is_never_dropped(tmp_path: Path) -> None:
    made, store, _ = box(tmp_path)
    made.run_until(OPEN + timedelta(seconds=1))
    store.filled = True

    made.run_until(OPEN + timedelta(minutes=2))

    assert {r.key.task for r in store.results} == {"duty", "chore"}
