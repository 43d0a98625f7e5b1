"""How each field of a task file is read: TOML values in, the values of `TaskSpec` and `Pool` out. Pure.

Each converter raises ValueError with what it expected.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from orchestration.types import (
    Catchup,
    OncePer,
    OperatingMode,
    Phase,
    ShortDay,
    TaskCategory,
    TaskPriority,
    TaskSpec,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?", or a full stop where nothing known is near."""
    near = difflib.get_close_matches(word, sorted(map(str, known)), n=1, cutoff=0.6)
    return f". Did you mean {near[0]!r}?" if near else "."


def expect(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)


def text(value: Any) -> str:
    expect(isinstance(value, str), 'text in quotes, as "text"')
    return str(value)


def _optional(value: Any) -> str | None:
    return text(value).strip() or None


def _yes_or_no(value: Any) -> bool:
    expect(isinstance(value, bool), "true or false")
    return bool(value)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    expect(is_number and math.isfinite(value), "a number")
    return float(value)


def _whole(value: Any) -> int:
    expect(isinstance(value, int) and not isinstance(value, bool), "a whole number")
    return int(value)


def texts(value: Any) -> tuple[str, ...]:
    expect(
        isinstance(value, list) and all(isinstance(v, str) for v in value), 'a list of texts, as ["a", "b"]'
    )
    return tuple(value)


def _set(value: Any) -> frozenset[str]:
    return frozenset(texts(value))


def duration(value: Any) -> timedelta:
    """Read "90s", "2h30m" or "2d"."""
    expected = 'a duration in quotes, as "90s", "2h30m" or "2d"'
    expect(isinstance(value, str), expected)
    found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", value.replace(" ", ""), re.ASCII)
    expect(found is not None and any(found.groups()), expected)
    assert found is not None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError(expected) from None


def _optional_duration(value: Any) -> timedelta | None:
    return None if value == "" else duration(value)


def _word(kind: type[StrEnum]) -> Callable[[Any], str]:
    words = tuple(member.value for member in kind)

    def convert(value: Any) -> str:
        expect(isinstance(value, str), "one of " + ", ".join(words))
        found = next((w for w in words if w.lower() == value.lower()), None)
        if found is None:
            raise ValueError("one of " + ", ".join(words) + did_you_mean(value, words).rstrip("."))
        return found

    return convert


def _words(kind: type[StrEnum]) -> Callable[[Any], frozenset[str]]:
    one = _word(kind)
    return lambda value: frozenset(one(word) for word in texts(value))


def _priority(value: Any) -> TaskPriority:
    names = [p.name for p in sorted(TaskPriority, reverse=True)]
    expect(isinstance(value, str) and value.upper() in names, "one of " + ", ".join(names))
    return TaskPriority[value.upper()]


def _env(value: Any) -> Mapping[str, str]:
    is_table = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    expect(is_table, 'a table of texts, as { NAME = "value" }')
    for name in value:
        expect(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None, "names of letters, digits and _")
    return MappingProxyType(dict(value))


CONVERTERS: Mapping[str, Callable[[Any], object]] = {
    "name": text,
    "description": text,
    "category": _word(TaskCategory),
    "priority": _priority,
    "argv": texts,
    "env": _env,
    "cwd": _optional,
    "phases": _words(Phase),
    "modes": _words(OperatingMode),
    "calendar": text,
    "on": text,
    "window": _optional,
    "at": _optional,
    "every": _optional_duration,
    "cron": _optional,
    "deadline": _optional,
    "short_day": _word(ShortDay),
    "catchup": _word(Catchup),
    "grace": duration,
    "conflicts": _set,
    "memory_mb": _number,
    "estimated_minutes": _number,
    "timeout_minutes": _number,
    "max_attempts": _whole,
    "backoff": duration,
    "extendable": _yes_or_no,
    "interruptible": _yes_or_no,
    "idempotent": _yes_or_no,
    "opportunistic": _yes_or_no,
    "needs": _set,
    "pool": text,
    "enabled": _yes_or_no,
    "cpus": _whole,
    "min_slice_minutes": _number,
    "secrets": _set,
    "once_per": _word(OncePer),
    "tolerance": duration,
    "setup": _yes_or_no,
    "reconciled_by": _optional,
}
"""How each field is read, but `dependencies` with `dependency_max_age`."""
TASK_FIELDS = frozenset(f.name for f in fields(TaskSpec)) - {"dependency_max_age"}
POOL_FIELDS: Mapping[str, Callable[[Any], object]] = {
    "name": text,
    "slots": _whole,
    "memory_mb": _number,
    "launcher": texts,
}
