"""ProcessRunner with real processes: starting, stopping, ending, and what it says of each end."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.errors import SpawnError
from orchestration.launchers import read_secrets
from orchestration.ports import Launch
from orchestration.runner import ProcessRunner
from orchestration.runs import StopCause
from tests.integration.running import (
    ENV,
    RealClock,
    alive_with,
    finish,
    make_launch,
    make_runner,
    run_one,
    shell_job,
    wait_for,
)


def _log(folder: Path, run_id: str) -> str:
    return (folder / "runs" / run_id / "log").read_text()


def test_a_run_ends_with_its_code_duration_and_report(tmp_path: Path) -> None:
    """The job writes JSON where ORCHESTRATOR_RESULT says."""
    runner = make_runner(tmp_path)
    began = time.monotonic()

    left = run_one(
        runner, shell_job("r", 'sleep 0.2; echo \'{"bars": 40}\' >"$ORCHESTRATOR_RESULT"; exit 75')
    )

    assert (left.exit_code, left.report, left.detail) == (75, {"bars": 40}, "")
    assert left.duration_s is not None
    assert 0.2 <= left.duration_s <= time.monotonic() - began
    assert (left.stop_cause, left.out_of_memory) == (None, False)
    assert runner.reap() == []
    assert runner.tick() is None
    assert list(runner.fds()) == []


def test_the_environment_is_what_was_given_and_nothing_of_the_daemons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allow-list is worth nothing if the spawn adds the rest again."""
    monkeypatch.setenv("BROKER_KEY", "planted")
    runner = make_runner(tmp_path)

    run_one(runner, make_launch("r", ("/usr/bin/env",), cpus=2))

    seen = dict(line.split("=", 1) for line in _log(tmp_path, "r").splitlines())
    pools = {name for name, value in seen.items() if name.endswith("_THREADS") and value == "2"}
    assert len(pools) == 7
    assert set(seen) - pools - {"PWD", "OLDPWD", "_", "SHLVL"} == {
        *ENV,
        "ORCHESTRATOR_RUN_ID",
        "ORCHESTRATOR_RESULT",
    }
    assert seen["ORCHESTRATOR_RUN_ID"] == "r"
    assert seen["PWD"] == "/"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("[1, 2]", "a JSON list, expected an object"),
        ('{"a":', "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_result_that_is_not_an_object_is_ignored_and_said(
    tmp_path: Path, written: str, complaint: str
) -> None:
    """The exit code stands."""
    (tmp_path / "written").write_text(written)

    left = run_one(make_runner(tmp_path), shell_job("r", f'cp {tmp_path}/written "$ORCHESTRATOR_RESULT"'))

    assert (left.exit_code, left.report) == (0, {})
    assert complaint in left.detail


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ('mkfifo "$ORCHESTRATOR_RESULT"', "not a regular file"),
        ('ln -s /etc/passwd "$ORCHESTRATOR_RESULT"', "ignored"),
        ('head -c 1000001 /dev/zero >"$ORCHESTRATOR_RESULT"', "1000001 bytes, at most 1000000"),
    ],
)
def test_a_result_file_that_is_a_trap_is_not_walked_into(tmp_path: Path, script: str, complaint: str) -> None:
    """A FIFO would block the daemon, a link would read another's file, a giant would fill its memory."""
    left = run_one(make_runner(tmp_path), shell_job("r", script))

    assert (left.exit_code, left.report) == (0, {})
    assert complaint in left.detail


def test_not_a_number_in_a_result_becomes_none(tmp_path: Path) -> None:
    """NaN is not JSON to anyone else who reads what is stored."""
    left = run_one(make_runner(tmp_path), shell_job("r", 'echo \'{"sharpe": NaN}\' >"$ORCHESTRATOR_RESULT"'))

    assert left.report == {"sharpe": None}


def test_half_a_character_in_a_result_becomes_a_question_mark(tmp_path: Path) -> None:
    """Python's JSON has a file name that is not UTF-8 as a lone surrogate, which no database takes."""
    result = r'{"alerts": {"file a\udcff": "is new \ud800"}, "fine": "\ud83d\ude00 \\ud800"}'
    left = run_one(make_runner(tmp_path), shell_job("r", f"cat >\"$ORCHESTRATOR_RESULT\" <<'E'\n{result}\nE"))

    assert left.report == {"alerts": {"file a?": "is new ?"}, "fine": "\N{GRINNING FACE} \\ud800"}


