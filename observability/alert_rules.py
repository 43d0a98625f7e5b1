"""The rules for alerts: what is one, how severe it is, and who is told when. No library but the standard one.

A person's `alerts.toml` is laid over the shipped `alerts.toml` beside this module. The daemon raises by these
rules, `send_alerts` delivers by them. Everything wrong with a file is reported at once. docs/alerts.md
explains each condition and field.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from orchestration.errors import SpecError
from orchestration.spec_fields import did_you_mean, duration, expect, texts
from orchestration.spec_file import origins, syntax_problem

SEVERITIES: Final = ("info", "warning", "error", "critical")
"""From the mildest to the worst."""

SHIPPED: Final = Path(__file__).with_name("alerts.toml")

Limit = float | timedelta
NO_LIMITS: Final[Mapping[str, Limit]] = MappingProxyType({})
NO_READERS: Final[Mapping[str, Callable[[Any], Limit]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that an alert can be about.

    keys: the keys of its alerts, as globs. about_task: whether each is about one task. named: whether the job
    gives it a name. limits: what a rule for it may set, by name, with how that is read.
    """

    keys: tuple[str, ...]
    about_task: bool = False
    named: bool = False
    limits: Mapping[str, Callable[[Any], Limit]] = field(default_factory=lambda: NO_READERS)


def _count(value: Any) -> float:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1e9
    expect(is_count, "a whole number from 1 on")
    return float(value)


