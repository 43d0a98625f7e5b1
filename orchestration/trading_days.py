"""The days of the when-grammar: `on = "trading, not early_close"`. Core: no clock, file or environment.

Terms are joined by commas. A day matches if any of the plain terms matches (or there is none) and no `not`
term does. So "mon,wed" are two weekdays a week, and "trading,not mon..thu" are the Fridays that trade.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from orchestration.errors import WhenError
from orchestration.sessions import Sessions

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KINDS = ("trading", "closed", "all", "early_close", "full")
PERIODS = ("week", "month", "quarter")
LAST = -1
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": LAST}
_NTH = re.compile(r"(?P<rank>\w+)\s+trading(?:\s+day)?\s+of\s+(?:the\s+)?(?P<period>\w+)")
_RANK = re.compile(r"([1-9]\d?)(?:st|nd|rd|th)")
_RANGE = re.compile(r"(?P<first>\w+)\s*(?:\.\.|-)\s*(?P<last>\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTerm:
    """One term. kind: of KINDS, "weekday" or "nth". weekdays: 0 is Monday. rank: from 1, or LAST."""

    kind: str
    negated: bool = False
    weekdays: frozenset[int] = frozenset()
    rank: int = 0
    period: str = ""

    @property
    def asks_sessions(self) -> bool:
        """Whether the session table decides."""
        return self.kind not in ("all", "weekday")


@dataclass(frozen=True, slots=True)
class OnExpr:
    """A parsed `on`."""

    text: str
    terms: tuple[DayTerm, ...]

    @property
    def asks_sessions(self) -> bool:
        """Whether any term needs the session table."""
        return any(term.asks_sessions for term in self.terms)


@lru_cache(maxsize=512)
def parse_on(text: str) -> OnExpr:
    """Parse the days of a task.

    Raises:
        WhenError: with the position (from 1) and a suggestion.
    """
    terms: list[DayTerm] = []
    position = 0
    for piece in text.split(","):
        at = position + len(piece) - len(piece.lstrip())
        terms.append(_parse_term(text, piece.strip().lower(), at))
        position += len(piece) + 1
    return OnExpr(text, tuple(terms))


def _parse_term(text: str, term: str, at: int) -> DayTerm:
    negated = False
    while term == "not" or term.startswith("not "):
        negated, at, term = not negated, at + 4, term[4:].lstrip()
    if term in KINDS:
        return DayTerm(kind=term, negated=negated)
    if term in WEEKDAYS:
        return DayTerm(kind="weekday", negated=negated, weekdays=frozenset({WEEKDAYS.index(term)}))
    if match := _NTH.fullmatch(term):
        rank, period = _rank(match["rank"]), match["period"]
        if rank is not None and period in PERIODS:
            return DayTerm(kind="nth", negated=negated, rank=rank, period=period)
        wrong, known = (match["period"], PERIODS) if rank is not None else (match["rank"], tuple(ORDINALS))
        raise _unknown(text, wrong, at, known)
    if match := _RANGE.fullmatch(term):
        for name in (match["first"], match["last"]):
            if name not in WEEKDAYS:
                raise _unknown(text, name, at, WEEKDAYS)
        return DayTerm(kind="weekday", negated=negated, weekdays=_between(match["first"], match["last"]))
    raise _unknown(text, term, at, (*KINDS, *WEEKDAYS, "first trading of month", "last trading of month"))


def _rank(word: str) -> int | None:
    if word in ORDINALS:
        return ORDINALS[word]
    match = _RANK.fullmatch(word)
    return int(match[1]) if match else None


def _between(first: str, last: str) -> frozenset[int]:
    """Return the weekdays from `first` to `last`, over the weekend if need be (fri..mon)."""
    start = WEEKDAYS.index(first)
    length = (WEEKDAYS.index(last) - start) % 7 + 1
    return frozenset((start + i) % 7 for i in range(length))


def _unknown(text: str, word: str, at: int, known: tuple[str, ...]) -> WhenError:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1, 0.5)
    hint = f"Did you mean {near[0]!r}?" if near else "Known are " + ", ".join(known) + "."
    return WhenError(f"on {text!r}: {word!r} at position {at + 1} is not a day. {hint}")


def matches(on: OnExpr, day: date, exchange: Sessions) -> bool:
    """Whether `day`, a local date of the exchange, is one of the days of `on`.

    An expression that asks for sessions matches no day that the table does not cover.
    """
    if not exchange.covers(day) and on.asks_sessions:
        return False
    plain = [term for term in on.terms if not term.negated]
    if plain and not any(_holds(term, day, exchange) for term in plain):
        return False
    return not any(term.negated and _holds(term, day, exchange) for term in on.terms)


def _holds(term: DayTerm, day: date, exchange: Sessions) -> bool:
    if term.kind == "all":
        return True
    if term.kind == "weekday":
        return day.weekday() in term.weekdays
    session = exchange.on(day)
    if session is None:
        return term.kind == "closed"
    if term.kind == "early_close":
        return session.is_early_close
    if term.kind == "full":
        return not session.is_early_close
    return term.kind == "trading" or (term.kind == "nth" and _is_nth(term, day, exchange))


def _is_nth(term: DayTerm, day: date, exchange: Sessions) -> bool:
    """Whether the trading day `day` is the one asked for; False where the table lacks part of the period."""
    first, last = period_of(day, term.period)
    if term.rank == LAST:
        return exchange.covers(last) and exchange.count(day, last) == 1
    return exchange.covers(first) and exchange.count(first, day) == term.rank


def period_of(day: date, period: str) -> tuple[date, date]:
    """Return the first and last date of the week (Monday to Sunday), month or quarter of `day`."""
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    length = 1 if period == "month" else 3
    month = (day.month - 1) // length * length + 1
    following = date(day.year + (month + length > 12), (month + length - 1) % 12 + 1, 1)
    return date(day.year, month, 1), following - timedelta(days=1)
