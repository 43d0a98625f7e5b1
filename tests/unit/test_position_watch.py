"""What monitor_positions makes of quotes, silence and losses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from orchestration.clock import SystemClock
from scripts import monitor_positions
from scripts._execution import Venue
from scripts._portfolio import few
from scripts.monitor_positions import Seen, ask, ask_prices, beyond_stop, mark_of, old_prices
from tests.valued import DAY, MINUTE, NOON, fill, mark, of, valued
from trading.execution.errors import BrokerError, BrokerUnavailable
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.market import Quote
from trading.execution.smart.plan import SessionHours
from trading.portfolio.decisions import Decision, due
from trading.portfolio.limits import stop_losses
from trading.portfolio.valuation import Mark, Valuation

HOURS = SessionHours(day=DAY, open=NOON, close=NOON + timedelta(hours=4))


class Quotes:
    """A market whose quotes are given; what is not is not answered. asked: which symbols were asked for."""

    def __init__(self, **prices: tuple[str, str]) -> None:
        self.prices = prices
        self.asked: list[str] = []

    async def quote(self, symbol: str, now: datetime) -> Quote | None:
        self.asked.append(symbol)
        if symbol == "DOWN":
            raise BrokerUnavailable("the feed does not answer")
        if symbol == "ODD":
            raise BrokerError("the quote of ODD cannot be read")
        if symbol.startswith("SLOW"):
            await asyncio.sleep(60)
        if symbol not in self.prices:
            return None
        bid, ask = self.prices[symbol]
        return Quote(symbol=symbol, bid=Decimal(bid), ask=Decimal(ask), at=NOON)

    async def volume(self, symbol: str, start: datetime, end: datetime, now: datetime) -> int:
        return 0


class Holder:
    """A broker that holds what it is told."""

    name = "paper"

    def __init__(self, held: Mapping[str, int], meanwhile: Callable[[], None] = lambda: None) -> None:
        self.held, self.meanwhile = held, meanwhile

    async def connect(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def positions(self) -> Mapping[str, int]:
        self.meanwhile()
        return self.held


class Fills:
    """A ledger of which only the shares are asked. busy: symbols with an open order."""

    def __init__(self, held: dict[str, int], busy: tuple[str, ...] = ()) -> None:
        self.held, self.busy = held, busy

    def positions(self) -> dict[str, int]:
        return dict(self.held)

    def symbols_filled(self) -> set[str]:
        return set(self.held)

    def open_children(self) -> list[Any]:
        return [fill(1, "10", symbol=symbol) for symbol in self.busy]

    def meta(self, key: str) -> str | None:
        return None


def seen(ledger: Fills, broker: Holder, *symbols: str, **prices: tuple[str, str]) -> Seen:
    venue = Venue(broker=cast(Any, broker), market=Quotes(**prices))
    held = {symbol: mark("100", minute) for minute, symbol in enumerate(symbols)}
    return asyncio.run(ask(cast(Ledger, ledger), venue, held, SystemClock()))


def give_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are waited for 50 ms; the whole look has a minute, which a busy machine does not use up."""
    monkeypatch.setattr(monitor_positions, "LONGEST", timedelta(minutes=1))
    monkeypatch.setattr(monitor_positions, "PRICES_SHARE", 0.05 / 60)


# --- prices ------------------------------------------------------------------------------------------------


def test_the_middle_of_bid_and_ask_is_the_mark() -> None:
    found = asyncio.run(mark_of(Quotes(ACME=("99.98", "100.02")), "ACME", NOON))

    assert found == mark("100")


def test_a_quote_too_wide_to_mean_anything_is_no_mark() -> None:
    # A spread of 6 $ around 100 $ is above 5 %.
    assert asyncio.run(mark_of(Quotes(ACME=("97", "103")), "ACME", NOON)) is None


def test_what_was_answered_before_the_feed_fell_silent_is_kept() -> None:
    found = seen(Fills({}), Holder({}), "ACME", "DOWN", ACME=("99", "101"))

    assert set(found.marks) == {"ACME"}
    assert found.trouble == "the feed does not answer"


def test_a_feed_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    give_up_soon(monkeypatch)

    found = seen(Fills({}), Holder({}), "ACME", "SLOW", ACME=("99", "101"))

    assert set(found.marks) == {"ACME"}
    assert found.trouble == "not all prices within 0.05 s"


