"""Starts, watches and stops the processes of runs. Light: no subprocess module, no thread.

Each run is a supervisor (supervise.sh) that leads a session, and the job below it. Whatever of a run is left
when its job has ended (grandchildren in the background, also those that left the session but still carry
its ORCHESTRATOR_RESULT) is ended too: SIGTERM, `leftover_grace_s`, SIGKILL; only then has the run ended.
Call everything from one thread.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.crash_points import passing
from orchestration.errors import SpawnError
from orchestration.memory_ladder import (
    MemoryWatch,
    RunCgroup,
    data_limit_kb,
    delegated_cgroup,
)
from orchestration.ports import Clock, Fate, Launch, Recovered, RunExit
from orchestration.processes import (
    boot_id,
    kernel_oom_kills,
    send_signal,
    uptime_s,
)
from orchestration.recovery import BootMark, clear_strangers, exit_left_behind, judge
from orchestration.run_files import RunFiles, bound_log
from orchestration.runs import StopCause
from orchestration.spawn import check_launch, is_run_name, spawn
from orchestration.supervised import Supervised, calm_autogroup, gentle_prefix

RECHECK_S = 0.05
"""How often a run that is being killed is looked at."""
MEMBERS_SCAN_S = 5.0
"""How often the whole of /proc is searched for processes of a run that left its tree."""
GIVE_UP_S = 10.0
"""A process that survives SIGKILL so long hangs in the kernel; the run is reported without waiting for it."""


class ProcessRunner:
    """The real `ports.Runner`.

    runs_dir: one directory per run; on a disk, so that exit codes survive a power cut. root: the project's
    folder, where a launch without `cwd` runs. rung: "auto", "cgroup", "watch" or "none".
    shell: what runs the supervisor. leftover_grace_s: between SIGTERM and SIGKILL for what a job left behind.
    """

    def __init__(
        self,
        runs_dir: Path,
        clock: Clock,
        *,
        root: Path,
        rung: str = "auto",
        shell: Sequence[str] = ("/bin/sh",),
        leftover_grace_s: float = 2.0,
    ) -> None:
        if rung not in ("auto", "cgroup", "watch", "none"):
            raise ValueError(f"rung {rung!r}: expected auto, cgroup, watch or none")
        self._dir = runs_dir.absolute()
        self._clock = clock
        self._root = root.absolute()
        self._cgroups = delegated_cgroup() if rung in ("auto", "cgroup") else None
        self._rung = rung if rung in ("watch", "none") else "cgroup" if self._cgroups else "watch"
        self._shell = tuple(shell)
        self._grace_s = leftover_grace_s
        self._boot = boot_id()
        self._mark = BootMark(self._dir, self._boot)
        self._oom_kills = kernel_oom_kills()
        self._gentle = gentle_prefix()
        self._runs: dict[str, Supervised] = {}

    @property
    def rung(self) -> str:
        return self._rung

    def start(self, launch: Launch) -> int:
        """Start it and return the supervisor's pid. Raises SpawnError; then nothing of it runs."""
        cwd = os.path.join(self._root, launch.cwd)
        check_launch(launch, cwd)
        files = RunFiles(self._dir / launch.run_id)
        cgroup: RunCgroup | None = None
        try:
            self._mark.write()
            os.mkdir(files.path)
        except OSError as error:
            raise SpawnError(f"run {launch.run_id}: cannot make {files.path}: {error.strerror}") from error
        log = os.path.join(self._root, launch.log) if launch.log else str(files.log)
        try:
            passing("spawn.directory")
            if self._cgroups is not None:
                cgroup = RunCgroup.create(self._cgroups, launch.run_id, launch.memory_mb)
            files.note(
                "launch",
                {
                    "memory_mb": launch.memory_mb,
                    "log": log,
                    "log_limit_bytes": launch.log_limit_bytes,
                    "low_priority": launch.low_priority,
                },
            )
            prefix = self._gentle if launch.low_priority else ()
            data_kb = data_limit_kb(launch.memory_mb) if self._rung != "none" else 0
            pid = spawn(
                launch,
                files,
                shell=self._shell,
                arguments=(cwd, str(data_kb), str(cgroup.path) if cgroup else "", *prefix, *launch.argv),
                log=log,
            )
        except OSError as error:
            files.remove()
            if cgroup is not None:
                cgroup.remove()
            raise SpawnError(f"run {launch.run_id}: cannot start {launch.argv[0]!r}: {error}") from error
        self._watch(launch, files, pid, log, cgroup)
        return pid

    def _watch(self, launch: Launch, files: RunFiles, pid: int, log: str, cgroup: RunCgroup | None) -> None:
        now = self._clock.monotonic()
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            # Out of descriptors: what cannot be watched must not run.
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise SpawnError(f"run {launch.run_id}: cannot be watched: {error.strerror}") from error
        watch = MemoryWatch(pid, launch.memory_mb if self._rung == "watch" else 0.0, cgroup)
        self._runs[launch.run_id] = Supervised(
            id=launch.run_id,
            files=files,
            pid=pid,
            pidfd=pidfd,
            # Known when it has written `started`; its stat would make us wait a millisecond for the exec.
            start=0,
            watch=watch,
            log=log,
            log_limit_bytes=launch.log_limit_bytes,
            needs_calming=launch.low_priority,
            began=now,
            sample_at=now + watch.interval_s,
            search_at=now + MEMBERS_SCAN_S,
        )

    def stop(self, run_id: str, cause: StopCause, grace: timedelta) -> None:
        """SIGTERM its group and what left it now, SIGKILL after `grace`; does not block. Asked again, it
        keeps the first cause, sends no second SIGTERM, and the earlier end of the grace holds."""
        run = self._runs.get(run_id)
        if run is None or run.ended:
            return
        kill_at = self._clock.monotonic() + max(0.0, grace.total_seconds())
        run.kill_at = kill_at if run.kill_at is None else min(run.kill_at, kill_at)
        if run.stop_cause is None:
            run.stop_cause = cause
            # Before the signal: a supervisor that is about to fork looks for it.
            run.files.note("stop", {"cause": cause.value})
            run.terminate()

    def tick(self) -> float | None:
        """Do what is due: memory watch, log bound, SIGKILL after the grace."""
        now = self._clock.monotonic()
        for run in self._runs.values():
            if not run.ended:
                self._look_after(run, now)
        return min((self._next_look(run, now) for run in self._runs.values()), default=None)

    def _look_after(self, run: Supervised, now: float) -> None:
        if run.kill_at is not None and now >= run.kill_at:
            self._kill(run, now)
        if now >= run.sample_at:
            self._sample(run, now)
            run.sample_at = now + run.watch.interval_s

    def _next_look(self, run: Supervised, now: float) -> float:
        if run.ended:
            return now + RECHECK_S
        return run.sample_at if run.kill_at is None else min(run.kill_at, run.sample_at)

    def _sample(self, run: Supervised, now: float) -> None:
        if now >= run.search_at:
            run.search_at = now + MEMBERS_SCAN_S
            run.watch.include(run.members())
            self._oom_kills = kernel_oom_kills()
        before = run.watch.peak_mb
        over = run.watch.sample(now)
        if run.watch.peak_mb > before * 1.05:
            run.files.note("peak", {"peak_mb": run.watch.peak_mb})
        bound_log(run.log, run.log_limit_bytes)
        if run.needs_calming:
            run.needs_calming = not calm_autogroup(run.pid)
        if over:
            self._end_for(run, now, f"over its memory limit of {run.watch.limit_mb:.0f} MB", memory=True)
        elif run.watch.is_fork_bomb:
            self._end_for(run, now, f"{len(run.watch.known)} processes at once", memory=False)

    def _end_for(self, run: Supervised, now: float, why: str, *, memory: bool) -> None:
        """Kill a run that is a danger to the box, without a grace."""
        run.over_memory = run.over_memory or memory
        run.note(f"killed: {why}")
        run.stop_cause = StopCause.MEMORY if memory else run.stop_cause
        run.files.note("killed", {"memory": run.over_memory, "detail": run.detail})
        run.kill_at = now
        self._kill(run, now)

    def _kill(self, run: Supervised, now: float) -> None:
        """SIGKILL all of it but the supervisor, which records the end; again until it has ended."""
        run.kill_tries += 1
        run.kill_at = now + RECHECK_S
        run.kill()
        if run.kill_tries * RECHECK_S > GIVE_UP_S and not run.has_exited():
            os.killpg(run.pid, signal.SIGKILL)

    def reap(self) -> list[RunExit]:
        """Return the runs that have ended since the last call, leftovers included; does not block."""
        exits = []
        for run in list(self._runs.values()):
            if not run.ended and run.has_exited():
                self._note_end(run)
            if run.ended and self._is_swept(run):
                del self._runs[run.id]
                exits.append(self._exit_of(run))
        return exits

    def _note_end(self, run: Supervised) -> None:
        """Take what must be taken at once: the moment, and what wait4 has to say."""
        run.ended = True
        if run.began is not None:
            run.duration_s = self._clock.monotonic() - run.began
            try:
                _, run.status, used = os.wait4(run.pid, 0)
            except ChildProcessError:
                run.note("somebody else waited for it")
            else:
                # The supervisor is born with the size of the daemon, so only what is above that is the job's.
                own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                run.waited_mb = used.ru_maxrss * 1024 / 1e6 if used.ru_maxrss > own_kb else 0.0
        run.record = run.files.ended()
        said = run.files.started()
        if run.began is None and run.record and said:
            run.duration_s = max(0.0, run.record.uptime_s - said.uptime_s)
        os.close(run.pidfd)

    def _is_swept(self, run: Supervised) -> bool:
        """End what the job left behind; return whether nothing is left (or it cannot be ended)."""
        # Looked for twice: what was forked while /proc was read, by a process that then ended, shows now.
        left = run.members() or run.members()
        if not left:
            return True
        now = self._clock.monotonic()
        first = run.sweep_since is None
        run.sweep_since = now if run.sweep_since is None else run.sweep_since
        waited = now - run.sweep_since
        if run.kill_at is not None or waited >= self._grace_s:
            run.kill()
        elif first:
            for stat in left.values():
                send_signal(stat, signal.SIGTERM)
        if waited > self._grace_s + GIVE_UP_S:
            run.note(f"{len(left)} processes survive SIGKILL")
            return True
        return False

    def _exit_of(self, run: Supervised) -> RunExit:
        code = run.exit_code()
        report, complaint = run.files.report()
        if run.sweep_since is not None:
            run.note("processes it left behind were ended")
        run.note(complaint)
        bound_log(run.log, run.log_limit_bytes)
        out_of_memory = run.over_memory or self._kernel_killed(run, code)
        peak = run.peak_mb()
        if run.watch.cgroup is not None:
            run.watch.cgroup.remove()
        return RunExit(
            run_id=run.id,
            exit_code=code,
            ended_at=self._clock.now(),
            duration_s=run.duration_s,
            peak_memory_mb=peak,
            out_of_memory=out_of_memory,
            stop_cause=run.stop_cause,
            report=report,
            detail=run.detail,
        )

    def _kernel_killed(self, run: Supervised, code: int | None) -> bool:
        """Return whether the kernel's killer ended it: its cgroup counts its own; without one, a SIGKILL that
        nobody here sent while the box's counter rose."""
        if run.watch.cgroup is not None and run.watch.cgroup.oom_kills() > 0:
            return True
        if run.kill_tries or code not in (-signal.SIGKILL, None):
            return False
        before, self._oom_kills = self._oom_kills, kernel_oom_kills()
        return self._oom_kills > before

    def usage(self) -> Mapping[str, float]:
        return {run.id: run.watch.used_mb for run in self._runs.values() if not run.ended}

    def fds(self) -> Sequence[int]:
        return [run.pidfd for run in self._runs.values() if not run.ended]

    def recover(self, run_ids: Sequence[str]) -> list[Recovered]:
        """Say what became of each; call it before the first start. What is adopted is watched from now on.

        A run that is lost or ended has nothing running any more when this returns (it may wait a few seconds
        for that); one that never started can no longer start. What is left of any other run is removed.
        """
        found = [self._recover(run_id) for run_id in run_ids]
        clear_strangers(self._dir, frozenset(run_ids))
        try:
            self._mark.write()
        except OSError as error:
            raise SpawnError(
                f"cannot write {self._dir}: {error.strerror}; check its owner and space"
            ) from error
        return found

    def _recover(self, run_id: str) -> Recovered:
        files = RunFiles(self._dir / run_id)
        fate = judge(files, self._boot, same_boot=self._mark.is_same_boot)
        if fate is Fate.ADOPTED:
            adopted = self._adopt(run_id, files)
            if adopted is not None:
                return adopted
            fate = judge(files, self._boot, same_boot=self._mark.is_same_boot)
        if fate is Fate.NEVER_STARTED:
            return Recovered(run_id=run_id, fate=fate)
        left = exit_left_behind(run_id, files, self._boot, self._clock.now())
        RunCgroup((self._cgroups or files.path) / run_id).remove()
        return Recovered(run_id=run_id, fate=fate, exit=left, started_at=self._started_at(files))

    def _adopt(self, run_id: str, files: RunFiles) -> Recovered | None:
        """Watch a run of the last daemon; None if it ended this very moment."""
        stat = files.supervisor(self._boot)
        if stat is None:
            return None
        try:
            pidfd = os.pidfd_open(stat.pid)
        except OSError:
            return None
        if files.supervisor(self._boot) is None:
            os.close(pidfd)
            return None
        noted = files.noted("launch")
        now = self._clock.monotonic()
        cgroup = RunCgroup(self._cgroups / run_id) if self._cgroups else None
        watch = MemoryWatch(
            stat.pid,
            _number(noted, "memory_mb") if self._rung == "watch" else 0.0,
            cgroup if cgroup and cgroup.exists else None,
            peak_mb=_number(files.noted("peak"), "peak_mb"),
        )
        killed = files.noted("killed")
        self._runs[run_id] = Supervised(
            id=run_id,
            files=files,
            pid=stat.pid,
            pidfd=pidfd,
            start=stat.start,
            watch=watch,
            log=str(noted.get("log") or files.log),
            log_limit_bytes=int(_number(noted, "log_limit_bytes")) or 10_000_000,
            needs_calming=noted.get("low_priority") is True,
            sample_at=now,
            search_at=now,
            over_memory=killed.get("memory") is True,
            stop_cause=files.stop_cause(),
            kill_at=now if killed else None,
            detail=str(killed.get("detail", "")),
        )
        return Recovered(run_id=run_id, fate=Fate.ADOPTED, pid=stat.pid, started_at=self._started_at(files))

    def _started_at(self, files: RunFiles) -> datetime | None:
        """Return when a run of this boot started; None if that is not known."""
        said = files.started()
        if said is None or said.boot != self._boot:
            return None
        return self._clock.now() - timedelta(seconds=max(0.0, uptime_s() - said.uptime_s))

    def forget(self, run_id: str) -> None:
        """Remove its directory; harmless if it is gone, refused (quietly) while it runs."""
        if run_id not in self._runs and is_run_name(run_id):
            RunFiles(self._dir / run_id).remove()


def _number(noted: Mapping[str, object], name: str) -> float:
    value = noted.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
