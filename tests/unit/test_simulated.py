"""The stand-ins that simulation runs on: imagined processes, waiting that jumps, steady sensors."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestration.clock import VirtualClock
from orchestration.ports import Fate, Launch, RunExit, Wake
from orchestration.runs import StopCause
from orchestration.simulation.stand_ins import (
    Fortune,
    Happening,
    LogNormalModel,
    QuietNotifier,
    SimulatedRunner,
    SteadySensors,
    VirtualWaiter,
)
from orchestration.types import TaskSpec
from tests.unit.deciding import NIGHT, research
from tests.unit.living import Fortunes

JOB = TaskSpec(name="job", estimated_minutes=10)
STUDY = research(name="study", interruptible=True)
GRACE = timedelta(seconds=20)


class Rig:
    """A simulated runner with one run in it."""

    def __init__(self, spec: TaskSpec = JOB, fortune: Fortune | None = None, limit_mb: float = 200) -> None:
        self.clock = VirtualClock(NIGHT)
        fortunes = {spec.name: [fortune or Fortune(10, 100)]}
        self.runner = SimulatedRunner(self.clock, {spec.name: spec}, Fortunes(fortunes))
        self.spec, self.limit_mb, self.starts = spec, limit_mb, 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        launch = Launch(
            run_id=f"r{self.starts}",
            task=self.spec.name,
            argv=("-",),
            env={},
            cwd="/",
            memory_mb=self.limit_mb,
        )
        self.runner.start(launch)

    def after(self, minutes: float) -> list[RunExit]:
        self.clock.advance(timedelta(minutes=minutes))
        return self.runner.reap()


def test_a_run_ends_when_its_fortune_says() -> None:
    rig = Rig()

    assert rig.after(9.9) == []
    assert [(e.run_id, e.exit_code, e.duration_s) for e in rig.after(0.1)] == [("r1", 0, 600)]
    assert rig.runner.runs == {}


def test_memory_grows_evenly_and_beyond_the_limit_the_run_is_killed() -> None:
    # 400 MB in ten minutes reach 200 after five.
    rig = Rig(fortune=Fortune(10, 400))
    rig.clock.advance(timedelta(minutes=2.5))

    assert rig.runner.usage() == {"r1": 100}
    [exit_] = rig.after(2.5)
    assert (exit_.exit_code, exit_.out_of_memory, exit_.peak_memory_mb) == (-9, True, 200)


def test_an_interruptible_run_checkpoints_and_goes_on_with_what_was_left() -> None:
    rig = Rig(STUDY)
    rig.clock.advance(timedelta(minutes=4))

    rig.runner.stop("r1", StopCause.RECLAIM, GRACE)
    [first] = rig.after(5 / 60)
    rig.start()

    assert (first.exit_code, first.stop_cause) == (75, StopCause.RECLAIM)
    assert rig.after(5.9) == []
    assert [e.exit_code for e in rig.after(0.1)] == [0]


def test_any_other_run_dies_of_sigterm_and_one_that_ends_first_ends_by_itself() -> None:
    killed, ended = Rig(), Rig()
    ended.clock.advance(timedelta(minutes=10) - timedelta(seconds=0.05))

    killed.runner.stop("r1", StopCause.OPERATOR, GRACE)
    ended.runner.stop("r1", StopCause.OPERATOR, GRACE)

    assert [e.exit_code for e in killed.after(0.01)] == [-15]
    assert [e.exit_code for e in ended.after(0.01)] == [0]


def test_stopping_what_is_not_there_is_harmless() -> None:
    rig = Rig()
    rig.runner.stop("nobody", StopCause.OPERATOR, GRACE)
    rig.clock.advance(timedelta(minutes=10))
    rig.runner.stop("r1", StopCause.OPERATOR, GRACE)

    assert [e.stop_cause for e in rig.runner.reap()] == [None]
    assert (rig.runner.fds(), rig.runner.tick(), rig.runner.next_end_s()) == ((), None, None)


def test_after_a_power_cut_what_runs_no_longer_is_lost() -> None:
    rig = Rig()
    adopted = rig.runner.recover(["r1"])
    rig.runner.lose_all()
    lost = rig.runner.recover(["r1"])

    assert [found.fate for found in adopted] == [Fate.ADOPTED]
    assert [(found.fate, found.exit.exit_code) for found in lost if found.exit] == [(Fate.LOST, None)]


def test_a_run_that_was_forgotten_does_not_end_again() -> None:
    rig = Rig()
    rig.runner.forget("r1")

    assert rig.runner.next_end_s() is None
    rig.start()
    rig.runner.forget("r2")
    assert rig.after(10) == []


def test_the_same_seed_draws_the_same_fortunes_whatever_the_order() -> None:
    one, two = LogNormalModel(seed=3), LogNormalModel(seed=3)

    later = one.draw(STUDY, 2, "")
    assert two.draw(STUDY, 1, "") != later
    assert two.draw(STUDY, 2, "") == later
    assert LogNormalModel(failure_rate=1.0).draw(JOB, 1, "").exit_code == 1
    assert LogNormalModel(failure_rate=0.0).draw(JOB, 1, "").exit_code == 0


def test_waiting_jumps_to_what_comes_first() -> None:
    rig, happened = Rig(), list[str]()
    happening = Happening(120, Wake.COMMAND, lambda: happened.append("now"))
    waiter = VirtualWaiter(rig.clock, rig.runner, [happening])
    soon, late = NIGHT + timedelta(minutes=1), NIGHT + timedelta(minutes=30)

    wakes = [waiter.wait(soon, (), None), waiter.wait(late, (), None), waiter.wait(late, (), None)]

    assert wakes == [Wake.TIMER, Wake.COMMAND, Wake.CHILD]
    assert happened == ["now"]
    assert rig.clock.monotonic() == pytest.approx(600)


def test_sensors_see_what_runs_use_and_others_take() -> None:
    seen = SteadySensors(total_mb=1000, foreign_mb=300, slots=2).read({"a": 100, "b": 700})

    assert (seen.available_mb, seen.slots, seen.used_mb) == (0, 2, {"a": 100, "b": 700})


def test_nobody_listens_to_a_quiet_notifier() -> None:
    quiet = QuietNotifier()

    for say in (quiet.ready, quiet.alive, quiet.stopping):
        say("x")
    quiet.reloading()

    assert vars(quiet) == {}


def test_a_checkpointed_run_goes_on_in_its_cycle_only() -> None:
    class Draws:
        asked = 0

        def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
            self.asked += 1
            return Fortune(10, 100)

    clock, model = VirtualClock(NIGHT), Draws()
    runner = SimulatedRunner(clock, {STUDY.name: STUDY}, model)

    def run_for(minutes: float, run_id: str) -> int | None:
        runner.start(Launch(run_id=run_id, task=STUDY.name, argv=("-",), env={}, cwd="/", memory_mb=200))
        clock.advance(timedelta(minutes=minutes))
        runner.stop(run_id, StopCause.WINDOW_END, GRACE)
        clock.advance(GRACE)
        [exit_] = runner.reap()
        return exit_.exit_code

    assert run_for(6, "study.2026-11-20.once.1") == 75
    assert run_for(5, "study.2026-11-20.once.2") == 0, "four minutes were left"
    assert run_for(6, "study.2026-11-23.once.1") == 75
    assert run_for(5, "study.2026-11-24.once.1") == 75, "another cycle's run is a new one"
    assert model.asked == 3


def test_a_run_without_an_end_goes_on_until_it_is_stopped() -> None:
    rig = Rig(STUDY, Fortune(float("inf"), 100))

    assert rig.after(3 * 24 * 60) == []
    rig.runner.stop("r1", StopCause.WINDOW_END, GRACE)
    [exit_] = rig.after(1)
    assert exit_.exit_code == 75
    assert exit_.duration_s == pytest.approx(3 * 24 * 3600 + 5)
