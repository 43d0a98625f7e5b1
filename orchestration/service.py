"""The daemon as a process: hold the state directory, open the real ports, run the loop, close them."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.integration import HardwareIntegration, Night, brightness_at
from hardware.panel import NullPanel, make_panel
from observability.alerts import AlertSink, CommandSink
from observability.logs import configure_logging, get_logger
from observability.secret_values import known_secrets
from orchestration import VERSION, halt, pulse
from orchestration.changes import EventLogged, ValueSaved
from orchestration.clock import SelectorWaiter
from orchestration.control import ControlDb
from orchestration.decisions import RaiseAlert, Room
from orchestration.errors import CalendarError, SpecError, StoreError
from orchestration.instance import InstanceLock
from orchestration.loop import POLL_EVERY, Loop, World
from orchestration.narration import Narrator
from orchestration.notify import SystemdNotifier
from orchestration.ports import Panel, Store, Wake
from orchestration.pulse import Pulse
from orchestration.runner import ProcessRunner
from orchestration.runs import Outcome
from orchestration.state.backups import newest_whole_backup
from orchestration.state.ballast import Ballast
from orchestration.state.reader import STOPPED, Trace
from orchestration.state.store import SqlStore
from orchestration.turn_report import Progress, turn_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daily_orchestrator import TradingOrchestrator
    from orchestration.changes import Change
    from orchestration.types import TaskSpec

PROGRESS_EVERY = timedelta(seconds=1)
HORIZON_WARNING = timedelta(days=30)
REFUSED = "settings:refused"
"""The alert of a task file, alert rules or overrides that changed and cannot be used."""
DAEMON_KEY = "daemon"
"""Under it `scheduler_state` holds what the last daemon that stayed was, as JSON: policy, rung, version."""
GOOD = frozenset({Outcome.SUCCEEDED, Outcome.CHECKPOINTED})


def serve(orch: TradingOrchestrator, *, once: bool) -> int:
    """Run the loop until told to stop, or for one turn; return the exit code."""
    settings = orch.settings
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    lock = InstanceLock(settings.state_dir, version=VERSION)
    # Before the lock shows our pid: a command's SIGUSR1 ends a process that does not catch it yet.
    waiter = SelectorWaiter(orch.clock)
    try:
        lock.acquire()
    except BaseException:
        waiter.close()
        raise
    log = configure_logging(
        orch.clock,
        stream=io.StringIO() if once else sys.stdout,
        log_dir=settings.log_dir,
        level=settings.log_level,
        max_bytes=settings.log_max_bytes,
        backups=settings.log_backups,
        secrets=known_secrets(settings),
    )
    try:
        loop = build_loop(orch, waiter)
        orch.attach(loop)
        trace = last_sign(orch)
        loop.recover()
        if trace is not None and not once:
            loop.alerting.was_away(trace.at, orderly=trace.orderly)
        for row in said_of_the_state(orch, loop.narrator):
            loop.later(row)
        return run_once(orch, loop) if once else stay(orch, loop)
    finally:
        waiter.close()
        if orch.panel is not None:
            orch.panel.close()
        orch.store.close()
        log.close()
        lock.release()


def last_sign(orch: TradingOrchestrator) -> Trace | None:
    """Return an earlier daemon's last sign of life, in its database or the file it touches; None: a first
    start."""
    store = orch.store
    trace = store.last_trace() if isinstance(store, SqlStore) else None
    beaten = Pulse(orch.settings.state_dir / pulse.FILE_NAME).last()
    if trace is None or beaten is None or beaten <= trace.at or trace.orderly:
        return trace
    return Trace(beaten, orderly=False)


def build_loop(orch: TradingOrchestrator, waiter: SelectorWaiter) -> Loop:
    """Open the real ports and return the loop over them."""
    settings, launching = orch.settings, orch.launching()
    scheduler, execute = get_logger("TaskScheduler"), get_logger("execute")
    orch.panel = open_panel(orch)
    notifier = SystemdNotifier(os.environ)
    reserve = Ballast(settings.state_dir / "ballast")
    store = open_store(orch, reserve)
    reserve.restore()
    narrator = Narrator(scheduler, execute, sink=alert_sink(orch), rules=orch.alert_rules)
    watched = [
        settings.overrides,
        settings.tasks_file or Path("tasks.toml").absolute(),
        settings.alerts_file or Path("alerts.toml").absolute(),
    ]
    waiter.watch_files(watched)
    halt_file = settings.state_dir / halt.FILE_NAME
    waiter.watch_signs([halt_file])
    world = World(
        clock=orch.clock,
        waiter=waiter,
        runner=ProcessRunner(settings.state_dir / "runs", orch.clock, root=launching.root),
        store=store,
        panel=orch.panel,
        sensors=orch.sensors,
        inbox=ControlDb(settings.state_dir / "control.db"),
        notifier=notifier,
    )
    return Loop(
        world=world,
        policy=orch.policy,
        specs=orch.specs,
        tables=orch.tables,
        launching=launching,
        narrator=narrator,
        reload=lambda: reread(orch, narrator),
        watchdog=longest_sleep(notifier.watchdog_interval(), waiter),
        stop_timeout=settings.stop_timeout,
        box_faults=orch.box_faults,
        halted=lambda: halt.reason_of(halt_file),
        health=orch.health,
        beat=Pulse(settings.state_dir / pulse.FILE_NAME).beat,
        reserve=reserve,
        pools={
            pool.name: Room(pool.slots, pool.memory_mb)
            for pool in orch.registry.pools.values()
            if pool.name != "local"
        },
    )


def longest_sleep(watchdog: timedelta | None, waiter: SelectorWaiter) -> timedelta | None:
    """Return how long the loop may sleep; None: as long as it likes. Where the kernel does not tell of files,
    a halt is looked for as often as all else that is outside us."""
    if "files" not in waiter.limits:
        return watchdog
    return POLL_EVERY if watchdog is None else min(watchdog, POLL_EVERY)


def open_store(orch: TradingOrchestrator, reserve: Ballast) -> Store:
    """Open the state; on a full disk even that needs the room that is kept for it."""
    try:
        return orch.store
    except StoreError as error:
        if error.errno == errno.ENOSPC and reserve.release():
            return orch.store
        raise


def said_of_the_state(orch: TradingOrchestrator, narrator: Narrator) -> list[Change]:
    """Raise the alert of a state that is new although there are backups of an older one; clear the one of
    files that could not be used, as a start uses them or fails."""
    store = orch.store
    if not isinstance(store, SqlStore) or not store.created or not orch.settings.backup_dir.is_dir():
        return narrator.clear(REFUSED, orch.clock.now())
    backup = newest_whole_backup(orch.settings.backup_dir, "performance")
    if backup is None:
        return []
    text = (
        f"The state is new and empty though there is a backup of an older one: {backup} (docs/operations.md)"
    )
    return narrator.alert(RaiseAlert(key="state:new", text=text), orch.clock.now())


def open_panel(orch: TradingOrchestrator) -> Panel:
    """Return the panel the settings ask for; "auto" without a GPIO chip is no panel and no complaint."""
    settings, log = orch.settings, get_logger("panel")

    def warn(text: str) -> None:
        log.warning("panel.missing", detail=text)

    if settings.panel == "auto" and not any(Path("/dev").glob("gpiochip*")):
        return NullPanel()
    night = Night(start=settings.night[0], end=settings.night[1]) if settings.night else None
    panel, warning = make_panel(
        settings.panel,
        (settings.led_system_pin, settings.led_trading_pin, settings.led_research_pin),
        Path(os.environ.get("RUNTIME_DIRECTORY", settings.state_dir)),
        brightness=lambda: brightness_at(orch.clock.now().astimezone().time(), night),
        warn=warn,
    )
    if warning is not None:
        warn(warning)
    return HardwareIntegration(panel, warn=warn)


def alert_sink(orch: TradingOrchestrator) -> AlertSink | None:
    """Return where alerts go besides the log: the operator's command, if there is one."""
    command = orch.settings.alert_command
    return CommandSink(shlex.split(command)) if command else None


