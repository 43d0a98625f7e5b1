"""Write the report of a session's orders: what they cost against plan, arrival, VWAP and TWAP, with pictures.

It is written to reports/execution-YYYY-MM-DD.md and .html in the state directory; a session without orders
has a short one. VWAP and TWAP need the session's intraday bars (refresh_intraday_data). Exit codes: 0
written; 1 the ledger cannot be read or the report not written; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from scripts._execution import LEDGER, ledger_of
from scripts._execution_report import DayOfOrders, compose, totals
from scripts._job import finish, now, parse
from scripts._report import write_report
from scripts._report_inputs import known_days, report_parser
from scripts._session_hours import hours_of
from trading.execution.errors import LedgerError
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.traded import Bar
from trading.execution.measures import AlgorithmRecord, record_by_algorithm
from trading.execution.order_records import OrderRecord, read_record
from trading.execution.orders import ParentState
from trading.execution.smart.plan import SessionHours
from trading.marketdata.errors import BarStoreError
from trading.marketdata.intraday import IntradayStore

SESSIONS = 60
"""Sessions with orders over which the algorithms are compared: about a quarter of a year."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = report_parser(__doc__, "a date as 2026-11-20 (default: the last trading day)")
    arguments, instant = parse(made, argv), now()
    state_dir: Path = arguments.state_dir
    days = known_days(made, state_dir, instant)
    day = arguments.day or days.last_opened(instant) or days.local_date(instant)
    session = days.on(day)
    bars = StoredBars(IntradayStore(arguments.data_dir), hours_of(session) if session else None)
    try:
        records, recent, sessions = read_orders(state_dir, day, bars)
        inputs = DayOfOrders(
            day=day,
            now=instant,
            zone=days.zone,
            records=records,
            recent=recent,
            sessions=sessions,
            unknown_bars=bars.unknown,
        )
        paths = write_report(compose(inputs), state_dir / "reports", f"execution-{day}")
    except (LedgerError, OSError) as error:
        return finish(1, {"error": str(error)}, f"execution_report: {error}")
    return finish(0, result_of(day, records, paths), f"written: {paths[0]} and {paths[1].name}")


class StoredBars:
    """A session's intraday bars by symbol, as far as there are any. unknown: why there are none, by symbol.

    hours: None: the day is no session, there are none.
    """

    def __init__(self, store: IntradayStore, hours: SessionHours | None) -> None:
        self._store, self._hours = store, hours
        self._known: dict[str, list[Bar]] = {}
        self.unknown: dict[str, str] = {}

    def of(self, symbol: str) -> list[Bar]:
        """Return the bars of a symbol, oldest first; empty: none, `unknown` says why."""
        if symbol not in self._known:
            self._known[symbol] = self._read(symbol)
        return self._known[symbol]

    def _read(self, symbol: str) -> list[Bar]:
        hours = self._hours
        try:
            # The index knows without pandas, which most boxes then need not load.
            if hours is None or not any(
                entry.first <= hours.day <= entry.last for entry in self._store.lengths(symbol)
            ):
                self.unknown[symbol] = "no intraday bars of the session are stored"
                return []
            from trading.execution.replay_bars import stored_bars

            return stored_bars(self._store, [symbol], hours)[symbol]
        except BarStoreError as error:
            self.unknown[symbol] = f"the intraday bars cannot be used ({error})"
            return []


def read_orders(
    state_dir: Path, day: date, bars: StoredBars
) -> tuple[list[OrderRecord], Sequence[AlgorithmRecord], int]:
    """Return the session's orders, each algorithm's record over the last sessions, and how many these are.

    All empty if there is no ledger yet. Raises LedgerError.
    """
    if not (state_dir / LEDGER).exists():
        return [], (), 0
    with ledger_of(state_dir, read_only=True) as ledger:
        # An order that was refused has no window: its bars are not asked for.
        records = [
            read_record(ledger, order, () if order.state is ParentState.REJECTED else bars.of(order.symbol))
            for order in ledger.parents(session=day)
        ]
        recent, sessions = recent_records(ledger, day)
        return records, recent, sessions


def recent_records(ledger: Ledger, day: date) -> tuple[tuple[AlgorithmRecord, ...], int]:
    """Return each algorithm's record over the last sessions with orders up to `day`, and their number."""
    orders = [order for order in ledger.parents() if order.session <= day]
    sessions = sorted({order.session for order in orders})[-SESSIONS:]
    measured = (read_record(ledger, o).measures for o in orders if sessions and o.session >= sessions[0])
    return record_by_algorithm(measured), len(sessions)


def result_of(day: date, records: list[OrderRecord], paths: tuple[Path, Path]) -> dict[str, object]:
    """Return the job's result."""
    sums = totals(records)
    return {
        "day": day,
        "markdown": paths[0],
        "html": paths[1],
        "orders": len(records),
        "completed": sum(record.measures.succeeded for record in records),
        "refused": sum(record.order.state is ParentState.REJECTED for record in records),
        "shortfall": str(sums[0]) if sums else None,
        "shortfall_bps": 1e4 * float(sums[0] / sums[1]) if sums else None,
    }


if __name__ == "__main__":
    sys.exit(main())
