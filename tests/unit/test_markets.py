"""Markets made of bars: what is known when, and the model that stands in for a feed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.paper_markets import CLOSE, HOURS, MINUTE, OPEN, SYMBOL, bar, flat, market
from trading.execution.facts import MarketFacts
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.market import Quote
from trading.execution.markets.modelled import ModelledMarket
from trading.execution.markets.traded import Bar
from trading.execution.smart.plan import SessionHours

FACTS = MarketFacts(
    symbol=SYMBOL,
    as_of=date(2026, 11, 19),
    price=100.0,
    daily_volume=390_000,
    daily_spread=0.02,
    daily_volatility=0.02,
    shape=(0.5, 0.25, 0.25),
)
HALF_DAY = SessionHours(
    day=date(2026, 11, 27),
    open=datetime(2026, 11, 27, 14, 30, tzinfo=UTC),
    close=datetime(2026, 11, 27, 18, 0, tzinfo=UTC),
    is_early_close=True,
)


def quote_at(source: BarMarket | ModelledMarket, now: datetime, symbol: str = SYMBOL) -> Quote | None:
    return asyncio.run(source.quote(symbol, now))


def volume_of(source: BarMarket | ModelledMarket, start: datetime, end: datetime, now: datetime) -> int:
    return asyncio.run(source.volume(SYMBOL, start, end, now))


def bars_of(source: BarMarket | ModelledMarket, hours: SessionHours = HOURS) -> list[Bar]:
    return list(asyncio.run(source.bars(SYMBOL, hours.open, hours.close, hours.close)))


def test_there_is_no_quote_before_the_first_bar_has_ended() -> None:
    source = market(flat())

    assert quote_at(source, OPEN + MINUTE - timedelta(microseconds=1)) is None
    assert quote_at(source, OPEN + MINUTE) is not None


def test_the_quote_lies_half_a_spread_to_each_side_of_the_last_close() -> None:
    source = market([bar(0, "50"), bar(1, "51")], spread="0.02")

    quote = quote_at(source, OPEN + 2 * MINUTE)

    assert quote is not None
    assert (quote.bid, quote.ask) == (Decimal("50.99"), Decimal("51.01"))


def test_a_quote_is_as_old_as_the_last_bar() -> None:
    """Minutes without a trade have no bar: at 14:40 the last was that of 14:31, known from 14:32 on."""
    source = market([bar(0), bar(1)])

    quote = quote_at(source, OPEN + 10 * MINUTE)

    assert quote is not None
    assert quote.at == OPEN + 2 * MINUTE


def test_without_a_spread_of_its_own_a_symbol_has_two_basis_points() -> None:
    """2 bp of 100 $ are 0.02 $."""
    source = BarMarket({SYMBOL: flat()}, [HOURS])

    quote = quote_at(source, OPEN + MINUTE)

    assert quote is not None
    assert quote.spread == Decimal("0.02")


@pytest.mark.parametrize("now", [OPEN - MINUTE, CLOSE + MINUTE])
def test_there_is_no_quote_out_of_hours(now: datetime) -> None:
    assert quote_at(market(flat()), now) is None


def test_the_close_itself_still_has_a_quote() -> None:
    assert quote_at(market(flat()), CLOSE) is not None


def test_an_unknown_symbol_has_no_quote_and_no_volume() -> None:
    source = market(flat())

    assert quote_at(source, CLOSE, "MSFT") is None
    assert asyncio.run(source.volume("MSFT", OPEN, CLOSE, CLOSE)) == 0
    assert not source.knows("MSFT")


def test_volume_takes_the_bars_at_the_ends_by_their_share() -> None:
    """Half of minute 0, all of minute 1, a quarter of minute 2: 500 + 1000 + 250."""
    start, end = OPEN + MINUTE / 2, OPEN + 2 * MINUTE + MINUTE / 4

    assert volume_of(market(flat()), start, end, CLOSE) == 1750


def test_volume_of_a_bar_that_has_not_ended_is_not_known() -> None:
    assert volume_of(market(flat()), OPEN, CLOSE, OPEN + 2 * MINUTE + MINUTE / 2) == 2000


def test_bars_of_extended_hours_are_left_out() -> None:
    early = bar(-1)

    assert bars_of(market([early, bar(0)])) == [bar(0)]


def test_bars_can_end_on_the_grid_from_the_open_to_the_close_and_in_no_night() -> None:
    tomorrow = replace(
        HOURS, day=date(2026, 11, 21), open=OPEN + timedelta(days=1), close=CLOSE + timedelta(days=1)
    )
    source = BarMarket({SYMBOL: flat()}, [tomorrow, HOURS])

    assert source.next_bar_end(OPEN - MINUTE) == OPEN + MINUTE
    assert source.next_bar_end(OPEN) == OPEN + MINUTE
    assert source.next_bar_end(OPEN + MINUTE * 1.5) == OPEN + 2 * MINUTE
    assert source.next_bar_end(CLOSE - timedelta(microseconds=1)) == CLOSE
    assert source.next_bar_end(CLOSE) == tomorrow.open + MINUTE
    assert source.next_bar_end(tomorrow.close) is None


def test_an_order_is_good_for_the_session_that_is_on_or_the_next() -> None:
    source = market(flat())

    assert source.session_at(OPEN - timedelta(hours=9)) == HOURS
    assert source.session_at(CLOSE - MINUTE) == HOURS
    assert source.session_at(CLOSE) is None


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        ([bar(1), bar(0)], "not before"),
        ([bar(0), bar(0)], "not before"),
        ([bar(0)._replace(low=Decimal(101))], "open and close from low to high"),
        ([bar(0)._replace(high=Decimal("NaN"))], "high is Decimal"),
        ([bar(0)._replace(volume=-1)], "volume is -1"),
        ([bar(0)._replace(length=timedelta())], "length is 0:00:00"),
        ([bar(0)._replace(start=datetime(2026, 11, 20, 14, 30))], "aware"),  # noqa: DTZ001  # the bad value
    ],
)
def test_an_impossible_bar_is_refused_by_name(bars: list[Bar], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        market(bars)


def test_a_negative_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="spread_bps"):
        BarMarket({}, [HOURS], spread_bps=Decimal(-1))


def test_the_model_trades_the_daily_volume_by_its_shape() -> None:
    """130 minutes each carry half, a quarter and a quarter of 390,000: 1500, 750 and 750 a minute."""
    bars = bars_of(ModelledMarket([FACTS], [HOURS]))

    assert [bars[n].volume for n in (0, 129, 130, 259, 260, 389)] == [1500, 1500, 750, 750, 750, 750]
    assert sum(bar.volume for bar in bars) == 390_000


def test_the_models_bars_of_any_length_add_up_to_the_day() -> None:
    """390 minutes are 55 bars of 7 minutes and one of 5."""
    bars = bars_of(ModelledMarket([FACTS], [HOURS], length=7 * MINUTE))

    assert len(bars) == 56
    assert bars[-1].length == 5 * MINUTE
    assert sum(bar.volume for bar in bars) == 390_000


def test_the_model_uses_the_shape_of_early_closes_on_a_half_day() -> None:
    """210 minutes, 90 % of the volume in the last half of them."""
    facts = replace(FACTS, early_shape=(0.1, 0.9))

    bars = bars_of(ModelledMarket([facts], [HALF_DAY]), HALF_DAY)

    assert len(bars) == 210
    assert sum(bar.volume for bar in bars[:105]) == 39_000
    assert sum(bar.volume for bar in bars) == 390_000


def test_nothing_is_traded_in_the_models_pauses() -> None:
    lunch = (OPEN + 120 * MINUTE, OPEN + 180 * MINUTE)

    source = ModelledMarket([FACTS], [replace(HOURS, pauses=(lunch,))])

    assert volume_of(source, *lunch, CLOSE) == 0
    assert volume_of(source, OPEN, CLOSE, CLOSE) == 390_000


def test_without_a_seed_the_price_stays_where_it_was() -> None:
    source = ModelledMarket([FACTS], [HOURS])

    assert {bar.close for bar in bars_of(source)} == {Decimal(100)}


def test_the_model_quotes_from_the_open_on() -> None:
    quote = quote_at(ModelledMarket([FACTS], [HOURS]), OPEN)

    assert quote is not None
    assert (quote.bid, quote.ask) == (Decimal("99.99"), Decimal("100.01"))


def test_the_same_seed_walks_the_same_way_and_another_one_does_not() -> None:
    first, again, other = (bars_of(ModelledMarket([FACTS], [HOURS], seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_the_walk_is_as_wild_as_the_facts_say() -> None:
    """Over 400 seeds the day's log-returns have a standard deviation of 2 %: its own standard error is
    0.02 / sqrt(800) = 0.0007, so four of those are 0.0028."""
    returns = []
    for seed in range(400):
        last = bars_of(ModelledMarket([FACTS], [HOURS], seed=seed, length=65 * MINUTE))[-1].close
        returns.append(float(last.ln() - Decimal(100).ln()))

    deviation = (sum(r * r for r in returns) / len(returns)) ** 0.5

    assert abs(deviation - 0.02) < 0.0028


def test_the_model_says_that_it_is_one() -> None:
    assert "no market feed" in ModelledMarket([FACTS], [HOURS]).remark
    assert "walk at random" in ModelledMarket([FACTS], [HOURS], seed=1).remark
