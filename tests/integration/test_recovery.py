"""What a daemon finds after the last one was killed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.errors import SpawnError
from orchestration.ports import Fate, Recovered
from orchestration.processes import boot_id, children, process_stat
from orchestration.run_files import VOID_LOST, VOID_NEVER, RunFiles
from orchestration.runs import StopCause
from orchestration.spawn import spawn
from tests.integration.running import LIMIT_S, alive_with, finish, make_launch, make_runner, wait_for

CRASHING = Path(__file__).with_name("crashing_daemon.py")


def _crash(folder: Path, **scripts: str) -> None:
    """Let a daemon start these runs and kill it."""
    words = [f"{name}={script}" for name, script in scripts.items()]
    done = subprocess.run(
        [sys.executable, str(CRASHING), str(folder), *words], check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr.decode()


def _recover(folder: Path, *names: str) -> dict[str, Recovered]:
    return {found.run_id: found for found in make_runner(folder).recover(names)}


def _same_boot(folder: Path, boot: str | None = None) -> None:
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / "boot").write_text(boot or boot_id())


def test_a_run_that_outlives_the_daemon_is_adopted_and_its_end_is_known(tmp_path: Path) -> None:
    """The new daemon is not its parent: the exit code comes from the file."""
    before, began = datetime.now(UTC), time.monotonic()
    wait = f'sleep 0.6; while [ ! -e "{tmp_path}/go" ]; do sleep 0.02; done'
    _crash(tmp_path, r=f'{wait}; echo \'{{"n": 1}}\' >"$ORCHESTRATOR_RESULT"; exit 33')
    runner = make_runner(tmp_path)

    [found] = runner.recover(["r"])
    (tmp_path / "go").touch()
    left = finish(runner)["r"]

    assert found.fate is Fate.ADOPTED
    assert found.pid is not None
    assert found.started_at is not None
    assert before - timedelta(seconds=0.1) <= found.started_at <= datetime.now(UTC)
    assert (left.exit_code, left.report, left.detail) == (33, {"n": 1}, "")
    assert left.duration_s is not None
    assert 0.55 <= left.duration_s <= time.monotonic() - began
    assert left.peak_memory_mb is not None


def test_an_adopted_run_can_be_stopped_and_killed(tmp_path: Path) -> None:
    """Its group is known by its supervisor."""
    _crash(tmp_path, obeys="sleep 300", ignores="trap '' TERM; echo up; while :; do sleep 0.02; done")
    wait_for((tmp_path / "runs" / "ignores" / "log").read_text, "the job's word")
    runner = make_runner(tmp_path)
    runner.recover(["obeys", "ignores"])

    for name, grace_s in (("obeys", 60), ("ignores", 0.3)):
        runner.stop(name, StopCause.SHUTDOWN, timedelta(seconds=grace_s))
    left = finish(runner, 2)

    assert {name: found.exit_code for name, found in left.items()} == {"obeys": -15, "ignores": -9}
    assert alive_with(tmp_path, ["obeys", "ignores"]) == []


def test_the_memory_limit_of_an_adopted_run_goes_on(tmp_path: Path) -> None:
    """It is kept in the run's directory."""
    hog = "import time; time.sleep(0.7); x = bytearray(b'x' * 300_000_000); time.sleep(60)"
    _crash(tmp_path, r=f'exec {sys.executable} -c "{hog}"')
    RunFiles(tmp_path / "runs" / "r").note("launch", {"memory_mb": 100.0})
    runner = make_runner(tmp_path)
    runner.recover(["r"])

    left = finish(runner)["r"]

    assert (left.out_of_memory, left.stop_cause, left.exit_code) == (True, StopCause.MEMORY, -9)


def test_a_run_that_ended_while_nobody_watched_has_its_true_exit_code(tmp_path: Path) -> None:
    """With its duration, and what it left behind is ended."""
    began = time.monotonic()
    _crash(tmp_path, r="(trap '' TERM; sleep 300) & sleep 0.2; exit 21")
    wait_for((tmp_path / "runs" / "r" / "exit").exists, "the end")

    found = _recover(tmp_path, "r")["r"]

    assert found.fate is Fate.ENDED
    assert found.exit is not None
    assert found.exit.exit_code == 21
    assert found.exit.duration_s is not None
    assert 0.19 <= found.exit.duration_s <= time.monotonic() - began
    assert abs((datetime.now(UTC) - found.exit.ended_at).total_seconds()) < 10
    assert "processes it left behind were ended" in found.exit.detail
    assert alive_with(tmp_path, ["r"]) == []


