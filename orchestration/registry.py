"""The tasks of this box: the built-in ones with the person's own laid over them, checked once and for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from types import MappingProxyType

from orchestration.compiled import chain_lengths, conflicts_of
from orchestration.errors import SpecError
from orchestration.market_calendar import Calendars
from orchestration.reach import Timeline, empty_days
from orchestration.sessions import HOME
from orchestration.spec_checks import Box, check_alone, check_together, expand_argv
from orchestration.spec_fields import did_you_mean
from orchestration.spec_file import NO_TASKS, OwnTask, Pool, TasksFile, load_tasks_file
from orchestration.types import TaskSpec

__all__ = ["NO_TASKS", "Pool", "Registry", "TasksFile", "build_registry", "expand_argv", "load_tasks_file"]

BUILT_IN = "built-in"
EXAMPLE_VALUES: Mapping[str, str] = MappingProxyType(
    {
        "python": sys.executable,
        "root": "",
        "state_dir": "var",
        "log_dir": "logs",
        "data_dir": "var/data",
        "backup_dir": "var/backups",
        "source": "sample",
        "exchange": HOME,
        "broker": "paper",
        "backups_kept": "7",
    }
)
"""Every placeholder that a command may hold, with a value to check commands by."""


class Registry:
    """Checked tasks, ordered by name. Immutable.

    specs: by name. origins: where each was defined ("built-in", or file and line). pools: by name.
    """

    def __init__(
        self,
        specs: Mapping[str, TaskSpec],
        origins: Mapping[str, str],
        pools: Mapping[str, Pool],
        calendars: Calendars,
        first: date,
    ) -> None:
        self.specs: Mapping[str, TaskSpec] = MappingProxyType(dict(sorted(specs.items())))
        self.origins: Mapping[str, str] = MappingProxyType(dict(origins))
        self.pools: Mapping[str, Pool] = MappingProxyType(dict(pools))
        self._conflicts = conflicts_of(self.specs)
        self._chains = chain_lengths(self.specs)
        self._calendars = calendars
        self._first = first

    def __iter__(self) -> Iterator[TaskSpec]:
        return iter(self.specs.values())

    def __len__(self) -> int:
        return len(self.specs)

    def __contains__(self, name: object) -> bool:
        return name in self.specs

    def get(self, name: str) -> TaskSpec:
        """Return the task called `name`.

        Raises:
            SpecError: if there is none, with the nearest name.
        """
        if name not in self.specs:
            raise SpecError(
                f"no task is called {name!r}{did_you_mean(name, self.specs)}"
                " `orchestratorctl tasks` lists them."
            )
        return self.specs[name]

    @property
    def enabled(self) -> tuple[TaskSpec, ...]:
        """The tasks that are not switched off."""
        return tuple(spec for spec in self if spec.enabled)

    def conflicts_of(self, name: str) -> frozenset[str]:
        """Return the tasks that must not run beside `name`, itself among them, whichever of two said so."""
        return self._conflicts[self.get(name).name]

    def dependents_of(self, name: str) -> frozenset[str]:
        """Return the tasks that depend directly on `name`."""
        wanted = self.get(name).name
        return frozenset(spec.name for spec in self if wanted in spec.dependencies)

    def chain_length(self, name: str) -> int:
        """Return how many tasks, one behind the other, wait for `name` at most; 0 if none does."""
        return self._chains[self.get(name).name]

    @cached_property
    def empty_days(self) -> Mapping[str, tuple[date, ...]]:
        """The days of the next 400 on which a task's window (or `at`) has no instant, by task; none left out.

        Worked out when first asked for: a start need not wait for it.
        """
        found = {spec.name: empty_days(spec, self._first, self._calendars) for spec in self.enabled}
        return MappingProxyType({name: days for name, days in found.items() if days})


def build_registry(
    builtins: Sequence[TaskSpec],
    own: TasksFile = NO_TASKS,
    *,
    total_mb: float,
    slots: int,
    calendars: Calendars,
    today: date,
    exchange: str = HOME,
    values: Mapping[str, str] = EXAMPLE_VALUES,
    is_file: Callable[[str], bool] = os.path.exists,
) -> Registry:
    """Lay `own` over `builtins` and check everything.

    total_mb, slots: what this box has. today: the first of the 400 days that when-expressions are checked on.
    exchange: the calendar of tasks that name none. values: what placeholders stand for ("python" may be left
    out). is_file: whether a path leads to something.

    Raises:
        SpecError: with every problem of the file and of the tasks.
    """
    problems = list(own.problems)
    specs, origins = _merged(builtins, own.tasks, exchange, problems)
    pools = {"local": Pool(name="local", slots=slots, memory_mb=total_mb)}
    for pool in own.pools:
        if pool.name in pools:
            problems.append(f"{pool.origin}: pool {pool.name!r} is defined twice. Keep one.")
        pools[pool.name] = pool
    box = Box(
        calendars=calendars,
        timeline=Timeline(calendars, today),
        pools=pools,
        values={"python": sys.executable, **values},
        is_file=is_file,
    )
    for spec in specs.values():
        problems += check_alone(spec, origins[spec.name], box)
    problems += check_together(specs, origins)
    if problems:
        raise SpecError(problems)
    return Registry(specs, origins, pools, calendars, today)


def _merged(
    builtins: Sequence[TaskSpec], own: Sequence[OwnTask], exchange: str, problems: list[str]
) -> tuple[dict[str, TaskSpec], dict[str, str]]:
    """Return the specs and their origins by name."""
    specs: dict[str, TaskSpec] = {}
    origins: dict[str, str] = {}
    for spec in builtins:
        if spec.name in specs:
            problems.append(f"{BUILT_IN}: task {spec.name!r} is defined twice. Rename one.")
        specs[spec.name] = spec if spec.calendar != HOME else spec.but(calendar=exchange)
        origins[spec.name] = BUILT_IN
    for task in own:
        if origins.get(task.name, BUILT_IN) != BUILT_IN:
            problems.append(
                f"{task.origin}: task {task.name!r} is defined a second time; the first is at"
                f" {origins[task.name]}. Keep one, or rename it."
            )
            continue
        specs[task.name] = task.over(specs.get(task.name, TaskSpec(name=task.name, calendar=exchange)))
        origins[task.name] = task.origin
    return specs, origins
