"""Candidates of known worth through the whole validation: noise is rejected, an edge that is there is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backtest.judged_subjects import STUDIED, Guess, bars_of, noise, subject_from, trending
from trading.backtest.history import PriceHistory
from trading.research.validation import battery
from trading.research.validation.judging import judged
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.of_the_returns import deflated_sharpe
from trading.research.validation.outcome import TestOutcome
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

QUICK = Thresholds(resamples=300, runs=400, splits=8)
PLENTY = MemoryBudget(1500, lambda: 100.0)
NONE_LEFT = MemoryBudget(1500, lambda: 9999.0)


@pytest.fixture(scope="module")
def edge() -> Subject:
    """The best of ten on a trend that is there."""
    return subject_from(trending(4))


def verdict_on(
    subject: Subject,
    path: Path,
    *,
    budget: MemoryBudget = PLENTY,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    return judged(subject, QUICK, budget, path / "progress.json", stopped)


def found(subject: Subject, path: Path) -> tuple[str, list[str]]:
    document = verdict_on(subject, path)
    assert document is not None
    return document["verdict"], [reason.split(":")[0].split(" ")[0] for reason in document["reasons"]]


def like(subject: Subject, **changes: object) -> Subject:
    """The same one, but for that."""
    other = copy(subject)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


@pytest.mark.slow
def test_most_edges_are_validated_and_no_noise_is(tmp_path: Path) -> None:
    """Ten of twelve is what is to be expected (docs/validation.md)."""
    edges = [found(subject_from(trending(seed)), tmp_path / f"edge{seed}")[0] for seed in range(12)]
    rules = [found(subject_from(noise(seed)), tmp_path / f"noise{seed}")[0] for seed in range(50, 62)]

    assert edges.count("validated") >= 9
    assert rules.count("rejected") == 12


def test_an_edge_that_is_there_is_validated_with_a_promise(edge: Subject, tmp_path: Path) -> None:
    document = verdict_on(edge, tmp_path)

    assert document is not None
    assert (document["verdict"], document["reasons"]) == ("validated", [])
    assert set(document["promise"]) == {
        "sharpe",
        "sharpe_error",
        "periods",
        "drawdown",
        "trades",
        "cost_bps",
    }


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 9))])
def test_the_best_of_twenty_that_signal_at_random_is_rejected(seed: int, tmp_path: Path) -> None:
    subject = subject_from(noise(seed), Guess, range(20))

    verdict, reasons = found(subject, tmp_path)

    assert verdict == "rejected"
    assert "deflated_sharpe" in reasons


def test_a_rule_that_follows_noise_is_rejected(tmp_path: Path) -> None:
    verdict, reasons = found(subject_from(noise(51)), tmp_path)

    assert verdict == "rejected"
    assert {"deflated_sharpe", "bootstrap"} <= set(reasons)


def test_the_document_names_every_test_with_number_threshold_and_answer(
    edge: Subject, tmp_path: Path
) -> None:
    document = verdict_on(edge, tmp_path)

    assert document is not None
    assert [test["name"] for test in document["tests"]] == list(battery.TESTS)
    for test in document["tests"]:
        assert isinstance(test["value"], float)
        assert isinstance(test["threshold"], float)
        assert test["status"] == "passed"
        assert test["text"]
    assert document["seed"] == edge.candidate.seed
    assert document["thresholds"] == QUICK.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_same_result_of_more_trials_is_worth_less(edge: Subject) -> None:
    worth = [
        deflated_sharpe(like(edge, candidate=replace(edge.candidate, trials=trials)), QUICK, PLENTY).value
        or 0.0
        for trials in (1, 10, 100, 10_000)
    ]

    assert worth == sorted(worth, reverse=True)
    assert len(set(worth)) == 4


def test_the_verdict_is_the_same_whatever_the_pieces(edge: Subject, tmp_path: Path) -> None:
    # Three trials at once and two resamples, or everything.
    assert NONE_LEFT.piece_mb() == 1.0
    assert PLENTY.piece_mb() == 256.0

    assert verdict_on(edge, tmp_path / "a") == verdict_on(edge, tmp_path / "b", budget=NONE_LEFT)


def test_one_that_was_stopped_goes_on_where_it_was(
    edge: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = verdict_on(edge, tmp_path / "unbroken")
    made: list[str] = []

    def noted(name: str, test: battery.Test) -> battery.Test:
        def making(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
            made.append(name)
            return test(subject, thresholds, budget)

        return making

    for name, test in list(battery.TESTS.items()):
        monkeypatch.setitem(battery.TESTS, name, noted(name, test))

    assert verdict_on(edge, tmp_path, stopped=lambda: len(made) == 5) is None
    assert made == list(battery.TESTS)[:5]
    again = subject_from(trending(4))
    assert verdict_on(again, tmp_path) == unbroken
    assert made == list(battery.TESTS)


def test_what_was_found_on_other_bars_is_not_used(edge: Subject, tmp_path: Path) -> None:
    asked = iter([False] * 3 + [True])
    verdict_on(edge, tmp_path, stopped=lambda: next(asked))
    whole = trending(4)
    shown = PriceHistory([bars_of(whole[: STUDIED + 200])])
    fewer = subject_from(whole, later=shown)

    document = verdict_on(fewer, tmp_path)

    assert document == verdict_on(fewer, tmp_path / "alone")


def test_without_new_days_nothing_is_decided(tmp_path: Path) -> None:
    assert found(subject_from(trending(4), later=None), tmp_path) == ("inconclusive", ["out_of_sample"])


def test_without_the_study_s_returns_nothing_is_decided(edge: Subject, tmp_path: Path) -> None:
    verdict, reasons = found(like(edge, study=None), tmp_path)

    assert (verdict, reasons) == ("inconclusive", ["walk_forward", "overfitting"])


def test_too_few_trades_tell_nothing_though_tests_fail(tmp_path: Path) -> None:
    # A price that never falls is bought once and never sold: no trade is ever closed.
    rising = abs(noise(1)) + 1e-4

    document = verdict_on(subject_from(rising), tmp_path)

    assert document is not None
    assert document["verdict"] == "inconclusive"
    assert document["reasons"] == ["enough_trades is 0, not at least 30: 0 closed trades"]


def test_a_result_that_cannot_be_made_again_is_rejected(edge: Subject, tmp_path: Path) -> None:
    claimed = replace(edge.candidate, objective=edge.candidate.objective + 0.01)

    assert found(like(edge, candidate=claimed), tmp_path) == ("rejected", ["found_again"])