def _amount(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    expect(is_number and 0 <= value < 1e12, "a number from 0 on")
    return float(value)


def _percent(value: Any) -> float:
    expect(isinstance(value, int | float) and not isinstance(value, bool), "a number from 0 to 100")
    expect(0 <= value <= 100, "a number from 0 to 100")
    return float(value)


def _some_time(value: Any) -> timedelta:
    found = duration(value)
    expect(found > timedelta(0), "a duration above nothing")
    return found


_FOR: Final = {"for": duration}

CONDITIONS: Final[Mapping[str, Condition]] = {
    "reconcile_difference": Condition(
        keys=(
            *("failed:reconcile_positions", "told:monitor_positions:differs *"),
            "told:monitor_positions:more differ",
        ),
        about_task=True,
        named=True,
    ),
    "task_failed": Condition(keys=("failed:*",), about_task=True, limits={"times": _count}),
    "task_quarantined": Condition(keys=("quarantined:*",), about_task=True),
    "task_unknown": Condition(keys=("unknown:*",), about_task=True),
    "deadline_missed": Condition(keys=("deadline:*",), about_task=True),
    "deadline_foretold": Condition(keys=("foretold:*",), about_task=True),
    "blocked_by_memory": Condition(
        keys=("memory:*",),
        about_task=True,
        limits={"times": _count, "within": _some_time, "for": _some_time},
    ),
    "duty_late": Condition(keys=("late:*",), about_task=True, limits=_FOR),
    "calendar_horizon": Condition(keys=("horizon",), limits={"days": _count}),
    "calendar_disagrees": Condition(keys=("calendar:*",)),
    "calendar_unknown": Condition(keys=("no_session",)),
    "disk": Condition(keys=("disk",), limits={"free_mb": _amount, "free_percent": _percent}),
    "temperature": Condition(keys=("temperature",), limits={"celsius": _amount, **_FOR}),
    "undervoltage": Condition(keys=("undervoltage",), limits=_FOR),
    "clock": Condition(keys=("clock",), limits=_FOR),
    "network": Condition(keys=("network",), limits=_FOR),
    "risk_limit": Condition(
        keys=(
            *("told:check_risk_limits:*", "told:monitor_positions:stop *"),
            "told:monitor_positions:more stops",
        ),
        about_task=True,
        named=True,
    ),
    "anomaly": Condition(keys=("told:adaptive_optimization:*",), about_task=True, named=True),
    "told": Condition(keys=("told:*",), about_task=True, named=True),
    "trading_halted": Condition(keys=("trading_halted",)),
    "settings_refused": Condition(keys=("settings:refused",)),
    "state_new": Condition(keys=("state:new",)),
    "store_failing": Condition(keys=("store",), limits=_FOR),
    "daemon_down": Condition(keys=("down",), limits={**_FOR, "keep": duration}),
}
"""Every condition. An alert is of the first whose keys fit: the narrow ones stand before the wide."""


def condition_of(key: str) -> str | None:
    """Return the condition that an alert's key is of; None: one that this version does not know."""
    return next((name for name, c in CONDITIONS.items() if any(fnmatchcase(key, k) for k in c.keys)), None)


def told_name(key: str) -> str:
    """Return the name that a job gave to what it tells; empty for other alerts."""
    return key.split(":", 2)[2] if key.startswith("told:") and key.count(":") >= 2 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What holds for the alerts of a condition, or for those of it about some tasks.

    tasks, names: globs of tasks, and of the names that jobs give to what they tell; empty: all.
    limits: from when on it is an alert, by the names in `CONDITIONS`. enabled: False: it is none.
    remind: how often it is told again while it stands and nobody has acknowledged it; None: never.
    escalate_after: how long it may stand unacknowledged before it is told to the channels `escalate_to`
        (empty: to all); None: for ever. channels: the tags of the addresses that are told; empty: all.
    digest_only: it is told in the daily digest alone. origin: file and line, for messages.
    """

    when: str
    tasks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    severity: str = "warning"
    limits: Mapping[str, Limit] = field(default_factory=lambda: NO_LIMITS)
    enabled: bool = True
    remind: timedelta | None = None
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    digest_only: bool = False
    origin: str = ""

    def number(self, limit: str) -> float:
        """Return a limit that is a number."""
        value = self.limits[limit]
        assert isinstance(value, float)
        return value

    def span(self, limit: str) -> timedelta:
        """Return a limit that is a duration."""
        value = self.limits[limit]
        assert isinstance(value, timedelta)
        return value

    def fits(self, task: str, name: str) -> bool:
        """Whether it holds for an alert of its condition about `task`, told under `name`."""
        return _one_fits(self.tasks, task) and _one_fits(self.names, name)


def _one_fits(globs: Sequence[str], text_: str) -> bool:
    return not globs or any(fnmatchcase(text_, glob) for glob in globs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """When the daily digest is sent: at a local time. zone: None: the exchange's."""

    at: time
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """All rules, those that hold first in front: the person's in the order of their file, then the shipped.

    per_hour: how many messages may be sent within an hour. digest: None: there is none.
    """

    rules: tuple[Rule, ...]
    per_hour: int = 20
    digest: Digest | None = None

    @property
    def own(self) -> tuple[Rule, ...]:
        """The person's rules."""
        return tuple(rule for rule in self.rules if not rule.origin.startswith(str(SHIPPED)))

    def rule_for(self, key: str, task: str | None = None) -> Rule | None:
        """Return the rule that holds for an alert; None: by the rules it is no alert.

        task: whom it is about; None: nobody. A key that this version does not know is an alert of a plain
        rule, so that what another version raised is told.
        """
        when = condition_of(key)
        if when is None:
            return Rule(when="")
        name = told_name(key)
        rule = next(r for r in self.rules if r.when == when and r.fits(task or "", name))
        return rule if rule.enabled else None

    def doubts(self, tasks: Collection[str]) -> list[str]:
        """Return what is allowed and hardly meant: rules about no task there is, and rules never reached."""
        found = []
        for place, rule in enumerate(self.own):
            for glob in rule.tasks:
                if not any(fnmatchcase(task, glob) for task in tasks):
                    hint = did_you_mean(glob, tasks)
                    found.append(f"{rule.origin}: rule {rule.when!r}: there is no task {glob!r}{hint}")
            before = next((r for r in self.own[:place] if _covers(r, rule)), None)
            if before is not None:
                found.append(
                    f"{rule.origin}: rule {rule.when!r} is never reached: the one of {before.origin} comes "
                    "first. Put what holds for some tasks in front of what holds for all."
                )
        return found


def _covers(first: Rule, second: Rule) -> bool:
    return (
        first.when == second.when
        and (not first.tasks or first.tasks == second.tasks)
        and (not first.names or first.names == second.names)
    )


def load_rules(path: str | Path | None = None) -> AlertRules:
    """Read the person's rules at `path` over the shipped ones; None: the shipped ones alone.

    Raises:
        SpecError: with every complaint about the file, each with its line, rule and field.
    """
    shipped = _read(SHIPPED, {})
    if path is None:
        return shipped
    base = {rule.when: rule for rule in shipped.rules}
    own = _read(Path(path), base, shipped)
    return replace(own, rules=own.rules + shipped.rules)


def parse_rules(content: str, path: str) -> AlertRules:
    """Return the rules of the TOML `content` of the file `path` over the shipped ones. Raises SpecError."""
    shipped = _read(SHIPPED, {})
    own = _parsed(content, path, {rule.when: rule for rule in shipped.rules}, shipped)
    return replace(own, rules=own.rules + shipped.rules)


def _read(path: Path, base: Mapping[str, Rule], otherwise: AlertRules | None = None) -> AlertRules:
    try:
        content = path.read_bytes().decode()
    except FileNotFoundError:
        raise SpecError(
            f"{path}: there is no such file of alert rules. Copy alerts.example.toml there, or set "
            "ORCHESTRATOR_ALERTS."
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8 text.") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}. Check its owner and mode.") from None
    return _parsed(content, str(path), base, otherwise)


def _parsed(content: str, path: str, base: Mapping[str, Rule], otherwise: AlertRules | None) -> AlertRules:
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(syntax_problem(content, path, error)) from None
    reader = _Reader(content, path, base)
    reader.unknown("the table or key", table, TABLES, path)
    rules = tuple(reader.rules(table.get("rule", [])))
    limits = reader.table(table, "limits", {"per_hour": _count})
    digest = reader.table(table, "digest", {"at": _digest})
    if reader.problems:
        raise SpecError(reader.problems)
    before = otherwise or AlertRules(rules=())
    return AlertRules(
        rules=rules,
        per_hour=int(limits.get("per_hour", before.per_hour)),
        digest=digest.get("at", before.digest),
    )


TABLES: Final = ("rule", "limits", "digest")


def _severity(value: Any) -> str:
    known = "one of " + ", ".join(SEVERITIES)
    expect(isinstance(value, str), known)
    expect(value in SEVERITIES, known + did_you_mean(str(value), SEVERITIES).rstrip("."))
    return str(value)


def _yes_or_no(value: Any) -> bool:
    expect(isinstance(value, bool), "true or false")
    return bool(value)


def _maybe_duration(value: Any) -> timedelta | None:
    if value == "never":
        return None
    try:
        found = duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "never"') from None
    expect(found > timedelta(0), 'a duration above nothing, or "never"')
    return found


def _digest(value: Any) -> Digest | None:
    """Read "17:30", "08:00@Europe/Berlin" or "never"."""
    expected = 'a time in quotes, as "17:30" or "08:00@Europe/Berlin", or "never"'
    expect(isinstance(value, str), expected)
    if value == "never":
        return None
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?:@(\S+))?", value, re.ASCII)
    if found is None:
        raise ValueError(expected)
    if found[3] is not None:
        try:
            ZoneInfo(found[3])
        except (LookupError, ValueError, OSError):
            raise ValueError(f"a zone that there is, as Europe/Berlin; {found[3]!r} is none") from None
    return Digest(at=time(int(found[1]), int(found[2])), zone=found[3])


