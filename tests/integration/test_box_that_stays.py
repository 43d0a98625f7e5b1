"""What a process that stays sees of the box: all that has changed, and nothing is read twice for nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config import Settings
from orchestration.changes import ValueSaved
from orchestration.clock import VirtualClock
from orchestration.ctl.box import Box
from orchestration.ctl.desk import evaluate
from orchestration.errors import SpecError
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.state.store import SqlStore
from tests.calendars import ny

NOON = ny("2026-11-20T12:00")
TASK = '[[task]]\nname = "{}"\nargv = ["/bin/true"]\nphases = ["OVERNIGHT"]\nestimated_minutes = 5\n'


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.toml"
    path.write_text(TASK.format("mine"))
    return path


@pytest.fixture
def box(tmp_path: Path, tasks: Path) -> Box:
    environ = {
        "ORCHESTRATOR_STATE_DIR": str(tmp_path),
        "ORCHESTRATOR_LOG_DIR": str(tmp_path / "logs"),
        "ORCHESTRATOR_TASKS": str(tasks),
    }
    clock = VirtualClock(NOON)
    return Box(Settings.from_env(environ), clock, SteadySensors())


def write_later(path: Path, text: str) -> None:
    """Write a file whose time stamp is another one, however coarse the file system's clock."""
    stamp = path.stat().st_mtime_ns + 1_000_000_000
    path.write_text(text)
    os.utime(path, ns=(stamp, stamp))


def test_a_task_added_to_the_file_is_seen(box: Box, tasks: Path) -> None:
    box.forget()
    before = box.registry

    write_later(tasks, TASK.format("mine") + TASK.format("another"))
    box.forget()

    assert "another" not in before.specs
    assert {"mine", "another"} <= box.registry.specs.keys()


def test_what_has_not_changed_is_not_read_again(box: Box) -> None:
    box.forget()
    before = box.registry, box.calendars

    box.forget()

    assert (box.registry, box.calendars) == before
    assert box.registry is before[0]


def test_a_file_that_becomes_invalid_leaves_the_old_one_in_force_until_it_is_right(
    box: Box, tasks: Path
) -> None:
    box.forget()
    write_later(tasks, '[[task]]\nname = "mine"\nphases = ["OVERNITE"]\n')

    box.forget()
    (complaint,) = box.complaints
    specs = box.registry.specs
    write_later(tasks, TASK.format("better"))
    box.forget()

    assert "the old one is shown" in complaint
    assert "OVERNITE" in complaint
    assert "mine" in specs
    assert "better" in box.registry.specs
    assert box.complaints == []


def test_a_file_that_is_invalid_from_the_start_is_an_error(box: Box, tasks: Path) -> None:
    tasks.write_text('[[task]]\nname = "mine"\nphases = ["OVERNITE"]\n')

    with pytest.raises(SpecError, match="OVERNITE"):
        box.forget()


def test_the_state_is_read_as_it_is_now(box: Box, tmp_path: Path) -> None:
    box.forget()
    before = box.state().paused
    store = SqlStore(tmp_path / "performance.db")
    store.commit([ValueSaved(key="paused", value="research", at=NOON)])
    store.close()

    box.forget()

    assert (before, box.state().paused) == (None, "research")


def test_a_new_day_is_a_new_calendar(box: Box) -> None:
    box.forget()
    before = box.calendars
    assert isinstance(box.clock, VirtualClock)

    box.clock.advance(ny("2026-11-21T12:00") - NOON)
    box.forget()

    assert box.calendars is not before


def test_the_policy_and_the_memory_in_use_can_be_given(box: Box) -> None:
    view = evaluate(box, box.policy_called("unified"), {"a run": 120.0})

    assert (view["policy"], evaluate(box)["policy"]) == ("unified", "timetable")
