"""How good the predicted durations are, against the plain formulas, at equal price. Standard library only.

    python -m benchmarks.bench_estimates [--histories 20] [--seeds report-1 report-2 report-3]

Every rule predicts each run of a history before it is told the run's duration. coverage: the share of runs
that stay within the prediction. price: the time promised and not used, over the time used, per history, then
averaged. "at our price" turns each rule's own dial (the percentage, the number of errors, a factor on the
quantile) until its price equals ours on the same histories. The constants of orchestration/estimates.py were
fitted on the seed "train"; the default seeds were not used for it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, log, sqrt

from orchestration.estimates import after_duration, predict
from orchestration.runs import NO_ESTIMATE
from orchestration.types import TaskSpec

LENGTHS = (6, 12, 30, 120, 250)
HIGH_QUANTILE = 0.9


@dataclass(frozen=True, slots=True)
class History:
    """minutes: durations in order. stated: what a person put into the spec. kind: how it was made."""

    kind: str
    stated: float
    minutes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """coverage: of all runs; price: see the module; ratio: the mean of max(0, predicted / actual - 1)."""

    coverage: float
    price: float
    ratio: float


Parts = list[tuple[float, float]]
"""Per run (base, unit): the prediction is base + dial * unit."""
Maker = Callable[[random.Random, int], list[float]]


def log_normal(sigma: float) -> Maker:
    return lambda rng, n: [exp(rng.gauss(0, sigma)) for _ in range(n)]


def growing(rng: random.Random, n: int) -> list[float]:
    """Data grows (or is pruned) a little with each run."""
    rate = rng.choice((0.003, 0.01, 0.02, -0.01))
    return [exp(rate * i + rng.gauss(0, 0.15)) for i in range(n)]


def shifting(rng: random.Random, n: int) -> list[float]:
    """About every 33 runs something changes the level for good."""
    level, minutes = 0.0, []
    for _ in range(n):
        if rng.random() < 0.03:
            level = rng.uniform(-1.0, 1.1)
        minutes.append(exp(level + rng.gauss(0, 0.15)))
    return minutes


def bimodal(rng: random.Random, n: int) -> list[float]:
    """Sometimes there is much more to do."""
    factor, share = rng.choice((3, 5, 8)), rng.choice((0.08, 0.2, 0.4))
    return [exp(rng.gauss(0, 0.12)) * (factor if rng.random() < share else 1) for _ in range(n)]


def heavy_tailed(rng: random.Random, n: int) -> list[float]:
    """ln minutes follows Student's t with 3 degrees of freedom."""
    scale = rng.choice((0.15, 0.3))
    return [
        exp(max(-6.0, min(6.0, scale * rng.gauss(0, 1) / sqrt(rng.gammavariate(1.5, 1 / 1.5)))))
        for _ in range(n)
    ]


def with_freaks(rng: random.Random, n: int) -> list[float]:
    return [
        exp(rng.gauss(0, 0.15)) * (2 * rng.paretovariate(1.5) if rng.random() < 0.04 else 1) for _ in range(n)
    ]


def skewed(rng: random.Random, n: int) -> list[float]:
    """A fixed part and an exponential wait."""
    wait = rng.uniform(0.2, 1.0)
    return [1 + wait * rng.expovariate(1) for _ in range(n)]


def weekly(rng: random.Random, n: int) -> list[float]:
    """Every fifth run, Monday's, takes longer."""
    factor = rng.uniform(1.5, 3.0)
    return [exp(rng.gauss(0, 0.12)) * (factor if i % 5 == 0 else 1) for i in range(n)]


def loaded(rng: random.Random, n: int) -> list[float]:
    """The box's load comes and goes."""
    load, minutes = 0.0, []
    for _ in range(n):
        load = 0.85 * load + rng.gauss(0, 0.15)
        minutes.append(exp(load + rng.gauss(0, 0.08)))
    return minutes


KINDS: dict[str, Maker] = {
    "steady 2 %": log_normal(0.02),
    "log-normal 0.1": log_normal(0.1),
    "log-normal 0.3": log_normal(0.3),
    "log-normal 0.6": log_normal(0.6),
    "log-normal 1.0": log_normal(1.0),
    "growing": growing,
    "level shifts": shifting,
    "bimodal": bimodal,
    "heavy tails": heavy_tailed,
    "freaks": with_freaks,
    "skewed": skewed,
    "weekly": weekly,
    "load": loaded,
}


def histories(seed: str, per_kind: int) -> list[History]:
    """Return `per_kind` histories of each kind, 6 to 250 runs long, between 3 seconds and 7 hours."""
    made = []
    for kind, maker in KINDS.items():
        for index in range(per_kind):
            rng = random.Random(f"{seed}/{kind}/{index}")
            length = rng.choice(LENGTHS)
            typical = exp(rng.uniform(log(0.05), log(400)))
            minutes = tuple(typical * x for x in maker(rng, length))
            made.append(History(kind, typical * exp(rng.gauss(0.3, 0.6)), minutes))
    return made


def ours(history: History) -> list[float]:
    spec = TaskSpec(name="task", estimated_minutes=history.stated, timeout_minutes=0)
    estimate, predicted = NO_ESTIMATE, []
    for minutes in history.minutes:
        predicted.append(predict(spec, estimate, HIGH_QUANTILE).high)
        estimate = after_duration(estimate, minutes)
    return predicted


