"""The difference report of a reconciliation: symbol by symbol, our fills against the broker's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from observability.report_document import (
    FAIL,
    INFO,
    OK,
    WARN,
    Block,
    Document,
    Heading,
    Notice,
    Table,
    Text,
)

LISTED = 100
"""Rows of a table; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One symbol in shares, short ones negative. fills: by our fills; before: held before the first of them;
    broker: held there."""

    symbol: str
    fills: int
    before: int
    broker: int

    @property
    def difference(self) -> int:
        """Shares that the broker has more than expected."""
        return self.broker - self.fills - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was compared. compared: the symbols of our fills. others: held at the broker, never traded here.
    in_doubt: orders that the broker has said nothing of. faults: where the ledger disagrees with itself."""

    day: date
    now: datetime
    broker: str
    compared: Sequence[Compared]
    others: Mapping[str, int]
    in_doubt: Sequence[str]
    faults: Sequence[str]


def compose(found: Reconciliation) -> Document:
    """Return the report; what differs comes first."""
    differing = [each for each in found.compared if each.difference]
    blocks: list[Block] = [_verdict(found, len(differing))]
    if found.compared:
        rows = sorted(found.compared, key=lambda each: (not each.difference, each.symbol))
        blocks += [Heading("Positions"), _table(rows[:LISTED])]
        blocks += [Text(f"and {_counted(rows[LISTED:])}.")] if len(rows) > LISTED else []
    if found.in_doubt:
        blocks += [Heading("Orders in doubt"), Text(", ".join(found.in_doubt))]
    if found.faults:
        blocks += [Heading("The ledger by itself"), *(Notice(FAIL, fault) for fault in found.faults)]
    if found.others:
        held = ", ".join(f"{symbol} {shares:,}" for symbol, shares in sorted(found.others.items()))
        blocks += [Heading("Held at the broker, never traded here"), Text(held)]
    return Document(
        title=f"Reconciliation, {found.day:%A} {found.day}",
        subtitle=f"ledger against {found.broker}, {found.now:%Y-%m-%d %H:%M} UTC",
        blocks=tuple(blocks),
    )


def _verdict(found: Reconciliation, differing: int) -> Notice:
    if differing:
        count = f"{differing} of {len(found.compared)} symbols"
        return Notice(FAIL, f"{count} differ. Compare the fills of each with the broker's.")
    if found.in_doubt or found.faults:
        return Notice(WARN, "The positions agree, but not everything is accounted for.")
    if not found.compared:
        return Notice(INFO, "Nothing was ever filled.")
    return Notice(OK, f"Ledger and broker agree on {len(found.compared)} symbols.")


def _counted(rows: Sequence[Compared]) -> str:
    """Return how many rows there are, those that differ apart."""
    differ = sum(each.difference != 0 for each in rows)
    counts = {"differ": differ, "agree": len(rows) - differ}
    return ", ".join(f"{count} more that {word}" for word, count in counts.items() if count)


def _table(rows: Sequence[Compared]) -> Table:
    cells = tuple(
        (
            each.symbol,
            *(f"{shares:,}" for shares in (each.fills, each.before, each.broker)),
            f"{each.difference:+,}" if each.difference else "0",
        )
        for each in rows
    )
    head = ("Symbol", "#By our fills", "#Held before", "#Broker", "#Difference")
    return Table(head, cells, tuple(FAIL if each.difference else OK for each in rows))
