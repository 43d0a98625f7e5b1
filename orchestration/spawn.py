"""The spawn itself: one posix_spawn of the supervisor, with nothing of the daemon inherited by chance."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from orchestration.errors import SpawnError
from orchestration.launchers import thread_env
from orchestration.ports import Launch
from orchestration.run_files import RunFiles

SUPERVISE = Path(__file__).with_name("supervise.sh")
LOCK_FD = 9
"""Where supervise.sh keeps its lock; one digit, as POSIX shells know no others."""

RESET_SIGNALS = tuple(
    signum
    for signum in signal.valid_signals()
    if signum not in (signal.SIGKILL, signal.SIGSTOP) and signum < signal.SIGRTMIN
)
"""Python ignores SIGPIPE and SIGXFSZ, and an ignored signal would be inherited by the job."""


def is_run_name(run_id: str) -> bool:
    """Return whether a run id can name a directory among the runs."""
    is_plain = bool(run_id) and "/" not in run_id and not run_id.startswith(".")
    return is_plain and run_id not in ("boot", "boot.tmp")


def check_launch(launch: Launch, cwd: str) -> None:
    """Raise SpawnError for what can be told before anything is created."""
    name = launch.run_id
    if not is_run_name(name):
        raise SpawnError(f"run id {name!r} cannot be a directory's name")
    if not launch.argv or not launch.argv[0] or launch.argv[0].startswith("-"):
        raise SpawnError(f"run {name}: argv {launch.argv!r} does not begin with a command")
    if not os.path.isdir(cwd):
        raise SpawnError(f"run {name}: the working directory {cwd} does not exist; create it or change cwd")
    for key, value in launch.env.items():
        if not key or "=" in key or "\0" in key + value:
            raise SpawnError(f"run {name}: the environment variable {key!r} cannot be set")
    if any("\0" in word for word in launch.argv):
        raise SpawnError(f"run {name}: argv holds a NUL character")


def spawn(
    launch: Launch, files: RunFiles, *, shell: Sequence[str], arguments: Sequence[str], log: str
) -> int:
    """Start the supervisor and return its pid.

    arguments: of supervise.sh, after the run's directory. The lock is taken here and handed on, so there is
    no moment at which the run exists and is not locked. Raises OSError.
    """
    lock = files.take_lock()
    if lock is None:
        raise OSError("another supervisor holds its lock")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    command = (*shell, str(SUPERVISE), str(files.path), *arguments)
    environment = {
        **thread_env(launch.cpus),
        **launch.env,
        "ORCHESTRATOR_RUN_ID": launch.run_id,
        "ORCHESTRATOR_RESULT": str(files.result),
    }
    try:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=(
                (os.POSIX_SPAWN_DUP2, lock, LOCK_FD),
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o640),
                (os.POSIX_SPAWN_OPEN, 2, f"{files.path}/shell", append, 0o640),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=RESET_SIGNALS,
        )
    finally:
        os.close(lock)
