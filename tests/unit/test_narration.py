"""What a turn says: a line when something changes, and nothing while nothing does."""

from __future__ import annotations

from datetime import datetime, timedelta

from observability.alerts import Alert
from orchestration.changes import BlockedSaved
from orchestration.decisions import Gate, RaiseAlert, Reason, SkipSlot
from orchestration.narration import Narrator
from orchestration.runs import ActiveRun, Outcome, RunKey, SchedulerState, TaskResult
from orchestration.types import TaskSpec
from tests.calendars import ny
from tests.unit.deciding import FRIDAY, NIGHT, active, by_name, known, research, turn
from tests.unit.living import ListedLog

STUDY, JOB = research(), TaskSpec(name="job", memory_mb=3500)


class Said:
    """A narrator and what it said."""

    def __init__(self) -> None:
        self.scheduler, self.execute, self.sent = ListedLog(), ListedLog(), list[Alert]()
        self.narrator = Narrator(self.scheduler, self.execute, sink=self)

    def send(self, alert: Alert) -> None:
        self.sent.append(alert)

    def close(self, timeout_s: float) -> None:
        """Nothing is on its way."""

    def window(self, at: datetime, *runs: ActiveRun) -> int:
        decision = turn(STUDY, at=at, state=known(*runs))
        return len(self.narrator.window(decision, by_name(STUDY), {run.task: run for run in runs}))


def test_a_window_s_start_says_its_budget_and_only_once() -> None:
    said = Said()

    rows = [said.window(at) for at in (NIGHT, NIGHT + timedelta(hours=1))]

    assert rows == [1, 0]
    line = said.scheduler.of("window.started")[0]
    assert (line["window"], line["mode"], line["cycle"]) == (f"{FRIDAY}/OVERNIGHT", "research", FRIDAY)
    assert (line["is_extended"], line["budget_type"], line["research_hours"]) == (False, "overnight", 8.0)


def test_a_window_s_end_says_how_much_of_it_was_used() -> None:
    # Looked at from 20:00; research ran from 22:00 to 00:00 of the eight hours to 04:00: 25 %.
    said, run = Said(), active("research", NIGHT)

    said.window(ny("2026-11-19T20:00"))
    said.window(ny("2026-11-19T22:00"), run)
    said.window(ny("2026-11-20T00:00"))
    said.window(ny("2026-11-20T04:30"))

    ended = said.scheduler.of("window.ended")[0]
    assert (ended["utilisation_pct"], ended["research_hours"]) == (25.0, 8.0)
    assert [line["mode"] for line in said.scheduler.of("window.started")] == ["research", "prep"]


def test_the_end_of_a_window_without_research_says_nothing_of_its_use() -> None:
    said = Said()

    said.window(ny("2026-11-20T10:00"))
    said.window(ny("2026-11-20T16:00"))

    assert said.scheduler.of("window.ended") == []


def test_a_reason_is_said_and_kept_when_it_changes_and_when_it_goes() -> None:
    said = Said()
    blocked, free = turn(JOB, at=NIGHT), turn(JOB.but(memory_mb=1), at=NIGHT)

    first = said.narrator.blocked(blocked)
    again = said.narrator.blocked(blocked)
    same = said.narrator.blocked(turn(JOB, at=NIGHT + timedelta(minutes=1)))
    gone = said.narrator.blocked(free)

    assert (len(first), again, same) == (1, [], [])
    assert [row.blocked for row in gone if isinstance(row, BlockedSaved)] == [None]
    assert said.scheduler.of("task.blocked") == [
        {"task": "job", "reason": "MEMORY", "detail": "MB of memory", "needed": 3500, "available": 3300}
    ]


def test_the_calendar_s_everyday_doing_is_kept_and_not_said() -> None:
    said = Said()

    rows = said.narrator.blocked(turn(TaskSpec(name="job", phases={"WEEKEND"}), at=NIGHT))

    assert len(rows) == 1
    assert said.scheduler.lines == []


def test_a_wait_whose_end_is_known_says_it() -> None:
    said = Said()
    spec = TaskSpec(name="job", conflicts={"other"})

    said.narrator.blocked(turn(spec, at=NIGHT, state=known(active("other", NIGHT))))

    assert said.scheduler.of("task.blocked")[0]["until"] == "2026-11-20T02:00:00+00:00"


def test_a_skipped_slot_is_kept_with_what_stood_in_its_way() -> None:
    said = Said()
    gate = Gate(Reason.NOT_DUE, False, "missed")
    skip = SkipSlot(task="job", cycle=FRIDAY, slot="s", last_slot=NIGHT, gate=gate)

    alone = said.narrator.skipped(skip, NIGHT)
    said.narrator.blocked(turn(JOB, at=NIGHT))
    after = said.narrator.skipped(skip, NIGHT)

    assert isinstance(alone, BlockedSaved)
    assert isinstance(after, BlockedSaved)
    assert alone.blocked is not None
    assert after.blocked is not None
    assert [g.reason for g in alone.blocked.failures] == [Reason.NOT_DUE]
    assert [g.reason for g in after.blocked.failures] == [Reason.NOT_DUE, Reason.MEMORY]
    assert len(said.scheduler.of("slot.skipped")) == 2


