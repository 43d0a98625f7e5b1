"""How the memory of a run is limited: the best of what this box offers.

The ladder: a cgroup per run where systemd has delegated the memory controller and put the daemon into a
subgroup; else a watch over resident memory. RLIMIT_DATA at four times the limit is the last wall on both;
never RLIMIT_AS (false kills). A run's end is judged by who set the limit, never by its exit code.
Memory is MB (10^6 bytes).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.processes import (
    ProcessStat,
    descendants,
    peak_rss_mb,
    process_stat,
    pss_mb,
    rss_mb,
)

DATA_FACTOR = 4
"""RLIMIT_DATA over the memory limit; at twice the true need numpy's import still failed."""

PIDS_LIMIT = 512
"""Processes of one run at which it is taken for a fork bomb. Not RLIMIT_NPROC, which counts all of the user's
and would stop the supervisor too."""

PSS_FROM = 0.8
"""Share of the limit above which forked pages are counted properly (PSS costs milliseconds)."""

FIRST_SAMPLE_S, SAMPLE_S, SCAN_S = 0.02, 0.1, 1.0
"""The watch: soon after the start, so that short runs are measured at all; then every 100 ms, at which a hog
at full speed passes its limit by 73 MB; the tree is read anew every second."""

MOUNT = Path("/sys/fs/cgroup")


def data_limit_kb(memory_mb: float) -> int:
    """Return RLIMIT_DATA for a run in kB; 0 (none) without a limit, or where a lower one already holds."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = int(memory_mb * DATA_FACTOR * 1e6)
    if wanted <= 0 or (hard != resource.RLIM_INFINITY and hard <= wanted):
        return 0
    return wanted // 1024


def check_memory_rung(
    proc: Path = Path("/proc"),
    mount: Path = MOUNT,
    is_delegated: Callable[[Path], bool] | None = None,
) -> tuple[str, str]:
    """Return the rung this box offers, "cgroup" or "watch", and what to do to reach the better one ("" if
    there is nothing to do)."""
    if not (mount / "cgroup.controllers").exists():
        return "watch", "cgroup v2 is not mounted; the daemon watches resident memory itself"
    if "memory" not in _words(mount / "cgroup.controllers"):
        line = "/boot/firmware/cmdline.txt (before Debian 12: /boot/cmdline.txt)"
        off = "" if "cgroup_disable=memory" not in _words(proc / "cmdline") else " (cgroup_disable=memory)"
        return "watch", (
            f"the kernel's memory controller is off{off}: add cgroup_enable=memory to the one line of "
            f"{line} and reboot; until then the daemon watches resident memory itself"
        )
    if delegated_cgroup(proc, mount, is_delegated) is None:
        return "watch", (
            "no memory cgroup is delegated: run under the shipped unit on systemd 254 or later "
            "(Delegate=memory pids, DelegateSubgroup=daemon); until then the daemon watches memory itself"
        )
    return "cgroup", ""


def delegated_cgroup(
    proc: Path = Path("/proc"),
    mount: Path = MOUNT,
    is_delegated: Callable[[Path], bool] | None = None,
) -> Path | None:
    """Return the cgroup under which runs get theirs; None unless it is ours to divide.

    It is the parent of the daemon's own: the daemon must sit in a subgroup, as a cgroup with processes in it
    may not hand controllers on. That systemd gave it away is read from its mark (user.delegate).
    """
    own = next((text[3:] for text in _lines(proc / "self/cgroup") if text.startswith("0::/")), "/")
    parent = (mount / own.lstrip("/")).parent
    if own.count("/") < 2 or not (is_delegated or _has_delegate_mark)(parent):
        return None
    if "memory" not in _words(parent / "cgroup.controllers") or _words(parent / "cgroup.procs"):
        return None
    if not os.access(parent / "cgroup.subtree_control", os.W_OK) or not os.access(parent, os.W_OK):
        return None
    return parent


def _has_delegate_mark(cgroup: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(cgroup, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


class RunCgroup:
    """One run's cgroup. What cannot be read counts as zero."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, name: str, memory_mb: float) -> RunCgroup:
        """Make it, with its limit. Raises OSError."""
        wanted = [f"+{name}" for name in ("memory", "pids") if name in _words(parent / "cgroup.controllers")]
        (parent / "cgroup.subtree_control").write_text(" ".join(wanted), encoding="utf-8")
        cgroup = cls(parent / name)
        cgroup.path.mkdir()
        cgroup._write("memory.max", str(int(memory_mb * 1e6)) if memory_mb > 0 else "max")
        cgroup._write("memory.oom.group", "1")
        if "+pids" in wanted:
            cgroup._write("pids.max", str(PIDS_LIMIT))
        return cgroup

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    def used_mb(self) -> float:
        """Return what it cannot give back: anonymous and shared memory, without the page cache (which would
        make every copy of a large file look like a job that needs all it may have)."""
        stat = self._pairs("memory.stat")
        return (stat.get("anon", 0) + stat.get("shmem", 0)) / 1e6

    def peak_mb(self) -> float:
        """Return the kernel's peak, page cache included; 0 before Linux 5.19."""
        words = _words(self.path / "memory.peak")
        return int(words[0]) / 1e6 if words else 0.0

    def oom_kills(self) -> int:
        """Return how many of its processes the kernel killed for its limit."""
        return self._pairs("memory.events").get("oom_kill", 0)

    def kill(self) -> None:
        """End everything in it, whatever it forks meanwhile."""
        self._write("cgroup.kill", "1", quiet=True)

    def remove(self) -> None:
        """Remove it; harmless if it is gone or not yet empty."""
        try:
            self.path.rmdir()
        except OSError:
            return

    def _pairs(self, name: str) -> dict[str, int]:
        rows = (line.split() for line in _lines(self.path / name))
        return {row[0]: int(row[1]) for row in rows if len(row) == 2}

    def _write(self, name: str, text: str, *, quiet: bool = False) -> None:
        try:
            (self.path / name).write_text(text, encoding="utf-8")
        except OSError:
            if not quiet:
                raise


