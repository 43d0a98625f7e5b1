"""supervise.sh by itself, under dash and under bash --posix."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from orchestration.processes import boot_id
from orchestration.run_files import VOID_NEVER, RunFiles
from orchestration.spawn import spawn
from tests.integration.running import make_launch, wait_for

SHELLS = {"dash": ("/usr/bin/dash",), "bash": ("/usr/bin/bash", "--posix")}


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    command = SHELLS[str(request.param)]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def _spawn(shell: tuple[str, ...], files: RunFiles, argv: tuple[str, ...], cwd: str = "/") -> int:
    files.path.mkdir(exist_ok=True)
    launch = make_launch(files.path.name, argv)
    return spawn(launch, files, shell=shell, arguments=(cwd, "0", "", *argv), log=str(files.log))


def _run(shell: tuple[str, ...], files: RunFiles, *argv: str) -> int | None:
    os.waitpid(_spawn(shell, files, argv), 0)
    record = files.ended()
    return None if record is None else record.exit_code


def test_every_exit_code_is_recorded_as_it_is(shell: tuple[str, ...], tmp_path: Path) -> None:
    """0 to 255, also those above 128 that look like signals (all but 130 and 141, as documented)."""
    codes = [code for code in range(256) if code not in (130, 141)]
    seen = {}
    for first in range(0, len(codes), 32):
        batch = codes[first : first + 32]
        pids = [_spawn(shell, RunFiles(tmp_path / f"c{c}"), ("/bin/sh", "-c", f"exit {c}")) for c in batch]
        for pid in pids:
            os.waitpid(pid, 0)
        seen.update({c: RunFiles(tmp_path / f"c{c}").ended() for c in batch})

    assert {code: record.exit_code for code, record in seen.items() if record} == {c: c for c in codes}


DEADLY = (
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
)


def test_a_death_by_signal_is_recorded_as_minus_its_number(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Also INT and QUIT, which a job in the background of a shell would ignore."""
    numbers = {name: getattr(signal, f"SIG{name}").value for name in DEADLY}

    seen = {
        name: _run(shell, RunFiles(tmp_path / name), "/bin/sh", "-c", f"ulimit -c 0; kill -{number} $$")
        for name, number in numbers.items()
    }

    assert seen == {name: -number for name, number in numbers.items()}


def test_the_job_inherits_no_ignored_signal_and_no_descriptor(shell: tuple[str, ...], tmp_path: Path) -> None:
    """An ignored SIGTERM could not be asked to stop; the lock's descriptor would keep the lock."""
    files = RunFiles(tmp_path / "r")

    _run(shell, files, "/bin/sh", "-c", "grep SigIgn /proc/self/status; ls -l /proc/$$/fd")

    ignored = int(files.log.read_text().split()[1], 16)
    # 32 and 33 belong to the C library; what runs the tests may have left them ignored.
    assert ignored & 0x7FFFFFFF == 0
    assert str(files.path / "lock") not in files.log.read_text()
    assert str(files.path / "shell") not in files.log.read_text()


def test_the_job_is_marked_for_the_kernels_killer(shell: tuple[str, ...], tmp_path: Path) -> None:
    """+300, so that it goes before the daemon and the desktop."""
    files = RunFiles(tmp_path / "r")

    _run(shell, files, "/bin/cat", "/proc/self/oom_score_adj")

    assert files.log.read_text() == "300\n"


def test_a_second_supervisor_of_the_same_run_does_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    """`started` is created exclusively."""
    files = RunFiles(tmp_path / "r")
    argv = ("/bin/sh", "-c", "echo ran")
    _run(shell, files, *argv)

    _, status = os.waitpid(_spawn(shell, files, argv), 0)

    assert os.WEXITSTATUS(status) == 71
    assert files.log.read_text() == "ran\n"


