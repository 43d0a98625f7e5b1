"""The dictionary of strategies: what is in it can be made, and what is not is refused with a suggestion."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from typing import Any

import pytest

from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
from trading.backtest.strategies.registry import STRATEGIES, Between, OneOf, SearchSpace, made


def ends(search: SearchSpace) -> list[dict[str, Any]]:
    """Return every combination of the extremes."""
    sides = [
        (each.low, each.high) if isinstance(each, Between) else (each.choices[0], each.choices[-1])
        for each in search.values()
    ]
    return [dict(zip(search, values, strict=True)) for values in product(*sides)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_made_by_its_name_with_its_defaults(name: str) -> None:
    strategy = made(name)

    assert strategy.name == name
    assert type(strategy) is STRATEGIES[name].strategy
    assert strategy.parameters == STRATEGIES[name].parameters()


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_corner_of_a_search_space_can_be_made(name: str) -> None:
    for parameters in ends(STRATEGIES[name].search):
        strategy = made(name, **parameters)

        assert {key: getattr(strategy.parameters, key) for key in parameters} == parameters


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_default_lies_in_its_search_space(name: str) -> None:
    for key, space in STRATEGIES[name].search.items():
        default = getattr(STRATEGIES[name].parameters(), key)
        if isinstance(space, OneOf):
            assert default in space.choices, key
        else:
            assert space.low <= default <= space.high, key
            assert isinstance(default, int) == space.is_whole, key


def test_parameters_and_an_id_are_given_by_name() -> None:
    strategy = made("moving_average", strategy_id="slow_one", fast=10, symbols=["IBM"])

    assert isinstance(strategy, MovingAverageCross)
    assert strategy.name == "slow_one"
    assert strategy.parameters == MovingAverageParameters(fast=10, symbols=("IBM",))


def test_an_unknown_strategy_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"strategy is 'bolinger': .*\. Did you mean 'bollinger'\?"):
        made("bolinger")


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ValueError, match=r"parameter of rsi is 'baars': expected one of .*Did you mean 'bars'"
    ):
        made("rsi", baars=3)


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match=r"strategy is 'xyzzy': expected one of [a-z_, ]*$"):
        made("xyzzy")


@pytest.mark.parametrize(
    ("low", "high", "step", "log"),
    [(2, 1, None, False), (0.0, 1.0, None, True), (1, 9, 0, False), (1, 9, 2, True)],
)
def test_bounds_that_leave_nothing_to_search_are_refused(
    low: float, high: float, step: float | None, log: bool
) -> None:
    with pytest.raises(ValueError, match="expected a number above"):
        Between(low, high, step, log)


@pytest.mark.parametrize("name", STRATEGIES)
def test_parameters_are_frozen_and_all_have_a_default(name: str) -> None:
    kind = STRATEGIES[name].parameters

    assert kind.__dataclass_params__.frozen
    assert kind() == kind(**{each.name: getattr(kind(), each.name) for each in fields(kind)})
