"""What follows from the settings alone: rules, sensors, overrides, the checked tasks. Daemon and
orchestratorctl build their parts here, so that both see the same box."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from observability.alert_rules import AlertRules, load_rules
from orchestration import calendar_source
from orchestration.decisions import Rules
from orchestration.market_calendar import Calendars
from orchestration.ports import Clock, Sensors
from orchestration.registry import Registry, build_registry
from orchestration.sensors import BoxSensors
from orchestration.sessions import Override
from orchestration.spec_file import load_tasks_file
from orchestration.task_specs import BROKER_SECRETS, ON_WHERE_SET, TASK_SPECS
from orchestration.types import TaskSpec

if TYPE_CHECKING:
    from config import Settings

WITH_KEYS = frozenset({"alpaca"})
"""Brokers that are reached with keys; paper is simulated here, and IBKR's gateway is logged in by itself."""
WITHOUT_KEYS_TOO = frozenset({"refresh_sessions"})
"""Tasks that do what they can without a broker's keys: missing ones must not keep them from starting."""


def rules_of(settings: Settings) -> Rules:
    """Return the numbers that decisions turn on."""
    return Rules(
        reserve_mb=settings.memory_reserve_mb,
        duty_reserve_mb=settings.duty_reserve_mb,
        duty_slots=settings.duty_slots,
        stop_grace=settings.stop_grace,
        max_temperature_c=settings.max_temperature_c,
    )


def overrides_of(settings: Settings) -> tuple[Override, ...]:
    """Return the operator's corrections to the calendar. Raises CalendarError if the file is wrong."""
    path = settings.overrides
    return calendar_source.read_overrides(path) if path.is_file() else ()


def alert_rules_of(settings: Settings) -> AlertRules:
    """Return the operator's rules for alerts over the shipped ones. Raises SpecError if the file is wrong."""
    return load_rules(settings.alerts_file)


def sensors_of(settings: Settings, clock: Clock) -> BoxSensors:
    """Return the box's sensors."""
    return BoxSensors(
        clock,
        slots=settings.slots,
        broker=True,  # every name that the setting takes is one, the simulated broker too
        max_temperature_c=settings.max_temperature_c,
        assume_clock_synced=settings.assume_clock_synced,
        disk=settings.state_dir if settings.state_dir.exists() else None,
    )


def command_values(settings: Settings) -> dict[str, str]:
    """Return what the placeholders in a task's command stand for."""
    return {**settings.placeholders, "python": sys.executable}


def builtins_of(settings: Settings) -> Sequence[TaskSpec]:
    """Return the built-in tasks as the settings need them: they see a broker's keys only where it has some,
    and those that a setting asks for are on."""
    return [
        spec.but(secrets=spec.secrets - _withheld(spec, settings), enabled=_is_on(spec, settings))
        for spec in TASK_SPECS
    ]


def _is_on(spec: TaskSpec, settings: Settings) -> bool:
    setting, folder = ON_WHERE_SET.get(spec.name), settings.credentials_dir
    if setting is None:
        return spec.enabled
    has_file = setting in spec.secrets and folder is not None and (folder / setting).is_file()
    return has_file or getattr(settings, setting) is not None


def _withheld(spec: TaskSpec, settings: Settings) -> frozenset[str]:
    folder = settings.credentials_dir
    if settings.broker not in WITH_KEYS:
        return BROKER_SECRETS
    if spec.name in WITHOUT_KEYS_TOO and not (folder and all((folder / n).is_file() for n in BROKER_SECRETS)):
        return BROKER_SECRETS
    return frozenset()


def registry_of(settings: Settings, sensors: Sensors, calendars: Calendars, today: date) -> Registry:
    """Return the built-in tasks with the person's own laid over them.

    Raises:
        SpecError: with every problem.
    """
    resources = sensors.read({})
    return build_registry(
        builtins_of(settings),
        load_tasks_file(settings.tasks_file),
        total_mb=resources.total_mb,
        slots=resources.slots,
        calendars=calendars,
        today=today,
        exchange=settings.exchange,
        values=command_values(settings),
    )
