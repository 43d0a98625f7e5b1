"""The drawing of profit over the sessions, and a session's valuation made anew from its rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree

from tests.valued import CAPITAL, DAY, NOON, fill, mark, of, valued
from trading.portfolio.equity_picture import equity_picture
from trading.portfolio.pnl import EquityDay, SessionPnl, pnl_of, position_pnls, valuation_of


def session(number: int, profit: str) -> SessionPnl:
    return SessionPnl(
        session=DAY + timedelta(days=number),
        closed_at=NOON + timedelta(days=number),
        capital=CAPITAL,
        realised=Decimal(0),
        unrealised=Decimal(0),
        fees=Decimal(0),
        profit=Decimal(profit),
    )


def test_the_drawing_is_told_in_words_and_is_well_formed() -> None:
    sessions = [session(0, "100"), session(1, "-50"), session(2, "20")]
    seen = EquityDay(
        session=DAY, capital=CAPITAL, low=Decimal(-10), high=Decimal(130), last=Decimal(100), at=NOON
    )

    drawn = equity_picture(sessions, {DAY: seen})

    assert drawn is not None
    assert ElementTree.fromstring(drawn.svg).tag == "svg"
    assert "3 sessions from 2026-11-20 to 2026-11-22: 20 $ at the end, 100 $ at the peak" in drawn.words
    assert "-50 $ at the lowest (2026-11-21)" in drawn.words


def test_a_single_session_is_not_drawn() -> None:
    assert equity_picture([session(0, "100")], {}) is None


def test_a_ledger_that_only_lost_has_its_peak_at_the_start() -> None:
    drawn = equity_picture([session(0, "-100"), session(1, "-50")], {})

    assert drawn is not None
    assert ", 0 $ at the peak," in drawn.words


def test_a_session_s_valuation_is_had_again_from_its_rows() -> None:
    fills = [
        *of("a", fill(100, "10", fee="1"), fill(-40, "12", minute=1)),
        *of("b", fill(-50, "12", minute=2)),
    ]
    worth = valued(fills, {"ACME": mark("11", 3)})

    again = valuation_of(pnl_of(DAY, worth), position_pnls(DAY, worth))

    assert again == worth
