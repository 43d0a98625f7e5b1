"""Orders: pause, resume, run, stop, reconcile, handover, reload, which each need a daemon; and the trading
halt, a file, which needs none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from orchestration.ctl.app import ORDER, AsJson, MaybeTask, Task, command, complete_task, desk_of, print_json
from orchestration.ctl.client import ask_or_fail, not_running, wait_until_gone
from orchestration.ctl.desk import Desk, task_in
from orchestration.ctl.exits import NO_ANSWER, USAGE, Failure
from orchestration.halt import reason_of

WHO = "orchestratorctl"


def _order(desk: Desk, as_json: bool, name: str, **args: str) -> None:
    _say(ask_or_fail(desk.daemon, name, args).text, as_json)


def _say(text: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "text": text})
    else:
        typer.echo(text)


@command("halt", ORDER)
def halt(
    ctx: typer.Context,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Why, for whoever takes it back.")],
    as_json: AsJson = False,
) -> None:
    """Halt trading: from now on no order is sent, and open ones are cancelled. Needs no daemon.

    It holds through restarts until `resume --trading`.
    """
    desk = desk_of(ctx)
    if not reason.strip():
        raise Failure("give a reason, as orchestratorctl halt 'the fills look wrong'", USAGE)
    before = reason_of(desk.kill_switch.path)
    with _told_of("trading could NOT be halted"):
        desk.kill_switch.set(reason, WHO, desk.clock.now())
    if before is not None:
        _say(f"trading was halted already: {before}; your reason is added", as_json)
        return
    _say(
        "trading is halted: nothing more is sent, and the executor, if one is at work, cancels what is open; "
        "back with `orchestratorctl resume --trading`",
        as_json,
    )


@contextmanager
def _told_of(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{what}: {error}") from error


@command("pause", ORDER)
def pause(
    ctx: typer.Context,
    task: MaybeTask = None,
    everything: Annotated[bool, typer.Option("--all", help="Trading duties too: nothing starts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start nothing more but trading duties, or pause one TASK. What runs goes on.

    Trading itself is stopped by `halt`.
    """
    if task is not None and everything:
        raise Failure("give a TASK or --all, not both", USAGE)
    if task is not None:
        _order(desk_of(ctx), as_json, "pause", task=task)
    else:
        _order(desk_of(ctx), as_json, "pause", all=str(everything).lower())


@command("resume", ORDER)
def resume(
    ctx: typer.Context,
    task: MaybeTask = None,
    trading: Annotated[bool, typer.Option("--trading", help="Take back `halt`; needs no daemon.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take back `pause`, or `pause TASK` (a paused task stays so until it is named); or `halt`.

    A halt of trading is only taken back by --trading.
    """
    desk = desk_of(ctx)
    if trading and task is not None:
        raise Failure("give a TASK or --trading, not both", USAGE)
    if trading:
        _resume_trading(desk, as_json)
        return
    answer = ask_or_fail(desk.daemon, "resume", {} if task is None else {"task": task})
    halted = reason_of(desk.kill_switch.path)
    still = f"; trading is still halted: {halted}; back with `orchestratorctl resume --trading`"
    _say(answer.text + (still if halted else ""), as_json)


def _resume_trading(desk: Desk, as_json: bool) -> None:
    with _told_of("trading is STILL halted"):
        was_halted = desk.kill_switch.clear(WHO, desk.clock.now())
    text = "trading may go on; orders that the halt has ended stay so"
    _say(text if was_halted else "trading was not halted", as_json)


@command("run", ORDER)
def run(ctx: typer.Context, task: Task, as_json: AsJson = False) -> None:
    """Start TASK as soon as memory, slots, conflicts and dependencies let it, whatever the hour."""
    _order(desk_of(ctx), as_json, "run", task=task)


@command("stop", ORDER)
def stop(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", autocompletion=complete_task, help="A run's, or its task's, name.")
    ],
    as_json: AsJson = False,
) -> None:
    """Ask a run to stop: SIGTERM, and SIGKILL when its grace is over."""
    _order(desk_of(ctx), as_json, "stop", run=run)


@command("reconcile", ORDER)
def reconcile(
    ctx: typer.Context,
    task: MaybeTask = None,
    everything: Annotated[bool, typer.Option("--all", help="Every task that waits for it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give your word that a run with an unknown end is settled, so that its next attempt may start.

    Without TASK it lists those that wait for it. Compare the broker's orders with yours first.
    """
    desk = desk_of(ctx)
    if task is not None and everything:
        raise Failure("give a TASK or --all, not both", USAGE)
    if task is not None:
        _order(desk, as_json, "reconcile", task=task)
        return
    waiting = _unreconciled(desk)
    if not waiting:
        _say("nothing waits to be reconciled", as_json)
    elif not everything:
        _say("\n".join(f"orchestratorctl reconcile {name}" for name in waiting), as_json)
    else:
        texts = [ask_or_fail(desk.daemon, "reconcile", {"task": name}).text for name in waiting]
        _say("\n".join(texts), as_json)


def _unreconciled(desk: Desk) -> list[str]:
    if desk.daemon.holder() is None:
        raise not_running(desk.settings.state_dir)
    view = desk.view()
    names: list[str] = [task["name"] for task in view["tasks"]]
    return [
        name
        for name in names
        if any(gate["reason"] == "NEEDS_RECONCILE" for gate in task_in(view, name)["failures"])
    ]


@command("handover", ORDER)
def handover(ctx: typer.Context, as_json: AsJson = False) -> None:
    """End the daemon and leave its runs to the next one (upgrades); waits until it has ended."""
    desk = desk_of(ctx)
    who = desk.daemon.holder()
    if who is None:
        raise not_running(desk.settings.state_dir)
    answer = ask_or_fail(desk.daemon, "handover", {})
    if not wait_until_gone(desk.daemon, who.get("pid"), desk.clock, desk.timeout_s):
        raise Failure(f"{answer.text}; but process {who.get('pid')} is still there", NO_ANSWER)
    _say(f"{answer.text}; process {who.get('pid')} has ended", as_json)


@command("reload", ORDER)
def reload(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Read the task file and the calendar corrections again (a change of them is noticed anyway)."""
    _order(desk_of(ctx), as_json, "reload")
