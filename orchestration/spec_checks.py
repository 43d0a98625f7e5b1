"""What must hold for a task's description, by itself and among the others. Each check returns complaints.

A complaint names the file, the task, the field, the value, what is wrong and what to do.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from orchestration import windows
from orchestration.errors import CalendarError, SpecError, WhenError
from orchestration.market_calendar import Calendars
from orchestration.reach import HORIZON_DAYS, Timeline, can_run, intervals_on
from orchestration.spec_fields import NAME, did_you_mean
from orchestration.spec_file import Pool
from orchestration.types import NEEDS, OncePer, OperatingMode, Phase, TaskSpec

SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}", re.ASCII)
NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What the checks hold a task against.

    pools: by name, `local` among them. values: what placeholders of a command stand for.
    is_file: whether a path leads to something; root: the folder that relative commands count from.
    """

    calendars: Calendars
    timeline: Timeline
    pools: Mapping[str, Pool]
    values: Mapping[str, str]
    is_file: Callable[[str], bool] = os.path.exists


def expand_argv(argv: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Return `argv` with each "{name}" replaced by values["name"]; "{{name}}" stands for "{name}" itself.

    Raises:
        SpecError: if a placeholder has no value.
    """

    def replace(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"{{{found[1]}}}"
        if found[2] not in values:
            known = ", ".join("{" + name + "}" for name in sorted(values))
            raise SpecError(
                f"unknown placeholder {found[0]!r}{did_you_mean(found[2], values)} Known are {known};"
                f" write {{{found[0]}}} where the braces are meant."
            )
        return values[found[2]]

    return tuple(PLACEHOLDER.sub(replace, word) for word in argv)


def complaint(origin: str, spec: TaskSpec, field: str, what: str) -> str:
    """Return the sentence that names file, task, field and value, and says `what`."""
    return f"{origin}: task {spec.name!r}, {field} = {shown(getattr(spec, field))}: {what}"


def shown(value: object) -> str:
    """Return a field's value as a person would write it."""
    if isinstance(value, frozenset):
        return "[" + ", ".join(repr(v) for v in sorted(value)) + "]"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, float):
        return f"{value:g}"
    return repr(list(value) if isinstance(value, tuple) else str(value) if value is not None else value)


def check_alone(spec: TaskSpec, origin: str, box: Box) -> list[str]:
    """Return what is wrong with `spec` whatever the other tasks are."""
    found = [*_names(spec), *_numbers(spec), *_slots(spec), *_durations(spec)]
    found += [*_command(spec, box), *_when(spec, box), *_pool(spec, box)]
    problems = [complaint(origin, spec, field, what) for field, what in found]
    if not problems and spec.enabled:
        problems += _never(spec, origin, box)
    return problems


Found = Iterator[tuple[str, str]]


def _names(spec: TaskSpec) -> Found:
    if not NAME.fullmatch(spec.name):
        yield "name", "use lower case letters, digits and underscores, a letter first, 64 at most."
    for field, known in (("phases", set(Phase)), ("modes", set(OperatingMode)), ("needs", NEEDS)):
        for word in sorted(getattr(spec, field) - known):
            yield (
                field,
                f"there is no {word!r}{did_you_mean(word, known)} Known are {', '.join(sorted(known))}.",
            )
    for secret in sorted(spec.secrets):
        if not SECRET.fullmatch(secret):
            yield "secrets", f"{secret!r} is no file name. Use letters, digits, '_', '.' and '-'."
    for name, value in spec.env.items():
        if not ENV_NAME.fullmatch(name) or "\0" in value:
            yield "env", f"{name!r} is no variable that can be set. Use letters, digits and underscores."


def _numbers(spec: TaskSpec) -> Found:
    for field in ("memory_mb", "estimated_minutes", "timeout_minutes"):
        if not (math.isfinite(getattr(spec, field)) and getattr(spec, field) > 0):
            yield field, "it must be a number above 0."
    for field, least in (("cpus", 0), ("max_attempts", 1)):
        if getattr(spec, field) < least:
            yield field, f"it must be at least {least}."
    if not (math.isfinite(spec.min_slice_minutes) and spec.min_slice_minutes >= 0):
        yield "min_slice_minutes", "it must be a number, 0 or more."
    elif spec.min_slice_minutes and not spec.interruptible:
        yield (
            "min_slice_minutes",
            "only a task that can stop and resume has slices. Set interruptible = true.",
        )
    elif spec.min_slice_minutes > spec.timeout_minutes:
        yield (
            "min_slice_minutes",
            f"it never gets that long: timeout_minutes is {spec.timeout_minutes:g}.",
        )
    if spec.estimated_minutes > spec.timeout_minutes:
        yield (
            "timeout_minutes",
            f"it would be stopped before its estimate of {spec.estimated_minutes:g}. Raise it.",
        )
    elif spec.extendable and spec.timeout_minutes == spec.estimated_minutes:
        yield (
            "extendable",
            "timeout_minutes is no longer than its estimate. Raise timeout_minutes.",
        )


def _durations(spec: TaskSpec) -> Found:
    for field in ("grace", "backoff", "tolerance"):
        if getattr(spec, field) < NOTHING:
            yield field, "it must not be negative."
    if spec.every is not None and spec.every < timedelta(seconds=1):
        yield "every", "it must be at least a second."
    for name, age in spec.dependency_max_age.items():
        if name not in spec.dependencies:
            yield "dependency_max_age", f"{name!r} is not among its dependencies. Add it there."
        elif age <= NOTHING:
            yield "dependency_max_age", f"the age for {name!r} must be above 0."


