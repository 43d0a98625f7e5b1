"""What `--once` shows at its end, and while it waits."""

from __future__ import annotations

import io
from datetime import timedelta

from orchestration.runs import Outcome, RunKey, TaskResult
from orchestration.turn_report import CLEAR_LINE, Progress, turn_report
from orchestration.types import TaskSpec
from tests.unit.deciding import FRIDAY, NIGHT, active, turn

SPECS = (
    TaskSpec(name="heavy", memory_mb=3500),
    TaskSpec(name="weekend", phases={"WEEKEND"}),
    TaskSpec(name="off", enabled=False),
)


def result(task: str, **fields: object) -> TaskResult:
    return TaskResult(key=RunKey(task, FRIDAY, "once", 1), **fields)  # type: ignore[arg-type]  # names are checked by the call


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_page_says_mode_window_budget_and_why_each_task_waits() -> None:
    page = turn_report(turn(*SPECS, at=NIGHT), "unified", [], {}, 3).splitlines()

    assert page == [
        "mode     RESEARCH (OVERNIGHT), policy unified",
        "window   2026-11-20/OVERNIGHT, cycle 2026-11-20, until Fri 2026-11-20 09:00Z",
        "budget   8.0 h of research left in the overnight window (80%), PREP from Fri 2026-11-20 09:00Z",
        "",
        "ran      nothing was due",
        "",
        "waits    3 of 3 tasks",
        "         heavy                     MEMORY: MB of memory (needs 3500, has 3300)",
        "         weekend                   WRONG_PHASE: runs in WEEKEND; the phase is OVERNIGHT, until "
        "2026-11-20T23:00:00Z",
        "         disabled: off",
    ]


def test_what_fills_whole_windows_is_left_to_the_daemon_that_stays() -> None:
    page = turn_report(turn(*SPECS, at=NIGHT), "unified", [], {}, 3, fillers={"off"}).splitlines()

    assert page[-1] == "         left to the daemon that stays, as they fill whole windows: off"


def test_what_ran_is_shown_with_its_time_memory_and_words() -> None:
    results = [
        result("good", duration_s=1.234, peak_memory_mb=55.4, report={"remark": "4 symbols"}),
        result("bad", outcome=Outcome.FAILED, detail="exit 1"),
        result("quiet", duration_s=0.5, report={"remark": 3}),
    ]

    page = turn_report(turn(at=NIGHT), "unified", results, {}, 3, ["", "a note"]).splitlines()

    assert page[4].split() == ["ran", "task", "outcome", "seconds", "peak", "MB"]
    assert [line.split() for line in page[5:10]] == [
        ["good", "succeeded", "1.23", "55"],
        ["4", "symbols"],
        ["bad", "failed", "-", "-"],
        ["exit", "1"],
        ["quiet", "succeeded", "0.50", "-"],
    ]
    assert page[-1] == "a note"


def test_a_task_that_ran_in_this_turn_does_not_wait() -> None:
    page = turn_report(turn(*SPECS, at=NIGHT), "unified", [result("weekend")], {}, 3)

    assert "waits    2 of 3 tasks" in page
    assert "WRONG_PHASE" not in page


def test_what_was_left_running_is_named() -> None:
    page = turn_report(turn(at=NIGHT), "unified", [], {"job": active("job", NIGHT)}, 1)

    assert "left     still running; the next start of the daemon takes them over:" in page
    assert "since 2026-11-20T01:00:00Z  job.2026-11-20.once.1" in page


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    runs = {"job": active("job", NIGHT)}

    for out in (terminal, file):
        progress = Progress(out)
        progress.show(runs, 2, NIGHT + timedelta(seconds=7))
        progress.show({}, 3, NIGHT)
        progress.done()

    assert terminal.getvalue() == (
        f"{CLEAR_LINE}  2 done; running: job 7 s{CLEAR_LINE}  3 done; running: nothing{CLEAR_LINE}"
    )
    assert file.getvalue() == ""
