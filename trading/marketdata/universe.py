"""Which symbols there are: those the source offers and those that are stored, in data_dir/symbols.json.

Light: standard library only. `renew` is pure; the job that calls it looks the dates up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from math import ceil
from pathlib import Path

from trading.marketdata.files import replace_file

QUIET = timedelta(days=30)
"""A symbol whose last bar is older than the others' by more has ended; halts are rarely longer."""
WITNESSES = 0.1
"""The others: this share of the symbols (and two) must have bars as new, so that one new file ends nobody."""


class Standing(StrEnum):
    """Whether bars of a symbol are still to come."""

    ACTIVE = "active"
    ENDED = "ended"  # offered, but without new bars: delisted, taken over, or no longer delivered
    MISSING = "missing"  # stored, but no longer offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The dates of a symbol's first and last bar."""

    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One symbol. since: when the standing was first seen (aware UTC); span: None while no bars are known.

    renamed_to, renamed_from: the same share's other name, seen from a missing and from its new symbol.
    """

    symbol: str
    standing: Standing
    since: datetime
    span: Span | None = None
    renamed_to: str = ""
    renamed_from: str = ""

    def as_json(self) -> dict[str, object]:
        """Return it as plain JSON values, `renamed_...` only where there is one."""
        plain: dict[str, object] = {
            "status": str(self.standing),
            "since": self.since.isoformat(),
            "first": self.span.first.isoformat() if self.span else None,
            "last": self.span.last.isoformat() if self.span else None,
        }
        renamed = {"renamed_to": self.renamed_to, "renamed_from": self.renamed_from}
        return plain | {name: symbol for name, symbol in renamed.items() if symbol}

    @classmethod
    def from_json(cls, symbol: str, plain: Mapping[str, object]) -> Listing:
        """Return what `as_json` wrote. Raises KeyError, ValueError or TypeError if it is not that."""
        first, last = plain["first"], plain["last"]
        return cls(
            symbol=symbol,
            standing=Standing(str(plain["status"])),
            since=datetime.fromisoformat(str(plain["since"])),
            span=Span(first=date.fromisoformat(str(first)), last=date.fromisoformat(str(last)))
            if first and last
            else None,
            renamed_to=str(plain.get("renamed_to", "")),
            renamed_from=str(plain.get("renamed_from", "")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """All symbols of the box, by name. source: who offers them; newest: the date up to which its bars go."""

    source: str
    newest: date | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)

    def symbols(self, standing: Standing) -> list[str]:
        """Return the symbols of that standing, sorted."""
        return sorted(name for name, one in self.listings.items() if one.standing is standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is new of one symbol, in words for people. what: listed, ended, missing, back, renamed or gone."""

    symbol: str
    what: str
    text: str


def renew(
    before: Universe | None,
    source: str,
    offered: Mapping[str, Span | None],
    stored: Mapping[str, Span],
    now: datetime,
) -> Universe:
    """Return the universe of today; since when a symbol stands so, and its other name, are of `before`.

    offered: the source's symbols with the dates of its bars, None where they cannot be told (such a symbol
    stands as before). stored: the same of the bars that are kept. now: aware UTC. A symbol neither offered
    nor stored is left out.
    """
    known = before.listings if before else {}
    newest = newest_of(offered, now.date())
    listings = {}
    for symbol in sorted({*offered, *stored}):
        old = known.get(symbol)
        span = offered.get(symbol) or stored.get(symbol) or (old.span if old else None)
        standing = Standing.MISSING
        if symbol in offered:
            standing = _standing(offered[symbol], newest, old.standing if old else Standing.ACTIVE)
        made = Listing(symbol=symbol, standing=standing, since=now, span=span)
        if old is not None:
            since = old.since if old.standing is standing else now
            to = old.renamed_to if standing is Standing.MISSING else ""
            was = old.renamed_from if old.renamed_from not in offered else ""
            made = replace(made, since=since, renamed_to=to, renamed_from=was)
        listings[symbol] = made
    return Universe(source=source, newest=newest, listings=listings)


def newest_of(spans: Mapping[str, Span | None], today: date) -> date | None:
    """Return the latest date that WITNESSES of the symbols, and at least two, reach; None without any.

    Symbols with bars of the future (a mistyped year) are no witnesses.
    """
    lasts = sorted((span.last for span in spans.values() if span and span.last <= today), reverse=True)
    return lasts[min(max(2, ceil(WITNESSES * len(lasts))), len(lasts)) - 1] if lasts else None