def _slots(spec: TaskSpec) -> Found:
    given = [field for field in ("at", "every", "cron") if getattr(spec, field) is not None]
    for field in given[1:]:
        yield field, f"it also gives {given[0]} = {shown(getattr(spec, given[0]))}. Keep one of the two."
    if spec.at is not None and spec.window is not None:
        yield "window", f"at = {spec.at!r} already says when. Keep one of the two."
    if given and spec.once_per is not OncePer.CYCLE:
        yield "once_per", f"it has no meaning beside {given[0]}. Leave it out."


def _command(spec: TaskSpec, box: Box) -> Found:
    if not spec.argv or not spec.argv[0]:
        yield "argv", 'there is no command. Write argv = ["/path/to/program"], or script = or module =.'
        return
    try:
        argv = expand_argv(spec.argv, box.values)
    except SpecError as error:
        yield "argv", str(error)
        return
    if not spec.enabled or spec.pool != "local":
        return
    cwd = spec.cwd or box.values.get("root", "")
    if spec.cwd and not box.is_file(cwd):
        yield "cwd", f"there is no folder {cwd}. Make it, or correct the path."
    elif os.sep in argv[0] and not box.is_file(os.path.join(cwd, argv[0])):
        yield "argv", f"there is no file {os.path.join(cwd, argv[0])}. Install it, or correct the path."


def _when(spec: TaskSpec, box: Box) -> Found:
    try:
        exchange = box.calendars.exchange(spec.calendar)
    except CalendarError as error:
        yield "calendar", _sentence(error)
        exchange = box.calendars.home
    for field in ("on", "window", "at", "deadline", "cron"):
        text = getattr(spec, field)
        if text is None:
            continue
        try:
            if field == "on":
                windows.parse_on(text)
            elif field == "cron":
                windows.check_cron(text)
            else:
                parse = windows.parse_window if field == "window" else windows.parse_instant
                expression = parse(text)
                if exchange.table:
                    windows.check_breaks(expression, exchange)
        except WhenError as error:
            yield field, _sentence(error)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."


def _pool(spec: TaskSpec, box: Box) -> Found:
    pool = box.pools.get(spec.pool)
    if pool is None:
        yield "pool", f"there is no such pool{did_you_mean(spec.pool, box.pools)} Define it under [[pool]]."
        return
    if not spec.enabled:
        return
    place = "this box" if spec.pool == "local" else f"pool {spec.pool!r}"
    if spec.memory_mb > pool.memory_mb:
        yield "memory_mb", f"{place} has {pool.memory_mb:g}. Lower it, or set enabled = false for this task."
    if spec.cpus > pool.slots:
        yield "cpus", f"{place} has {pool.slots} slots. Lower it."


def _never(spec: TaskSpec, origin: str, box: Box) -> list[str]:
    if can_run(spec, box.timeline) is not False:
        return []
    given = [
        f for f in ("on", "window", "at", "cron", "phases", "modes") if getattr(spec, f) not in (None, "all")
    ]
    said = ", ".join(f"{field} = {shown(getattr(spec, field))}" for field in given if getattr(spec, field))
    if spec.is_research and not spec.modes:
        said += f" (category {spec.category} runs in RESEARCH mode only)"
    first = box.timeline.first
    reason = intervals_on(spec, first, box.timeline.calendars)[1]
    why = f" For instance: {reason}." if reason else ""
    return [
        f"{origin}: task {spec.name!r} can never run: {said} do not meet on any of the {HORIZON_DAYS} days"
        f" from {first}.{why} Change one of them, or set enabled = false."
    ]


def check_together(specs: Mapping[str, TaskSpec], origins: Mapping[str, str]) -> list[str]:
    """Return what is wrong among the tasks: unknown names, disabled dependencies, cycles."""
    problems: list[str] = []
    for spec in specs.values():
        problems += [complaint(origins[spec.name], spec, field, what) for field, what in _links(spec, specs)]
    return problems + _cycles(specs, origins)


def _links(spec: TaskSpec, specs: Mapping[str, TaskSpec]) -> Found:
    reconciled_by = {spec.reconciled_by} if spec.reconciled_by is not None else set()
    for field, names in (
        ("dependencies", spec.dependencies),
        ("conflicts", spec.conflicts),
        ("reconciled_by", reconciled_by),
    ):
        for name in sorted(names):
            if name not in specs:
                yield field, f"no task is called {name!r}{did_you_mean(name, specs)}"
            elif field != "conflicts" and spec.enabled and not specs[name].enabled:
                yield (
                    field,
                    f"{name!r} is disabled, so this would wait for ever. Enable it, or drop it.",
                )
    if spec.reconciled_by == spec.name:
        yield "reconciled_by", "a task cannot reconcile itself. Name another."


def _cycles(specs: Mapping[str, TaskSpec], origins: Mapping[str, str]) -> list[str]:
    """Return one complaint per dependency cycle, each starting at its first name in the alphabet."""
    problems: list[str] = []
    done: set[str] = set()
    path: list[str] = []

    def walk(name: str) -> None:
        if name in path:
            ring = path[path.index(name) :]
            at = ring.index(min(ring))
            ring = [*ring[at:], *ring[:at], ring[at]]
            problems.append(
                f"{origins[ring[0]]}: tasks depend on each other in a circle: {' -> '.join(ring)}."
                " Take one of these dependencies out."
            )
        elif name not in done and name in specs:
            path.append(name)
            for dependency in sorted(specs[name].dependencies):
                walk(dependency)
            path.pop()
            done.add(name)

    for name in sorted(specs):
        walk(name)
    return problems
