"""The loop carries decisions out: what is written before what, faults of the world, coming back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from orchestration.changes import (
    AlertSaved,
    BlockedSaved,
    EventLogged,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    SessionsSaved,
    ValueSaved,
)
from orchestration.decisions import Room, StartRun
from orchestration.errors import SpawnError
from orchestration.launching import LaunchSettings
from orchestration.ports import Fate, Launch, Recovered, RunExit, Wake
from orchestration.runs import Estimate, Outcome, RunKey, StopCause, TaskResult
from orchestration.simulation.box import simulated_launch
from orchestration.simulation.stand_ins import Ended, Fortune, Happening, Started, SteadySensors
from orchestration.types import TaskSpec
from tests.calendars import ny, nyse_2026
from tests.unit.deciding import FRIDAY, NIGHT, research
from tests.unit.living import Box

JOB = TaskSpec(name="job", estimated_minutes=10, idempotent=True)
MINUTE = timedelta(minutes=1)


def nothing() -> None:
    """Something that befalls the box and changes nothing."""


# --- order of writing ---------------------------------------------------------------------------------------


def test_a_run_s_row_is_written_before_its_process_exists() -> None:
    box = Box(JOB, at=NIGHT)
    planned_at_start: list[int] = []
    box.sim.runner.observe = lambda event: planned_at_start.append(
        sum(isinstance(change, RunPlanned) for change in box.store.taken)
    )

    box.loop.turn()

    assert planned_at_start == [1]


def test_a_result_is_written_before_anything_acts_on_it() -> None:
    box = Box(JOB, JOB.but(name="next", dependencies={"job"}), at=NIGHT)

    box.sim.run_until(NIGHT + timedelta(minutes=15))

    order = [
        f"planned {change.run.task}" if isinstance(change, RunPlanned) else f"ended {change.result.key.task}"
        for change in box.store.taken
        if isinstance(change, RunPlanned | RunEnded)
    ]
    assert order == ["planned job", "ended job", "planned next"]


def test_a_long_run_s_start_is_written_at_once_and_a_short_one_s_with_its_end() -> None:
    long, short = Box(JOB, at=NIGHT), Box(JOB.but(estimated_minutes=0.1), at=NIGHT)

    for box in (long, short):
        box.loop.turn()
        box.loop.wait(NIGHT + timedelta(seconds=1))

    assert any(isinstance(change, RunStarted) for change in long.store.taken)
    assert not any(isinstance(change, RunStarted) for change in short.store.taken)


# --- faults of the world ------------------------------------------------------------------------------------


def test_a_store_that_fails_stops_new_starts_and_says_so_once() -> None:
    box = Box(JOB, at=NIGHT)
    box.store.broken = True

    box.loop.turn()
    box.loop.wait()
    box.loop.turn()

    assert box.clock.now() == NIGHT + timedelta(seconds=5)
    assert box.sim.events == []
    assert len(box.scheduler.of("store.failing")) == 1
    assert box.panel.now.error == "store_failing"

    box.store.broken = False
    box.loop.wait()
    box.loop.turn()

    assert [event.task for event in box.sim.events] == ["job"]
    assert len(box.scheduler.of("store.recovered")) == 1


def test_a_result_that_cannot_be_written_is_kept_until_it_can() -> None:
    box = Box(JOB, at=NIGHT)
    box.loop.turn()
    box.store.broken = True

    box.sim.run_until(NIGHT + timedelta(minutes=11))
    held = list(box.loop.state.running_tasks), list(box.loop.unfinished())
    box.store.broken = False
    box.sim.run_until(NIGHT + timedelta(minutes=12))

    assert held == (["job"], [])
    assert [r.outcome for r in box.store.results] == [Outcome.SUCCEEDED]


def test_a_failing_store_does_not_let_a_run_pass_its_timeout() -> None:
    box = Box(JOB.but(timeout_minutes=5), at=NIGHT, fortunes={"job": [Fortune(60, 10)]})
    box.loop.turn()
    box.store.broken = True

    box.sim.run_until(NIGHT + timedelta(minutes=6))

    ended = [event for event in box.sim.events if isinstance(event, Ended)]
    assert [event.exit.stop_cause for event in ended] == [StopCause.TIMEOUT]


def test_a_process_that_cannot_be_created_is_a_failure() -> None:
    box = Box(JOB.but(max_attempts=1), at=NIGHT)

    def refuse(start: StartRun, spec: TaskSpec, known: Estimate, settings: LaunchSettings) -> Launch:
        raise SpawnError(2, "no such program")

    box.loop._make_launch = refuse
    box.loop.turn()

    result = box.store.results[0]
    assert result.outcome is Outcome.FAILED
    assert "no such program" in result.detail
    assert box.loop.state.estimated_memory_used == 0
    assert [alert.key for alert in box.store.alerts] == ["failed:job"]


# --- alerts -------------------------------------------------------------------------------------------------


def test_a_task_that_was_given_up_is_alerted_and_cleared_by_its_next_success() -> None:
    spec = JOB.but(every=timedelta(hours=1), window="20:00..24:00")
    box = Box(spec, at=NIGHT, fortunes={"job": [Fortune(1, 10, 1), Fortune(1, 10, 0)]})

    box.sim.run_until(NIGHT + timedelta(hours=1, minutes=5))

    alerts = [change for change in box.store.taken if isinstance(change, AlertSaved)]
    assert [(alert.key, alert.cleared) for alert in alerts] == [("failed:job", False), ("failed:job", True)]


def test_a_quarantine_is_alerted() -> None:
    spec = JOB.but(every=MINUTE, window="20:00..24:00")
    box = Box(spec, at=NIGHT, fortunes={"job": [Fortune(0.1, 10, 1)]})

    box.sim.run_until(NIGHT + timedelta(minutes=5))

    assert "quarantined:job" in [alert.key for alert in box.store.alerts]
    assert len([event for event in box.sim.events if isinstance(event, Started)]) == 3
    assert box.panel.now.error == "quarantined"


def test_orders_that_are_lost_are_alerted_and_block_until_reconciled() -> None:
    spec = TaskSpec(name="orders", reconciled_by="reconcile", estimated_minutes=600, timeout_minutes=700)
    reconcile = TaskSpec(name="reconcile", every=timedelta(hours=1), estimated_minutes=1)
    box = Box(spec, reconcile, at=NIGHT + MINUTE)
    box.sim.run_until(NIGHT + timedelta(minutes=5))

    box.sim.runner.lose_all()
    box.loop.recover()
    box.loop.turn()

    assert [alert.key for alert in box.store.alerts] == ["unknown:orders"]
    assert box.panel.now.error == "needs_reconcile"
    # The next hour's reconciliation began after the run: the second attempt may start.
    box.sim.run_until(NIGHT + timedelta(minutes=62))
    assert [e.run_id for e in box.sim.events if isinstance(e, Started) and e.task == "orders"] == [
        *(f"orders.{FRIDAY}.once.1", f"orders.{FRIDAY}.once.2"),
    ]


def test_what_a_successful_run_tells_stands_while_told_and_clears_when_it_is_told_no_more() -> None:
    box = Box(JOB.but(every=timedelta(hours=1), window="20:00..24:00"), at=NIGHT)
    told: list[dict[str, object]] = [
        {"alerts": {"A-1": "A-1 expired"}},
        {"alerts": {"A-1": "A-1 expired", "B-1": "B-1 expired"}},
        {},
    ]
    for number, report in enumerate(told):
        key = RunKey("job", FRIDAY, f"slot{number}", 1)
        box.loop.record([TaskResult(key=key, outcome=Outcome.SUCCEEDED, report=report)], NIGHT)

    alerts = [(a.key, a.cleared, a.text) for a in box.store.taken if isinstance(a, AlertSaved)]
    assert alerts == [
        ("told:job:A-1", False, "A-1 expired"),
        ("told:job:B-1", False, "B-1 expired"),
        ("told:job:A-1", True, "cleared"),
        ("told:job:B-1", True, "cleared"),
    ]


def test_a_failure_neither_tells_nor_takes_back() -> None:
    box = Box(JOB.but(max_attempts=9), at=NIGHT)
    key = RunKey("job", FRIDAY, "once", 1)
    report = {"alerts": {"A-1": "A-1 expired"}}
    box.loop.record([TaskResult(key=key, outcome=Outcome.SUCCEEDED, report=report)], NIGHT)

    lost = TaskResult(key=key._replace(attempt=2), outcome=Outcome.FAILED, report={"alerts": {"x": "y"}})
    box.loop.record([lost], NIGHT)

    assert [(alert.key, alert.cleared) for alert in box.store.alerts] == [("told:job:A-1", False)]


def test_a_halt_of_trading_is_a_fault_and_a_critical_alert_while_it_stands() -> None:
    standing: list[str] = ["the fills look wrong"]
    box = Box(JOB, at=NIGHT)
    box.loop.alerting.halted = lambda: standing[0] if standing else None
    shown = []
    for is_over in (False, False, True):
        if is_over:
            standing.clear()
        box.loop.turn()
        shown.append(box.panel.now.error)
    box.loop.turn()

    alerts = [change for change in box.store.taken if isinstance(change, AlertSaved)]
    assert shown == ["act_now", "act_now", None]
    assert [(a.key, a.severity, a.text) for a in alerts] == [
        ("trading_halted", "critical", "trading is halted: the fills look wrong"),
        ("trading_halted", "info", "cleared"),
    ]


# --- coming back --------------------------------------------------------------------------------------------


def test_what_an_earlier_daemon_left_is_adopted_ended_lost_or_void() -> None:
    specs = [JOB.but(name=name, max_attempts=9, estimated_minutes=600) for name in "abcd"]
    box = Box(*specs, at=NIGHT)
    box.loop.turn()
    ids = {name: f"{name}.{FRIDAY}.once.1" for name in "abcd"}
    ended = RunExit(run_id=ids["b"], exit_code=0, ended_at=NIGHT, duration_s=60)
    lost = RunExit(run_id=ids["c"], exit_code=None, ended_at=NIGHT)
    box.sim.runner.recover = lambda run_ids: [  # type: ignore[method-assign]  # what a real runner finds
        Recovered(run_id=ids["a"], fate=Fate.ADOPTED),
        Recovered(run_id=ids["b"], fate=Fate.ENDED, exit=ended),
        Recovered(run_id=ids["c"], fate=Fate.LOST, exit=lost),
        Recovered(run_id=ids["d"], fate=Fate.NEVER_STARTED),
    ]

    box.loop.recover()

    assert list(box.loop.state.running_tasks) == ["a"]
    assert box.loop.state.estimated_memory_used == 100
    assert {r.key.task: r.outcome for r in box.store.results} == {
        "b": Outcome.SUCCEEDED,
        "c": Outcome.INTERRUPTED,
        "d": Outcome.INTERRUPTED,
    }
    box.loop.flush()
    fates = [c.detail["fate"] for c in box.store.taken if isinstance(c, EventLogged) and "fate" in c.detail]
    assert fates == ["adopted", "ended", "lost", "never_started"]


def test_a_stored_session_table_is_in_force_again() -> None:
    box = Box(JOB, at=NIGHT)
    table = tuple(nyse_2026().table)
    box.store.commit([SessionsSaved(exchange="XNYS", sessions=table, source="test", at=NIGHT)])
    box.loop.tables.stored.clear()

    box.loop.recover()

    assert box.loop.tables.stored["XNYS"] == table


# --- waiting ------------------------------------------------------------------------------------------------


def test_the_loop_sleeps_until_something_can_change() -> None:
    box = Box(JOB.but(modes={"trading"}), at=NIGHT)
    box.loop.turn()

    assert box.loop.wait() == Wake.TIMER
    assert box.clock.now() == ny("2026-11-20T04:00")  # PREP begins


def test_gates_that_clear_outside_are_looked_at_every_half_minute() -> None:
    box = Box(JOB.but(memory_mb=3500), at=NIGHT)
    box.loop.turn()

    box.loop.wait()
    assert box.clock.now() == NIGHT + timedelta(seconds=30)

    box.sensors.foreign_mb = 0
    box.loop.turn()
    assert [event.task for event in box.sim.events] == ["job"]


def test_a_watchdog_bounds_the_sleep() -> None:
    box = Box(JOB.but(modes={"trading"}), at=NIGHT)
    box.loop._watchdog = timedelta(seconds=15)
    box.loop.turn()

    box.loop.wait()

    assert box.clock.now() == NIGHT + timedelta(seconds=15)


def test_a_run_that_a_tick_sets_free_is_taken_as_ended() -> None:
    box = Box(JOB, at=NIGHT)
    box.loop.turn()
    box.clock.advance(timedelta(minutes=10))
    box.sim.runner.tick = lambda: 0.0  # type: ignore[method-assign]  # a runner with something to watch

    wake = box.loop.wait()

    assert Wake.CHILD in wake
    box.loop.turn()
    assert box.loop.state.running_tasks == {}


# --- staying and stopping -----------------------------------------------------------------------------------


def test_a_stop_ends_the_runs_in_order_and_says_so() -> None:
    stop = Happening(300, Wake.STOP, nothing)
    box = Box(JOB, at=NIGHT, happenings=[stop])

    box.loop.run()

    assert box.loop.state.running_tasks == {}
    assert [r.outcome for r in box.store.results] == [Outcome.KILLED]
    assert box.store.results[0].stop_cause is StopCause.SHUTDOWN
    assert "stopping: stopping the runs" in box.notifier.said
    assert any(isinstance(change, RunStopping) for change in box.store.taken)


def test_runs_that_work_orders_wind_down_before_the_others_are_stopped() -> None:
    orders = JOB.but(name="orders", reconciled_by="reconcile", interruptible=True, estimated_minutes=60)
    box = Box(
        JOB.but(estimated_minutes=60), orders, at=NIGHT, happenings=[Happening(300, Wake.STOP, nothing)]
    )

    box.loop.run()

    assert [r.key.task for r in box.store.results] == ["orders", "job"]


def test_a_run_that_does_not_end_in_time_is_left_to_the_next_start() -> None:
    box = Box(JOB.but(estimated_minutes=60), at=NIGHT)
    box.loop.turn()
    box.sim.runner.stop = lambda *_: None  # type: ignore[method-assign]  # it hears nothing

    box.loop.stop_all()

    assert list(box.loop.state.running_tasks) == ["job"]
    assert box.clock.now() >= NIGHT + timedelta(seconds=59)


def test_a_handover_leaves_the_runs_alone() -> None:
    box = Box(JOB, at=NIGHT)
    box.loop.turn()

    ok, text = box.tell("handover")
    box.loop.wait_and_run()

    assert (ok, text) == (True, "the daemon ends and leaves 1 run(s) to the next one")
    assert list(box.loop.state.running_tasks) == ["job"]
    assert box.notifier.said[-1] == "stopping: leaving the runs"


def test_a_step_of_the_wall_clock_is_logged_and_planned_anew() -> None:
    boxes: list[Box] = []
    happenings = [
        Happening(60, Wake.STEPPED, lambda: boxes[0].clock.step_wall(timedelta(hours=9))),
        Happening(120, Wake.STOP, nothing),
    ]
    box = Box(JOB.but(modes={"prep"}), at=NIGHT, happenings=happenings)
    boxes.append(box)

    box.loop.run()

    assert len(box.scheduler.of("clock.stepped")) == 1
    # 20:01 + 9 h = 05:01: PREP.
    assert [e.task for e in box.sim.events if isinstance(e, Started)] == ["job"]


def test_stopping_a_run_that_has_ended_is_harmless() -> None:
    from orchestration.decisions import StopRun

    box = Box(JOB, at=NIGHT)

    box.loop.stop(StopRun(run_id="gone", task="job", cause=StopCause.OPERATOR), NIGHT)

    assert box.execute.lines == []


# --- settings, pools, single turns --------------------------------------------------------------------------


def test_a_changed_task_file_is_taken_in_and_an_invalid_one_keeps_the_old() -> None:
    box = Box(JOB, at=NIGHT)
    box.loop.turn()
    box.loop._reload = lambda: None
    box.loop.wake(Wake.RELOAD)
    box.loop.turn()
    refused = dict(box.loop.specs)

    fresh = box.sim.runner.specs = {"other": JOB.but(name="other")}
    box.loop._reload = lambda: fresh
    box.loop.wake(Wake.RELOAD)
    box.loop.turn()

    assert list(refused) == ["job"]
    assert list(box.loop.specs) == ["other"]
    assert box.scheduler.of("settings.reloaded") == [{"tasks": 1}]
    assert box.notifier.said.count("reloading") == 2
    assert "other" in box.loop.state.running_tasks


def test_a_reload_without_anything_to_read_changes_nothing() -> None:
    box = Box(JOB, at=NIGHT)
    box.loop.wake(Wake.RELOAD)

    box.loop.turn()

    assert "reloading" not in box.notifier.said


def test_a_single_turn_starts_each_task_once() -> None:
    box = Box(JOB.but(every=MINUTE, window="20:00..24:00", estimated_minutes=0.2), at=NIGHT)
    box.loop.start_each_once = box.loop.keep_results = True

    box.sim.run_until(NIGHT + timedelta(minutes=5))

    assert [event.task for event in box.sim.events if isinstance(event, Started)] == ["job"]
    assert [result.key.task for result in box.loop.results] == ["job"]


def test_a_pool_s_room_is_part_of_what_a_turn_sees() -> None:
    box = Box(JOB.but(pool="cluster", memory_mb=9000), at=NIGHT)
    box.loop.pools = {"cluster": Room(slots=2, memory_mb=10_000)}

    box.loop.turn()

    assert list(box.loop.state.running_tasks) == ["job"]


def test_rows_past_their_retention_are_dropped_once_a_cycle() -> None:
    box = Box(JOB, at=NIGHT)

    box.sim.run_until(NIGHT + timedelta(hours=21))  # past Friday's close
    assert box.store.pruned == 1
    assert box.scheduler.of("store.pruned") == []  # nothing was past its retention: nothing is said


# --- what is shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "mode", "extended"),
    [
        (NIGHT, "research", False),
        (ny("2026-11-20T19:00"), "research", True),
        (ny("2026-11-20T10:00"), "trading", False),
    ],
)
def test_the_panel_shows_the_mode_and_an_extended_window(at: datetime, mode: str, extended: bool) -> None:
    box = Box(JOB, at=at)

    box.loop.turn()

    assert (box.panel.now.mode, box.panel.now.extended, box.panel.now.error) == (mode, extended, None)


def test_what_the_panel_shows_is_kept_for_other_processes_once_and_at_each_change() -> None:
    box = Box(JOB, at=ny("2026-11-20T17:59"))

    box.loop.turn()
    box.loop.turn()
    box.clock.advance(timedelta(minutes=1))
    box.loop.turn()

    kept = [json.loads(c.value) for c in box.store.taken if isinstance(c, ValueSaved) and c.key == "panel"]
    assert kept == [
        {"mode": "trading", "extended": False, "error": None},
        {"mode": "research", "extended": True, "error": None},
    ]


def test_a_hot_box_and_an_unsure_clock_are_shown() -> None:
    hot = Box(JOB, at=NIGHT, sensors=SteadySensors(too_hot=True))
    unsure = Box(JOB.but(needs={"clock"}), at=NIGHT, sensors=SteadySensors(clock_synced=None))

    hot.loop.turn()
    unsure.loop.turn()

    assert (hot.panel.now.error, unsure.panel.now.error) == ("overheating", "clock_unsynced")


def test_the_status_line_says_mode_window_runs_and_budget() -> None:
    box = Box(JOB, at=NIGHT)
    before = box.loop.status_line()

    box.loop.turn()

    assert before == "starting"
    # 20:00 to 04:00 is eight hours.
    assert box.loop.status_line() == "RESEARCH, 2026-11-20/OVERNIGHT, 1 running, 8.0 h of research left"


def test_an_exit_of_a_run_that_is_not_ours_is_passed_over() -> None:
    box = Box(JOB.but(modes={"trading"}), at=NIGHT)
    box.sim.runner.reap = lambda: [  # type: ignore[method-assign]  # a stranger's run directory
        RunExit(run_id="stranger", exit_code=0, ended_at=NIGHT)
    ]

    box.loop.turn()

    assert box.store.results == []


def test_a_launch_is_limited_by_what_was_promised_or_more() -> None:
    box = Box(JOB, at=NIGHT)
    start = box.loop.turn().starts[0]

    launch = simulated_launch(start, JOB, Estimate(), box.loop.launching)

    assert launch.memory_mb == 164  # 100 + 64 of headroom


def test_an_alert_of_a_result_that_cannot_be_written_is_raised_once_and_written_later() -> None:
    box = Box(JOB, at=NIGHT, fortunes={"job": [Fortune(10, 10, 1)]})
    box.loop.turn()
    box.store.broken = True
    box.sim.run_until(NIGHT + timedelta(minutes=11))

    box.store.broken = False
    box.sim.run_until(NIGHT + timedelta(minutes=12))

    assert len(box.scheduler.of("alert.raised")) == 1
    assert [alert.key for alert in box.store.alerts] == ["failed:job"]


def test_a_missed_slot_is_kept_with_its_reason() -> None:
    box = Box(JOB.but(at="21:00", timeout_minutes=600, estimated_minutes=100), at=ny("2026-11-19T20:59"))
    box.sim.run_until(ny("2026-11-19T21:05"))
    box.sim.runner.lose_all()
    box.loop.state.running_tasks.clear()
    box.clock.advance(timedelta(days=1))  # the box was off

    box.loop.turn()

    skipped = [change for change in box.store.taken if isinstance(change, BlockedSaved) and change.slot]
    assert [change.slot for change in skipped] == ["2026-11-21T02:00:00Z"]
    assert box.scheduler.of("slot.skipped")[0]["reason"] == "NOT_DUE"


def test_a_duty_s_foretold_miss_is_raised() -> None:
    spec = JOB.but(window="20:00..24:00", deadline="20:12", memory_mb=3500)
    box = Box(spec, at=NIGHT + timedelta(minutes=1))

    box.loop.turn()

    assert [alert.key for alert in box.store.alerts] == ["foretold:job:once"]


def test_research_that_prep_ends_is_stopped_by_the_loop() -> None:
    box = Box(research(interruptible=True, estimated_minutes=6000), at=ny("2026-11-20T03:00"))

    box.sim.run_until(ny("2026-11-20T04:00"))

    assert [result.outcome for result in box.store.results] == [Outcome.CHECKPOINTED]


def test_a_new_session_table_is_proposed_by_a_job_and_put_in_force_or_refused() -> None:
    box = Box(JOB.but(max_attempts=1), at=NIGHT)
    box.loop.turn()
    key = next(iter(box.loop.state.running_tasks.values())).key
    bad = TaskResult(key=key, started_at=NIGHT, ended_at=NIGHT, report={"sessions": "none"})

    assert box.loop.record([bad], NIGHT)

    assert box.store.results[0].outcome is Outcome.FAILED
    assert "the new session table was refused" in box.store.results[0].detail


def test_the_timetable_tries_what_it_names_once_and_other_tasks_as_they_say() -> None:
    named = JOB.but(name="refresh_symbols", max_attempts=3, tolerance=timedelta(hours=1))
    other = JOB.but(name="other", max_attempts=2)
    fails = {"refresh_symbols": [Fortune(1, 10, 1)], "other": [Fortune(1, 10, 1)]}
    sunday = ny("2026-11-22T08:00")  # the table's hour of refresh_symbols
    box = Box(named, other, at=sunday, policy="timetable", fortunes=fails)

    box.sim.run_until(sunday + timedelta(minutes=30))

    tried = [event.task for event in box.sim.events if isinstance(event, Started)]
    assert sorted(tried) == ["other", "other", "refresh_symbols"]
