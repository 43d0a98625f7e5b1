"""The orderly stop: runs that work orders wind down first, then the others end, within the stop timeout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestration.decisions import StopRun
from orchestration.runs import ActiveRun, StopCause

if TYPE_CHECKING:
    from orchestration.loop import Loop

RECORDING = timedelta(seconds=1)
"""Kept of the timeout, where it is long enough, to record the end of what was killed at the last moment."""


def stop_all(loop: Loop, timeout: timedelta) -> None:
    """Stop every run and wait for each to end, at most `timeout`; the next start takes over what is left.

    A run that works orders has all of the timeout but the grace of the others.
    """
    grace = loop.policy.rules.stop_grace
    limit = loop.world.clock.now() + timeout
    runs = list(loop.state.running_tasks.values())
    orders = [run for run in runs if _works_orders(loop, run)]
    if orders:
        patience = max(min(grace, timeout - RECORDING), timeout - grace - RECORDING)
        _stop(loop, orders, patience)
        loop.wait_for_ends({run.run_id for run in orders}, limit)
    others = [run for run in runs if run not in orders]
    left = limit - loop.world.clock.now() - RECORDING
    _stop(loop, others, max(timedelta(0), min(grace, left)))
    loop.wait_for_ends({run.run_id for run in runs}, limit)


def _works_orders(loop: Loop, run: ActiveRun) -> bool:
    spec = loop.specs.get(run.task)
    return spec is not None and spec.reconciled_by is not None


def _stop(loop: Loop, runs: Sequence[ActiveRun], grace: timedelta) -> None:
    for run in runs:
        stop = StopRun(run_id=run.run_id, task=run.task, cause=StopCause.SHUTDOWN, detail="shutdown")
        loop.stop(stop, loop.world.clock.now(), grace)
