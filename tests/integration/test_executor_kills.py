"""A process that is killed at any step, and the next one, which continues at the same instant: the same fills
as if nothing had been, and no order sent twice.

What is the same: time, quantity and price of every fill, unless the kill left an intent that never reached
the broker. That one is looked for during `settle` (10 s) before its shares are sent again, so they may meet
other bars; then only the totals are the same, where the market has room for them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading_floor import (
    PRICE,
    SECOND,
    Floor,
    Killed,
    Steps,
    bars_of,
    hours_of,
    in_memory,
    market_of,
    order_of,
)
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.orders import ChildState, ParentOrder, Side, Urgency
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.rules import Ended

MINUTES = 15
Fills = list[tuple[object, ...]]
FAULTY = PaperConfig(
    seed=5,
    most_latency=4 * SECOND,
    reject_rate=0.1,
    late_reject_rate=0.1,
    unclear_arrived_rate=0.2,
    unclear_lost_rate=0.2,
    duplicate_rate=0.5,
    reorder_rate=0.5,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as place:
        yield place


def floor_of(
    folder: Path, orders: Sequence[ParentOrder], volumes: Sequence[int], config: PaperConfig | None = None
) -> Floor:
    """A quarter of an hour, three slices, prices that go up and down by cents."""
    folder.mkdir(exist_ok=True)
    hours, rng = hours_of(MINUTES), random.Random(11)
    prices = [PRICE + Decimal(rng.choice((-3, -1, 0, 1, 3))) / 100 for _ in range(MINUTES)]
    bars = bars_of(prices, [volumes[minute % len(volumes)] for minute in range(MINUTES)])
    floor = Floor(folder, market_of(bars, hours), hours, config=config or PaperConfig())
    floor.enter(*orders)
    return floor


def plentiful(folder: Path, config: PaperConfig | None = None) -> Floor:
    """One order that gets all its shares, by children that are filled, cancelled and sent anew."""
    return floor_of(folder, [order_of(150)], [1_000], config)


def scarce(folder: Path, algorithm: str, config: PaperConfig | None = None) -> Floor:
    """A purchase and a sale, where some minutes have no volume and not all of it gets done."""
    buy = order_of(450, algorithm, display_size=60, max_participation=0.2)
    sell = order_of(200, algorithm, Side.SELL, reference="r2", urgency=Urgency.HIGH, lot_size=10)
    return floor_of(folder, [buy, sell], [0, 400, 1_500, 1_000], config)


def filled(floor: Floor) -> Fills:
    """The fills, without the names of the children: a lost intent takes a number with it."""
    return [(fill.at, fill.side, fill.quantity, fill.price) for fill in floor.fills()]


def totals(floor: Floor) -> Counter[Side]:
    total: Counter[Side] = Counter()
    for fill in floor.fills():
        total[fill.side] += fill.quantity
    return total


def check_sent_once(floor: Floor) -> None:
    """No id came twice to the broker's door, never more was out than wanted, and both books agree."""
    check_door(floor, [sent.ticket.client_order_id for sent in floor.sent])
    assert all(sent.parent and sent.exposed <= sent.parent.quantity for sent in floor.sent)


def check_door(floor: Floor, ids: Sequence[str]) -> None:
    assert floor.wrongs() == []
    assert len(ids) == len(set(ids))
    assert all(parent.state.is_final for parent in floor.parents())


def kill(floor: Floor, number: int) -> bool:
    """Run up to step `number`; return whether that left an intent which the broker does not have."""
    with pytest.raises(Killed):
        floor.run(Steps(number))
    with closing(PaperStore(floor.folder / "paper.db")) as store:
        intents = [child for child in floor.children() if child.state is ChildState.INTENT]
        return any(store.order(child.client_order_id) is None for child in intents)


def steps_of(floor: Floor) -> list[str]:
    """Run to the end unharmed; return the names of the steps."""
    steps = Steps()
    assert floor.run(steps) is Ended.DONE
    return steps.names


def sample(count: int, most: int) -> list[int]:
    """At most `most` of the numbers from 1 to `count`, evenly."""
    return sorted({1 + round(k * (count - 1) / (most - 1)) for k in range(most)})


def test_a_kill_at_any_step_changes_no_fill(folder: Path) -> None:
    """Every step there is: around each commit, submit and cancel, each look-up and each batch of reports."""
    whole = plentiful(folder / "whole")
    names = steps_of(whole)
    assert {"before_commit", "after_commit", "before_submit", "submit_arrived", "cancel_leaves"} <= {*names}
    lost = 0
    for number in range(1, len(names) + 1):
        floor = plentiful(folder / str(number))
        is_lost = kill(floor, number)
        floor.run()
        check_sent_once(floor)
        assert totals(floor) == {Side.BUY: 150}
        assert is_lost or filled(floor) == filled(whole), f"killed at {number} ({names[number - 1]})"
        lost += is_lost
    # Four steps lie between the commit of an intent and the broker's door.
    assert lost == 4 * len(whole.sent)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_kills_change_no_fill_of_any_algorithm(folder: Path, algorithm: str) -> None:
    whole = scarce(folder / "whole", algorithm)
    count = len(steps_of(whole))
    for number in sample(count, 16):
        floor = scarce(folder / str(number), algorithm)
        is_lost = kill(floor, number)
        floor.run()
        check_sent_once(floor)
        assert is_lost or filled(floor) == filled(whole), f"killed at {number}"


@pytest.mark.slow
def test_a_second_kill_during_recovery_changes_no_fill(folder: Path) -> None:
    whole = plentiful(folder / "whole")
    count = len(steps_of(whole))
    for first in sample(count - 8, 12):  # so that eight steps are left for the second one
        for second in range(1, 7):
            floor = plentiful(folder / f"{first}-{second}")
            lost = [kill(floor, first), kill(floor, second)]
            floor.run()
            check_sent_once(floor)
            assert totals(floor) == {Side.BUY: 150}
            assert any(lost) or filled(floor) == filled(whole), f"killed at {first} and {second}"


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["twap", "pov", "iceberg"])
def test_kills_among_faults_lose_and_double_nothing(folder: Path, algorithm: str) -> None:
    count = len(steps_of(scarce(folder / "whole", algorithm, FAULTY)))
    for number in sample(count, 12):
        floor = scarce(folder / str(number), algorithm, FAULTY)
        floor.run_killed(number, 7, 13)
        check_sent_once(floor)
