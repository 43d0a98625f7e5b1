"""From a decided start to a process: argv, environment, limits, where its output goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.decisions import StartRun
from orchestration.errors import SpawnError
from orchestration.launching import LaunchSettings, deadline_text, launch_for, log_path
from orchestration.runs import Estimate
from orchestration.types import TaskCategory, TaskSpec
from tests.unit.deciding import NIGHT, duty, research, turn

SETTINGS = LaunchSettings(
    root=Path("/project"),
    log_dir=Path("/logs"),
    values={"python": "/usr/bin/python3", "state_dir": "/state"},
    environ={"HOME": "/home/box", "BROKER_KEY": "secret", "LANG": "C"},
    exported={"ORCHESTRATOR_STATE_DIR": "/state"},
    prefixes={"cluster": ("srun", "--quiet")},
)
JOB = TaskSpec(name="job", argv=("{python}", "-m", "scripts.job", "{state_dir}"), env={"EXTRA": "1"})


def start_of(spec: TaskSpec) -> StartRun:
    return turn(spec, at=NIGHT).starts[0]


def test_a_launch_is_complete() -> None:
    launch = launch_for(start_of(JOB), JOB, Estimate(), SETTINGS)

    assert launch.argv == ("/usr/bin/python3", "-m", "scripts.job", "/state")
    assert (launch.cwd, launch.log) == ("/project", "/logs/runs/job/job.2026-11-20.once.1.log")
    # 100 MB reserved: killed at 1.5 times that, or 64 above it if that is more.
    assert (launch.memory_mb, launch.low_priority, launch.duty) == (164, True, False)
    assert (launch.env["EXTRA"], launch.env["ORCHESTRATOR_TASK"]) == ("1", "job")
    assert launch.env["ORCHESTRATOR_STATE_DIR"] == "/state"
    # An hour's timeout after 20:00 New York.
    assert launch.env["ORCHESTRATOR_DEADLINE"] == "2026-11-20T02:00:00Z"
    assert "BROKER_KEY" not in launch.env


def test_every_job_keeps_its_address_space_small_unless_it_says_otherwise() -> None:
    own = JOB.but(env={"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"})

    pools = [
        launch_for(start_of(spec), spec, Estimate(), SETTINGS).env["ARROW_DEFAULT_MEMORY_POOL"]
        for spec in (JOB, own)
    ]

    assert pools == ["system", "mimalloc"]


def test_a_task_of_another_pool_goes_through_its_launcher() -> None:
    spec = JOB.but(pool="cluster", cwd="/elsewhere")

    launch = launch_for(start_of(spec), spec, Estimate(), SETTINGS)

    assert launch.argv[:3] == ("srun", "--quiet", "/usr/bin/python3")
    assert launch.cwd == "/elsewhere"


def test_research_gets_low_priority_and_bounded_threads_and_a_duty_neither() -> None:
    study = research(argv=("/bin/true",), cpus=2)
    watch = duty(argv=("/bin/true",), reconciled_by="reconcile")
    orders = JOB.but(category=TaskCategory.TRADING)

    low = launch_for(start_of(study), study, Estimate(), SETTINGS)
    high = launch_for(start_of(watch), watch, Estimate(), SETTINGS)
    plain = launch_for(start_of(orders), orders, Estimate(), SETTINGS)

    assert (low.low_priority, low.env["OMP_NUM_THREADS"]) == (True, "2")
    assert (high.low_priority, high.duty, "OMP_NUM_THREADS" in high.env) == (False, True, False)
    assert not plain.low_priority


def test_a_secret_that_is_a_setting_reaches_the_task_that_names_it_alone() -> None:
    settings = replace(SETTINGS, secrets={"alert_urls": "ntfy://box/topic"})
    teller = JOB.but(secrets={"alert_urls"})

    told = launch_for(start_of(teller), teller, Estimate(), settings)
    other = launch_for(start_of(JOB), JOB, Estimate(), settings)

    assert told.env["alert_urls"] == "ntfy://box/topic"
    assert "alert_urls" not in other.env
    assert "ntfy" not in repr(settings)


def test_a_missing_secret_is_a_spawn_error_that_names_it() -> None:
    spec = JOB.but(secrets={"broker_key"})

    with pytest.raises(SpawnError, match="broker_key"):
        launch_for(start_of(spec), spec, Estimate(), SETTINGS)


def test_a_recurring_task_appends_to_one_file() -> None:
    spec = JOB.but(every=timedelta(minutes=1))

    assert log_path(SETTINGS, spec, "job.x.1") == Path("/logs/runs/job.log")


def test_no_deadline_is_an_empty_text() -> None:
    assert deadline_text(None) == ""
    assert deadline_text(NIGHT + timedelta(microseconds=7)) == "2026-11-20T01:00:00Z"