def test_a_symbol_that_is_waited_for_holds_up_neither_the_others_nor_the_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked for first: its price is the oldest."""
    give_up_soon(monkeypatch)

    found = seen(Fills({"ACME": 3}), Holder({"ACME": 4}), "SLOW1", "SLOW2", "ACME", ACME=("99", "101"))

    assert set(found.marks) == {"ACME"}
    assert found.differing == {"ACME": (3, 4)}


def test_an_answer_that_makes_no_sense_costs_its_own_symbol_alone() -> None:
    found = seen(Fills({}), Holder({}), "ODD", "ACME", ACME=("99", "101"))

    assert set(found.marks) == {"ACME"}
    assert found.trouble == "ODD: the quote of ODD cannot be read"


def test_a_feed_that_does_not_answer_is_not_asked_for_every_symbol() -> None:
    market, marks, trouble = Quotes(), dict[str, Mark](), list[str]()

    asyncio.run(ask_prices(market, ["DOWN"] * 50, SystemClock(), marks, trouble))

    assert len(market.asked) <= monitor_positions.AT_ONCE


def test_the_oldest_prices_are_asked_for_first_and_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """`seen` holds prices that are the newer the later the symbol is named."""
    monkeypatch.setattr(monitor_positions, "MOST_ASKED", 2)

    found = seen(Fills({}), Holder({}), "C", "B", "A", A=("9", "9"), B=("9", "9"), C=("9", "9"))

    assert set(found.marks) == {"C", "B"}


def test_a_quote_from_a_clock_that_is_ahead_is_one_of_now() -> None:
    """Kept as it is, no later quote would ever take its place, and it would never be old."""
    before = NOON - 10 * MINUTE

    assert asyncio.run(mark_of(Quotes(ACME=("99", "101")), "ACME", before)) == mark("100", -10)


def test_a_price_is_old_after_five_minutes_of_open_market() -> None:
    fills = of("", fill(100, "100"))
    hour = MINUTE * 60  # `valued` is as of an hour after noon

    assert old_prices(valued(fills, {"ACME": mark("100", 55)}), HOURS) == {}
    assert old_prices(valued(fills, {"ACME": mark("100", 54.9)}), HOURS) == {
        "old price ACME": "no new price of ACME (2026-11-20 17:54Z)"
    }
    opened_just_now = SessionHours(day=DAY, open=NOON + hour - 5 * MINUTE, close=HOURS.close)
    assert old_prices(valued(fills, {"ACME": mark("100", -900)}), opened_just_now) == {}


# --- shares ------------------------------------------------------------------------------------------------


def test_many_alerts_of_a_kind_are_a_few_and_one_for_the_rest() -> None:
    """The daemon takes 20 of a run: a feed that is down must not hide what else is told."""
    found = few({f"differs S{n:02}": "" for n in range(30)}, "more differ")

    assert list(found)[:6] == [*(f"differs S0{n}" for n in range(5)), "more differ"]
    assert found["more differ"].startswith("25 more like these: differs S05, differs S06")
    assert len(found["more differ"]) < 500


def test_shares_that_differ_are_told_with_both_numbers() -> None:
    assert seen(Fills({"ACME": 300}), Holder({"ACME": 299})).differing == {"ACME": (300, 299)}


def test_shares_of_an_order_under_way_are_not_compared() -> None:
    assert seen(Fills({"ACME": 300}, busy=("ACME",)), Holder({"ACME": 310})).differing == {}


def test_shares_that_were_booked_while_the_broker_was_asked_are_not_compared() -> None:
    ledger = Fills({"ACME": 300})
    broker = Holder({"ACME": 305}, meanwhile=lambda: ledger.held.update(ACME=310))

    assert seen(ledger, broker).differing == {}


# --- losses ------------------------------------------------------------------------------------------------


def told_of(valuation: Valuation, bound: Decimal | None = Decimal(10), *decided: Decision) -> dict[str, str]:
    return beyond_stop(stop_losses(valuation.holdings, bound, DAY.isoformat()), decided)


def test_a_position_beyond_its_stop_loss_is_told_with_its_strategy() -> None:
    # 100 shares at 100 $ are worth 89.90: 10.1 % of their cost is lost.
    found = valued(of("trend", fill(100, "100")), {"ACME": mark("89.90", 30)})

    assert told_of(found) == {
        "stop ACME of trend": "ACME of trend: 100 shares have lost 10.1 % of their cost "
        "(-1,010.00 $ at 89.90 $), the bound is 10 %"
    }


def test_a_short_position_loses_as_the_price_rises() -> None:
    found = valued(of("", fill(-100, "100")), {"ACME": mark("110.10", 30)})

    assert list(told_of(found)) == ["stop ACME"]


@pytest.mark.parametrize(("price", "bound"), [("90", Decimal(10)), ("50", None)])
def test_at_the_bound_or_without_one_nothing_is_told(price: str, bound: Decimal | None) -> None:
    found = valued(of("", fill(100, "100")), {"ACME": mark(price, 30)})

    assert told_of(found, bound) == {}


def test_a_loss_that_wavers_around_its_bound_stays_told() -> None:
    """Beyond 10 % it was decided; at 9.5 % it is still told, at 9 % no more."""
    fills = of("", fill(100, "100"))
    [(standing, _)] = stop_losses(
        valued(fills, {"ACME": mark("89", 30)}).holdings, Decimal(10), DAY.isoformat()
    ).values()
    decided = due(standing, (), DAY, NOON)

    assert decided is not None
    assert list(told_of(valued(fills, {"ACME": mark("90.50", 31)}), Decimal(10), decided)) == ["stop ACME"]
    assert told_of(valued(fills, {"ACME": mark("91", 31)}), Decimal(10), decided) == {}
