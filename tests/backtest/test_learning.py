"""Learning directions: features and outcomes by hand, the model's optimum, what is found on unseen bars."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.strategy_contract import DAY, StrategyContract, of_closes
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.learning.errors import LearningError, NotInstalledError
from trading.backtest.learning.features import FEATURES, LOOKBACK, features, outcomes
from trading.backtest.learning.model import LearnedModel, Samples, fit, fit_direction
from trading.backtest.learning.model_store import ModelStore
from trading.backtest.learning.training import Score, TrainedModel, score_of, train
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.learned import Learned, LearnedParameters, WalkForwardProbability
from trading.backtest.strategy import IStrategy

pytest.importorskip("sklearn", reason="scikit-learn is not installed: `make setup-learn`")


def returning(bars: int = 700, seed: int = 1, memory: float = -0.5, symbol: str = "X") -> SymbolBars:
    """Bars that take back half of each move on the next day (memory 0: a random walk)."""
    random = np.random.default_rng(seed)
    moves = random.normal(0.0, 0.01, bars)
    for at in range(1, bars):
        moves[at] += memory * moves[at - 1]
    made = of_closes(symbol, 100.0 * np.exp(np.cumsum(moves)))
    return replace(made, volume=random.uniform(1e5, 1e6, bars))


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    history = PriceHistory([returning(500, seed, symbol=name) for seed, name in enumerate(("A", "B"))])
    found = train(history, horizon=1, penalty=10.0)
    assert found is not None
    return found


# Features and outcomes


def test_features_of_a_steady_rise_are_those_of_a_hand_calculation() -> None:
    """Each return is r, so k of them over r sqrt(k) make sqrt(k), cut at 5 for 63. Both volatilities are r.
    All moves are rises. The last five volumes are twice the others: 2 over (58 + 10) / 63. Bars close at
    their highs."""
    bars = of_closes("X", [100.0 * 1.01**at for at in range(130)])
    bars = replace(bars, volume=np.where(np.arange(130) < 125, 1000.0, 2000.0))

    told = dict(zip(FEATURES, features(bars)[-1], strict=True))

    assert told == pytest.approx(
        {
            "return_1": 1.0,
            "return_5": math.sqrt(5),
            "return_21": math.sqrt(21),
            "return_63": 5.0,
            "volatility_ratio": 0.0,
            "rsi": 1.0,
            "volume_ratio": math.log(2 * 63 / 68),
            "place_in_range": 1.0,
        },
        abs=1e-9,
    )


def test_ups_and_downs_of_one_size_leave_the_strength_index_in_the_middle() -> None:
    bars = of_closes("X", [100.0, 101.0] * 70)

    assert features(bars)[-1, FEATURES.index("rsi")] == pytest.approx(0.0, abs=1e-9)


def test_a_price_that_never_moves_has_features_of_nothing() -> None:
    assert features(of_closes("X", [10.0] * 130))[LOOKBACK:].tolist() == [[0.0] * 8] * 4


def test_too_few_bars_have_no_features() -> None:
    assert np.isnan(features(of_closes("X", [10.0] * LOOKBACK))).all()


def test_a_split_and_a_dividend_leave_features_and_outcomes_as_they_are() -> None:
    """Two for one at bar 150, and 1 % of the price paid at bar 160: once as traded, once adjusted."""
    adjusted = returning(200)
    later = np.where(np.arange(200) >= 150, 2.0, 1.0)
    paid = np.where(np.arange(200) >= 160, 1.01, 1.0)
    traded = {name: getattr(adjusted, name) / later / paid for name in ("open", "high", "low", "close")}
    splits, dividends = np.ones(200), np.zeros(200)
    splits[150], dividends[160] = 2.0, 0.01 * traded["close"][160]
    as_traded = replace(
        adjusted, **traded, volume=adjusted.volume * later, splits=splits, dividends=dividends
    )

    assert features(as_traded) == pytest.approx(features(adjusted), rel=1e-9, abs=1e-9, nan_ok=True)
    # The dividend of bar 160 is not earned by who buys at its open.
    kept = np.arange(200) != 159
    assert outcomes(as_traded, 3)[kept] == pytest.approx(outcomes(adjusted, 3)[kept], abs=1e-12, nan_ok=True)


def test_an_outcome_is_from_the_next_open_to_the_close_of_the_horizon() -> None:
    bars = replace(
        of_closes("X", [10.0, 11.0, 12.0, 13.0]),
        open=np.array([9.0, 10.5, 11.5, 12.5]),
    )

    assert outcomes(bars, 1) == pytest.approx(
        [math.log(11 / 10.5), math.log(12 / 11.5), math.log(13 / 12.5), math.nan], nan_ok=True
    )
    assert outcomes(bars, 3) == pytest.approx([math.log(13 / 10.5), *[math.nan] * 3], nan_ok=True)
    assert np.isnan(outcomes(bars, 4)).all()


@given(seed=st.integers(0, 999), kept=st.integers(LOOKBACK + 1, 179))
def test_features_know_nothing_of_bars_to_come(seed: int, kept: int) -> None:
    bars = returning(180, seed)

    assert np.array_equal(features(bars.part(0, kept)), features(bars)[:kept], equal_nan=True)


# The model


def test_the_fit_is_where_the_penalised_log_loss_is_flat() -> None:
    """Its derivatives: sum of (p - rise) z + penalty * coefficient; for the intercept, sum of (p - rise)."""
    random = np.random.default_rng(3)
    rows = random.normal(2.0, 3.0, (200, 8))
    rises = (rows[:, 0] + random.normal(0.0, 3.0, 200) > 2.0).astype(float)

    found = fit_direction(rows, rises, penalty=7.0)

    assert found is not None
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    wrong = found.probabilities(rows) - rises
    assert standard.T @ wrong + 7.0 * np.array(found.coefficients) == pytest.approx(np.zeros(8), abs=0.02)
    assert wrong.sum() == pytest.approx(0.0, abs=0.02)
    assert found.coefficients[0] == max(found.coefficients) > 0.5


@pytest.mark.parametrize(("count", "rise"), [(200, 1.0), (200, 0.0), (99, None)])
def test_one_kind_of_outcome_or_too_few_teach_nothing(count: int, rise: float | None) -> None:
    rises = np.resize([0.0, 1.0] if rise is None else [rise], count)

    assert fit_direction(np.zeros((count, 8)), rises, 1.0) is None


def test_without_the_package_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)

    with pytest.raises(NotInstalledError, match=r"scikit-learn, which is not installed .*`make setup-learn`"):
        BacktestEngine().run(Learned(LearnedParameters(window=100)), PriceHistory([returning(300)]), 1e5)


def test_a_model_says_what_it_was_made_from() -> None:
    history = PriceHistory([returning(300, symbol="A"), returning(250, symbol="B")])

    model = fit(history, horizon=5, penalty=10.0)

    assert model.symbols == ("A", "B")
    assert (model.first, model.last) == ("1970-01-01", "1970-10-27")
    assert model.fingerprint == history.fingerprint
    # 126 bars before each sample, 5 after it.
    assert model.samples == 300 - 131 + 250 - 131


def test_a_history_that_is_too_short_is_refused_with_its_count() -> None:
    with pytest.raises(LearningError, match="there are 29 samples in the bars of X: expected 100 or more"):
        fit(PriceHistory([returning(160)]), horizon=5, penalty=10.0)


def test_a_model_is_used_without_scikit_learn(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    bars = returning(200, seed=5)
    model = LearnedModel.from_dict(json.loads(json.dumps(trained.model.to_dict())))

    chance = model.probability(bars)

    standard = (features(bars)[-1] - model.direction.means) / np.array(model.direction.scales)
    score = model.direction.intercept + float(standard @ model.direction.coefficients)
    assert chance == pytest.approx(1 / (1 + math.exp(-score)), rel=1e-12)
    assert model == trained.model


def test_a_model_of_other_features_is_refused(trained: TrainedModel) -> None:
    saved = trained.model.to_dict() | {"features": ["moon"]}

    with pytest.raises(
        LearningError, match=r"made for the features moon; these are return_1.*train it again"
    ):
        LearnedModel.from_dict(saved)


# What it is worth


def test_figures_of_probabilities_by_hand() -> None:
    """Two symbols on day 1 (0.8 for a rise that came, 0.4 for one that did not), one on day 2 (0.5, came),
    against 0.5 each time. Gains log(0.8 / 0.5), log(0.6 / 0.5), 0: by day 0.3261630, 0."""
    samples = Samples(
        rows=np.zeros((3, 8)),
        rises=np.array([1.0, 0.0, 1.0]),
        decided=np.array([1, 1, 2]) * DAY,
        known=np.array([2, 2, 3]) * DAY,
    )

    found = score_of(samples, np.array([0.8, 0.4, 0.5]), np.full(3, 0.5))

    by_day = [(math.log(1.6) + math.log(1.2)) / 2, 0.0]
    assert found.gain == pytest.approx(sum(by_day) / 2)
    # Of two numbers d apart: standard deviation d / sqrt(2), error of the mean d / 2.
    assert found.error == pytest.approx(by_day[0] / 2)
    assert found.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 3)
    assert found.base_log_loss == pytest.approx(math.log(2))
    assert (found.samples, found.rises, found.accuracy) == pytest.approx((3, 2 / 3, 2 / 3))


@pytest.mark.parametrize(
    ("gain", "error", "better"), [(0.2, 0.1, True), (0.1, 0.2, False), (0.0, 0.0, False)]
)
def test_better_than_chance_is_by_a_standard_error(gain: float, error: float, better: bool) -> None:
    score = Score(samples=9, rises=0.5, accuracy=0.5, log_loss=0.6, base_log_loss=0.7, gain=gain, error=error)

    assert score.is_better_than_chance is better


def test_what_can_be_learned_is_found_on_bars_that_were_not_seen(trained: TrainedModel) -> None:
    assert trained.out_of_sample.is_better_than_chance
    assert trained.out_of_sample.accuracy > 0.6
    # The second half of 499 - 126 samples of each symbol.
    assert trained.out_of_sample.samples == 2 * (373 - 373 // 2)


def test_on_a_random_walk_nothing_is_found() -> None:
    history = PriceHistory([returning(500, seed, 0.0, name) for seed, name in enumerate("ABC")])

    found = train(history, horizon=1, penalty=10.0)

    assert found is not None
    assert abs(found.out_of_sample.gain) < 2.5 * found.out_of_sample.error
    assert 0.45 < found.out_of_sample.accuracy < 0.55


def test_a_test_s_models_have_seen_no_outcome_of_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a horizon of 10 bars the last ten decisions before a part are not known yet."""
    seen: list[int] = []

    def noted(rows: Floats, rises: Floats, penalty: float) -> object:
        seen.append(len(rises))
        return fit_direction(rows, rises, penalty)

    monkeypatch.setattr("trading.backtest.learning.training.fit_direction", noted)

    train(PriceHistory([returning(526)]), horizon=10, penalty=10.0)

    # 526 - 126 - 10 = 390 samples: parts begin at 195, 234, 273, 312 and 351.
    assert seen == [start - 10 for start in (195, 234, 273, 312, 351)]


