"""The real daemon runs adaptive_optimization on a history that shifted, and commits what it learned."""

from __future__ import annotations

import json
from math import exp
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon, task
from tests.adaptive_box import nights_of, record

pytestmark = pytest.mark.slow

JOB = "adaptive_optimization"
WOBBLE = (0.97, 1.0, 1.03)
SHIFTED = [minutes * WOBBLE[n % 3] for n, minutes in enumerate([480.0] * 30 + [240.0] * 12)]
STUDY = task("study", ["/bin/sleep", "600"])
"""It does not end here: nothing but the job may teach its numbers."""


@pytest.fixture
def learning(daemon: Daemon) -> Daemon:
    """A daemon whose database holds 42 nights of a study that came down from 8 to 4 hours."""
    record(daemon.state, nights_of("study", SHIFTED))
    return daemon


def with_job(daemon: Daemon, fields: str) -> None:
    """Switch the job on, at any hour and in any mode."""
    daemon.write_tasks(STUDY)
    whole = daemon.tasks.read_text()
    off = f'[[task]]\nname = "{JOB}"\nenabled = false\n'
    assert off in whole
    on = f'[[task]]\nname = "{JOB}"\nphases = []\nmodes = []\ncategory = "MAINTENANCE"\n{fields}\n'
    daemon.tasks.write_text(whole.replace(off, on))


def study(daemon: Daemon) -> dict[str, Any]:
    (row,) = daemon.rows("SELECT log_mean, log_error, runs FROM task_estimates WHERE task = 'study'")
    return row


def test_what_the_job_learned_is_committed_by_the_daemon(learning: Daemon) -> None:
    before = study(learning)
    with_job(learning, "")

    learning.start()
    learning.wait_outcomes(JOB, "succeeded")

    after = study(learning)
    assert exp(before["log_mean"]) > 270.0
    assert exp(after["log_mean"]) == pytest.approx(240.0, rel=0.05)
    assert after["runs"] == before["runs"]
    (run,) = learning.runs(JOB)
    assert set(json.loads(run["report"])["estimates"]) == {"study"}
    # What it is promised holds: the limit at which it would be killed lies above it.
    assert run["peak_memory_mb"] < run["reserved_mb"]
    assert (learning.state / "adaptive" / "optimization_summary.json").is_file()


@pytest.mark.parametrize(
    ("number", "why"), [("NaN", "log_mean is None"), ('"four hours"', "log_mean is 'four hours'")]
)
def test_a_result_with_no_number_is_refused_as_a_whole(learning: Daemon, number: str, why: str) -> None:
    before = study(learning)
    numbers = f'{{"log_mean": {number}, "log_error": 0.1}}'
    result = f'{{"estimates": {{"study": {numbers}}}, "weights": {{"study": 1.0}}}}'
    script = f"printf '%s' '{result}' >\"$ORCHESTRATOR_RESULT\""
    with_job(learning, f"max_attempts = 1\nargv = {json.dumps(['/bin/sh', '-c', script])}")

    learning.start()
    learning.wait_outcomes(JOB, "failed")

    (run,) = learning.runs(JOB)
    assert "what it learned was refused" in run["detail"]
    assert why in run["detail"]
    assert study(learning) == before