def test_why_a_run_had_been_asked_to_stop_survives_the_daemon(tmp_path: Path) -> None:
    """A run stopped by the operator must not look like a failure of its own."""
    _crash(tmp_path, stopped="sleep 300")
    wait_for((tmp_path / "runs" / "stopped" / "exit").exists, "the end")

    found = _recover(tmp_path, "stopped")["stopped"]

    assert found.exit is not None
    assert (found.exit.exit_code, found.exit.stop_cause) == (-15, StopCause.OPERATOR)


def test_a_run_that_lost_its_supervisor_is_lost_and_its_job_is_ended_first(tmp_path: Path) -> None:
    """Else the next attempt would run beside it."""
    _crash(tmp_path, r="echo up; (setsid sleep 301 &); sleep 300")
    files = RunFiles(tmp_path / "runs" / "r")
    wait_for(lambda: len(alive_with(tmp_path, ["r"])) == 4, "supervisor, shell, two sleepers")
    said = files.started()
    assert said is not None
    os.kill(said.pid, 9)
    wait_for(lambda: not files.is_locked(), "its lock to go")

    found = _recover(tmp_path, "r")["r"]

    assert found.fate is Fate.LOST
    assert found.exit is not None
    assert found.exit.exit_code is None
    assert "lost" in found.exit.detail
    assert alive_with(tmp_path, ["r"]) == []


@pytest.mark.parametrize("text", ["", "0 exit 5.0"])
def test_a_torn_exit_file_means_lost(tmp_path: Path, text: str) -> None:
    """Never success."""
    files = _dead_run(tmp_path, boot_id())
    (files.path / "exit").write_text(text)

    assert _recover(tmp_path, "r")["r"].fate is Fate.LOST


def _dead_run(folder: Path, boot: str) -> RunFiles:
    """A run whose supervisor is gone: a child of ours that has ended and been waited for."""
    _same_boot(folder)
    files = RunFiles(folder / "runs" / "r")
    files.path.mkdir()
    child = subprocess.Popen(["/bin/true"], start_new_session=True)
    found = process_stat(child.pid)
    assert found is not None
    child.wait()
    (files.path / "started").write_text(f"{child.pid} {found.start} {boot} 5.0 run\n")
    return files


def test_a_process_that_has_the_pid_of_a_dead_run_is_neither_adopted_nor_touched(tmp_path: Path) -> None:
    """Pids come again: same number, same boot, other start; nor is its session touched."""
    foreign = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & wait"], start_new_session=True)
    try:
        wait_for(lambda: children(foreign.pid), "its child")
        own = process_stat(foreign.pid)
        assert own is not None
        files = _dead_run(tmp_path, boot_id())
        (files.path / "started").write_text(f"{own.pid} {own.start - 50} {boot_id()} 5.0 run\n")

        found = _recover(tmp_path, "r")["r"]

        assert found.fate is Fate.LOST
        assert foreign.poll() is None
        assert len(children(foreign.pid)) == 1
    finally:
        os.killpg(foreign.pid, 9)
        foreign.wait()


def test_a_run_of_another_boot_is_never_adopted(tmp_path: Path) -> None:
    """Whatever has its pid and its start time today."""
    files = _dead_run(tmp_path, "another-boot")
    own = process_stat(os.getpid())
    assert own is not None
    (files.path / "started").write_text(f"{own.pid} {own.start} another-boot 5.0 run\n")

    assert _recover(tmp_path, "r")["r"].fate is Fate.LOST


def test_a_run_that_ended_before_a_reboot_keeps_its_code_and_its_hour(tmp_path: Path) -> None:
    """The file's own time, as uptimes of two boots do not compare."""
    files = _dead_run(tmp_path, "another-boot")
    (files.path / "exit").write_text("3 exit 12.5 end\n")
    os.utime(files.path / "exit", (1_000_000_000, 1_000_000_000))

    left = _recover(tmp_path, "r")["r"].exit

    assert left is not None
    # 10^9 seconds after 1970 is 2001-09-09 01:46:40 UTC.
    assert (left.exit_code, left.ended_at) == (3, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC))
    assert left.duration_s == pytest.approx(7.5)


@pytest.mark.parametrize("with_directory", [True, False])
def test_a_planned_run_that_was_not_spawned_has_never_started(tmp_path: Path, with_directory: bool) -> None:
    """In the same boot that is certain; asked again, the answer stands."""
    _same_boot(tmp_path)
    if with_directory:
        (tmp_path / "runs" / "r").mkdir()

    fates = [_recover(tmp_path, "r")["r"].fate for _ in range(2)]

    assert fates == [Fate.NEVER_STARTED, Fate.NEVER_STARTED]