def test_a_job_that_obeys_a_stop_ends_in_its_own_way(tmp_path: Path) -> None:
    """SIGTERM first; 75 says `checkpointed`."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "trap 'exit 75' TERM; echo up; while :; do sleep 0.02; done"))
    wait_for(lambda: _log(tmp_path, "r"), "the job's word")

    runner.stop("r", StopCause.WINDOW_END, timedelta(seconds=50))
    runner.stop("r", StopCause.OPERATOR, timedelta(seconds=70))
    left = finish(runner)["r"]

    assert (left.exit_code, left.stop_cause) == (75, StopCause.WINDOW_END)
    assert left.duration_s is not None
    assert left.duration_s < 40.0


def test_a_shell_that_gets_the_signal_too_is_stopped_by_it(tmp_path: Path) -> None:
    """The group gets SIGTERM: the shell and its child both end; the shell does not go on."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "echo up; sleep 300; echo went on"))
    wait_for(lambda: _log(tmp_path, "r"), "the job's word")

    runner.stop("r", StopCause.OPERATOR, timedelta(seconds=20))
    left = finish(runner)["r"]

    assert left.exit_code == -15
    assert _log(tmp_path, "r") == "up\n"


def test_a_job_that_ignores_a_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    """And its end is still recorded by its supervisor."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "trap '' TERM; echo up; while :; do sleep 0.02; done"))
    wait_for(lambda: _log(tmp_path, "r"), "the job's word")

    runner.stop("r", StopCause.TIMEOUT, timedelta(seconds=0.3))
    left = finish(runner)["r"]

    assert (left.exit_code, left.stop_cause) == (-9, StopCause.TIMEOUT)
    assert left.duration_s is not None
    assert left.duration_s >= 0.3
    assert not left.out_of_memory
    assert (tmp_path / "runs" / "r" / "exit").exists()
    assert alive_with(tmp_path, ["r"]) == []


def test_a_stop_right_after_the_start_is_never_lost(tmp_path: Path) -> None:
    """Whatever the supervisor was doing: before its handler, before the fork, after the exec."""
    runner = make_runner(tmp_path)
    names = [f"r{n}" for n in range(30)]
    for n, name in enumerate(names):
        runner.start(shell_job(name, "sleep 300"))
        time.sleep(n * 0.0002)
        runner.stop(name, StopCause.OPERATOR, timedelta(minutes=5))

    left = finish(runner, len(names))

    assert {name: found.exit_code for name, found in left.items()} == dict.fromkeys(names, -15)
    assert alive_with(tmp_path, names) == []


def test_a_job_that_was_not_asked_and_says_143_is_taken_at_its_word(tmp_path: Path) -> None:
    """Its own exit code; a death by SIGTERM would be -15."""
    assert run_one(make_runner(tmp_path), shell_job("r", "exit 143")).exit_code == 143


def test_what_a_job_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    """Also what left the session by setsid and a double fork, and what ignores SIGTERM."""
    script = "(setsid sleep 300 &); sleep 301 & (trap '' TERM; sleep 302) & sleep 0.1; exit 3"
    runner = make_runner(tmp_path)

    left = run_one(runner, shell_job("r", script))

    assert left.exit_code == 3
    assert left.detail == "processes it left behind were ended"
    assert alive_with(tmp_path, ["r"]) == []


def test_a_stop_reaches_processes_that_left_the_group(tmp_path: Path) -> None:
    """By what they carry in their environment."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "setsid sleep 300 & echo up; sleep 301"))
    wait_for(
        lambda: _log(tmp_path, "r") and len(alive_with(tmp_path, ["r"])) == 4,
        "supervisor, shell, two sleepers",
    )

    runner.stop("r", StopCause.OPERATOR, timedelta(seconds=20))
    finish(runner)

    assert alive_with(tmp_path, ["r"]) == []


