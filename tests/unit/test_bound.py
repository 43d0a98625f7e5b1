"""The clairvoyant bound on hand-made windows. Expected values are worked out in the comments."""

from __future__ import annotations

from math import inf, nan

import pytest

from orchestration.simulation.bound import Demanded, bound_of, least_minutes

SLOTS, MEMORY_MB = 4, 4000.0


def task(
    name: str,
    minutes: float,
    *,
    after: tuple[str, ...] = (),
    not_beside: tuple[str, ...] = (),
    cpus: int = 1,
    memory_mb: float = 0.0,
) -> Demanded:
    return Demanded(
        task=name,
        minutes=minutes,
        cpus=cpus,
        memory_mb=memory_mb,
        dependencies=frozenset(after),
        conflicts=frozenset(not_beside),
    )


def test_tasks_with_nothing_between_them_take_as_long_as_the_longest() -> None:
    assert least_minutes([task("a", 30), task("b", 50)], SLOTS, MEMORY_MB) == 50


def test_no_tasks_take_no_time() -> None:
    assert least_minutes([], SLOTS, MEMORY_MB) == 0


def test_a_chain_takes_the_sum_of_its_links() -> None:
    chain = [task("c", 15, after=("b",)), task("a", 5), task("b", 120, after=("a",))]

    assert least_minutes(chain, SLOTS, MEMORY_MB) == 140  # 5 + 120 + 15


def test_tasks_that_conflict_in_pairs_take_the_sum() -> None:
    clique = [task("a", 10, not_beside=("b", "c")), task("b", 20, not_beside=("c",)), task("c", 30)]

    assert least_minutes(clique, SLOTS, MEMORY_MB) == 60


def test_two_that_both_conflict_with_a_third_may_run_beside_each_other() -> None:
    star = [task("hub", 10, not_beside=("a", "b")), task("a", 20), task("b", 30)]

    assert least_minutes(star, SLOTS, MEMORY_MB) == 40  # the hub and the longer of the two


def test_a_conflict_inside_a_chain_counts_with_what_comes_before_and_behind_it() -> None:
    # symbols 5, then history 120 and profiles 30 one after the other, then a model 15 behind each.
    tasks = [
        task("symbols", 5),
        task("history", 120, after=("symbols",), not_beside=("profiles",)),
        task("profiles", 30, after=("symbols",)),
        task("model", 15, after=("history",)),
        task("curve", 15, after=("profiles",)),
    ]

    assert least_minutes(tasks, SLOTS, MEMORY_MB) == 170  # 5 + 120 + 30 + 15


def test_the_slots_bound_the_work() -> None:
    # 5 tasks of 60 min on 2 slots are 300 slot minutes: 150. No two of them are apart, and a chain is 60.
    assert least_minutes([task(f"t{i}", 60) for i in range(5)], 2, MEMORY_MB) == 150


def test_slots_count_as_many_times_as_a_task_takes() -> None:
    # 60 x 2 + 60 x 1 + 60 x 1 = 240 slot minutes on 4 slots.
    assert least_minutes([task("a", 60, cpus=2), task("b", 60), task("c", 60)], 4, MEMORY_MB) == 60
    # 60 x 2 + 60 x 2 + 60 x 2 = 360 slot minutes on 4 slots: 90, though two at a time need 120.
    assert least_minutes([task(n, 60, cpus=2) for n in "abc"], 4, MEMORY_MB) == 90


def test_the_memory_bounds_what_runs_at_once() -> None:
    # 4 x 60 min x 1500 MB over 4000 MB: 90 minutes, though 2 at a time need 120.
    assert least_minutes([task(n, 60, memory_mb=1500) for n in "abcd"], SLOTS, 4000) == 90


def test_two_too_large_to_run_at_once_run_one_after_the_other() -> None:
    assert least_minutes([task("a", 60, memory_mb=2500), task("b", 40, memory_mb=1600)], SLOTS, 4000) == 100
    assert least_minutes([task("a", 60, cpus=3), task("b", 40, cpus=2)], 4, MEMORY_MB) == 100