@pytest.mark.parametrize("with_directory", [True, False])
def test_after_a_power_cut_a_run_without_a_trace_is_lost_not_unstarted(
    tmp_path: Path, with_directory: bool
) -> None:
    """Its directory may not have reached the disk, its orders may have reached the broker. The verdict stands
    even though the next daemon finds its own boot written down."""
    _same_boot(tmp_path, "the boot before the power cut")
    if with_directory:
        (tmp_path / "runs" / "r").mkdir()

    fates = [_recover(tmp_path, "r")["r"].fate]
    fates += [_recover(tmp_path, "r")["r"].fate] if with_directory else []

    assert set(fates) == {Fate.LOST}
    assert (tmp_path / "runs" / "boot").read_text() == boot_id()


def test_a_supervisor_that_comes_late_finds_its_run_void(tmp_path: Path) -> None:
    """The dead daemon's spawn reaches the CPU after the new daemon has decided."""
    _same_boot(tmp_path)
    files = RunFiles(tmp_path / "runs" / "r")
    files.path.mkdir()
    assert _recover(tmp_path, "r")["r"].fate is Fate.NEVER_STARTED

    argv = ("/bin/sh", "-c", "echo ran")
    pid = spawn(
        make_launch("r", argv), files, shell=("/bin/sh",), arguments=("/", "0", "", *argv), log=str(files.log)
    )
    os.waitpid(pid, 0)

    assert files.log.read_text() == ""
    assert files.started_text() == VOID_NEVER


def test_a_recovery_racing_a_spawn_agrees_with_what_happened(tmp_path: Path) -> None:
    """60 races: never started and did not run; or adopted, or ended, and ran once.

    Who won waits longer in the next race, so that they stay close on a fast box and on a loaded one.
    """
    _same_boot(tmp_path)
    fates = []
    handicap = 0.0  # of the supervisor, seconds; below 0 it is the recovery's
    for race in range(60):
        files = RunFiles(tmp_path / "runs" / f"r{race}")
        files.path.mkdir()
        argv = ("/bin/sh", "-c", "echo ran")
        launch = make_launch(files.path.name, argv)
        late = ("/bin/sh", "-c", 'sleep "$0"; exec /bin/sh "$@"', f"{max(0.0, handicap):.3f}")
        pid = spawn(launch, files, shell=late, arguments=("/", "0", "", *argv), log=str(files.log))
        time.sleep(max(0.0, -handicap))
        runner = make_runner(tmp_path)
        [found] = runner.recover([files.path.name])
        if found.fate is Fate.ADOPTED:
            assert finish(runner)[files.path.name].exit_code == 0
        os.waitpid(pid, 0)
        fates.append(found.fate)
        was_first = found.fate is Fate.NEVER_STARTED
        handicap += -0.002 if was_first else 0.002
        assert files.log.read_text() == ("" if was_first else "ran\n")

    assert Fate.LOST not in fates
    assert len(set(fates)) >= 2, "the race was never close"


def test_a_void_that_says_lost_says_so_again(tmp_path: Path) -> None:
    """A crash between the verdict and its commit changes nothing."""
    _same_boot(tmp_path)
    files = RunFiles(tmp_path / "runs" / "r")
    files.path.mkdir()

    assert files.void(VOID_LOST)
    assert not files.void(VOID_NEVER)
    assert _recover(tmp_path, "r")["r"].fate is Fate.LOST


def test_a_runs_directory_that_cannot_be_written_is_said_at_the_recovery(tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "runs").write_text("in the way")

    with pytest.raises(SpawnError, match="cannot write"):
        make_runner(tmp_path).recover([])


def test_adopted_runs_wake_the_waiter_when_they_end(tmp_path: Path) -> None:
    """Their pidfds are as good as those of our own children."""
    _crash(tmp_path, r=f'while [ ! -e "{tmp_path}/go" ]; do sleep 0.02; done')
    runner = make_runner(tmp_path)
    runner.recover(["r"])

    (tmp_path / "go").touch()
    ready, _, _ = select.select(runner.fds(), [], [], LIMIT_S)

    assert len(ready) == 1
    assert list(finish(runner)) == ["r"]


def test_what_is_left_of_runs_that_nobody_asks_for_is_ended_and_removed(tmp_path: Path) -> None:
    """Their end is recorded, or the records are older than they are: no next attempt may meet them."""
    _crash(tmp_path, recorded="true", stranger="sleep 60 & sleep 60", known="sleep 60")
    wait_for(RunFiles(tmp_path / "runs" / "recorded").ended, "the end of recorded")

    runner = make_runner(tmp_path)
    [found] = runner.recover(["known"])

    assert found.fate is Fate.ADOPTED
    assert sorted(entry.name for entry in (tmp_path / "runs").iterdir()) == ["boot", "known"]
    assert alive_with(tmp_path, ["stranger"]) == []
    runner.stop("known", StopCause.SHUTDOWN, timedelta(seconds=1))
    finish(runner)