def test_other_runs_are_not_touched_by_a_stop(tmp_path: Path) -> None:
    """Same command, other run."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("a", "sleep 300"))
    runner.start(shell_job("b", "sleep 0.5; exit 6"))

    runner.stop("a", StopCause.OPERATOR, timedelta(minutes=5))
    left = finish(runner, 2)

    assert {name: found.exit_code for name, found in left.items()} == {"a": -15, "b": 6}


def test_a_flood_of_output_leaves_a_bounded_log_and_a_flat_daemon(tmp_path: Path) -> None:
    """200 MB through a limit of 1 MB: head and tail are kept, the daemon's memory does not move."""
    runner = make_runner(tmp_path)
    run_one(runner, shell_job("warm", "echo up"))
    before_kb = _own_rss_kb()

    left = run_one(runner, shell_job("r", "echo first; yes | head -c 200000000; echo last"))

    log = tmp_path / "runs" / "r" / "log"
    assert left.exit_code == 0
    assert log.stat().st_size <= 1_000_000
    assert log.read_text().startswith("first\n")
    assert log.read_text().endswith("last\n")
    assert "bytes cut: the log has a limit" in log.read_text()
    assert _own_rss_kb() - before_kb < 4_000


def _own_rss_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def test_a_command_that_does_not_exist_ends_with_127(tmp_path: Path) -> None:
    """A failure of the world is a value."""
    left = run_one(make_runner(tmp_path), make_launch("r", ("no-such-command",)))

    assert left.exit_code == 127
    assert "command not found: no-such-command" in _log(tmp_path, "r")


def test_a_low_priority_command_that_does_not_exist_also_ends_with_127(tmp_path: Path) -> None:
    """Behind nice and ionice."""
    left = run_one(make_runner(tmp_path), make_launch("r", ("no-such-command",), low_priority=True))

    assert left.exit_code == 127
    assert "no-such-command" in _log(tmp_path, "r")


def test_research_runs_at_low_priority(tmp_path: Path) -> None:
    """Nice 15 in its session, and its session at nice 15 where the kernel groups by session."""
    grouped = Path("/proc/self/autogroup").exists()
    runner = make_runner(tmp_path)

    # It is set soon after the start; a busy box has 30 s for it.
    calmed = "for n in $(seq 300); do grep -q ' nice 15$' /proc/self/autogroup && break; sleep 0.1; done"
    script = f"nice; ionice; {calmed if grouped else ':'}; cat /proc/self/autogroup"
    run_one(runner, shell_job("r", script, low_priority=True))

    lines = _log(tmp_path, "r").splitlines()
    assert lines[:2] == ["15", "idle"]
    assert not grouped or lines[2].endswith(" nice 15")


def test_a_duty_keeps_its_priority(tmp_path: Path) -> None:
    """That of the daemon."""
    run_one(make_runner(tmp_path), shell_job("r", "nice"))

    assert _log(tmp_path, "r") == f"{os.getpriority(os.PRIO_PROCESS, 0)}\n"


def test_a_run_is_never_started_twice(tmp_path: Path) -> None:
    """Its directory is its claim, also after it has ended."""
    runner = make_runner(tmp_path)
    run_one(runner, shell_job("r", "echo ran"))

    with pytest.raises(SpawnError, match=r"run r: cannot make .*File exists"):
        runner.start(shell_job("r", "echo ran"))

    assert _log(tmp_path, "r") == "ran\n"


def test_an_unusable_directory_is_a_spawn_error(tmp_path: Path) -> None:
    """Runs cannot be put below a file."""
    (tmp_path / "runs").write_text("in the way")
    runner = make_runner(tmp_path)

    with pytest.raises(SpawnError, match="run r: cannot make"):
        runner.start(shell_job("r", "true"))


