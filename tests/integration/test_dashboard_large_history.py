"""Half a million runs: every page of the past is there at once, the first time it is asked for."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.large_history import write_large_history
from config import Settings
from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from orchestration.clock import VirtualClock
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk
from orchestration.simulation.stand_ins import SteadySensors
from tests.control_desk import FRIDAY_EVENING, FakeDaemon
from tests.dashboard_box import TestClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MOST_S = 0.6
"""The budget is 0.3 s; whoever shares the machine's cores may double the time of a processor."""
TRIES = 3
"""Of so many first requests the quickest counts."""
PAGES = (
    "/history",
    "/history?day=2026-11-16",
    "/history?day=2026-11-20&part=day",
    "/task/own_job_050",
    "/task/own_job_050?page=100",
    "/tasks",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    write_large_history(made, FRIDAY_EVENING)
    return made


@contextmanager
def fresh(folder: Path) -> Iterator[TestClient]:
    """A dashboard that nobody has asked anything yet."""
    environ = {
        "ORCHESTRATOR_STATE_DIR": str(folder),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "ORCHESTRATOR_TASKS": str(folder / "tasks.toml"),
        "USE_UNIFIED_SCHEDULER": "true",
    }
    clock = VirtualClock(FRIDAY_EVENING + timedelta(minutes=1))
    box = Box(Settings.from_env(environ), clock, SteadySensors())
    source = Source(Desk(environ, clock=clock, daemon=FakeDaemon(), box=box))
    with TestClient(create_app(source, Access())) as client:
        # The tasks and the calendar are read when the service starts.
        assert source.specs
        assert source.calendars
        yield client


def seconds_of(client: TestClient, path: str) -> float:
    """The processor's time that an answer takes: others may use the machine meanwhile."""
    began = time.process_time()
    answer = client.get(path)
    took = time.process_time() - began
    assert answer.status_code == 200
    return took


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_there_at_once_the_first_time(folder: Path, path: str) -> None:
    took = []
    for _ in range(TRIES):
        with fresh(folder) as client:
            took.append(seconds_of(client, path))

    assert min(took) < MOST_S, took


def test_fifty_tasks_looked_at_leave_no_more_than_a_few_megabytes(folder: Path) -> None:
    with fresh(folder) as client:
        seconds_of(client, "/history?windows=60")
        seconds_of(client, "/task/own_job_000")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(50):
            seconds_of(client, f"/task/own_job_{number:03d}")

    # kB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 15_000
