"""The memory ladder: the watch over real processes, the cgroup over a folder that looks like one."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from orchestration import memory_ladder, supervised
from orchestration.memory_ladder import (
    MemoryWatch,
    RunCgroup,
    check_memory_rung,
    data_limit_kb,
    delegated_cgroup,
)
from orchestration.runs import StopCause
from tests.integration.running import (
    alive_with,
    finish,
    make_launch,
    make_runner,
    run_one,
    shell_job,
    wait_for,
)

GROW = """
import time
held = []
while True:
    held.append(b"x" * 2_000_000)
    time.sleep(0.01)
"""
"""Grows at 200 MB/s at the most: 20 MB in one interval of the watch, and half a second to 100 MB."""


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", script)


def test_a_run_over_its_limit_is_killed_as_out_of_memory(tmp_path: Path) -> None:
    """Within 100 MB of the limit, judged by our own record and not by its exit code."""
    left = run_one(make_runner(tmp_path), make_launch("r", _python(GROW), memory_mb=150.0))

    assert (left.out_of_memory, left.exit_code, left.stop_cause) == (True, -9, StopCause.MEMORY)
    assert left.peak_memory_mb is not None
    assert 150.0 < left.peak_memory_mb < 250.0
    assert "over its memory limit of 150 MB" in left.detail


def test_the_limit_holds_for_the_whole_tree(tmp_path: Path) -> None:
    """Three children of 60 MB each are more than 120 MB; one alone is not."""
    child = f"{sys.executable} -S -c \"import time; x = b'x' * 60_000_000; time.sleep(60)\""

    left = run_one(
        make_runner(tmp_path), shell_job("r", f"{child} & {child} & {child} & wait", memory_mb=120.0)
    )

    assert left.out_of_memory
    assert alive_with(tmp_path, ["r"]) == []


def test_memory_shared_by_forked_processes_is_counted_once(tmp_path: Path) -> None:
    """Four processes that share 60 MB hold 60 MB, not 240: no false kill at 150."""
    script = (
        "import os, time\nx = b'x' * 60_000_000\n"
        "for _ in range(3):\n    if os.fork() == 0: break\ntime.sleep(0.8)\nos._exit(0)"
    )

    left = run_one(make_runner(tmp_path), make_launch("r", _python(script), memory_mb=150.0))

    assert (left.exit_code, left.out_of_memory) == (0, False)


def test_a_job_that_fails_by_itself_is_not_called_out_of_memory(tmp_path: Path) -> None:
    """137 is only a number."""
    left = run_one(make_runner(tmp_path), shell_job("r", "kill -9 $$"))

    assert (left.exit_code, left.out_of_memory) == (-9, False)


def test_the_kernels_killer_is_told_by_its_own_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGKILL that nobody here sent, while the box's count of such kills rose."""
    counts = iter([4, 5, 5])
    monkeypatch.setattr("orchestration.runner.kernel_oom_kills", lambda: next(counts))
    runner = make_runner(tmp_path)

    first = run_one(runner, shell_job("a", "kill -9 $$"))
    second = run_one(runner, shell_job("b", "kill -9 $$"))

    assert (first.out_of_memory, second.out_of_memory) == (True, False)


def test_the_peak_of_a_run_is_that_of_its_largest_moment(tmp_path: Path) -> None:
    """80 MB held until they were seen, and given back."""
    seen = tmp_path / "seen"
    script = (
        "import os, time\nx = b'x' * 80_000_000\n"
        f"while not os.path.exists({str(seen)!r}): time.sleep(0.01)\ndel x\ntime.sleep(0.2)"
    )
    runner = make_runner(tmp_path)
    runner.start(make_launch("r", _python(script)))

    def sampled() -> bool:
        runner.tick()
        return runner.usage()["r"] > 80.0

    wait_for(sampled, "a sample of the largest moment")
    seen.touch()
    left = finish(runner)["r"]

    assert left.peak_memory_mb is not None
    assert 80.0 < left.peak_memory_mb < 110.0


def test_the_peak_of_a_short_run_is_not_the_daemons_size(tmp_path: Path) -> None:
    """What wait4 says of a supervisor includes the size of the process that spawned it."""
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

    left = run_one(make_runner(tmp_path), make_launch("r", ("/bin/true",)))

    assert left.peak_memory_mb is None or left.peak_memory_mb < own_mb / 2


