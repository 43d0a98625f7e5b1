"""Orders from orchestratorctl, each consumed once: what the loop does with them and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from orchestration import transitions
from orchestration.alarms import OVER_WHEN_SEEN
from orchestration.changes import AlertAcknowledged, Change, EventLogged, RecordSaved, ValueSaved
from orchestration.decide import decide
from orchestration.decisions import StopRun
from orchestration.errors import ControlError
from orchestration.ports import Command, Wake
from orchestration.runs import SchedulerState, StopCause
from orchestration.slots import iso
from orchestration.snapshot import snapshot
from orchestration.spec_fields import did_you_mean

if TYPE_CHECKING:
    from orchestration.loop import Loop


def carry_out(loop: Loop, now: datetime) -> None:
    """Consume every pending command and answer each."""
    for command in loop.world.inbox.pending():
        act = COMMANDS.get(command.name)
        if act is None:
            text = f"unknown command {command.name!r}; known: {', '.join(sorted(COMMANDS))}"
            loop.world.inbox.answer(command.id, ok=False, text=text)
            continue
        try:
            text, payload = act(loop, command, now)
        except ControlError as error:
            loop.world.inbox.answer(command.id, ok=False, text=str(error))
            continue
        if command.name != "snapshot":
            loop.narrator.scheduler.info("command.done", command=command.name, args=dict(command.args))
            loop.later(EventLogged(at=now, name=f"command.{command.name}", detail=dict(command.args)))
        loop.world.inbox.answer(command.id, ok=True, text=text, payload=payload)


def _task_of(loop: Loop, command: Command) -> str:
    task = command.args.get("task", "")
    if task not in loop.specs:
        hint = did_you_mean(task, loop.specs)
        raise ControlError(f"no task is called {task!r}{hint} `orchestratorctl tasks` lists them")
    return task


def _pause(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    if command.args.get("task"):
        task = _task_of(loop, command)
        _change(loop, transitions.after_command(loop.state, task=task), now, task)
        return f"{task} is paused; resume it with `orchestratorctl resume {task}`", ""
    what = "all" if command.args.get("all") == "true" else "research"
    _change(loop, transitions.after_command(loop.state, paused=what), now)
    rest = "nothing starts" if what == "all" else "only trading duties start"
    return f"paused: {rest} until `orchestratorctl resume`; what runs goes on", ""


def _resume(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    if command.args.get("task"):
        task = _task_of(loop, command)
        _change(loop, transitions.after_command(loop.state, resume=True, task=task), now, task)
        return f"{task} is resumed", ""
    _change(loop, transitions.after_command(loop.state, resume=True), now)
    return "resumed", ""


def _run(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    task = _task_of(loop, command)
    if not loop.specs[task].enabled:
        raise ControlError(f"{task} is disabled; set `enabled = true` for it in the task file first")
    if task in loop.state.running_tasks:
        raise ControlError(f"{task} is running already: {loop.state.running_tasks[task].run_id}")
    loop.state = transitions.with_manual(loop.state, task, command.id)
    return f"{task} will run as soon as memory, slots, conflicts and dependencies let it", ""


def _stop(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    wanted = command.args.get("run", "")
    for run in loop.state.running_tasks.values():
        if wanted in (run.run_id, run.task):
            stop = StopRun(run_id=run.run_id, task=run.task, cause=StopCause.OPERATOR, detail="by hand")
            loop.stop(stop, now)
            return f"{run.run_id} was asked to stop", ""
    names = ", ".join(sorted(loop.state.running_tasks)) or "nothing"
    raise ControlError(f"no run is called {wanted!r}; running: {names}")


def _reconcile(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    task = _task_of(loop, command)
    if loop.state.record(task).unknown_since is None:
        raise ControlError(f"{task} has no run with an unknown end")
    _change(loop, transitions.after_reconcile(loop.state, task), now, task)
    return f"{task} is reconciled by your word; its next attempt may start", ""


def _acknowledge(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    standing = sorted(loop.narrator.standing)
    key = command.args.get("alert", "")
    if command.args.get("all") != "true" and key not in standing:
        raise ControlError(f"no open alert is called {key!r}; open: {', '.join(standing) or 'none'}")
    seen = standing if command.args.get("all") == "true" else [key]
    for each in seen:
        loop.later(AlertAcknowledged(at=now, key=each))
        for row in loop.narrator.clear(each, now) if each in OVER_WHEN_SEEN else ():
            loop.later(row)
    return f"{len(seen)} alert(s) acknowledged" if len(seen) != 1 else f"{seen[0]} is acknowledged", ""


def _handover(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    loop.leave_runs = loop.stopping = True
    count = len(loop.state.running_tasks)
    return f"the daemon ends and leaves {count} run(s) to the next one", ""


def _reload(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    loop.wake(Wake.RELOAD)
    return "the task file and the overrides are read again; see the log for complaints", ""


def _snapshot(loop: Loop, command: Command, now: datetime) -> tuple[str, str]:
    # The last turn may be hours old; what is shown is of this instant, by the same function.
    resources = loop.world.sensors.read(loop.world.runner.usage())
    decision = decide(loop.policy, loop.state, now, resources, loop.specs, loop.calendars)
    shown = snapshot(loop.policy, loop.state, decision, resources, loop.specs, loop.calendars)
    shown["decided_at"] = None if loop.decision is None else iso(loop.decision.at)
    shown["rung"] = loop.world.runner.rung
    shown["status"] = loop.status_line()
    shown["fault"] = loop.fault(decision)
    return "", json.dumps(shown)


def _change(loop: Loop, state: SchedulerState, now: datetime, task: str | None = None) -> None:
    """Let a command's change of state be written with the turn's plan."""
    loop.state = state
    changes: list[Change] = [ValueSaved(key="paused", value=state.paused or "", at=now)]
    if task is not None:
        changes = [RecordSaved(task=task, record=state.record(task))]
    for change in changes:
        loop.later(change)


COMMANDS: dict[str, Callable[[Loop, Command, datetime], tuple[str, str]]] = {
    "acknowledge": _acknowledge,
    "handover": _handover,
    "pause": _pause,
    "reconcile": _reconcile,
    "reload": _reload,
    "resume": _resume,
    "run": _run,
    "snapshot": _snapshot,
    "stop": _stop,
}
