"""Values made plain for a JSON line, with secrets taken out. Pure: standard library only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

HIDDEN = "[redacted]"

SECRET_WORDS = frozenset(
    (
        *(
            "token",
            "tokens",
            "key",
            "keys",
            "apikey",
            "secret",
            "secrets",
            "password",
            "passwd",
            "passphrase",
        ),
        *("authorization", "credential", "credentials", "bearer", "cookie"),
    )
)
"""A name that has one of these among its words (`api_key`, `X-Auth-Token`, `dbPassword`) holds a secret."""

LEAST_SECRET = 6
"""Characters a known secret needs to be looked for: a shorter one would blank out ordinary words."""

LONGEST_TEXT = 4000
"""Characters kept of one text; an event is a line, not a file."""

DEEPEST = 6

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"((?:(?<![a-z])key|apikey|token|secret|password|passwd|passphrase|authorization)[\"']?\s{0,3}[=:]\s{0,3})"
    r"(?!\[redacted\]|(?:bearer|basic)\b)(\"[^\"]*\"|'[^']*'|[^\s,;&}\"']+)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Return whether a key of this name holds a secret."""
    return not SECRET_WORDS.isdisjoint(word.lower() for word in _WORDS.findall(name))


class Redactor:
    """Makes values plain and takes secrets out, by the name they stand under and by their known values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self._secrets: set[str] = set()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these values too, wherever they stand; those shorter than `LEAST_SECRET` are left alone."""
        self._secrets.update(s.strip() for s in secrets if len(s.strip()) >= LEAST_SECRET)
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Return `text` without secrets, cut to `LONGEST_TEXT`."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text)
        text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
        if "=" in text or ":" in text:
            text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
        return text

    def plain(self, value: object, depth: int = 0) -> object:
        """Return `value` as what JSON knows: None, bool, number, text, list, dict.

        Instants become ISO text (UTC with Z), durations seconds, enums their value, dataclasses dicts,
        numbers that JSON has no word for None.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.plain(value.value, depth)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        return self._object(value, depth)

    def mapping(self, items: Mapping[Any, object], depth: int = 0) -> dict[str, object]:
        """Return `items` made plain, with the values of secret names hidden."""
        plain = {}
        for key, value in items.items():
            name = str(key.value if isinstance(key, Enum) else key)
            hide = is_secret_name(name) and value is not None and not isinstance(value, bool)
            plain[self.text(name)] = HIDDEN if hide else self.plain(value, depth)
        return plain

    def _object(self, value: object, depth: int) -> object:
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {value}")
        if depth < DEEPEST:
            if isinstance(value, Mapping):
                return self.mapping(value, depth + 1)
            if isinstance(value, (list, tuple)):
                return self._sequence(value, depth + 1)
            if isinstance(value, (set, frozenset)):
                return sorted((self.plain(item, depth + 1) for item in value), key=str)
            if is_dataclass(value) and not isinstance(value, type):
                return self.mapping({f.name: getattr(value, f.name) for f in fields(value)}, depth + 1)
        return self.text(str(value))

    def _sequence(self, items: Iterable[object], depth: int) -> list[object]:
        """Return a list made plain; in a command line the value after `--password` is hidden."""
        plain: list[object] = []
        after_secret_option = False
        for item in items:
            plain.append(HIDDEN if after_secret_option else self.plain(item, depth))
            is_option = isinstance(item, str) and item.startswith("-") and "=" not in item
            after_secret_option = is_option and is_secret_name(str(item))
        return plain