def test_rlimit_data_is_the_last_wall_at_four_times_the_limit(tmp_path: Path) -> None:
    """100 MB: 4 * 100e6 / 1024 = 390625 kB; none without limits."""
    run_one(make_runner(tmp_path), shell_job("a", "ulimit -d", memory_mb=100.0))
    run_one(make_runner(tmp_path, rung="none"), shell_job("b", "ulimit -d", memory_mb=100.0))

    assert (tmp_path / "runs" / "a" / "log").read_text() == "390625\n"
    assert (tmp_path / "runs" / "b" / "log").read_text() == "unlimited\n"


def test_no_limit_means_no_rlimit() -> None:
    """Zero is none, not nothing at all."""
    assert data_limit_kb(0.0) == 0


def test_a_lower_limit_of_the_box_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising a hard limit would fail, and in some shells end the supervisor."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_000_000, 1_000_000))

    assert data_limit_kb(100.0) == 0


def test_a_fork_bomb_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More processes at once than any job needs (here 20 instead of 512)."""
    monkeypatch.setattr(memory_ladder, "PIDS_LIMIT", 20)
    runner = make_runner(tmp_path)
    runner.start(shell_job("r", "n=0; while [ $n -lt 40 ]; do sleep 60 & n=$((n+1)); done; wait"))

    left = finish(runner)["r"]

    assert "processes at once" in left.detail
    assert (left.out_of_memory, left.exit_code) == (False, -9)
    assert alive_with(tmp_path, ["r"]) == []


def test_a_process_whose_parent_has_ended_is_still_watched(tmp_path: Path) -> None:
    """It is nobody's child any more, but its memory is the run's."""
    orphan = (
        f"{sys.executable} -S -c \"import time; time.sleep(0.5); x = b'x' * 150_000_000; time.sleep(60)\""
    )
    script = f"sh -c '{orphan} & sleep 0.2' ; sleep 60".replace('"import', '\\"import').replace(
        '60)"', '60)\\"'
    )
    script = (
        script.replace("b'x'", "bytes(1)").replace("sh -c '", 'sh -c "').replace("sleep 0.2'", 'sleep 0.2"')
    )

    left = run_one(make_runner(tmp_path), shell_job("r", script, memory_mb=100.0))

    assert left.out_of_memory


def test_samples_come_soon_after_the_start_and_then_every_tenth_of_a_second() -> None:
    """20 ms, doubling, 100 ms; a cgroup limits by itself and is read every second."""
    watch, limited = MemoryWatch(1, 0.0), MemoryWatch(1, 0.0, RunCgroup(Path("/nowhere")))
    seen = []
    for count in (0, 1, 2, 3, 4, 5000):
        watch.samples = limited.samples = count
        seen.append((watch.interval_s, limited.interval_s))

    assert [a for a, _ in seen] == [0.02, 0.04, 0.08, 0.1, 0.1, 0.1]
    assert seen[-1][1] == 1.0


def _tree(
    folder: Path, *, controllers: str = "cpu memory pids", own: str = "/system.slice/o.service/daemon"
) -> Path:
    """A folder like /sys/fs/cgroup and a /proc that says where we are; return the service's cgroup."""
    service = folder / "cgroup" / Path(own.lstrip("/")).parent
    service.mkdir(parents=True)
    (folder / "cgroup" / "cgroup.controllers").write_text(controllers)
    for name, text in (
        ("cgroup.controllers", controllers),
        ("cgroup.procs", ""),
        ("cgroup.subtree_control", ""),
    ):
        (service / name).write_text(text)
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text(f"0::{own}\n")
    (folder / "proc" / "cmdline").write_text("console=tty1 cgroup_disable=memory root=/dev/mmcblk0p2\n")
    return service


def _check(folder: Path, *, delegated: bool = True) -> tuple[str, str]:
    return check_memory_rung(folder / "proc", folder / "cgroup", lambda _: delegated)


def test_a_delegated_memory_controller_gives_the_upper_rung(tmp_path: Path) -> None:
    """The daemon in a subgroup, the service's own cgroup empty and ours."""
    service = _tree(tmp_path)

    assert _check(tmp_path) == ("cgroup", "")
    assert delegated_cgroup(tmp_path / "proc", tmp_path / "cgroup", lambda _: True) == service


def test_a_stock_pi_is_told_what_to_add_to_its_boot_line(tmp_path: Path) -> None:
    """Its firmware puts cgroup_disable=memory there."""
    _tree(tmp_path, controllers="cpu pids")

    rung, advice = _check(tmp_path)

    assert rung == "watch"
    assert "cgroup_disable=memory" in advice
    assert "add cgroup_enable=memory to the one line of /boot/firmware/cmdline.txt" in advice


