"""Every minute of the session: hold exposure, concentration and losses to their limits.

Works on the ledger alone: its fills, and the prices that monitor_positions has recorded. A loss beyond its
limit halts trading (the kill switch; `orchestratorctl resume --trading` lets it go on); exposure beyond its
limit is told, or halts, as the settings say. Exit codes: 0 judged, within the limits or not; 1 the ledger
cannot be used, or capital or calendar are not known; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from datetime import datetime

from orchestration.clock import SystemClock
from scripts._execution import CANNOT, NO_DAY, cannot, kill_switch
from scripts._job import finish, parse, parser, settings
from scripts._portfolio import (
    NOTHING_TRADED,
    OLD,
    age,
    aged,
    capital_of,
    few,
    has_ledger,
    limits_of,
    portfolio_of,
    session_of,
    told_standings,
)
from scripts._session_hours import SessionBook
from trading.execution.kill_switch import Halt
from trading.execution.smart.plan import SessionHours
from trading.portfolio.decisions import decided_again_at, is_told
from trading.portfolio.guard import Checked, check_limits
from trading.portfolio.limits import Action, Kind, Standing
from trading.portfolio.valuation import Valuation


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, now = settings(made), SystemClock().now()
    if not has_ledger(arguments.state_dir):
        return finish(0, {}, NOTHING_TRADED)
    try:
        session = session_of(SessionBook(configured, now.date()), now)
        if session is None:
            return finish(1, {"error": NO_DAY}, f"check_risk_limits: {NO_DAY}")
        kill = kill_switch(arguments.state_dir)
        with portfolio_of(arguments.state_dir) as books:
            found = check_limits(
                books,
                kill,
                limits_of(configured),
                session=session.day,
                capital=capital_of(configured),
                now=now,
            )
        return conclude(found, kill.read(), session, now)
    except (*CANNOT, OSError) as error:
        return cannot("check_risk_limits", error)


def conclude(found: Checked, halt: Halt | None, session: SessionHours, now: datetime) -> int:
    """Say how the limits stand; return the exit code."""
    shown = [standing for standing in found.standings if is_told(standing, found.decisions)]
    texts = {standing: told(standing, found, halt) for standing in shown}
    alerts = {each.name: text for each, text in texts.items() if each.kind is not Kind.POSITION}
    alerts |= few({each.name: texts[each] for each in shown if each.kind is Kind.POSITION}, "more positions")
    alerts |= old_prices(found.valuation, session, now)
    worth = found.valuation
    report = {
        "session": session.day,
        "equity": worth.equity,
        "day_profit": found.day_profit,
        "gross": worth.gross,
        "net": worth.net,
        "limits": told_standings(found.standings),
        "halted": halt.reason if halt else None,
        "alerts": alerts,
    }
    lines = [
        f"{session.day}: equity {worth.equity:,.2f} $, {found.day_profit:+,.2f} $ since the last close, "
        f"gross exposure {worth.gross:,.2f} $",
        *alerts.values(),
    ]
    return finish(0, report, "\n".join(lines))


def told(standing: Standing, found: Checked, halt: Halt | None) -> str:
    """Return what a person is told of a limit that is passed, or was and is still near."""
    if standing.action is Action.ALERT:
        return str(standing) if standing.is_breached else f"{standing}; it was passed"
    if halt is not None:
        return f"{standing}; trading is halted until `orchestratorctl resume --trading`"
    again_at = decided_again_at(standing, found.decisions)
    return f"{standing}; trading goes on by a person's word, and halts again at {again_at:.2f} %"


def old_prices(worth: Valuation, session: SessionHours, now: datetime) -> dict[str, str]:
    """Return an alert if no price of what is held is new: nobody records any."""
    ages = [age(mark, session, now) for mark in worth.marks.values()]
    if not ages or not session.is_open(now) or min(ages) <= OLD:
        return {}
    return {"old prices": f"the limits are judged by old prices: {aged(worth.marks.items())}"}


if __name__ == "__main__":
    sys.exit(main())
