"""Bars of progress on a terminal's error stream."""

from __future__ import annotations

from orchestration.ctl.progress import Bars


def test_work_that_tells_its_share_moves_its_bar_there_and_ends_full() -> None:
    shown = Bars()

    with shown.share("running on bars", 2000) as reach:
        (task,) = shown.progress.tasks
        reach(0.25)
        quarter = task.completed
    (task,) = shown.progress.tasks

    assert (quarter, task.completed, task.total) == (500, 2000, 2000)


def test_work_in_steps_moves_its_bar_by_one() -> None:
    shown = Bars()

    with shown.work("loading bars", 3) as advance:
        (task,) = shown.progress.tasks
        advance()
        first = task.completed

    assert (first, shown.progress.tasks[0].completed) == (1, 3)