def test_without_delegation_the_watch_is_used(tmp_path: Path) -> None:
    """Root could write there all the same; it is not ours."""
    _tree(tmp_path)

    rung, advice = _check(tmp_path, delegated=False)

    assert rung == "watch"
    assert "Delegate=memory pids, DelegateSubgroup=daemon" in advice


def test_a_daemon_that_is_not_in_a_subgroup_may_not_divide_its_cgroup(tmp_path: Path) -> None:
    """A cgroup with processes in it hands no controllers on: a restart would fail."""
    service = _tree(tmp_path)
    (service / "cgroup.procs").write_text("412\n")

    assert _check(tmp_path)[0] == "watch"


def test_a_box_without_cgroup_v2_is_watched(tmp_path: Path) -> None:
    """Nothing to add to any boot line."""
    assert check_memory_rung(tmp_path, tmp_path)[1].startswith("cgroup v2 is not mounted")


def test_the_real_box_has_a_rung_and_the_runner_uses_it(tmp_path: Path) -> None:
    """Whatever it is here, `check` and the runner agree."""
    assert make_runner(tmp_path, rung="auto").rung == check_memory_rung()[0]
    assert make_runner(tmp_path, rung="none").rung == "none"


def test_a_runs_cgroup_is_made_with_its_limits(tmp_path: Path) -> None:
    """Memory in bytes; the whole run dies at once; forks are bounded."""
    service = _tree(tmp_path)

    cgroup = RunCgroup.create(service, "r.1", 250.0)

    written = {
        name: (cgroup.path / name).read_text() for name in ("memory.max", "memory.oom.group", "pids.max")
    }
    assert written == {"memory.max": "250000000", "memory.oom.group": "1", "pids.max": "512"}
    assert (service / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_cgroup_says_what_was_used_and_why_it_ended(tmp_path: Path) -> None:
    """Page cache is not held against a job; kills are counted by the kernel."""
    cgroup = RunCgroup(tmp_path)
    (tmp_path / "memory.stat").write_text("anon 40000000\nfile 900000000\nshmem 2000000\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 3\nmax 9\noom 1\noom_kill 2\n")
    (tmp_path / "memory.peak").write_text("123000000\n")

    assert (cgroup.used_mb(), cgroup.peak_mb(), cgroup.oom_kills()) == (42.0, 123.0, 2)


def test_a_cgroup_that_is_gone_counts_as_nothing(tmp_path: Path) -> None:
    """Its last reader may come late."""
    cgroup = RunCgroup(tmp_path / "gone")

    cgroup.kill()
    cgroup.remove()

    assert (cgroup.used_mb(), cgroup.peak_mb(), cgroup.oom_kills(), cgroup.exists) == (0.0, 0.0, 0, False)


def test_a_run_joins_its_cgroup_before_its_job_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By writing 0, the writer itself; its kernel's kill count makes it out of memory. In a folder that looks
    like a cgroup, as this test needs no delegation."""
    service = _tree(tmp_path)
    monkeypatch.setattr("orchestration.runner.delegated_cgroup", lambda: service)
    runner = make_runner(tmp_path, rung="auto")
    assert runner.rung == "cgroup"

    path = service / "r"
    left = run_one(
        runner, shell_job("r", f"cat {path}/cgroup.procs; echo 'oom_kill 1' >{path}/memory.events")
    )

    assert (tmp_path / "runs" / "r" / "log").read_text() == "0\n"
    assert left.out_of_memory


def test_a_session_that_cannot_be_calmed_is_left_alone() -> None:
    """No such process, or a kernel that does not group by session."""
    assert supervised.calm_autogroup(2**22 + 1)


def test_systemds_mark_says_that_a_cgroup_was_given_to_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """user.delegate = 1 on the service's cgroup; without it the rights of root prove nothing."""
    _tree(tmp_path)
    marks = {"user.delegate": b"1"}

    def read_mark(path: Path, name: str) -> bytes:
        if name not in marks:
            raise OSError(61, "No data available")
        return marks[name]

    monkeypatch.setattr("orchestration.memory_ladder.os.getxattr", read_mark)
    with_mark = check_memory_rung(tmp_path / "proc", tmp_path / "cgroup")
    marks.clear()
    without = check_memory_rung(tmp_path / "proc", tmp_path / "cgroup")

    assert (with_mark[0], without[0]) == ("cgroup", "watch")
