"""TradingOrchestrator: builds the real ports from the settings and runs the loop.

    python daily_orchestrator.py             stay (the service)
    python daily_orchestrator.py --once      one turn: start what may run now, wait for it, print it, end
    python daily_orchestrator.py --check     check settings, tasks, calendar and state directory, and end
    python daily_orchestrator.py --simulate 2026-11-20 --days 7
    python daily_orchestrator.py --simulate 2026 --policy all --ablations --report DIR

Exit codes: 0 in order; 1 a run of --once failed; 73 the state directory cannot be used; 75 another daemon
holds it; 76 the database is damaged; 78 the settings or the tasks are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from config import Settings
from hardware.health import BoxHealth
from observability.alert_rules import AlertRules
from orchestration import assembly, transitions
from orchestration.checks import check
from orchestration.clock import SystemClock
from orchestration.decide import active_run
from orchestration.decisions import Policy, StartRun
from orchestration.errors import (
    AlreadyRunning,
    CalendarError,
    OrchestratorError,
    SettingsError,
    SpecError,
    StoreCorrupt,
    StoreError,
)
from orchestration.launching import LaunchSettings
from orchestration.market_calendar import Calendars
from orchestration.policies import policy_for
from orchestration.ports import Clock, Panel, Sensors, Store
from orchestration.registry import Registry
from orchestration.reports import SessionTables
from orchestration.runs import SchedulerState
from orchestration.sensors import BoxSensors
from orchestration.simulation import options as options_of_simulation
from orchestration.state import stored_sessions
from orchestration.state.engine import file_of, to_url
from orchestration.types import TaskSpec

if TYPE_CHECKING:
    from orchestration.changes import Change
    from orchestration.loop import Loop

ROOT = Path(__file__).resolve().parent
NOT_FOR_JOBS = frozenset(
    {
        "ORCHESTRATOR_ALERT_URLS",
        "ORCHESTRATOR_ALERT_COMMAND",
        "ORCHESTRATOR_HEARTBEAT_URL",
        "ORCHESTRATOR_DASHBOARD_TOKEN",
        "ORCHESTRATOR_DATABASE_URL",
        "ORCHESTRATOR_CREDENTIALS_DIR",
    }
)
"""Settings that may hold a password, or say where they lie; a job that needs one names it in `secrets`."""
EX_CANTCREAT, EX_TEMPFAIL, EX_DATA, EX_CONFIG = 73, 75, 76, 78
EX_BROKEN_PIPE = 141
"""What a shell gives for a program that SIGPIPE ended."""


class TradingOrchestrator:
    """The daemon's parts, built from settings. Constructing it writes nothing.

    settings: None reads the environment. clock, sensors: stand-ins for tests.

    Raises:
        SettingsError, SpecError, CalendarError: if what was given cannot be used.
    """

    def __init__(
        self, settings: Settings | None = None, *, clock: Clock | None = None, sensors: Sensors | None = None
    ) -> None:
        self.settings = settings or Settings.from_env()
        self.clock: Clock = clock or SystemClock()
        self.shutdown_event = threading.Event()
        self.policy: Policy = policy_for(self.settings.policy_name, assembly.rules_of(self.settings))
        self.tables = SessionTables(
            stored_sessions.sessions_or_none(file_of(to_url(self.settings.state_url))),
            assembly.overrides_of(self.settings),
            self.settings.exchange,
            self.settings.offsets,
            self.settings.broker,
        )
        self.calendars: Calendars = self.tables.calendars(self._today())
        self.sensors: Sensors = sensors or assembly.sensors_of(self.settings, self.clock)
        self.registry: Registry = assembly.registry_of(
            self.settings, self.sensors, self.calendars, self._today()
        )
        self.alert_rules: AlertRules = assembly.alert_rules_of(self.settings)
        self.panel: Panel | None = None
        self._store: Store | None = None
        self._loop: Loop | None = None
        self.refused = False

    # --- parts --------------------------------------------------------------------------------------------

    @property
    def specs(self) -> Mapping[str, TaskSpec]:
        """The checked tasks by name."""
        return self.registry.specs

    @property
    def store(self) -> Store:
        """The state's store, opened when first asked for."""
        if self._store is None:
            from orchestration.state.store import SqlStore

            self.settings.state_dir.mkdir(parents=True, exist_ok=True)
            self._store = SqlStore(self.settings.state_url, backup_dir=self.settings.backup_dir)
        return self._store

    def _today(self) -> date:
        return self.clock.now().date()

    def box_faults(self) -> tuple[str, ...]:
        """Return what is wrong with the box itself (heat, supply, disk, clock) and with its files."""
        found = self.sensors.faults() if isinstance(self.sensors, BoxSensors) else ()
        return (*found, "tasks_invalid") if self.refused else found

    def health(self) -> BoxHealth:
        """Return how the box is; all unknown where stand-ins know nothing of it."""
        return self.sensors.health() if isinstance(self.sensors, BoxSensors) else BoxHealth()

    def launching(self) -> LaunchSettings:
        """Return what every run is started with."""
        s = self.settings
        secrets = {"alert_urls": s.alert_urls, "heartbeat_url": s.heartbeat_url}
        exported = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("ORCHESTRATOR_") and name not in NOT_FOR_JOBS
        }
        exported |= {
            "ORCHESTRATOR_STATE_DIR": str(s.state_dir),
            "ORCHESTRATOR_LOG_DIR": str(s.log_dir),
            "ORCHESTRATOR_DATA_DIR": str(s.data_dir),
            "ORCHESTRATOR_BACKUP_DIR": str(s.backup_dir),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        return LaunchSettings(
            root=ROOT,
            log_dir=s.log_dir,
            values=assembly.command_values(self.settings),
            environ=dict(os.environ),
            secret_folders=tuple(p for p in (s.credentials_dir,) if p is not None),
            secrets={name: value for name, value in secrets.items() if value},
            exported=exported,
            prefixes={name: pool.launcher for name, pool in self.registry.pools.items()},
        )

    # --- running ------------------------------------------------------------------------------------------

    def run(self, once: bool = False) -> int:
        """Hold the state directory and run the loop: until told to stop, or one turn. Return the exit code.

        Raises:
            AlreadyRunning, StoreError: if the state directory cannot be had.
        """
        from orchestration.service import serve

        return serve(self, once=once)

    def attach(self, loop: Loop) -> None:
        """Let the facade follow a running loop."""
        self._loop = loop

    def note(self, change: Change) -> None:
        """Let the running loop write `change` with its next commit."""
        if self._loop is not None:
            self._loop.later(change)

    def stored_state(self) -> SchedulerState:
        """Return what a daemon that started now would know; empty where there is no state yet."""
        from orchestration.state import history

        path = file_of(to_url(self.settings.state_url))
        if path is None or not path.is_file():
            return SchedulerState()
        engine = history.load_readonly(path)
        try:
            return transitions.restored(history.load_stored(engine))
        finally:
            engine.dispose()

    def start(self, start: StartRun) -> int:
        """Start one decided run now, outside a loop: row first, then the process. Return its pid.

        Raises:
            AlreadyRunning: while a daemon holds the state directory; it starts the runs itself.
        """
        from orchestration.changes import RecordSaved, RunPlanned
        from orchestration.instance import InstanceLock
        from orchestration.launching import launch_for, log_path
        from orchestration.runner import ProcessRunner

        spec, settings = self.specs[start.key.task], self.launching()
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        with InstanceLock(self.settings.state_dir):
            run = active_run(start, self.clock.now())
            before = transitions.restored(self.store.load())
            record = transitions.after_start(before, start, run).record(spec.name)
            log, minutes = str(log_path(settings, spec, run.run_id)), start.prediction.median
            planned = RunPlanned(run=run, pool=spec.pool, log=log, predicted_minutes=minutes)
            self.store.commit([planned, RecordSaved(task=spec.name, record=record)])
            runner = ProcessRunner(self.settings.state_dir / "runs", self.clock, root=ROOT)
            return runner.start(launch_for(start, spec, record.estimate, settings))

    def reread(self) -> Mapping[str, TaskSpec]:
        """Read the overrides, the rules for alerts and the task file again and return the tasks.

        Each file is taken by itself: a mistake in the one does not keep the other from being used.

        Raises:
            SpecError, CalendarError, OSError: with every complaint, once what can be used is in force; the
                old content of a file that cannot be used stays.
        """
        complaints: list[Exception] = []
        try:
            self.tables.overrides = assembly.overrides_of(self.settings)
        except (CalendarError, OSError) as error:
            complaints.append(error)
        self.calendars = self.tables.calendars(self._today())
        try:
            self.alert_rules = assembly.alert_rules_of(self.settings)
        except (SpecError, OSError) as error:
            complaints.append(error)
        try:
            self.registry = assembly.registry_of(self.settings, self.sensors, self.calendars, self._today())
        except (SpecError, OSError) as error:
            complaints.append(error)
        self.refused = bool(complaints)
        if complaints:
            raise SpecError("\n".join(map(str, complaints)))
        return self.registry.specs

    def time_until_next_phase(self) -> timedelta:
        """Return how long the present phase lasts."""
        now = self.clock.now()
        stretch = self.calendars.stretch(now)
        end = stretch.end
        while True:
            following = self.calendars.stretch(end)
            if following.phase is not stretch.phase or not following.is_known:
                return end - now
            end = following.end


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Errors are printed to stderr, never as a traceback."""
    parser = argparse.ArgumentParser(
        prog="daily_orchestrator.py",
        description="The box's daemon. Without an option it stays, as the service does.",
        epilog="Settings come from the environment (.env.example); exit codes: docs/operations.md.",
    )
    parser.add_argument("--once", action="store_true", help="one turn of the loop, then end")
    parser.add_argument("--check", action="store_true", help="check settings, tasks, calendar and state")
    parser.add_argument(
        "--simulate",
        metavar="DAY",
        type=options_of_simulation.day_or_year,
        help="run the loop in virtual time from DAY, as 2026-11-20; a year, as 2026, is simulated whole",
    )
    options_of_simulation.add_to(parser)
    options = parser.parse_args(argv)
    options_of_simulation.refuse_stray(parser, options)
    try:
        return _dispatch(options)
    except (SettingsError, SpecError, CalendarError) as error:
        return _complain("cannot start", error, EX_CONFIG)
    except AlreadyRunning as error:
        return _complain("cannot start", error, EX_TEMPFAIL)
    except StoreCorrupt as error:
        return _complain("the database is damaged", error, EX_DATA)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): nothing is wrong with the state.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_BROKEN_PIPE
    except (StoreError, OSError) as error:
        return _complain("the state directory cannot be used", error, EX_CANTCREAT)
    except OrchestratorError as error:
        return _complain("stopped", error, 1)


def _complain(what: str, error: Exception, code: int) -> int:
    print(f"daily_orchestrator: {what}:\n{error}", file=sys.stderr)
    return code


def _dispatch(options: argparse.Namespace) -> int:
    orch = TradingOrchestrator()
    if options.check:
        print("\n".join(map(str, check(orch))))
        return 0
    if options.simulate:
        from orchestration.simulation.command import simulate_command

        return simulate_command(orch.registry, orch.policy, orch.tables, options)
    return orch.run(once=options.once)


if __name__ == "__main__":
    sys.exit(main())
