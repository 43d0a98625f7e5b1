"""What a setting may be written as: each function returns the value of a text.

They raise ValueError with what was expected, as "true or false": the sentence around it is `config`'s.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path

from orchestration.errors import WhenError
from orchestration.windows import parse_duration

SHORTEST_TOKEN = 16


def text(value: str) -> str:
    return value


def path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def flag(value: str) -> bool:
    if value.strip().lower() not in ("true", "false"):
        raise ValueError("true or false")
    return value.strip().lower() == "true"


def duration(most_hours: int) -> Callable[[str], timedelta]:
    def parse(value: str) -> timedelta:
        try:
            duration = parse_duration(value)
        except WhenError:
            duration = None
        if duration is None or not timedelta(0) <= duration <= timedelta(hours=most_hours):
            raise ValueError(f"a duration as 90s, 15m or 2h30m, at most {most_hours}h")
        return duration

    return parse


def minute_of_day(value: str) -> int:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value)
    if found is None:
        raise ValueError("a time of day as 08:00")
    return int(found[1]) * 60 + int(found[2])


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return value.lower()

    return parse


def whole(least: int, most: int = 2**40) -> Callable[[str], int]:
    expected = (
        f"a whole number from {least} to {most}" if most < 2**40 else f"a whole number, at least {least}"
    )

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,13}", value, re.ASCII) or not least <= int(value) <= most:
            raise ValueError(expected)
        return int(value)

    return parse


def number(value: str) -> Decimal | None:
    """Return a number above 0 that is written plainly; None: it is none."""
    number = Decimal(value) if re.fullmatch(r"\d{1,13}(\.\d{1,6})?", value, re.ASCII) else Decimal(0)
    return number or None


def money(value: str) -> Decimal:
    amount = number(value)
    if amount is None:
        raise ValueError("an amount above 0, as 100000 or 2500.50")
    return amount


def limit(value: str) -> Decimal | None:
    bound = number(value)
    if bound is None and value.lower() != "off":
        raise ValueError("a percentage above 0, as 3 or 0.5, or off")
    return bound


def slots(value: str) -> int | None:
    if value.lower() == "auto":
        return None
    if not re.fullmatch(r"[1-9]\d{0,3}", value, re.ASCII):
        raise ValueError("auto, or a whole number from 1")
    return int(value)


def exchange(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/_-]{2,20}", value):
        raise ValueError("the name of an exchange, as XNYS")
    return value.upper()


def source(value: str) -> str:
    if value == "sample" or (value.startswith("csv:") and len(value) > len("csv:")):
        return value
    raise ValueError("sample, or csv:FOLDER")


def night(value: str) -> tuple[time, time] | None:
    if value.lower() == "never":
        return None
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", value)
    try:
        if found is not None:
            return time.fromisoformat(found[1]), time.fromisoformat(found[2])
    except ValueError:
        pass
    raise ValueError("two times of day as 22:00-07:00, or never")


def address(value: str) -> str:
    if not re.fullmatch(r"(https?://)?[^\s/:]+(:\d{1,5})?", value):
        raise ValueError("an address as https://paper-api.alpaca.markets or 127.0.0.1:4002")
    return value


def web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("an address as https://hc-ping.com/your-uuid")
    return value


def listening(value: str) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})", value)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError("an address and a port as 127.0.0.1:8480, 0.0.0.0:8480 or [::1]:8480")
    return value


def token(value: str) -> str:
    if len(value) < SHORTEST_TOKEN:
        raise ValueError(f"at least {SHORTEST_TOKEN} characters, as `openssl rand -hex 16` prints")
    return value


def i2c(value: str) -> str:
    if not re.fullmatch(r"\d{1,2}:0x[0-7][0-9a-fA-F]", value):
        raise ValueError("the bus and the display's address as 1:0x3c")
    return value


def command(value: str) -> str:
    try:
        shlex.split(value)
    except ValueError as error:
        raise ValueError(f"a command in words ({error})") from None
    return value


def url(value: str) -> str:
    if not re.match(r"[a-z][a-z0-9+]*://", value):
        raise ValueError("a database URL as sqlite:////srv/box/performance.db")
    return value
