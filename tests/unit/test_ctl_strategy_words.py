"""Strategies as they are written on the command line."""

from __future__ import annotations

import re

import pytest

from orchestration.ctl.strategy_words import strategies, wishes


def test_parameters_stand_between_colons_and_the_weight_at_the_end() -> None:
    first, second = wishes("moving_average:fast=20:slow=50=0.4, rsi=0.3")

    assert (first.name, first.weight) == ("moving_average", 0.4)
    assert first.parameters == {"fast": "20", "slow": "50"}
    assert (second.name, second.parameters, second.weight) == ("rsi", {}, 0.3)


def test_without_weights_each_gets_the_same() -> None:
    weighted = strategies("rsi,bollinger,buy_and_hold:symbols=AAPL+MSFT,moving_average")

    assert [weight for _, weight in weighted] == [0.25] * 4


def test_values_become_what_their_parameters_are() -> None:
    ((moving, _), (rsi, _)) = strategies("moving_average:fast=3:shorting=True:symbols=A+B,rsi:low=20")

    assert moving.parameters.fast == 3
    assert moving.parameters.shorting is True
    assert moving.parameters.symbols == ("A", "B")
    assert rsi.parameters.low == 20.0


def test_a_strategy_alone_of_its_kind_keeps_its_name() -> None:
    ((strategy, weight),) = strategies("rsi:bars=7")

    assert (strategy.name, weight) == ("rsi", 1.0)


def test_two_of_a_kind_are_told_apart_by_their_parameters() -> None:
    weighted = strategies("rsi:bars=7=0.4,rsi:bars=14=0.6")

    assert [strategy.name for strategy, _ in weighted] == ["rsi:bars=7", "rsi:bars=14"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "strategies is '': expected NAME"),
        ("moving_averge", "Did you mean 'moving_average'?"),
        ("moving_average:fats=3", "Did you mean 'fast'?"),
        ("moving_average:fast=x", "parameter fast of moving_average is 'x': expected a whole number"),
        ("rsi:low=deep", "parameter low of rsi is 'deep': expected a number"),
        ("rsi:shorting=1", "parameter shorting of rsi is '1': expected true or false"),
        ("moving_average:fast=60", "fast is 60: expected fewer bars than slow = 50"),
        ("rsi=0.5,bollinger", "bollinger has no weight"),
        ("rsi=x", "weight of 'rsi=x' is 'x': expected a number above 0, at most 1"),
        ("rsi=0", "expected a number above 0, at most 1"),
        ("rsi=nan", "expected a number above 0, at most 1"),
        ("rsi=1.5", "expected a number above 0, at most 1"),
        ("rsi:low", "has the part 'low': expected NAME"),
        ("rsi:low=20=0.5:bars=7", "has the part 'low=20=0.5': expected NAME"),
        ("rsi:low=20:low=30", "has 'low' twice"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        strategies(text)