def test_a_training_that_is_asked_to_stop_comes_to_nothing() -> None:
    answers = iter([False, False, True])

    assert train(PriceHistory([returning(500)]), horizon=1, penalty=10.0, stop=lambda: next(answers)) is None


# Where it is kept


def test_a_stored_model_is_read_as_it_was(tmp_path: Path, trained: TrainedModel) -> None:
    store = ModelStore(tmp_path)

    path = store.write(trained)

    assert path == tmp_path / "models" / "direction-1971-05-15.json"
    assert store.read(date(1971, 5, 15)) == trained
    assert store.newest() == trained


def test_the_newest_model_before_a_day_has_seen_no_bar_of_it(tmp_path: Path, trained: TrainedModel) -> None:
    store = ModelStore(tmp_path)
    for day in ("2019-02-08", "2019-02-15"):
        store.write(replace(trained, model=replace(trained.model, last=day)))

    assert [each.isoformat() for each in store.days()] == ["2019-02-08", "2019-02-15"]
    before = store.newest(date(2019, 2, 15))
    assert before is not None
    assert before.model.last == "2019-02-08"
    assert store.newest(date(2019, 2, 8)) is None


def test_a_damaged_model_is_named_with_what_to_do(tmp_path: Path, trained: TrainedModel) -> None:
    store = ModelStore(tmp_path)
    store.write(trained).write_text("{", encoding="utf-8")

    with pytest.raises(
        LearningError, match=r"direction-1971-05-15.json: cannot be read as a model .*remove it"
    ):
        store.newest()


