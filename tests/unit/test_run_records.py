"""What supervisors and the kernel write is read exactly, and what is torn is not read at all."""

from __future__ import annotations

import pytest

from orchestration.processes import ProcessStat, parse_stat, run_members
from orchestration.run_files import Ended, Started, parse_ended, parse_started
from orchestration.spawn import is_run_name


def test_a_whole_started_record_names_the_supervisor() -> None:
    """pid, start in ticks, boot id, uptime in seconds."""
    assert parse_started("412 99031 9f1c-boot 990.31 run\n") == Started(412, 99031, "9f1c-boot", 990.31)


@pytest.mark.parametrize(
    "text", ["", "412", "412 99031 boot 990.31", "412 x boot 1 run", "void never", "void lost"]
)
def test_a_torn_or_void_started_record_says_nothing(text: str) -> None:
    """Half a record must not be taken for a supervisor."""
    assert parse_started(text) is None


@pytest.mark.parametrize(
    "text", ["", "0", "0 exit", "0 exit 12.5", "0 exit 12.5 en", "-1 exit 2 end", "0 gone 2 end"]
)
def test_a_torn_exit_record_says_nothing(text: str) -> None:
    """An empty or torn exit file means lost, never success."""
    assert parse_ended(text) is None


def test_an_unreadable_uptime_does_not_cost_the_exit_code() -> None:
    """The code is what matters."""
    assert parse_ended("3 exit ? end") == Ended(3, False, 0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 exit 5.0 end", 0),
        ("143 exit 5.0 end", 143),  # the job chose it
        ("143 signal 5.0 end", -15),  # SIGTERM is 15
        ("137 signal 5.0 end", -9),
        ("255 exit 5.0 end", 255),
    ],
)
def test_an_exit_of_143_and_a_death_by_sigterm_are_told_apart(text: str, expected: int) -> None:
    """The shell says 143 for both; its own message is what differs."""
    record = parse_ended(text)

    assert record is not None
    assert record.exit_code == expected


def test_a_process_name_may_hold_spaces_and_parentheses() -> None:
    """proc(5): the name is between the first and the LAST parenthesis; starttime is field 22."""
    fields = " ".join(str(n) for n in range(5, 53))
    stat = parse_stat(f"77 (a) (b c) S 4 {fields}\n")

    assert stat is not None
    assert (stat.pid, stat.state, stat.ppid, stat.pgrp, stat.session, stat.start) == (77, "S", 4, 5, 6, 22)


def test_a_stat_line_cut_short_is_nothing() -> None:
    """A process that ends while it is read."""
    assert parse_stat("77 (a) S 4 5") is None


@pytest.mark.parametrize(
    ("name", "good"), [("a.2026-11-20.once.1", True), ("", False), ("../x", False), ("boot", False)]
)
def test_a_run_id_must_be_a_directory_of_its_own(name: str, good: bool) -> None:
    """It is joined to a path and later removed."""
    assert is_run_name(name) is good


FAR = 2**22
"""The kernel gives no pid this high, so /proc knows none of these."""


def _process(
    number: int, *, parent: int = 1, session: int = 0, start: int = 500, state: str = "S"
) -> ProcessStat:
    return ProcessStat(FAR + number, state, FAR + parent, 0, FAR + session, start)


def _members(*processes: ProcessStat, start: int = 500) -> set[int]:
    found = run_members(FAR + 10, start, "ORCHESTRATOR_RESULT=/r", {p.pid: p for p in processes})
    return {pid - FAR for pid in found}


def test_a_runs_processes_are_its_session_and_their_descendants_but_not_the_supervisor() -> None:
    """10 leads; 12 left the session, 13 ended, 14 is somebody else's."""
    seen = _members(
        _process(10, session=10),
        _process(11, parent=10, session=10),
        _process(12, parent=11, session=12),
        _process(13, parent=10, session=10, state="Z"),
        _process(14, parent=2, session=2),
    )

    assert seen == {11, 12}


def test_a_session_survives_its_leader() -> None:
    """The supervisor was killed; what it led is still the run's."""
    assert _members(_process(11, session=10)) == {11}


def test_a_session_under_a_pid_that_came_again_is_somebody_elses() -> None:
    """The leader of that number started later than the supervisor did."""
    assert (
        _members(_process(10, session=10, start=900), _process(11, parent=10, session=10, start=901)) == set()
    )


def test_without_a_known_supervisor_only_the_environment_counts() -> None:
    """A run that was voided has no session."""
    assert _members(_process(11, session=10), start=0) == set()


def test_pid_1_leads_no_run() -> None:
    """A damaged record must not make the whole box a run."""
    processes = {p.pid: p for p in (_process(11, parent=1 - FAR, session=1 - FAR),)}

    assert run_members(1, 500, "ORCHESTRATOR_RESULT=/r", processes) == {}
