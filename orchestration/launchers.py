"""What a job is started with: its command, moved elsewhere by a launcher, and its whole environment."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestration.errors import SpawnError

ALLOWED = (
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "XDG_*",
)
"""What a job sees of the daemon's environment; a pattern may end in `*`. PYTHONPATH is not among them: it
would let a stray setting of the daemon change the code that every job loads."""

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


def apply_launcher(prefix: Sequence[str], argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `argv` through a launcher: a command that starts its arguments somewhere
    else, blocks until they end, passes signals on and exits with their code (`srun`). No prefix: `argv`.

    Raises:
        SpawnError: if `argv` is empty.
    """
    if not argv or not argv[0]:
        raise SpawnError("argv is empty: a task needs a command, e.g. argv = ['/bin/true']")
    return (*prefix, *argv)


def thread_env(cpus: int) -> dict[str, str]:
    """Return the variables that bound the thread pools of numerical libraries to `cpus` threads each."""
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, cpus)))


def read_secrets(
    names: Iterable[str], folders: Sequence[Path], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return each named secret, read from the first folder that has a file of that name.

    folders: systemd's $CREDENTIALS_DIRECTORY, the operator's folder of secrets. One line end at the end of
    the file is not part of the secret. given: those that may be settings, for names that no folder has.

    Raises:
        SpawnError: naming the secret that is missing, unreadable or empty, never its value.
    """
    return {name: _read_secret(name, folders, given or {}) for name in names}


def _read_secret(name: str, folders: Sequence[Path], given: Mapping[str, str]) -> str:
    if not name or "/" in name or "=" in name or name.startswith("."):
        raise SpawnError(f"secret {name!r}: not a name; expected letters, digits and underscores")
    where = ", ".join(str(folder) for folder in folders) or "no folder of secrets is set"
    for folder in folders:
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise SpawnError(f"secret {name!r} in {folder} cannot be read: {reason}") from error
        secret = text.removesuffix("\n").removesuffix("\r")
        if not secret or "\0" in secret:
            raise SpawnError(f"secret {name!r} in {folder} is empty or binary; write its text into the file")
        return secret
    if given.get(name):
        return given[name]
    raise SpawnError(f"secret {name!r} was not found in: {where}. Write it to a file of that name")


def child_environment(
    base: Mapping[str, str],
    env: Mapping[str, str],
    allow: Sequence[str] = ALLOWED,
    secrets: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a job.

    base: the daemon's, of which only names in `allow` pass. env: the spec's own, which wins over it.
    secrets: those the task names (`read_secrets`), which win over both. PATH is always set.
    """
    passed = {name: value for name, value in base.items() if _matches(name, allow)}
    return {"PATH": DEFAULT_PATH, **passed, **env, **(secrets or {})}


def _matches(name: str, allow: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in allow)
