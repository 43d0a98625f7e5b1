"""The page of a reconciliation."""

from __future__ import annotations

from datetime import UTC, date, datetime

from observability.report_document import Text
from scripts._reconciliation import Compared, Reconciliation, compose


def test_rows_that_are_left_out_are_not_said_to_agree_where_they_differ() -> None:
    """100 rows are listed, those that differ first."""
    differing = [Compared(symbol=f"D{n:03}", fills=1, before=0, broker=0) for n in range(150)]
    agreeing = [Compared(symbol=f"A{n:03}", fills=1, before=0, broker=1) for n in range(20)]
    found = Reconciliation(
        day=date(2026, 11, 20),
        now=datetime(2026, 11, 20, 21, 2, tzinfo=UTC),
        broker="paper",
        compared=[*agreeing, *differing],
        others={},
        in_doubt=(),
        faults=(),
    )

    assert Text("and 50 more that differ, 20 more that agree.") in compose(found).blocks
