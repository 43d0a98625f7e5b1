"""What a bar gives the paper broker's orders: shares and prices by hand calculation, ends, faults, fees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from orchestration.clock import VirtualClock
from tests.paper_markets import CLOSE, MINUTE, OPEN, SYMBOL, bar, flat, market, ticket, until_quiet
from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.brokers.paper import PaperBroker, PaperConfig, PaperExecutor
from trading.execution.brokers.paper.matching import Terms, Waiting, capacity, match, temporary_slope
from trading.execution.errors import OrderRejected, SubmitUnclear
from trading.execution.markets.traded import Bar
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import Fill, OrderKind, Side

TERMS = Terms(capacity=100, half_spread=Decimal("0.01"))
SECOND = timedelta(seconds=1)


def worked(
    tickets: Sequence[Ticket],
    bars: Sequence[Bar] | None = None,
    config: PaperConfig | None = None,
    params: AlmgrenChrissParams | None = None,
    start: datetime = OPEN,
) -> list[Report]:
    """Send `tickets` at once and return every report until all is over."""
    clock = VirtualClock(start)
    broker = PaperBroker(
        market(flat() if bars is None else bars),
        clock,
        config=config,
        params={SYMBOL: params} if params else None,
    )

    async def story() -> list[Report]:
        for each in tickets:
            await broker.submit(each)
        return await until_quiet(broker, clock)

    return asyncio.run(story())


def fills_of(reports: Sequence[Report]) -> list[Fill]:
    return [report for report in reports if isinstance(report, Fill)]


def end_of(reports: Sequence[Report]) -> BrokerOrder:
    return [report for report in reports if isinstance(report, BrokerOrder)][-1]


def waiting(*tickets: Ticket) -> list[Waiting]:
    return [Waiting(ticket=each, leaves=each.quantity) for each in tickets]


def test_a_purchase_pays_and_a_sale_gives_half_the_spread() -> None:
    orders = waiting(ticket("b", 10), ticket("s", 10, Side.SELL))

    bought, sold = match(bar(0, "100"), orders, TERMS)

    assert (bought.price, sold.price) == (Decimal("100.01"), Decimal("99.99"))


def test_the_price_is_the_bars_typical_one_rounded_against_the_order() -> None:
    """(101 + 99 + 100.0001) / 3 = 100.00003...: with half a spread 100.0101 bought, 99.9900 sold."""
    typical = Bar(OPEN, Decimal(100), Decimal(101), Decimal(99), Decimal("100.0001"), 1000, MINUTE)

    bought, sold = match(typical, waiting(ticket("b", 1), ticket("s", 1, Side.SELL)), TERMS)

    assert (bought.price, sold.price) == (Decimal("100.0101"), Decimal("99.9900"))


def test_temporary_impact_is_eta_n_over_tau() -> None:
    """eta 1e-6, one minute of 390: 1e-6 * 100 * 390 = 0.039 on 100 + 0.01."""
    slope = temporary_slope(AlmgrenChrissParams(1e-6, 0.0, 0.0), MINUTE)
    terms = Terms(capacity=100, half_spread=Decimal("0.01"), slope=slope)

    (found,) = match(bar(0, "100"), waiting(ticket(quantity=100)), terms)

    assert found.price == Decimal("100.049")


def test_later_orders_of_the_same_side_pay_for_the_earlier_ones_too() -> None:
    """60 then 40 shares at 0.0001 $ a share each: 0.006 and 0.010; the sale of 10 starts anew."""
    terms = Terms(capacity=200, half_spread=Decimal(0), slope=Decimal("0.0001"))

    found = match(bar(0, "100"), waiting(ticket("a", 60), ticket("b", 40), ticket("s", 10, Side.SELL)), terms)

    assert [each.price for each in found] == [Decimal("100.006"), Decimal("100.010"), Decimal("99.999")]


def test_a_limit_order_takes_as_many_shares_as_its_limit_allows() -> None:
    """100 + 0.0001 n <= 100.005 allows 50 shares, and all 50 pay 100.005."""
    terms = Terms(capacity=200, half_spread=Decimal(0), slope=Decimal("0.0001"))

    (found,) = match(bar(0, "100"), waiting(ticket(quantity=80, limit="100.005")), terms)

    assert (found.quantity, found.price) == (50, Decimal("100.005"))


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, "100.0099"), (Side.SELL, "99.9901")])
def test_a_limit_that_the_spread_oversteps_gets_nothing(side: Side, limit: str) -> None:
    assert match(bar(0, "100"), waiting(ticket(side=side, limit=limit)), TERMS) == []


def test_a_limit_finer_than_the_grid_of_prices_is_never_overstepped_by_rounding() -> None:
    """Bought at 100.00003..., rounded up to 100.0001: more than 100.00005."""
    even = Decimal("100.00003")
    typical = Bar(OPEN, even, even, even, even, 1000, MINUTE)
    terms = Terms(capacity=100, half_spread=Decimal(0))

    assert match(typical, waiting(ticket(limit="100.00005")), terms) == []


@pytest.mark.parametrize(
    ("side", "limit", "filled"),
    [(Side.BUY, "99.5", 100), (Side.BUY, "98.99", 0), (Side.SELL, "100.5", 100), (Side.SELL, "101.01", 0)],
)
def test_a_bar_that_traded_within_the_limit_fills_at_the_limit(side: Side, limit: str, filled: int) -> None:
    """Average price 100, low 99, high 101: a purchase at 99.5 was reached, one at 98.99 was not."""
    typical = Bar(OPEN, Decimal(100), Decimal(101), Decimal(99), Decimal(100), 1000, MINUTE)
    terms = Terms(capacity=100, half_spread=Decimal(0))

    found = match(typical, waiting(ticket(quantity=100, side=side, limit=limit)), terms)

    assert sum(each.quantity for each in found) == filled
    assert all(each.price == Decimal(limit) for each in found)


def test_first_come_first_served() -> None:
    found = match(bar(0), waiting(ticket("a", 70), ticket("b", 70)), TERMS)

    assert [(each.client_order_id, each.quantity) for each in found] == [("a", 70), ("b", 30)]


def test_a_sale_that_moves_the_price_below_zero_still_has_one() -> None:
    terms = Terms(capacity=100, half_spread=Decimal(5))

    (found,) = match(bar(0, "1"), waiting(ticket(side=Side.SELL)), terms)

    assert found.price == Decimal("0.0001")


@pytest.mark.parametrize(("share", "volume"), [(0.29, 100), (0.57, 100), (0.58, 100), (0.07, 300)])
def test_capacity_is_exact_where_floats_are_not(share: float, volume: int) -> None:
    """0.29 * 100 is 28.999999999999996 in floats."""
    assert capacity(bar(0, volume=volume), share) == Fraction(str(share)) * volume


def test_an_order_is_filled_over_the_bars_it_needs() -> None:
    """10 % of 1000 shares a minute: 100, 100 and 50, each known when its minute ends."""
    reports = worked([ticket(quantity=250)])

    assert [(fill.quantity, fill.at) for fill in fills_of(reports)] == [
        (100, OPEN + MINUTE),
        (100, OPEN + 2 * MINUTE),
        (50, OPEN + 3 * MINUTE),
    ]
    assert end_of(reports).state is BrokerOrderState.FILLED


def test_all_own_orders_share_one_bars_allowance() -> None:
    reports = worked([ticket("a", 60), ticket("b", 60, Side.SELL)])

    by_minute = [(fill.client_order_id, fill.quantity, fill.at) for fill in fills_of(reports)]

    assert by_minute == [
        ("a", 60, OPEN + MINUTE),
        ("b", 40, OPEN + MINUTE),
        ("b", 20, OPEN + 2 * MINUTE),
    ]


def test_an_order_waits_for_a_bar_that_starts_after_it() -> None:
    reports = worked([ticket(quantity=10)], start=OPEN + SECOND)

    assert [fill.at for fill in fills_of(reports)] == [OPEN + 2 * MINUTE]


def test_an_order_sent_before_the_open_waits_for_it() -> None:
    reports = worked([ticket(quantity=10)], start=OPEN - timedelta(hours=2))

    assert [fill.at for fill in fills_of(reports)] == [OPEN + MINUTE]


def test_latency_lets_an_order_miss_the_bar_it_was_sent_for() -> None:
    reports = worked([ticket(quantity=10)], config=PaperConfig(least_latency=SECOND, most_latency=2 * SECOND))

    assert [fill.at for fill in fills_of(reports)] == [OPEN + 2 * MINUTE]


def test_permanent_impact_moves_all_later_prices() -> None:
    """gamma 1e-4: each 100 shares bought move the price by 0.01, from the next bar on; eta is negligible."""
    reports = worked([ticket(quantity=300)], params=AlmgrenChrissParams(1e-12, 1e-4, 0.0))

    assert [str(fill.price) for fill in fills_of(reports)] == ["100.0101", "100.0201", "100.0301"]


def test_the_quotes_of_the_accounts_market_carry_its_permanent_impact() -> None:
    clock = VirtualClock(OPEN)
    broker = PaperBroker(market(flat()), clock, params={SYMBOL: AlmgrenChrissParams(1e-12, 1e-4, 0.0)})

    async def story() -> Decimal:
        await broker.submit(ticket(quantity=300, side=Side.SELL))
        await until_quiet(broker, clock)
        quote = await broker.market.quote(SYMBOL, clock.now())
        assert quote is not None
        return quote.mid

    assert asyncio.run(story()) == Decimal("99.97")


def test_what_is_not_filled_expires_at_the_close() -> None:
    reports = worked([ticket(quantity=250)], start=CLOSE - 2 * MINUTE)

    ended = end_of(reports)

    assert (ended.state, ended.filled, ended.at) == (BrokerOrderState.EXPIRED, 200, CLOSE)
    assert ended.reason


def test_a_missing_minute_gives_nothing_and_keeps_nobody_waiting() -> None:
    bars = [bar(0), bar(5), bar(6)]

    reports = worked([ticket(quantity=150)], bars)

    assert [fill.at for fill in fills_of(reports)] == [OPEN + MINUTE, OPEN + 6 * MINUTE]


def test_no_order_is_taken_after_the_last_known_close() -> None:
    with pytest.raises(OrderRejected, match="closed"):
        worked([ticket()], start=CLOSE)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            Ticket(client_order_id="x", symbol="MSFT", side=Side.BUY, quantity=1, kind=OrderKind.MARKET),
            "not traded",
        ),
        (ticket(quantity=0), "quantity is 0"),
        (ticket(quantity=10**10), "at most"),
        (ticket(limit="0"), "limit_price is 0"),
        (
            Ticket(client_order_id="x", symbol=SYMBOL, side=Side.BUY, quantity=1, kind=OrderKind.LIMIT),
            "limit_price is None",
        ),
    ],
)
def test_what_no_broker_would_take_is_refused_with_the_reason(bad: Ticket, words: str) -> None:
    with pytest.raises(OrderRejected, match=words):
        worked([bad])


def test_a_cancel_ends_what_the_bar_in_progress_would_have_filled() -> None:
    clock = VirtualClock(OPEN)
    broker = PaperBroker(market(flat()), clock)

    async def story() -> BrokerOrder | None:
        await broker.submit(ticket(quantity=250))
        clock.advance(MINUTE * 1.5)
        await broker.cancel("t-1")
        clock.advance(MINUTE)
        return await broker.find("t-1")

    found = asyncio.run(story())

    assert found is not None
    assert (found.state, found.filled) == (BrokerOrderState.CANCELLED, 100)
    assert found.at == OPEN + MINUTE * 1.5


def test_the_minimum_fee_is_asked_once_and_shares_beyond_it_cost() -> None:
    """0.005 $ a share, at least 1 $: 100 and 200 shares cost 1 $, 250 cost 1.25 $."""
    config = PaperConfig(fee_per_share=Decimal("0.005"), minimum_fee=Decimal(1))

    reports = worked([ticket(quantity=250)], config=config)

    assert [fill.fee for fill in fills_of(reports)] == [1, 0, Decimal("0.25")]


def test_cash_and_positions_follow_the_fills() -> None:
    """Begins with 10,000 $ and 5 short; buys 10 at 100.01, pays 2 $: 8,997.90 $ and 5 long."""
    config = PaperConfig(
        minimum_fee=Decimal(2), opening_cash=Decimal(10_000), opening_positions={SYMBOL: -5, "MSFT": 7}
    )
    clock = VirtualClock(OPEN)
    broker = PaperBroker(market(flat()), clock, config=config)

    async def story() -> tuple[Decimal, dict[str, int]]:
        await broker.submit(ticket(quantity=10))
        await until_quiet(broker, clock)
        return await broker.cash(), dict(await broker.positions())

    assert asyncio.run(story()) == (Decimal("8997.90"), {SYMBOL: 5, "MSFT": 7})


def test_a_simulated_rejection_leaves_no_order() -> None:
    broker = PaperBroker(market(flat()), VirtualClock(OPEN), config=PaperConfig(reject_rate=1))

    async def story() -> BrokerOrder | None:
        with pytest.raises(OrderRejected):
            await broker.submit(ticket())
        return await broker.find("t-1")

    assert asyncio.run(story()) is None


def test_a_late_rejection_comes_as_a_report() -> None:
    reports = worked([ticket()], config=PaperConfig(late_reject_rate=1))

    assert fills_of(reports) == []
    assert (end_of(reports).state, end_of(reports).filled) == (BrokerOrderState.REJECTED, 0)


def test_an_order_whose_answer_was_lost_is_found_when_it_has_arrived() -> None:
    clock = VirtualClock(OPEN)
    config = PaperConfig(unclear_arrived_rate=1, least_latency=SECOND, most_latency=SECOND)
    broker = PaperBroker(market(flat()), clock, config=config)

    async def story() -> tuple[BrokerOrder | None, BrokerOrder | None]:
        with pytest.raises(SubmitUnclear):
            await broker.submit(ticket())
        at_once = await broker.find("t-1")
        clock.advance(SECOND)
        return at_once, await broker.find("t-1")

    at_once, later = asyncio.run(story())

    assert at_once is None
    assert later is not None
    assert later.state is BrokerOrderState.OPEN


def test_an_order_that_was_lost_on_the_way_is_never_found() -> None:
    clock = VirtualClock(OPEN)
    broker = PaperBroker(market(flat()), clock, config=PaperConfig(unclear_lost_rate=1))

    async def story() -> BrokerOrder | None:
        with pytest.raises(SubmitUnclear):
            await broker.submit(ticket())
        clock.advance(timedelta(hours=8))
        return await broker.find("t-1")

    assert asyncio.run(story()) is None


def test_every_report_can_come_twice() -> None:
    reports = worked([ticket(quantity=250)], config=PaperConfig(duplicate_rate=1))

    assert len(reports) == 2 * len(set(reports)) == 10


def test_reports_can_overtake_each_other() -> None:
    """With delays of up to four minutes some of 20 fills, a minute apart, change places."""
    config = PaperConfig(reorder_rate=0.5, reorder_delay=4 * MINUTE)

    fills = fills_of(worked([ticket(quantity=2000)], config=config))

    instants = [fill.at for fill in fills]
    assert len(fills) == 20
    assert instants != sorted(instants)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_share_of_bar", 0.0),
        ("max_share_of_bar", 1.5),
        ("reject_rate", -0.1),
        ("duplicate_rate", float("nan")),
        ("fee_per_share", Decimal(-1)),
        ("minimum_fee", 1.0),
        ("opening_cash", Decimal("NaN")),
        ("least_latency", SECOND),
        ("reorder_delay", -SECOND),
    ],
)
def test_an_impossible_setting_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        PaperConfig(**{field: value})  # type: ignore[arg-type]  # the bad value


def test_one_order_is_executed_without_a_loop() -> None:
    executor = PaperExecutor(market(flat()), skip_delays=True, start=OPEN)

    result = executor.execute_order(SYMBOL, "buy", 250)

    assert (result.state, result.filled) == (BrokerOrderState.FILLED, 250)
    assert result.average_price == Decimal("100.01")
    assert executor.clock.now() == OPEN + 3 * MINUTE


def test_one_order_is_executed_within_a_running_loop() -> None:
    executor = PaperExecutor(market(flat()), skip_delays=True, start=OPEN)

    async def story() -> int:
        return executor.execute_order(SYMBOL, "sell", 150).filled

    assert asyncio.run(story()) == 150


def test_orders_follow_each_other_with_ids_of_their_own() -> None:
    executor = PaperExecutor(
        market(flat()), skip_delays=True, start=OPEN, config=PaperConfig(unclear_lost_rate=1)
    )

    first, second = (executor.execute_order(SYMBOL, "buy", 10) for _ in range(2))

    assert first.client_order_id != second.client_order_id
    assert first.state is second.state is BrokerOrderState.REJECTED


def test_a_limit_order_that_is_never_reached_ends_at_the_close_with_nothing() -> None:
    executor = PaperExecutor(market(flat()), skip_delays=True, start=OPEN)

    result = asyncio.run(
        executor.place_order_async(SYMBOL, Side.BUY, 10, kind="limit", limit_price=Decimal(99))
    )

    assert (result.state, result.filled, result.average_price) == (BrokerOrderState.EXPIRED, 0, None)
    assert executor.clock.now() == CLOSE


def test_an_order_whose_answer_was_lost_is_looked_up_and_followed() -> None:
    config = PaperConfig(unclear_arrived_rate=1, most_latency=5 * SECOND, fee_per_share=Decimal("0.01"))
    executor = PaperExecutor(market(flat()), skip_delays=True, start=OPEN, config=config)

    result = executor.execute_order(SYMBOL, "buy", 100)

    assert (result.state, result.filled, result.fees) == (BrokerOrderState.FILLED, 100, Decimal(1))


def test_skipping_delays_needs_a_start() -> None:
    with pytest.raises(ValueError, match="start is None"):
        PaperExecutor(market(flat()), skip_delays=True)