@pytest.mark.parametrize(
    "never",
    [task("a", inf), task("a", 1, cpus=5), task("a", 1, memory_mb=4001)],
    ids=["fails for ever", "more slots than the box", "more memory than the box"],
)
def test_what_can_never_be_done_takes_for_ever(never: Demanded) -> None:
    assert least_minutes([never, task("b", 1)], SLOTS, MEMORY_MB) == inf
    assert bound_of([never, task("b", 1)], 60, SLOTS, MEMORY_MB).possible == {"b"}


def test_a_weekend_that_is_long_enough_finishes_all() -> None:
    # The demand of a weekend: research 36 h, which history (behind the symbols) and candidates wait for.
    weekend = [
        task("research", 2160, not_beside=("history", "candidates")),
        task("symbols", 5),
        task("history", 120, after=("symbols",)),
        task("profiles", 30, not_beside=("history",)),
        task("models", 15, after=("history",)),
        task("strategies", 2),
        task("candidates", 30),
    ]

    bound = bound_of(weekend, 56 * 60 - 360, SLOTS, MEMORY_MB)

    assert bound.possible == {d.task for d in weekend}
    assert bound.most == 7
    assert bound.hours == pytest.approx((2160 + 5 + 120 + 30 + 15 + 2 + 30) / 60)
    assert bound.minutes == 2280  # research and history, one after the other; either may come first


def test_what_depends_on_a_task_that_cannot_be_finished_cannot_either() -> None:
    tasks = [task("a", 700), task("b", 1, after=("a",)), task("c", 1, after=("b",)), task("d", 5)]

    assert bound_of(tasks, 600, SLOTS, MEMORY_MB).possible == {"d"}


def test_the_most_hours_and_the_most_tasks_may_be_different_sets() -> None:
    # One slot, 100 minutes: 99 alone is the most time, 40 + 40 + 15 = 95 the most tasks.
    one = [task("long", 99), task("a", 40), task("b", 40), task("c", 15)]

    bound = bound_of(one, 100, 1, MEMORY_MB)

    assert bound.possible == {"long"}
    assert bound.most == 3
    assert bound.hours == pytest.approx(99 / 60)


def test_of_sets_with_equal_hours_the_larger_is_chosen() -> None:
    bound = bound_of([task("long", 60), task("a", 30), task("b", 30)], 60, 1, MEMORY_MB)

    assert bound.possible == {"a", "b"}


def test_a_set_that_takes_exactly_the_window_fits() -> None:
    # 0.1 + 0.2 is 0.30000000000000004 in floats.
    assert bound_of([task("a", 0.1), task("b", 0.2)], 0.3, 1, MEMORY_MB).most == 2


def test_a_window_without_demand_has_nothing_possible() -> None:
    bound = bound_of([], 600, SLOTS, MEMORY_MB)

    assert (bound.possible, bound.most, bound.hours, bound.minutes) == (frozenset(), 0, 0, 0)


def test_dependencies_and_conflicts_with_tasks_that_are_not_demanded_do_not_count() -> None:
    alone = task("a", 60, after=("refresh_eod_data",), not_beside=("optimize_parameters", "a"))

    assert bound_of([alone], 60, SLOTS, MEMORY_MB).possible == {"a"}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([task("a", 1), task("a", 2)], r"\['a', 'a'\]: expected each once"),
        ([task("a", 1, after=("b",)), task("b", 1, after=("a",))], "expected no circle"),
    ],
)
def test_tasks_that_are_no_demand_are_refused(tasks: list[Demanded], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        least_minutes(tasks, SLOTS, MEMORY_MB)


@pytest.mark.parametrize("minutes", [-1.0, nan])
def test_minutes_that_are_no_length_of_time_are_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes of 'a' is"):
        task("a", minutes)


def test_more_tasks_than_can_be_tried_are_refused() -> None:
    with pytest.raises(ValueError, match="tasks are 13: expected at most 12"):
        bound_of([task(f"t{i}", 1) for i in range(13)], 600, SLOTS, MEMORY_MB)