def average_times(history: History) -> Parts:
    """The exponential average (weight 0.2) times the dial."""
    average, parts = history.stated, []
    for run, minutes in enumerate(history.minutes):
        parts.append((0.0, average))
        average += (1.0 if run == 0 else 0.2) * (minutes - average)
    return parts


def average_and_errors(history: History) -> Parts:
    """The exponential average plus dial times the averaged absolute error, started as in RFC 6298."""
    average, error, parts = history.stated, 0.1 * history.stated, []
    for run, minutes in enumerate(history.minutes):
        parts.append((average, error))
        if run == 0:
            average, error = minutes, minutes / 2
            continue
        error += 0.2 * (abs(minutes - average) - error)
        average += 0.2 * (minutes - average)
    return parts


def rolling_quantile(history: History, window: int = 20) -> Parts:
    """The 0.9 quantile of the last 20 runs (the largest while there are fewer than nine), times the dial."""
    parts = [(0.0, 1.2 * history.stated)]
    for run in range(1, len(history.minutes)):
        recent = sorted(history.minutes[max(0, run - window) : run])
        rank = min(len(recent), ceil(HIGH_QUANTILE * (len(recent) + 1)))
        parts.append((0.0, recent[rank - 1]))
    return parts


@dataclass(frozen=True, slots=True)
class Rule:
    """parts: its predictions in two parts; dial: as the plain formula sets it."""

    parts: Callable[[History], Parts]
    dial: float


RULES: dict[str, Rule] = {
    "average + 20 %": Rule(average_times, 1.2),
    "average + 2 errors": Rule(average_and_errors, 2.0),
    "rolling quantile": Rule(rolling_quantile, 1.0),
}


def score(made: Sequence[History], predicted: Sequence[Sequence[float]]) -> Score:
    """Score predictions; the first run of a history, where nobody knows anything, is left out."""
    runs = covered = 0
    prices, ratios = 0.0, 0.0
    for history, predictions in zip(made, predicted, strict=True):
        unused = used = 0.0
        for minutes, prediction in zip(history.minutes[1:], predictions[1:], strict=True):
            over = prediction - minutes
            runs += 1
            used += minutes
            if over >= 0:
                covered += 1
                unused += over
                ratios += over / minutes
        prices += unused / used
    return Score(covered / runs, prices / len(made), ratios / runs)


def at_dial(parts: Sequence[Parts], dial: float) -> list[list[float]]:
    return [[base + dial * unit for base, unit in of_history] for of_history in parts]


def dial_for_price(made: Sequence[History], parts: Sequence[Parts], price: float) -> float:
    """Return the dial at which the rule costs `price`, by bisection."""
    low, high = 0.02, 50.0
    for _ in range(30):
        middle = sqrt(low * high)
        if score(made, at_dial(parts, middle)).price < price:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class Comparison:
    """scores: by rule, as they are. at_our_price: coverage by rule and the dial it took."""

    ours: Score
    scores: dict[str, Score]
    at_our_price: dict[str, tuple[float, float]]


def compare(made: Sequence[History]) -> Comparison:
    mine = score(made, [ours(h) for h in made])
    scores, equal = {}, {}
    for name, rule in RULES.items():
        parts = [rule.parts(h) for h in made]
        scores[name] = score(made, at_dial(parts, rule.dial))
        dial = dial_for_price(made, parts, mine.price)
        equal[name] = score(made, at_dial(parts, dial)).coverage, dial
    return Comparison(mine, scores, equal)


def by_kind(made: Sequence[History]) -> Iterable[tuple[str, Score]]:
    for kind in KINDS:
        some = [h for h in made if h.kind == kind]
        yield kind, score(some, [ours(h) for h in some])


def microseconds_per_prediction() -> float:
    spec = TaskSpec(name="task", estimated_minutes=7)
    estimate = after_duration(after_duration(NO_ESTIMATE, 5.0), 6.0)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20_000):
            predict(spec, estimate, HIGH_QUANTILE)
        best = min(best, time.perf_counter() - start)
    return best / 20_000 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage and price of the duration rules.")
    parser.add_argument("--histories", type=int, default=20, help="per kind and seed")
    parser.add_argument("--seeds", nargs="+", default=["report-1", "report-2", "report-3"])
    options = parser.parse_args()
    made = [h for seed in options.seeds for h in histories(seed, options.histories)]
    result = compare(made)
    runs = sum(len(h.minutes) - 1 for h in made)
    print(f"estimates: {len(made)} histories, {runs} runs, 13 kinds, seeds {' '.join(options.seeds)}")
    print(f"{'rule':20} {'coverage':>9} {'price':>7} {'ratio':>7}   coverage at our price (dial)")
    mine = result.ours
    print(f"{'ours, quantile 0.9':20} {mine.coverage:9.1%} {mine.price:7.3f} {mine.ratio:7.3f}   same")
    for name, plain in result.scores.items():
        coverage, dial = result.at_our_price[name]
        row = f"{name:20} {plain.coverage:9.1%} {plain.price:7.3f} {plain.ratio:7.3f}"
        print(f"{row}   {coverage:.1%} ({RULES[name].dial:.2f} -> {dial:.2f})")
    print("ours by kind:", "; ".join(f"{k} {s.coverage:.1%} at {s.price:.2f}" for k, s in by_kind(made)))
    print(f"predict(): {microseconds_per_prediction():.2f} us (budget 3)")


if __name__ == "__main__":
    main()
