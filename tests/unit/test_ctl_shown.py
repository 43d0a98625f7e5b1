"""What the control command shows, with a daemon and without one."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration.ctl import tables, words
from orchestration.ctl.app import SHOWN_ORDER, complete_task
from orchestration.ctl.desk import Desk, evaluate
from orchestration.ctl.exits import EXIT_CODES
from orchestration.ctl.main import app, main
from orchestration.simulation.stand_ins import SteadySensors
from tests.control_desk import FakeDaemon, make_box, make_desk, running_daemon


def call(*words: str, desk: Desk | None = None, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(words), obj=desk or make_desk(), input=stdin)


def as_json(*words: str, desk: Desk | None = None) -> Any:
    result = call(*words, "--json", desk=desk)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


# --- calendar and when ------------------------------------------------------------------------------------


def test_the_calendar_answers_without_a_daemon_and_without_state() -> None:
    answer = as_json("calendar", "--at", "2026-11-27T18:00:00Z")

    # Closes at 13:00 = 18:00Z; research from 15:00 to Monday 02:00 = 59 h, to 08:00 65 h.
    assert answer["phase"] == "POST_MARKET"
    assert answer["is_early_close"] is True
    assert answer["is_market_open"] is False
    assert (answer["research_hours"], answer["total_hours"]) == (59.0, 65.0)
    assert answer["prep_start"] == "2026-11-30T07:00:00Z"


def test_the_calendar_shows_now_to_people() -> None:
    shown = call("calendar").stdout

    # Friday 18:30: 55.5 h to Monday 02:00.
    assert re.search(r"^mode +research *$", shown, re.MULTILINE)
    assert re.search(r"research_hours +55\.5", shown)


def test_the_calendar_answers_a_stream_line_by_line() -> None:
    result = call("calendar", "--at", "-", stdin="2026-11-27T18:00:00Z\n\n2026-11-26T15:00:00Z\n")

    first, second = map(json.loads, result.stdout.splitlines())
    assert first["mode"] == "trading"
    assert (second["mode"], second["is_trading_day"]) == ("research", False)
    assert result.exit_code == 0


def test_a_bad_line_of_a_stream_is_answered_and_the_rest_goes_on() -> None:
    result = call("calendar", "--at", "-", stdin="soon\n2026-11-27T18:00:00Z\n")

    first, second = map(json.loads, result.stdout.splitlines())
    assert "soon" in first["error"]
    assert second["mode"] == "trading"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calendar", "--at", "soon"), "2026-11-27T18:00:00Z"),
        (("calendar", "--at", "2026-11-27T18:00"), "has no zone"),
        (("when", "opne..close", "--date", "2026-11-27"), "Did you mean 'open'?"),
        (("when", "open..close", "--date", "27.11.2026"), "YYYY-MM-DD"),
        (("when",), "give an expression"),
        (("when", "open..close", "--date", "-"), "leave the argument out"),
        (("why", "daily_report", "--at", "soon"), "is not an instant"),
        (("why", "daily_report", "--at", "2026-11-20T00:00Z", "--since", "2026-11-20T00:00Z"), "not both"),
        (("logs", "--level", "loud"), "expected one of debug, info"),
    ],
)
def test_an_argument_that_cannot_be_read_ends_with_2_and_a_remedy(words: tuple[str, ...], said: str) -> None:
    result = call(*words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_when_gives_the_hours_of_a_short_day() -> None:
    answer = as_json("when", "open+30m..close-15m", "--date", "2026-11-27")

    # 09:30 + 30 min = 15:00Z; 13:00 - 15 min = 17:45Z.
    interval = {"start": "2026-11-27T15:00:00Z", "end": "2026-11-27T17:45:00Z"}
    assert answer == {"intervals": [interval], "reason": None}


def test_when_shows_the_exchange_s_hours_to_people() -> None:
    shown = call("when", "open..close", "--date", "2026-11-27").stdout

    assert "Fri 2026-11-27 09:30 EST" in shown
    assert "2026-11-27T14:30:00Z" in shown


def test_when_says_why_there_is_none() -> None:
    shown = call("when", "open..close", "--date", "2026-12-25").stdout

    assert shown.startswith("never: 2026-12-25 is not a trading day")


def test_when_answers_a_stream_of_dates() -> None:
    result = call("when", "--date", "-", stdin="2026-11-27 open..close\n2026-12-25 open..close\n")

    first, second = map(json.loads, result.stdout.splitlines())
    assert first["intervals"][0]["end"] == "2026-11-27T18:00:00Z"
    assert second["intervals"] == []


def test_when_knows_an_exchange_that_never_closes() -> None:
    answer = as_json("when", "open..close", "--date", "2026-12-25", "--calendar", "24/7")

    assert answer["intervals"] == [{"start": "2026-12-25T00:00:00Z", "end": "2026-12-26T00:00:00Z"}]


def test_an_unknown_exchange_is_refused() -> None:
    result = call("when", "open..close", "--date", "2026-11-27", "--calendar", "XNOWHERE", "--json")

    assert result.exit_code == 78
    assert json.loads(result.stdout)["ok"] is False


# --- status, tasks, why -----------------------------------------------------------------------------------


def test_status_says_in_one_word_that_everything_is_fine() -> None:
    desk = make_desk(running_daemon())

    found = as_json("status", desk=desk)
    shown = call("status", desk=desk).stdout

    assert (found["fine"], found["complaints"]) == (True, [])
    assert found["daemon"]["pid"] == 4242
    assert "everything is fine" in shown
    assert "process 4242, up 1 h" in shown  # since 22:30, seen at 23:30
    assert "RESEARCH (WEEKEND), policy unified" in shown
    assert "55.5 h of research left in the weekend window (99%)" in shown
    assert "PREP from Mon 02:00 EST" in shown


def test_status_without_a_daemon_says_so_and_evaluates_itself() -> None:
    found = as_json("status")

    assert found["daemon"] is None
    assert found["source"] == "evaluated here: no daemon is running"
    assert found["complaints"] == ["no daemon is running"]
    assert found["mode"] == "research"


def test_status_shows_each_run_against_its_reservation() -> None:
    run = {
        "run_id": "daily_report.2026-11-23.once.1",
        "task": "daily_report",
        "started_at": "2026-11-20T23:00:00Z",
        "running_s": 1800.0,
        "predicted_end": "2026-11-20T23:10:00Z",
        "reserved_mb": 100.0,
        "used_mb": 50.0,
        "stopping": "reclaim",
    }
    unmeasured = {**run, "used_mb": None, "stopping": None, "predicted_end": "2026-11-21T01:00:00Z"}
    desk = make_desk(running_daemon(running=[run, unmeasured], fault="needs_reconcile"))

    shown = call("status", desk=desk).stdout

    assert "█████░░░░░ 50" in shown
    assert "30 min" in shown
    assert "Fri 18:10 EST, overdue (stopping: reclaim)" in shown
    assert "Fri 20:00 EST" in shown
    assert "needs_reconcile: " in shown


def test_of_what_began_before_the_clock_was_set_back_no_command_counts_below_nothing() -> None:
    """Run and record are six days ahead of the clock."""
    run = {
        "run_id": "daily_report.2026-11-30.once.1",
        "task": "daily_report",
        "started_at": "2026-11-26T23:00:00Z",
        "running_s": -516_600.0,
        "predicted_end": "2026-11-26T23:10:00Z",
        "reserved_mb": 100.0,
        "used_mb": 50.0,
        "stopping": None,
    }
    view = evaluate(make_box())
    for task in view["tasks"]:
        task |= {"last_started_at": "2026-11-26T23:00:00Z", "last_outcome": "succeeded"}
    desk = make_desk(running_daemon(running=[run], tasks=view["tasks"]))

    status, why, tasks = (
        " ".join(call(*command, desk=desk).stdout.split())
        for command in (("status",), ("why", "pre_market_check"), ("tasks",))
    )

    assert "began before the clock was set back" in status
    assert "unknown" in status
    assert "-5 d" not in status
    assert "last started before the clock was set back, succeeded at last" in why
    assert "in 5 d" not in why + tasks


def test_tasks_lists_what_could_run_first_and_the_disabled_by_name() -> None:
    shown = call("tasks", desk=_with_disabled("execute_orders")).stdout

    lines = shown.splitlines()
    assert lines[1].split()[1] == "ready"
    assert re.search(r"\d+ disabled: .*execute_orders", shown)


def test_tasks_all_tells_what_the_disabled_ones_are_for() -> None:
    shown = call("tasks", "--all", desk=_with_disabled("execute_orders")).stdout

    assert re.search(r"execute_orders +disabled", shown)
    assert "disabled:" not in shown


def test_why_prints_every_failing_condition_with_its_numbers_and_the_next_instant() -> None:
    # 500 MB are left of 4,000; 300 are never given away, and a report asks for 60.
    box = make_box(sensors=SteadySensors(foreign_mb=3650.0, slots=1))
    desk = make_desk(running_daemon(box), box)

    found = as_json("why", "pre_market_check", desk=desk)
    shown = call("why", "pre_market_check", desk=desk).stdout

    # 09:00 on Monday, half an hour before the bell.
    assert found["next_at"] == "2026-11-23T14:00:00Z"
    assert [gate["reason"] for gate in found["failures"]]
    assert "pre_market_check is not running:" in shown
    assert f"1. {found['failures'][0]['reason']}" in shown
    assert "next possible start: Mon 09:00 EST (in 2 d 14 h)" in shown
    assert "it has never run" in shown


def test_why_gives_the_needed_and_the_available_memory() -> None:
    box = make_box(sensors=SteadySensors(foreign_mb=3650.0))

    shown = call("why", "refresh_eod_data", desk=make_desk(running_daemon(box), box)).stdout

    # 4000 - 3650 - 300 reserved = 50 MB; its spec asks for 300.
    assert re.search(r"MEMORY: .*needs 300, has 50", shown)
    assert "next possible start: now, as soon as the above allows" in shown


def test_why_of_a_disabled_task_names_the_remedy() -> None:
    shown = call("why", "execute_orders", desk=_with_disabled("execute_orders")).stdout

    assert "1. DISABLED: enabled = false" in shown
    assert "set enabled = true" in shown


def test_why_without_a_daemon_says_who_evaluated() -> None:
    assert "evaluated here: no daemon is running" in call("why", "daily_report").stdout


def _with_disabled(name: str) -> Desk:
    daemon = running_daemon()
    assert daemon.view is not None
    task = next(task for task in daemon.view["tasks"] if task["name"] == name)
    task["enabled"], task["status"], task["next_at"] = False, "waiting", None
    task["failures"] = [{"reason": "DISABLED", "passed": False, "detail": "enabled = false"}]
    return make_desk(daemon)


def test_why_of_a_ready_task_says_so() -> None:
    ready = next(task["name"] for task in as_json("tasks")["tasks"] if task["status"] == "ready")

    assert f"{ready} is ready: nothing stands in its way" in call("why", ready).stdout


@pytest.mark.parametrize("words", [("why", "daily_reprot"), ("why", "daily_reprot", "--json")])
def test_an_unknown_task_is_answered_with_the_nearest_name(words: tuple[str, ...]) -> None:
    result = call(*words)

    assert result.exit_code == 1
    assert "Did you mean 'daily_report'?" in result.stderr


@pytest.mark.parametrize(
    "words", [("runs",), ("why", "daily_report", "--at", "2026-11-20T07:00:00Z"), ("runs", "daily_report")]
)
def test_where_nothing_is_recorded_it_says_so(words: tuple[str, ...]) -> None:
    result = call(*words)

    assert result.exit_code == 1
    assert "nothing is recorded yet: there is no /nonexistent/state/performance.db" in result.stderr


def test_a_daemon_that_does_not_answer_is_no_reason_to_guess() -> None:
    result = call("why", "daily_report", desk=make_desk(FakeDaemon(who={"pid": 1}, is_mute=True)))

    assert result.exit_code == 4


def test_settings_that_cannot_be_used_end_with_78() -> None:
    result = call("status", desk=Desk({"ORCHESTRATOR_SLOTS": "many"}))

    assert result.exit_code == 78
    assert "ORCHESTRATOR_SLOTS='many'" in result.stderr


def test_a_check_of_such_settings_finds_the_problem() -> None:
    result = call("check", "--json", desk=Desk({"ORCHESTRATOR_SLOTS": "many"}))

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["ok"] is False
    assert "ORCHESTRATOR_SLOTS" in found["findings"][0]["text"]


# --- plan -------------------------------------------------------------------------------------------------


def test_plan_reaches_to_the_end_of_the_coming_window() -> None:
    desk = make_desk(running_daemon())

    runs = as_json("plan", desk=desk)
    shown = call("plan", desk=desk).stdout

    assert {"task", "start", "end", "minutes", "memory_mb", "cpus", "kind"} <= set(runs[0])
    assert all("2026-11-20T23:30" <= run["start"] < "2026-11-23T13:00:00Z" for run in runs)
    assert shown.startswith("from Fri 2026-11-20 18:30 EST to Mon 2026-11-23 08:00 EST")


def test_plan_reaches_as_many_days_as_asked() -> None:
    shown = call("plan", "--days", "0.5", desk=make_desk(running_daemon())).stdout

    assert shown.startswith("from Fri 2026-11-20 18:30 EST to Sat 2026-11-21 06:30 EST")


def test_plan_says_what_it_takes_for_lasting() -> None:
    desk = make_desk(running_daemon(paused="all"))

    assert "Paused: Nothing starts until `orchestratorctl resume`." in call("plan", desk=desk).stdout


def test_plan_beyond_the_calendar_covers_a_day() -> None:
    box = make_box(datetime(2031, 6, 2, 15, tzinfo=UTC))

    shown = call("plan", desk=make_desk(running_daemon(box), box)).stdout

    assert "No session is known for today" in shown
    assert shown.startswith("from Mon 2031-06-02 11:00 EDT to Tue 2031-06-03 11:00 EDT")


# --- help and completion ----------------------------------------------------------------------------------


def test_the_help_lists_every_command_and_every_exit_code() -> None:
    shown = call("--help").stdout

    for name in SHOWN_ORDER:
        assert re.search(rf"│ {name} ", shown), name
    for code in EXIT_CODES:
        assert re.search(rf"\b{code} \w", shown[shown.index("Exit codes:") :])


GROUPS = ("backtest", "research")
OF_GROUPS = ("backtest run", "backtest compare", "backtest strategies", "backtest rerun", "research status")


@pytest.mark.parametrize("name", [*(name for name in SHOWN_ORDER if name not in GROUPS), *OF_GROUPS])
def test_each_command_explains_itself_with_its_exit_codes_and_json(name: str) -> None:
    shown = call(*name.split(), "--help").stdout

    assert "Exit codes: 0 done" in shown
    assert "--json" in shown


def test_task_names_complete() -> None:
    assert complete_task("monitor_p") == ["monitor_positions"]
    assert "daily_report" in complete_task("")
    assert complete_task("zzz") == []


def test_the_entry_point_runs_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["orchestratorctl", "--help"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0


# --- narrow terminals, and waits without an instant -------------------------------------------------------


def test_a_task_s_name_is_whole_in_80_columns() -> None:
    desk = make_desk()
    names = [task["name"] for task in as_json("tasks", desk=desk)["tasks"]]
    narrow = tables.table("task", "next", "why", "last")
    for name in names:
        narrow.add_row(name, "Fri 2026-11-27 15:00 EST", "WRONG_PHASE (+1)", "succeeded, 17 min 22 s ago")
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(narrow)

    assert isinstance(console.file, io.StringIO)
    page = console.file.getvalue().split()
    assert names
    assert set(names) <= set(page)


def test_a_run_s_name_is_folded_and_never_cut() -> None:
    run = "longjob.2026-11-20.manual2bfb7e56999043d3ac838d63c36b697a.1"
    narrow = tables.table("started", "outcome", "run")
    narrow.add_row("Fri 2026-11-27 15:00 EST", "succeeded", run)
    console = Console(width=60, file=io.StringIO(), color_system=None)
    console.print(narrow)

    assert isinstance(console.file, io.StringIO)
    folded = [line[35:].strip() for line in console.file.getvalue().splitlines()[1:]]
    assert "".join(folded) == run


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("PAUSED", "none until `orchestratorctl resume`"),
        ("NEEDS_RECONCILE", "none until a reconciliation: `orchestratorctl reconcile`"),
        ("OUTSIDE_WINDOW", "none within the known calendar"),
    ],
)
def test_what_ends_a_wait_without_an_instant_is_named(reason: str, said: str) -> None:
    task = {"enabled": True, "next_at": None, "failures": [{"reason": reason}]}

    assert words.next_start(task, UTC, datetime(2026, 11, 20, tzinfo=UTC)) == said