def reread(orch: TradingOrchestrator, narrator: Narrator) -> Mapping[str, TaskSpec] | None:
    """Read the person's files again; one that is invalid is said, and its old content stays.

    None: nothing new is in force.
    """
    now = orch.clock.now()
    before = (orch.registry, orch.tables.overrides)
    try:
        orch.reread()
        rows = narrator.clear(REFUSED, now)
    except (SpecError, CalendarError, OSError) as error:
        narrator.scheduler.error("settings.refused", detail=str(error))
        text = (
            "the task file, the rules for alerts or the overrides cannot be used and the old ones hold: "
            "orchestratorctl check"
        )
        rows = narrator.alert(RaiseAlert(key=REFUSED, text=text), now)
    if orch.alert_rules != narrator.rules:
        rows += narrator.take_rules(orch.alert_rules, now)
        narrator.scheduler.info("alerts.reloaded", own=len(orch.alert_rules.own))
    for row in rows:
        orch.note(row)
    registry, overrides = before
    is_new = orch.registry is not registry or orch.tables.overrides != overrides
    return orch.specs if is_new else None


def stay(orch: TradingOrchestrator, loop: Loop) -> int:
    """Run until a signal, a handover or `shutdown_event`."""
    scheduler = loop.narrator.scheduler
    horizon = orch.calendars.horizon()
    scheduler.info(
        "daemon.started",
        pid=os.getpid(),
        policy=orch.policy.name,
        tasks=len(orch.specs),
        rung=loop.world.runner.rung,
        horizon=horizon.isoformat(),
    )
    loop.later(said_of_itself(orch, loop))
    if orch.calendars.horizon() - orch.clock.now().date() < HORIZON_WARNING:
        scheduler.warning("calendar.short", horizon=orch.calendars.horizon().isoformat())
    loop.turn()
    loop.world.notifier.ready(loop.status_line())
    loop.wait_and_run()
    orch.shutdown_event.set()
    loop.later(EventLogged(at=orch.clock.now(), name=STOPPED))
    loop.flush()
    scheduler.info("daemon.stopped", left_running=len(loop.state.running_tasks))
    return 0


