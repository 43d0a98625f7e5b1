"""A job's command and environment: a launcher in front, an allow-list, secrets for those that name them."""

from __future__ import annotations

import pytest

from orchestration.errors import SpawnError
from orchestration.launchers import ALLOWED, apply_launcher, child_environment, thread_env


def test_a_launcher_stands_before_the_command() -> None:
    """`srun --mem=2G python job.py` blocks until the job ends."""
    assert apply_launcher(["srun", "--mem=2G"], ["python", "job.py"]) == (
        "srun",
        "--mem=2G",
        "python",
        "job.py",
    )


def test_without_a_launcher_the_command_is_unchanged() -> None:
    """The local pool."""
    assert apply_launcher((), ["/bin/true"]) == ("/bin/true",)


@pytest.mark.parametrize("argv", [[], [""]])
def test_an_empty_command_is_refused(argv: list[str]) -> None:
    """A launcher alone would start something else."""
    with pytest.raises(SpawnError, match="argv is empty"):
        apply_launcher(["srun"], argv)


def test_only_allowed_variables_of_the_daemon_reach_a_job() -> None:
    """A broker's key in the daemon's environment stays there."""
    base = {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "BROKER_KEY": "k",
        "PYTHONPATH": "/x",
        "NOTIFY_SOCKET": "s",
    }

    assert child_environment(base, {}) == {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C"}


def test_the_specs_variables_win_over_the_daemons_and_secrets_over_both() -> None:
    """The most particular word counts."""
    made = child_environment({"TZ": "UTC"}, {"TZ": "Asia/Tokyo", "KEY": "spec"}, ALLOWED, {"KEY": "secret"})

    assert (made["TZ"], made["KEY"]) == ("Asia/Tokyo", "secret")


def test_a_job_always_has_a_path() -> None:
    """A service may be started without one."""
    assert child_environment({}, {}) == {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def test_thread_pools_are_bounded_to_the_slots_a_task_takes() -> None:
    """All seven libraries; never to zero, which means `all cores` to some of them."""
    assert set(thread_env(2).values()) == {"2"}
    assert set(thread_env(0).values()) == {"1"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"} <= set(
        thread_env(1)
    )