@dataclass(slots=True)
class MemoryWatch:
    """Measures one run: the sum over its tree, as last sampled and at its highest.

    leader: pid of the supervisor. limit_mb: 0 for none. known: the tree's pids with their start times.
    peak_mb: 0 until the first sample.
    """

    leader: int
    limit_mb: float
    cgroup: RunCgroup | None = None
    known: dict[int, int] = field(default_factory=dict)
    used_mb: float = 0.0
    peak_mb: float = 0.0
    samples: int = 0
    next_scan: float = 0.0

    @property
    def interval_s(self) -> float:
        """The time until the next sample is due."""
        longest = SAMPLE_S if self.cgroup is None else SCAN_S
        return min(longest, FIRST_SAMPLE_S * 2.0 ** min(self.samples, 10))

    @property
    def is_fork_bomb(self) -> bool:
        return len(self.known) > PIDS_LIMIT

    def sample(self, now: float) -> bool:
        """Measure; return whether the run is over its limit (a cgroup judges for itself: always False).

        now: monotonic seconds.
        """
        if now >= self.next_scan or self.samples < 4:
            self.next_scan = now + SCAN_S
            self._scan()
        self.samples += 1
        if self.cgroup is not None:
            self.used_mb = self.cgroup.used_mb()
        else:
            self.used_mb = self._tree_mb()
        self.peak_mb = max(self.peak_mb, self.used_mb)
        return self.cgroup is None and 0 < self.limit_mb < self.used_mb

    def include(self, members: Mapping[int, ProcessStat]) -> None:
        """Also watch these: they left the tree but belong to the run."""
        self.known.update({pid: stat.start for pid, stat in members.items()})

    def _scan(self) -> None:
        """Read the tree anew. What was known is kept while it lives: a process whose parent has ended is
        nobody's descendant any more."""
        tree = dict.fromkeys([self.leader, *self.known, *descendants(self.leader)])
        for pid in list(self.known):
            tree.update(dict.fromkeys(descendants(pid)))
        alive = {pid: stat for pid in tree if (stat := process_stat(pid)) is not None and stat.is_alive}
        self.known = {pid: s.start for pid, s in alive.items() if self.known.get(pid, s.start) == s.start}
        if self.cgroup is None:
            highest = max((peak_rss_mb(pid) for pid in self.known), default=0.0)
            self.peak_mb = max(self.peak_mb, highest)

    def _tree_mb(self) -> float:
        total = sum(rss_mb(pid) for pid in self.known)
        if self.limit_mb and total > PSS_FROM * self.limit_mb:
            return pss_mb(self.known)
        return total