def test_a_log_that_cannot_be_opened_is_a_spawn_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The directory goes again, so that the run can be tried again."""
    runner = make_runner(tmp_path)
    (tmp_path / "runs" / "x").mkdir(parents=True)
    launch = make_launch("r", ("/bin/true",))

    with pytest.raises(SpawnError, match="cannot start '/bin/true'"):
        runner.start(_with_log(launch, str(tmp_path / "runs" / "x")))

    assert not (tmp_path / "runs" / "r").exists()
    assert run_one(runner, launch).exit_code == 0


def _with_log(launch: Launch, log: str) -> Launch:
    return replace(launch, log=log)


@pytest.mark.parametrize("argv", [(), ("",), ("-c", "x"), ("/bin/echo", "a\0b")])
def test_a_command_that_is_none_is_a_spawn_error(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """Before anything is created."""
    with pytest.raises(SpawnError, match="run r: argv"):
        make_runner(tmp_path).start(make_launch("r", argv))

    assert not (tmp_path / "runs").exists()


def test_a_run_can_be_forgotten_only_when_it_has_ended(tmp_path: Path) -> None:
    """Its directory is where its end will be written."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "sleep 0.1"))
    runner.forget("r")
    assert (tmp_path / "runs" / "r").exists()
    finish(runner)

    runner.forget("r")
    runner.forget("r")
    runner.forget("../runs")

    assert not (tmp_path / "runs" / "r").exists()
    assert (tmp_path / "runs").exists()


def test_an_end_that_cannot_be_written_down_is_still_known_to_the_daemon(tmp_path: Path) -> None:
    """A full disk: the supervisor's own exit code tells."""
    script = 'mkdir "${ORCHESTRATOR_RESULT%/*}/exit.tmp" "${ORCHESTRATOR_RESULT%/*}/exit"; exit 7'

    left = run_one(make_runner(tmp_path), shell_job("r", script))

    assert left.exit_code == 7
    assert "could not be written down" in left.detail


def test_a_run_whose_supervisor_is_killed_is_lost_and_its_job_is_ended(tmp_path: Path) -> None:
    """Nobody is left to say how it ended, and it must not run beside the next attempt."""
    runner = make_runner(tmp_path)
    pid = runner.start(shell_job("r", "echo up; sleep 300"))
    wait_for(lambda: _log(tmp_path, "r"), "the job's word")

    os.kill(pid, 9)
    left = finish(runner)["r"]

    assert left.exit_code is None
    assert "lost: its supervisor was ended by signal 9" in left.detail
    assert alive_with(tmp_path, ["r"]) == []


def test_a_run_writes_to_the_log_it_was_given_and_appends(tmp_path: Path) -> None:
    """One log per task; its folder is made; a relative path is the project's."""
    runner = make_runner(tmp_path)
    for name in ("a", "b"):
        run_one(runner, _with_log(shell_job(name, f"echo {name}"), "logs/tasks/t.log"))

    assert (tmp_path / "logs" / "tasks" / "t.log").read_text() == "a\nb\n"


def test_usage_is_told_while_a_run_lives(tmp_path: Path) -> None:
    """Its tree's resident memory, soon after the start."""
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "sleep 300"))

    def sampled() -> bool:
        runner.tick()
        return runner.usage()["r"] > 1.0

    wait_for(sampled, "a sample of two processes")
    runner.stop("r", StopCause.OPERATOR, timedelta(0))
    finish(runner)

    assert runner.usage() == {}


def test_a_stop_of_a_run_that_is_not_there_is_harmless(tmp_path: Path) -> None:
    """It may have ended a moment ago."""
    make_runner(tmp_path).stop("gone", StopCause.OPERATOR, timedelta(seconds=1))


def test_an_unknown_rung_is_refused(tmp_path: Path) -> None:
    """With the words that are known."""
    with pytest.raises(ValueError, match="expected auto, cgroup, watch or none"):
        ProcessRunner(tmp_path, RealClock(), root=tmp_path, rung="ulimit")


def test_a_secret_is_read_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    """Without the line end that an editor adds."""
    first, second = tmp_path / "credentials", tmp_path / "secrets"
    for folder, text in ((first, "one\n"), (second, "two\n")):
        folder.mkdir()
        (folder / "KEY").write_text(text)
    (second / "OTHER").write_text("three")

    assert read_secrets(["KEY", "OTHER"], [first, second]) == {"KEY": "one", "OTHER": "three"}