def said_of_itself(orch: TradingOrchestrator, loop: Loop) -> Change:
    """Return what other processes cannot know of this daemon, for them to read."""
    said = {"policy": orch.policy.name, "rung": loop.world.runner.rung, "version": VERSION}
    return ValueSaved(key=DAEMON_KEY, value=json.dumps(said), at=orch.clock.now())


def run_once(orch: TradingOrchestrator, loop: Loop) -> int:
    """One turn and what it unblocks, waited for within the limit; then the report."""
    loop.keep_results = loop.start_each_once = True
    clock, progress = orch.clock, Progress(sys.stdout)
    limit = clock.now() + orch.settings.once_wait
    decision = loop.turn()
    interrupted = False
    while loop.unfinished() and clock.now() < limit and not interrupted:
        progress.show(loop.unfinished(), len(loop.results), clock.now())
        wake = loop.wait(min(limit, clock.now() + PROGRESS_EVERY))
        interrupted = Wake.STOP in wake
        if wake != Wake.TIMER or clock.now() >= decision.wake_at:
            decision = loop.turn()
    progress.done()
    if interrupted:
        loop.stop_all()
    loop.flush()
    left = loop.unfinished()
    notes = [""]
    if left:
        notes = ["", f"The wait ended after {orch.settings.once_wait}; ORCHESTRATOR_ONCE_WAIT sets it."]
    fillers = loop.window_fillers()
    print(turn_report(decision, orch.policy.name, loop.results, left, len(orch.specs), notes, fillers))
    if loop.store_fault is not None:
        # What has ended is kept in its run's directory; the next start records it.
        raise StoreError(f"{loop.store_fault}\nWhat this turn had to write waits for the next start.")
    return 0 if all(result.outcome in GOOD for result in loop.results) else 1