def with_rename(universe: Universe, old: str, new: str) -> Universe:
    """Return the universe with `new` told as the later name of the missing `old`."""
    both = {
        old: replace(universe.listings[old], renamed_to=new),
        new: replace(universe.listings[new], renamed_from=old),
    }
    return replace(universe, listings={**universe.listings, **both})


def could_be_renamed(before: Universe | None, after: Universe) -> list[tuple[str, str]]:
    """Return the pairs (missing, new) whose dates allow that they are one share under two names.

    Only symbols that are new since `before` are asked about: each pair costs reading two histories.
    """
    if before is None:
        return []
    fresh = [one for name, one in after.listings.items() if name not in before.listings]
    gone = [after.listings[name] for name in after.symbols(Standing.MISSING)]
    return [
        (old.symbol, new.symbol)
        for old in gone
        for new in fresh
        if not old.renamed_to
        and old.span
        and new.span
        and new.standing is not Standing.MISSING
        and new.span.first <= old.span.last <= new.span.last
    ]


def changes(before: Universe | None, after: Universe) -> list[Change]:
    """Return what a person should hear of; nothing for the first universe, in which all is new."""
    if before is None:
        return []
    found = [
        Change(symbol=symbol, what="gone", text="is neither offered nor stored any more")
        for symbol in before.listings
        if symbol not in after.listings
    ]
    for symbol, now in after.listings.items():
        old = before.listings.get(symbol)
        if now.renamed_from and (old is None or not old.renamed_from):
            text = f"is the new name of {now.renamed_from}: the same bars"
            found.append(Change(symbol=symbol, what="renamed", text=text))
        elif old is None or old.standing is not now.standing:
            found.append(_turned(old, now, after))
    return sorted(found, key=lambda change: (change.symbol, change.what))


def _turned(old: Listing | None, now: Listing, after: Universe) -> Change:
    dates = f"{now.span.first} to {now.span.last}" if now.span else "no bars known yet"
    if now.standing is Standing.ENDED:
        text = f"has had no bar since {now.span.last if now.span else '?'}; the others go to {after.newest}"
        return Change(symbol=now.symbol, what="ended", text=text)
    if now.standing is Standing.MISSING:
        to = f"; it is {now.renamed_to} now" if now.renamed_to else ""
        text = f"is no longer offered; its stored bars stay ({dates}){to}"
        return Change(symbol=now.symbol, what="missing", text=text)
    if old is None:
        return Change(symbol=now.symbol, what="listed", text=f"is new ({dates})")
    return Change(symbol=now.symbol, what="back", text=f"was {old.standing} and is offered again ({dates})")


def _standing(span: Span | None, newest: date | None, before: Standing) -> Standing:
    """Where an offered symbol stands; one whose bars cannot be read has not ended for that."""
    if span is None:
        return Standing.ENDED if before is Standing.ENDED else Standing.ACTIVE
    return Standing.ENDED if newest is not None and newest - span.last > QUIET else Standing.ACTIVE


def universe_path(data_dir: Path) -> Path:
    """Return where the list of symbols is."""
    return Path(data_dir) / "symbols.json"


def read_universe(data_dir: Path) -> Universe | None:
    """Return the list as last written; None if there is none or it cannot be read (the job makes it anew)."""
    try:
        plain = json.loads(universe_path(data_dir).read_text(encoding="utf-8"))
        newest = plain["newest"]
        return Universe(
            source=str(plain["source"]),
            newest=date.fromisoformat(newest) if newest else None,
            listings={str(name): Listing.from_json(str(name), one) for name, one in plain["symbols"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def ended_on(data_dir: Path) -> dict[str, date]:
    """Return the last bar's date of each symbol that has ended; nothing before the list is first written."""
    universe = read_universe(data_dir)
    if universe is None:
        return {}
    spans = {name: universe.listings[name].span for name in universe.symbols(Standing.ENDED)}
    return {name: span.last for name, span in spans.items() if span}


def write_universe(data_dir: Path, universe: Universe) -> bool:
    """Replace the list, whole; return whether it is another now. Writes nothing if not. Raises OSError."""
    plain = {
        "version": 1,
        "source": universe.source,
        "newest": universe.newest.isoformat() if universe.newest else None,
        "symbols": {name: universe.listings[name].as_json() for name in sorted(universe.listings)},
    }
    content = (json.dumps(plain, indent=1) + "\n").encode()
    path = universe_path(data_dir)
    if path.exists() and path.read_bytes() == content:
        return False
    replace_file(path, content)
    return True
