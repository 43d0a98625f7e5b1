"""Write the risk report of the last closed session: limits and their distance, exposure, profit by strategy.

It is written to reports/risk-YYYY-MM-DD.md and .html in the state directory, from the books that
calculate_pnl has closed; without any there is a short one. Exit codes: 0 written; 1 the ledger cannot be read
or the report not written; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from config import Settings
from orchestration.errors import OrchestratorError
from scripts._execution import CANNOT, cannot, kill_switch
from scripts._job import finish, now, parse, parser, settings
from scripts._portfolio import has_ledger, limits_of, portfolio_of, told_standings
from scripts._report import write_report
from scripts._report_inputs import Days
from scripts._risk_report import SESSIONS, RiskDay, compose, nothing_closed, remarks_of
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.limits import standings
from trading.portfolio.pnl import valuation_of

DRAWN = 250
"""Sessions of the drawing: a year."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, instant = settings(made), now()
    state_dir: Path = arguments.state_dir
    try:
        days = Days.read(state_dir / "performance.db", instant, configured)
    except OrchestratorError as error:
        made.error(str(error))
    try:
        found = None
        if has_ledger(state_dir):
            with portfolio_of(state_dir, read_only=True) as books:
                found = read_inputs(books, configured, days, instant, state_dir)
        if found is None:
            day = days.last_opened(instant) or days.local_date(instant)
            document = nothing_closed(day, instant, days.zone)
        else:
            day, document = found.pnl.session, compose(found)
        paths = write_report(document, state_dir / "reports", f"risk-{day}")
    except (*CANNOT, OSError) as error:
        return cannot("risk_report", error)
    return finish(0, result_of(found, paths), f"written: {paths[0]} and {paths[1].name}")


def read_inputs(
    books: PortfolioBooks, configured: Settings, days: Days, instant: datetime, state_dir: Path
) -> RiskDay | None:
    """Read what the report is made of; None: no session's books are closed. Raises LedgerError."""
    sessions = books.session_pnls(DRAWN)
    if not sessions:
        return None
    pnl, first = sessions[-1], sessions[-SESSIONS:][0].session
    rows = books.position_pnl(first, pnl.session)
    worth = valuation_of(pnl, [row for row in rows if row.session == pnl.session])
    halt = kill_switch(state_dir).read()
    return RiskDay(
        now=instant,
        zone=days.zone,
        worth=worth,
        standings=standings(limits_of(configured), worth, books.peak(), pnl.session.isoformat()),
        sessions=sessions,
        rows=rows,
        ranges={each.session: each for each in books.equity_days()},
        decisions=books.decisions(since=first),
        remarks=remarks_of(worth, configured.broker, configured.risk_capital is not None),
        halted=halt.reason if halt else "",
    )


def result_of(found: RiskDay | None, paths: tuple[Path, Path]) -> dict[str, object]:
    """Return the job's result."""
    report: dict[str, object] = {"markdown": paths[0], "html": paths[1]}
    if found is not None:
        report |= {
            "session": found.pnl.session,
            "equity": found.worth.equity,
            "limits": told_standings(found.standings),
        }
    return report


if __name__ == "__main__":
    sys.exit(main())