FIELDS: Final[Mapping[str, Callable[[Any], object]]] = {
    "tasks": texts,
    "names": texts,
    "severity": _severity,
    "enabled": _yes_or_no,
    "remind": _maybe_duration,
    "escalate_after": _maybe_duration,
    "escalate_to": texts,
    "channels": texts,
    "digest_only": _yes_or_no,
}
"""How each field of a rule is read, but `when` and its condition's own limits."""
assert {"when", "limits", "origin", *FIELDS} == {f.name for f in fields(Rule)}


class _Reader:
    """Turns the tables of one file into values and collects every complaint in `problems`.

    base: what a rule leaves out, by condition; without one a rule must give all its condition's limits.
    """

    def __init__(self, content: str, path: str, base: Mapping[str, Rule]) -> None:
        self.path, self._base, self._content = path, base, content
        self.problems: list[str] = []

    def rules(self, entries: object) -> Iterable[Rule]:
        """Yield each `[[rule]]` that can be used."""
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.problems.append(f"{self.path}: 'rule' must be a list of tables. Write [[rule]].")
            return
        places = origins(self._content, self.path, "rule", len(entries))
        for entry, origin in zip(entries, places, strict=True):
            rule = self._rule(entry, origin)
            if rule is not None:
                yield rule

    def _rule(self, entry: Mapping[str, Any], origin: str) -> Rule | None:
        when = entry.get("when")
        condition = CONDITIONS.get(when) if isinstance(when, str) else None
        if condition is None:
            what = "says not when" if when is None else f"has when = {when!r}, which is no condition"
            hint = did_you_mean(str(when), CONDITIONS)
            self.problems.append(f"{origin}: this rule {what}{hint} docs/alerts.md lists the conditions.")
            return None
        where, base = f"{origin}: rule {when!r}", self._base.get(str(when))
        of_its_own = _fields_of(condition)
        given = {key: value for key, value in entry.items() if key != "when"}
        self.unknown(f"{where}: the field", given, of_its_own, origin)
        values = self._converted(where, given, of_its_own)
        limits = {name: values.pop(name) for name in condition.limits if name in values}
        missing = condition.limits.keys() - given.keys() if base is None else frozenset[str]()
        self.problems += [f"{where}: the field {name!r} is missing." for name in sorted(missing)]
        start = base or Rule(when=str(when))
        rule = replace(start, **values, limits={**start.limits, **limits}, origin=origin)
        if rule.escalate_to and rule.escalate_after is None:
            self.problems.append(f"{where} has escalate_to and no escalate_after. Say after how long.")
        return rule

    def _converted(
        self, where: str, given: Mapping[str, Any], converters: Mapping[str, Callable[[Any], object]]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in given.items():
            try:
                if key in converters:
                    values[key] = converters[key](value)
            except ValueError as error:
                wanted = str(error) if str(error).endswith("?") else f"{error}."
                self.problems.append(f"{where}, {key} = {value!r}: expected {wanted} Correct the value.")
        return values

    def table(
        self, tables: Mapping[str, Any], name: str, converters: Mapping[str, Callable[[Any], object]]
    ) -> dict[str, Any]:
        """Return what the table `[name]` says."""
        given = tables.get(name, {})
        if not isinstance(given, dict):
            self.problems.append(f"{self.path}: {name!r} must be a table. Write [{name}].")
            return {}
        where = f"{self.path}: [{name}]"
        self.unknown(f"{where}: the field", given, converters, self.path)
        return self._converted(where, given, converters)

    def unknown(self, what: str, given: Iterable[str], known: Collection[str], origin: str) -> None:
        """Complain of each key that means nothing."""
        at = "" if what.startswith(origin) else f"{origin}: "
        self.problems += [
            f"{at}{what} {key!r} means nothing here{did_you_mean(key, known)} Known are {', '.join(known)}."
            for key in given
            if key not in known
        ]


def _fields_of(condition: Condition) -> Mapping[str, Callable[[Any], object]]:
    """Return how the fields of a rule for `condition` are read."""
    not_its = {"tasks"} if not condition.about_task else set[str]()
    not_its |= {"names"} if not condition.named else set()
    own = {name: read for name, read in FIELDS.items() if name not in not_its}
    return {**own, **condition.limits}