def test_a_file_goes_before_a_setting_and_one_that_is_empty_is_no_reason_to_take_it(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_text("file")
    (tmp_path / "EMPTY").write_text("")
    given = {"KEY": "setting", "OTHER": "setting", "EMPTY": "setting"}

    assert read_secrets(["KEY", "OTHER"], [tmp_path], given) == {"KEY": "file", "OTHER": "setting"}
    with pytest.raises(SpawnError, match="empty"):
        read_secrets(["EMPTY"], [tmp_path], given)


@pytest.mark.parametrize("name", ["MISSING", "EMPTY", "FOLDER", "BINARY", "../KEY"])
def test_a_secret_that_cannot_be_had_is_named(tmp_path: Path, name: str) -> None:
    """And its value never is."""
    (tmp_path / "EMPTY").write_text("\n")
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe")

    with pytest.raises(SpawnError, match=f"secret '{name}'"):
        read_secrets([name], [tmp_path])


def test_the_launch_is_kept_for_the_daemon_that_adopts(tmp_path: Path) -> None:
    """Its limits go on after a restart."""
    run_one(make_runner(tmp_path), make_launch("r", ("/bin/true",), memory_mb=321.0))

    assert json.loads((tmp_path / "runs" / "r" / "launch").read_text())["memory_mb"] == 321.0


def test_a_run_of_the_same_name_in_another_state_directory_is_left_alone(tmp_path: Path) -> None:
    """A trial instance beside the real one; both have a run r, the first ends and sweeps."""
    first, second = make_runner(tmp_path / "a"), make_runner(tmp_path / "b")
    second.start(shell_job("r", "sleep 0.5; exit 8"))

    run_one(first, shell_job("r", "(setsid sleep 300 &); exit 0"))

    assert finish(second)["r"].exit_code == 8


@pytest.mark.parametrize("run_id", ["", "../r", ".hidden", "boot"])
def test_a_run_id_that_is_no_name_is_a_spawn_error(tmp_path: Path, run_id: str) -> None:
    """It becomes a directory's name."""
    with pytest.raises(SpawnError, match="cannot be a directory's name"):
        make_runner(tmp_path).start(make_launch(run_id, ("/bin/true",)))


def test_a_working_directory_that_does_not_exist_is_a_spawn_error(tmp_path: Path) -> None:
    """Named, with what to do."""
    launch = replace(make_launch("r", ("/bin/true",)), cwd="gone")

    with pytest.raises(SpawnError, match=r"run r: the working directory .*/gone does not exist; create it"):
        make_runner(tmp_path).start(launch)


@pytest.mark.parametrize("env", [{"A=B": "c"}, {"": "c"}, {"A": "c\0d"}])
def test_a_variable_that_cannot_be_set_is_a_spawn_error(tmp_path: Path, env: dict[str, str]) -> None:
    """The kernel would cut or refuse it."""
    launch = replace(make_launch("r", ("/bin/true",)), env=env)

    with pytest.raises(SpawnError, match="environment variable"):
        make_runner(tmp_path).start(launch)


def test_a_relative_working_directory_is_the_projects(tmp_path: Path) -> None:
    """`root` of the runner."""
    (tmp_path / "jobs").mkdir()

    run_one(make_runner(tmp_path), replace(make_launch("r", ("/bin/pwd",)), cwd="jobs"))

    assert _log(tmp_path, "r") == f"{tmp_path}/jobs\n"


def test_a_shell_that_does_not_exist_is_a_spawn_error(tmp_path: Path) -> None:
    """And leaves no directory behind."""
    runner = ProcessRunner(tmp_path / "runs", RealClock(), root=tmp_path, rung="watch", shell=("/no/sh",))

    with pytest.raises(SpawnError, match="cannot start"):
        runner.start(make_launch("r", ("/bin/true",)))

    assert not (tmp_path / "runs" / "r").exists()


def test_a_run_that_cannot_be_watched_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors right after the spawn."""

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("orchestration.runner.os.pidfd_open", refuse)

    with pytest.raises(SpawnError, match="run r: cannot be watched: Too many open files"):
        make_runner(tmp_path).start(shell_job("r", "sleep 300"))

    monkeypatch.undo()
    wait_for(lambda: alive_with(tmp_path, ["r"]) == [], "its processes to go")


def test_a_process_that_is_just_being_executed_is_not_overlooked(tmp_path: Path) -> None:
    """40 jobs that leave a process of another session behind and end at once: in the middle of an exec it has
    no environment to be known by."""
    runner = make_runner(tmp_path)
    names = [f"r{n}" for n in range(40)]
    for name in names:
        run_one(runner, shell_job(name, "(setsid sleep 300 &); exit 0"))

    assert alive_with(tmp_path, names) == []