def test_started_names_the_supervisor_before_the_job_runs(shell: tuple[str, ...], tmp_path: Path) -> None:
    """pid, start time and boot: what a later daemon recognises it by."""
    files = RunFiles(tmp_path / "r")

    pid = _spawn(shell, files, ("/bin/sh", "-c", f"cat {files.path}/started; sleep 300"))
    wait_for(lambda: files.log.exists() and files.log.read_text(), "the job's word")
    found = files.supervisor(boot_id())
    locked = files.is_locked()
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert files.log.read_text().split()[0] == str(pid)
    assert found is not None
    assert found.pid == pid
    assert locked
    assert not files.is_locked()
    assert files.supervisor(boot_id()) is None
    assert files.supervisor("another boot") is None


def test_a_signal_to_the_whole_group_ends_the_job_and_is_recorded(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """The supervisor gets it too and stays."""
    files = RunFiles(tmp_path / "r")
    pid = _spawn(shell, files, ("/bin/sh", "-c", "trap 'sleep 0.1; exit 75' TERM; echo up; sleep 300 & wait"))
    wait_for(lambda: files.log.exists() and files.log.read_text(), "the job's word")

    os.killpg(pid, signal.SIGTERM)
    os.waitpid(pid, 0)

    record = files.ended()
    assert record is not None
    assert record.exit_code == 75


def test_a_signal_to_the_supervisor_alone_neither_kills_nor_blinds_it(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Somebody's kill of the wrong pid."""
    files = RunFiles(tmp_path / "r")
    pid = _spawn(shell, files, ("/bin/sh", "-c", "echo up; sleep 0.3; exit 4"))
    wait_for(lambda: files.log.exists() and files.log.read_text(), "the job's word")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(pid, number)
    os.waitpid(pid, 0)

    record = files.ended()
    assert record is not None
    assert record.exit_code == 4


def test_a_missing_command_is_127_and_the_log_says_so(shell: tuple[str, ...], tmp_path: Path) -> None:
    """With the word to look for in the task file."""
    files = RunFiles(tmp_path / "r")

    code = _run(shell, files, "no-such-command", "--flag")

    assert code == 127
    assert "command not found: no-such-command (look at the task's argv" in files.log.read_text()


def test_a_command_named_like_a_shell_builtin_is_not_the_builtin(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """argv never goes through a shell: `exit` is a command that does not exist."""
    assert _run(shell, RunFiles(tmp_path / "r"), "exit", "3") == 127


def test_arguments_reach_the_job_untouched(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Blanks, quotes, stars, dollars, line ends, empty words."""
    files = RunFiles(tmp_path / "r")
    words = ("a b", "*", "$HOME", "'\"", "", "x\ny", "-n")

    _run(shell, files, "/usr/bin/printf", "<%s>", *words)

    assert files.log.read_text() == "".join(f"<{word}>" for word in words)


def test_a_job_that_closes_its_output_ends_like_any_other(shell: tuple[str, ...], tmp_path: Path) -> None:
    """The exit code does not travel through it."""
    assert _run(shell, RunFiles(tmp_path / "r"), "/bin/sh", "-c", "exec >&- 2>&- <&-; exit 9") == 9


def test_a_recovery_and_a_late_supervisor_never_both_win(tmp_path: Path) -> None:
    """200 races: the run is void, or it ran once; never both, never neither.

    The recovery comes the later the longer it has won, so that they stay close on a loaded box too.
    """
    shell = ("/bin/sh",)
    outcomes = []
    handicap_s = 0.0
    for race in range(200):
        files = RunFiles(tmp_path / f"r{race}")
        pid = _spawn(shell, files, ("/bin/sh", "-c", "echo ran"))
        time.sleep(handicap_s)
        voided = files.void(VOID_NEVER)
        os.waitpid(pid, 0)
        outcomes.append((voided, files.log.read_text()))
        handicap_s = 1.2 * handicap_s + 0.0002 if voided else 0.8 * handicap_s

    assert set(outcomes) <= {(True, ""), (False, "ran\n")}
    assert len(set(outcomes)) == 2, "the race was never close"