def test_an_alert_is_raised_once_sent_and_cleared_once() -> None:
    said = Said()
    alert = RaiseAlert(key="failed:job", text="job failed", task="job")

    raised = said.narrator.alert(alert, NIGHT), said.narrator.alert(alert, NIGHT)
    cleared = said.narrator.clear("failed:job", NIGHT), said.narrator.clear("failed:job", NIGHT)

    assert [len(rows) for rows in raised + cleared] == [1, 0, 1, 0]
    assert [(a.name, a.cleared) for a in said.sent] == [("failed:job", False), ("failed:job", True)]


def missed(said: Said) -> str:
    """The text of the alert of a missed deadline, as the loop has it said: after the slot's skip."""
    gate = Gate(Reason.DEADLINE_PASSED, False, "too late")
    said.narrator.skipped(SkipSlot(task="job", cycle=FRIDAY, slot="once", last_slot=None, gate=gate), NIGHT)
    said.narrator.alert(RaiseAlert(key="deadline:job:once", text="job was not started", task="job"), NIGHT)
    return said.sent[-1].text


def test_a_missed_deadline_s_alert_names_what_held_the_task_back_last() -> None:
    said = Said()
    said.narrator.blocked(turn(JOB, at=NIGHT))
    # The same reason with other numbers: nothing new is said of it, and it is the last.
    said.narrator.blocked(turn(JOB.but(memory_mb=3400), at=NIGHT + timedelta(minutes=1)))

    text = missed(said)

    cause = "MEMORY: MB of memory (needs 3400, has 3300)"
    assert text == f"job was not started; until then it was held back by {cause}"
    assert said.scheduler.of("alert.raised")[0]["text"] == text


def test_a_missed_deadline_whose_cause_is_not_known_names_none() -> None:
    fresh, early = Said(), Said()
    early.narrator.blocked(turn(JOB.but(phases={"WEEKEND"}), at=NIGHT))

    # The daemon has just been started; it was not the task's hour.
    assert missed(fresh) == missed(early) == "job was not started"


def test_another_alert_about_the_task_names_no_cause() -> None:
    said = Said()
    said.narrator.blocked(turn(JOB, at=NIGHT))
    missed(said)

    said.narrator.alert(RaiseAlert(key="late:job", text="job is late", task="job"), NIGHT)

    assert said.sent[-1].text == "job is late"


def test_without_a_sink_alerts_are_logged_alone() -> None:
    log = ListedLog()
    narrator = Narrator(log, log)

    narrator.alert(RaiseAlert(key="k", text="t"), NIGHT)
    narrator.clear("k", NIGHT)

    assert [event for _, event, _ in log.lines] == ["alert.raised", "alert.cleared"]


def test_an_alert_that_was_open_before_the_start_is_not_raised_again() -> None:
    narrator = Narrator(ListedLog(), ListedLog())
    narrator.remember(frozenset({"k"}))

    assert narrator.alert(RaiseAlert(key="k", text="t"), NIGHT) == []


def test_a_start_says_what_it_was_promised_and_how_late_it_is() -> None:
    said, run = Said(), active("job", NIGHT, mb=99.6)

    said.narrator.started(run, 42, 3.14159, 0.0421)
    said.narrator.started(run, 42, 3.14159, None)

    late, plain = said.execute.of("run.started")
    assert (late["pid"], late["reserved_mb"], late["predicted_min"], late["late_s"]) == (
        42,
        100,
        3.14159,
        0.042,
    )
    assert "late_s" not in plain


def test_an_end_says_its_length_against_the_prediction() -> None:
    said = Said()
    key = RunKey("job", FRIDAY, "once", 1)

    said.narrator.ended(TaskResult(key=key, duration_s=90, peak_memory_mb=55.4, exit_code=0), 1.2)
    said.narrator.ended(TaskResult(key=key, outcome=Outcome.UNKNOWN, detail="lost"), None)
    said.narrator.ended(TaskResult(key=key, outcome=Outcome.CHECKPOINTED), None)

    good, lost, cut = said.execute.of("run.ended")
    assert (good["minutes"], good["predicted_min"], good["peak_mb"]) == (1.5, 1.2, 55)
    assert (lost["outcome"], lost["detail"]) == ("unknown", "lost")
    assert [level for level, _, _ in said.execute.lines] == ["info", "warning", "info"]
    assert "minutes" not in cut
    assert SchedulerState().paused is None