# The strategy


class TestLearned(StrategyContract):
    """On longer histories than the others: it looks back 126 bars and wants 100 outcomes."""

    def make(self) -> IStrategy:
        return Learned(LearnedParameters(horizon=2, window=100, refit=70, entry=0.51, shorting=True))

    def history(self, kind: str) -> PriceHistory:
        return LONG_HISTORIES[kind]

    def real(self, bundled: PriceHistory) -> PriceHistory:
        return bundled.head(500)


LONG_HISTORIES = {
    "one": PriceHistory([returning(330)]),
    "aligned": PriceHistory([returning(330, 2, symbol="A"), returning(330, 3, symbol="B")]),
    "unaligned": PriceHistory(
        [
            returning(330, 4, symbol="WHOLE"),
            replace(returning(300, 5, symbol="LATE"), stamps=np.arange(30, 330) * DAY),
            returning(290, 6, symbol="ENDED"),
        ]
    ),
    "constant": PriceHistory([of_closes("FLAT", [0.1] * 330)]),
}


def test_a_fit_uses_the_last_outcomes_known_by_then_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, seen = returning(260), []

    def noted(rows: Floats, rises: Floats, penalty: float) -> object:
        seen.append((rows, rises))
        return fit_direction(rows, rises, penalty)

    monkeypatch.setattr("trading.backtest.strategies.learned.fit_direction", noted)

    WalkForwardProbability(horizon=5, window=100, refit=20, penalty=10.0)(bars)

    # The first fit is at bar 126 + 99 + 5 = 230: decisions 126 to 225, the last one known at bar 230.
    (rows, rises), (later, _) = seen
    assert np.array_equal(rows, features(bars)[126:226])
    assert np.array_equal(rises, outcomes(bars.part(0, 231), 5)[126:226] > 0)
    assert np.array_equal(later, features(bars)[146:246])


def test_what_returns_is_bought_after_a_fall_and_earns_more_than_holding() -> None:
    history = PriceHistory([returning(700)])
    learned = Learned(LearnedParameters(horizon=1, window=200, shorting=True))

    result = BacktestEngine().run(learned, history, 100_000)

    held = BacktestEngine().run(BuyAndHold(BuyAndHoldParameters()), history, 100_000)
    assert result.metrics.sharpe_ratio > 2 > held.metrics.sharpe_ratio


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"horizon": 0}, "horizon is 0: expected a whole number from 1 up"),
        ({"window": 99}, "window is 99: expected a whole number from 100 up"),
        ({"penalty": 0.0}, "penalty is 0.0: expected a number above 0"),
        ({"entry": 0.5}, "entry is 0.5: expected a probability above 0.5 and below 1"),
        ({"exit": 0.6}, "exit is 0.6: expected a probability above 1 - entry, up to entry = 0.53"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LearnedParameters(**given)  # type: ignore[arg-type]  # parametrized
