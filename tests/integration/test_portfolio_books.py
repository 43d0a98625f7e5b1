"""The portfolio's books in a real ledger: what is held, closed days, late fills, marks, decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.measured_orders import DAY, MINUTE, OPEN
from tests.traded_ledger import trade as booked
from tests.valued import limits, mark
from trading.execution.errors import LedgerError
from trading.execution.kill_switch import KillSwitch
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.guard import WHO, carry_out, check_limits
from trading.portfolio.limits import Kind, Peak
from trading.portfolio.pnl import SessionPnl, total_by_strategy
from trading.portfolio.valuation import Mark, Source, Valuation

CAPITAL = Decimal(100_000)
GOLDEN = Path(__file__).parents[1] / "golden"
CLOSE = OPEN + timedelta(hours=6.5)
NEXT = date(2026, 11, 23)
NEXT_CLOSE = CLOSE + timedelta(days=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def books(path: Path) -> Iterator[PortfolioBooks]:
    with PortfolioBooks(path) as opened:
        yield opened


def trade(path: Path, name: str, shares: int, price: str, *, strategy: str = "", day: date = DAY) -> None:
    """Book an order of ACME that is filled at once, a minute after the open of `day`; negative: a sale."""
    booked(path, name, shares, price, session=day, at=OPEN + (day - DAY) + MINUTE, strategy=strategy)


def quoted(price: str, at: datetime) -> dict[str, Mark]:
    return {"ACME": Mark(price=Decimal(price), at=at)}


def worth(books: PortfolioBooks, session: date = DAY, at: datetime = CLOSE) -> Valuation:
    return books.valuation(session, capital=CAPITAL, at=at)


def close(books: PortfolioBooks, session: date = DAY, at: datetime = CLOSE) -> SessionPnl:
    with books.writing():
        return books.close(session, worth(books, session, at), at + MINUTE)


# --- what is held ------------------------------------------------------------------------------------------


def test_fills_become_the_positions_of_their_orders_strategies(path: Path, books: PortfolioBooks) -> None:
    trade(path, "a", 100, "50", strategy="trend")
    trade(path, "b", 30, "52")

    held = {each.key: each.position.quantity for each in worth(books).holdings}

    assert held == {("", "ACME"): 30, ("trend", "ACME"): 100}


def test_recorded_marks_value_them(path: Path, books: PortfolioBooks) -> None:
    trade(path, "a", 100, "50")
    with books.writing():
        books.put_marks(DAY, quoted("51", OPEN + 9 * MINUTE))

    # 100 shares have gained 1 $ each.
    assert worth(books).equity == 100_100


def test_an_older_mark_does_not_take_the_place_of_a_newer_one(books: PortfolioBooks) -> None:
    with books.writing():
        books.put_marks(DAY, {"ACME": mark("51", 5)})
        books.put_marks(DAY, {"ACME": mark("49", 4)})

    assert books.quotes(DAY)["ACME"].price == 51


def test_a_session_is_valued_without_the_marks_of_later_ones(books: PortfolioBooks) -> None:
    with books.writing():
        books.put_marks(DAY, {"ACME": mark("51")})
        books.put_marks(NEXT, {"ACME": mark("60")})

    prices = [books.quotes(session)["ACME"].price for session in (DAY, NEXT)]
    assert prices == [Decimal(51), Decimal(60)]


# --- closed books ------------------------------------------------------------------------------------------


def test_two_days_of_profit_and_loss_by_hand(path: Path, books: PortfolioBooks) -> None:
    """Day one: 100 bought at 50, marked 51: +100. Day two: 40 sold at 53 (+120), 60 marked 52: their gain
    went from 100 for 100 shares to 120 for 60, +20; together +140."""
    trade(path, "a", 100, "50", strategy="trend")
    with books.writing():
        books.put_marks(DAY, quoted("51", OPEN + 9 * MINUTE))
    first = close(books)
    trade(path, "b", -40, "53", strategy="trend", day=NEXT)
    with books.writing():
        books.put_marks(NEXT, quoted("52", OPEN + timedelta(days=3, minutes=9)))
    second = close(books, NEXT, NEXT_CLOSE)

    assert (first.realised, first.unrealised, first.total) == (Decimal(0), Decimal(100), Decimal(100))
    assert (second.realised, second.unrealised, second.total) == (Decimal(120), Decimal(20), Decimal(140))
    assert (second.profit, second.equity) == (Decimal(240), Decimal(100_240))
    assert total_by_strategy(books.position_pnl(NEXT)) == {"trend": Decimal(140)}


def test_closing_a_session_again_changes_nothing(path: Path, books: PortfolioBooks) -> None:
    trade(path, "a", 100, "50")
    first = close(books)
    with books.writing():
        books.put_marks(DAY, quoted("70", CLOSE))

    assert close(books) == first
    assert books.session_pnls(9) == [first]


def test_a_fill_that_is_booked_late_belongs_to_the_next_session(path: Path, books: PortfolioBooks) -> None:
    """It was executed on the first day and told after its books were closed; nothing is lost or doubled."""
    trade(path, "a", 100, "50")
    first = close(books)
    trade(path, "late", 10, "40")
    with books.writing():
        books.put_marks(NEXT, quoted("50", OPEN + timedelta(days=3)))
    second = close(books, NEXT, NEXT_CLOSE)

    # 10 shares at 40 are worth 50.
    assert (first.total, second.total) == (Decimal(0), Decimal(100))
    assert worth(books, date(2026, 11, 24), NEXT_CLOSE).holdings[0].position.quantity == 110


def test_books_that_are_closed_late_leave_the_next_day_s_fills_out(path: Path, books: PortfolioBooks) -> None:
    trade(path, "a", 100, "50")
    trade(path, "b", 5, "50", day=NEXT)
    close(books)

    assert books.position_pnl(DAY)[0].position.quantity == 100
    assert worth(books, NEXT, NEXT_CLOSE).holdings[0].position.quantity == 105


def test_a_session_before_closed_books_is_refused(path: Path, books: PortfolioBooks) -> None:
    trade(path, "a", 100, "50")
    close(books, NEXT, NEXT_CLOSE)

    with pytest.raises(ValueError, match=r"session is 2026-11-20: expected one after 2026-11-23"):
        close(books)


def test_a_position_that_was_closed_is_told_once_more_and_then_gone(
    path: Path, books: PortfolioBooks
) -> None:
    trade(path, "a", 100, "50")
    trade(path, "b", -100, "51")
    close(books)
    close(books, NEXT, NEXT_CLOSE)

    assert [row.realised for row in books.position_pnl(DAY)] == [Decimal(100)]
    assert books.position_pnl(NEXT) == []


def test_a_day_without_anything_earns_nothing(books: PortfolioBooks) -> None:
    assert close(books).total == 0


def test_rows_that_make_no_sense_are_damage(path: Path, books: PortfolioBooks) -> None:
    close(books)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE pnl_sessions SET profit = 'much'")
        connection.commit()

    with pytest.raises(LedgerError, match="is damaged"):
        books.closed()


# --- limits ------------------------------------------------------------------------------------------------


def checked(
    books: PortfolioBooks,
    kill: KillSwitch,
    price: str,
    minute: int,
    session: date = DAY,
    **bounds: str | None,
) -> list[str]:
    """Mark ACME, check the limits, and return what is breached."""
    now = OPEN + (session - DAY) + minute * MINUTE
    with books.writing():
        books.put_marks(session, quoted(price, now))
    found = check_limits(books, kill, limits(**bounds), session=session, capital=CAPITAL, now=now)
    return [standing.name for standing in found.standings if standing.is_breached]


@pytest.fixture
def kill(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "trading.halt")


@pytest.fixture
def trading(path: Path, books: PortfolioBooks) -> PortfolioBooks:
    """1,000 shares bought at 50: half of the capital."""
    trade(path, "a", 1_000, "50")
    return books


def reasons(kill: KillSwitch) -> list[str]:
    return kill.path.read_text().splitlines() if kill.is_set() else []


def test_a_day_s_loss_beyond_its_limit_halts_with_value_and_limit(
    trading: PortfolioBooks, kill: KillSwitch
) -> None:
    # 3,100 of 100,000 $ lost.
    assert checked(trading, kill, "46.90", 9, position=None) == ["daily_loss"]

    halt = kill.read()
    assert halt is not None
    assert (halt.by, halt.reason) == (WHO, "daily loss 3.10 % of equity, the limit is 3 %")
    assert halt.at == OPEN + 9 * MINUTE


def test_a_breach_that_lasts_halts_once(trading: PortfolioBooks, kill: KillSwitch) -> None:
    for minute in range(9, 14):
        checked(trading, kill, "46.90", minute)

    assert len(reasons(kill)) == 1


def test_after_a_person_resumes_only_a_worse_loss_halts_again(
    trading: PortfolioBooks, kill: KillSwitch
) -> None:
    checked(trading, kill, "46.90", 9)
    kill.clear("me", OPEN + 10 * MINUTE)

    # 3.84 %, then 3.85 %: a quarter of the limit more than 3.1 %.
    checked(trading, kill, "46.16", 11)
    went_on = not kill.is_set()
    checked(trading, kill, "46.15", 12)

    assert went_on
    assert kill.is_set()


def test_the_next_day_s_loss_is_counted_from_the_close(trading: PortfolioBooks, kill: KillSwitch) -> None:
    checked(trading, kill, "46.90", 9)
    kill.clear("me", OPEN + 10 * MINUTE)
    close(trading)

    assert checked(trading, kill, "46.80", 9, NEXT, position=None) == []
    assert not kill.is_set()


def test_a_day_whose_books_were_never_closed_is_not_counted_with_the_next(
    trading: PortfolioBooks, kill: KillSwitch
) -> None:
    """2 % lost on the first day and 2 % on the next: neither day lost 3 %."""
    checked(trading, kill, "48", 9, position=None)
    assert checked(trading, kill, "46", 9, NEXT, position=None) == []

    # 3,100 $ lost on the third day, of 96,000 $ of equity at the second's end.
    assert checked(trading, kill, "42.90", 9, NEXT + timedelta(days=1), position=None) == ["daily_loss"]
    assert "daily loss 3.23 %" in reasons(kill)[0]


def test_what_was_lost_before_the_limits_were_ever_checked_is_no_loss_of_the_day(
    path: Path, books: PortfolioBooks, kill: KillSwitch
) -> None:
    """A ledger of an older version: 4,000 $ realised days ago, and nothing closed or checked since."""
    trade(path, "a", 1_000, "50")
    trade(path, "b", -1_000, "46")

    assert checked(books, kill, "46", 9, NEXT) == []


def test_the_peak_is_remembered_over_the_days_and_a_restart(
    path: Path, trading: PortfolioBooks, kill: KillSwitch
) -> None:
    """From 110,000 $ at the peak to 93,400 $: 15.09 %. Each day by itself lost less than its limit allows."""
    checked(trading, kill, "60", 9, position=None)
    close(trading)
    with PortfolioBooks(path) as restarted:
        found = checked(restarted, kill, "43.40", 9, NEXT, position=None, daily_loss=None)

    assert found == ["drawdown"]
    assert trading.peak() == Peak(profit=Decimal(10_000), session="2026-11-20")
    assert "drawdown from the peak 15.09 % of equity" in reasons(kill)[0]


def test_a_new_peak_of_the_same_day_begins_the_drawdown_anew(
    trading: PortfolioBooks, kill: KillSwitch
) -> None:
    """From 110,000 $ to 93,000 $, 15.45 %, and resumed; from 120,000 $ to 101,000 $, 15.83 %: not a quarter
    of the limit worse."""
    bounds: dict[str, Any] = {"daily_loss": None, "position": None}
    checked(trading, kill, "60", 9, **bounds)
    checked(trading, kill, "43", 10, **bounds)
    kill.clear("me", OPEN + 11 * MINUTE)
    checked(trading, kill, "70", 12, **bounds)

    assert checked(trading, kill, "51", 13, **bounds) == ["drawdown"]
    assert kill.is_set()


def test_exposure_beyond_its_limit_is_told_and_kept_but_does_not_halt(
    trading: PortfolioBooks, kill: KillSwitch
) -> None:
    assert checked(trading, kill, "50", 9) == ["position ACME"]

    [kept] = trading.decisions()
    assert (kept.kind, kept.subject, kept.done_at) == (Kind.POSITION, "ACME", kept.at)
    assert not kill.is_set()


def test_two_limits_at_once_are_one_halt(trading: PortfolioBooks, kill: KillSwitch) -> None:
    checked(trading, kill, "30", 9)

    [line] = reasons(kill)
    assert "daily loss 20.00 %" in line
    assert "drawdown from the peak 20.00 %" in line


class Killed(BaseException):
    """The process ended here."""


def dies_at(number: int) -> Iterator[None]:
    """Return steps of which the `number`-th kills."""
    for _ in range(number - 1):
        yield
    raise Killed


@pytest.mark.parametrize("step", range(1, 5))
def test_killed_at_any_commit_the_next_check_leaves_one_halt(
    path: Path, trading: PortfolioBooks, kill: KillSwitch, step: int
) -> None:
    """Commits of a check that halts: the decision, and that it is done; each is killed before and after."""
    with trading.writing():
        trading.put_marks(DAY, quoted("46.90", OPEN + 9 * MINUTE))
    steps = dies_at(step)
    at = OPEN + 9 * MINUTE
    with PortfolioBooks(path, step=lambda name: next(steps)) as dying, pytest.raises(Killed):
        check_limits(dying, kill, limits(), session=DAY, capital=CAPITAL, now=at)

    checked(trading, kill, "46.90", 10)

    assert len(reasons(kill)) == 1
    assert trading.undone() == []
    assert [each.kind for each in trading.decisions()].count(Kind.DAILY_LOSS) == 1


def test_killed_between_decision_and_halt_it_is_carried_out_although_the_loss_is_over(
    path: Path, trading: PortfolioBooks, kill: KillSwitch
) -> None:
    with trading.writing():
        trading.put_marks(DAY, quoted("46.90", OPEN + 9 * MINUTE))
    steps = dies_at(2)
    with PortfolioBooks(path, step=lambda name: next(steps)) as dying, pytest.raises(Killed):
        check_limits(dying, kill, limits(), session=DAY, capital=CAPITAL, now=OPEN + 9 * MINUTE)
    halted_before = kill.is_set()

    checked(trading, kill, "50", 10)

    assert not halted_before
    assert kill.is_set()


def test_a_halt_that_cannot_be_set_is_tried_again(tmp_path: Path, trading: PortfolioBooks) -> None:
    nowhere = KillSwitch(tmp_path / "no folder" / "trading.halt")

    with pytest.raises(OSError, match="No such file"):
        checked(trading, nowhere, "46.90", 9)
    (tmp_path / "no folder").mkdir()
    carry_out(trading, nowhere, OPEN + 10 * MINUTE)

    assert nowhere.is_set()


def test_a_halt_is_set_although_the_ledger_cannot_be_written(
    path: Path, trading: PortfolioBooks, kill: KillSwitch
) -> None:
    with trading.writing():
        trading.put_marks(DAY, quoted("46.90", OPEN + 9 * MINUTE))
    trading._file.rows("PRAGMA query_only = ON")

    with pytest.raises(LedgerError, match=r"read-only.*trading is halted all the same: daily loss 3\.10 %"):
        check_limits(trading, kill, limits(), session=DAY, capital=CAPITAL, now=OPEN + 10 * MINUTE)

    assert "daily loss 3.10 %" in reasons(kill)[0]
    assert "not recorded" in reasons(kill)[0]


def test_a_mark_of_our_own_fill_is_said_to_be_one(trading: PortfolioBooks) -> None:
    assert worth(trading).marks["ACME"].source is Source.FILL


def test_equity_days_keep_the_range(trading: PortfolioBooks, kill: KillSwitch) -> None:
    for minute, price in enumerate(("50.50", "49", "50.10"), 9):
        checked(trading, kill, price, minute)

    [day] = trading.equity_days()
    assert (day.low, day.high, day.last) == (Decimal(-1_000), Decimal(500), Decimal(100))


def test_books_of_the_first_version_that_had_them_stay_readable(path: Path) -> None:
    """The dump was written by that version, and is never written again."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / "ledger_v2.sql").read_text(encoding="utf-8"))

    with PortfolioBooks(path) as books:
        closed = books.closed()
        assert closed is not None
        assert [(h.key, h.position.quantity, h.position.cost) for h in closed.holdings] == [
            (("trend", "ACME"), 1_000, Decimal(50_000))
        ]
        assert books.quotes(NEXT)["ACME"].price == Decimal("46.90")
        assert [(each.kind, each.value_pct) for each in books.decisions()] == [
            (Kind.DAILY_LOSS, Decimal("3.1"))
        ]
        assert [day.low for day in books.equity_days()] == [Decimal(-3_100)]
        assert worth(books, NEXT, NEXT_CLOSE).equity == 96_900
