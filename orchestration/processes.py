"""Processes as /proc shows them: who they are, whose they are, how much memory they hold. Linux, light.

A pid alone is never trusted: a process is a pid with its start time (ticks after boot), as pids come again.
Memory is MB (10^6 bytes).
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
EXEC_LOOKS = 5
"""How often a process in the middle of an exec is looked at, a millisecond apart."""


class ProcessStat(NamedTuple):
    """What /proc/PID/stat says. start: clock ticks after boot. state: one letter, Z for a zombie."""

    pid: int
    state: str
    ppid: int
    pgrp: int
    session: int
    start: int

    @property
    def is_alive(self) -> bool:
        return self.state not in ("Z", "X", "x")


def read_text(path: str) -> str | None:
    """Return the text of a /proc file; None if it is gone or not ours to read."""
    content = read_bytes(path)
    return None if content is None else content.decode("utf-8", "replace")


def read_bytes(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    except OSError:
        return None
    finally:
        os.close(fd)
    return b"".join(chunks)


def parse_stat(text: str) -> ProcessStat | None:
    """Return the fields of one line of /proc/PID/stat; None if it is cut short.

    The name stands in parentheses and may itself hold spaces and parentheses, so the last one counts.
    """
    head, _, tail = text.rpartition(") ")
    fields = tail.split()
    if len(fields) < 20:
        return None
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        state=fields[0],
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        start=int(fields[19]),
    )


def process_stat(pid: int) -> ProcessStat | None:
    """Return what is known of `pid`; None if there is no such process."""
    text = read_text(f"/proc/{pid}/stat")
    return parse_stat(text) if text else None


def all_processes() -> dict[int, ProcessStat]:
    """Return every process that can be seen, by pid."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {stat.pid: stat for pid in pids if (stat := process_stat(pid)) is not None}


def boot_id() -> str:
    """Return the kernel's name for this boot."""
    return (read_text("/proc/sys/kernel/random/boot_id") or "").strip()


def uptime_s() -> float:
    """Return the seconds since boot, suspends included; never stepped."""
    return float((read_text("/proc/uptime") or "0").split()[0])


def children(pid: int) -> list[int]:
    """Return the pids of the children of every thread of `pid`; empty when it is gone or has none."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    texts = (read_text(f"/proc/{pid}/task/{thread}/children") for thread in threads)
    return [int(child) for text in texts if text for child in text.split()]


def descendants(pid: int) -> list[int]:
    """Return the pids of all living descendants of `pid`, parents first."""
    found: list[int] = []
    queue = children(pid)
    while queue:
        child = queue.pop(0)
        if child not in found:
            found.append(child)
            queue.extend(children(child))
    return found


def run_members(
    leader: int, start: int, marker: str, processes: Mapping[int, ProcessStat]
) -> dict[int, ProcessStat]:
    """Return the living processes of a run but its supervisor: those in its session, their descendants, and
    those that left both but carry the run in their environment.

    leader, start: pid and start of the supervisor, which leads the session; 0 if they are not known. Its pid
    is not given to anyone else while a member of its session lives, so if somebody else has it now, the
    session found under that number is theirs: then only the environment counts.
    marker: the `NAME=value` entry of the environment that names the run.
    """
    young = {p: s for p, s in processes.items() if p != leader and s.start >= start and s.is_alive}
    found: dict[int, ProcessStat] = {}
    now = processes.get(leader)
    if leader > 1 and start > 0 and (now is None or now.start == start):
        found = {p: s for p, s in young.items() if s.session == leader}
    own = os.getpid()
    for pid, stat in young.items():
        if pid not in found and pid != own and has_marker(pid, marker):
            found[pid] = stat
    grew = True
    while grew:
        more = {p: s for p, s in young.items() if p not in found and s.ppid in found and p != own}
        found.update(more)
        grew = bool(more)
    return found


def has_marker(pid: int, marker: str) -> bool:
    """Return whether `pid` was executed with `marker` (NAME=value) in its environment.

    In the middle of an exec the environment reads as empty, as it always does for a kernel thread, which has
    no file of its own: the former is looked at again, for some milliseconds at most.
    """
    for _ in range(EXEC_LOOKS):
        content = read_bytes(f"/proc/{pid}/environ")
        if content is None:
            return False
        if content:
            return marker.encode() in content.split(b"\0")
        try:
            os.readlink(f"/proc/{pid}/exe")
        except OSError:
            return False
        select.poll().poll(1)
    return False


def send_signal(stat: ProcessStat, signum: int) -> bool:
    """Signal exactly this process, never a later one with its pid; return whether it was there."""
    try:
        fd = os.pidfd_open(stat.pid)
    except OSError:
        return False
    try:
        now = process_stat(stat.pid)
        if now is None or now.start != stat.start:
            return False
        signal.pidfd_send_signal(fd, signum)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def rss_mb(pid: int) -> float:
    """Return the resident memory of one process; 0 if it is gone."""
    text = read_text(f"/proc/{pid}/statm")
    return int(text.split()[1]) * PAGE_BYTES / 1e6 if text else 0.0


def peak_rss_mb(pid: int) -> float:
    """Return the most that one process has held resident so far; 0 if it is gone."""
    return _kb_line(read_text(f"/proc/{pid}/status"), "VmHWM:") * 1024 / 1e6


def pss_mb(pids: Iterable[int]) -> float:
    """Return the proportional share of these processes: a page that n processes share counts 1/n each.

    Costs milliseconds for a large process. One whose figure cannot be read counts with its resident memory.
    """
    total = 0.0
    for pid in pids:
        text = read_text(f"/proc/{pid}/smaps_rollup")
        total += _kb_line(text, "Pss:") * 1024 / 1e6 if text else rss_mb(pid)
    return total


def _kb_line(text: str | None, label: str) -> int:
    for line in (text or "").splitlines():
        if line.startswith(label):
            return int(line.split()[1])
    return 0


def kernel_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since boot; 0 if it does not say."""
    for line in (read_text("/proc/vmstat") or "").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
