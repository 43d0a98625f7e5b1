"""Closes the loop: what was planned is held against what came of it, and the next plan weighs differently.

One wave is an anecdote. A finding is as sure as the waves that agree on it make it, and no weight moves on
one wave alone, however bad, nor on differences that luck alone brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from math import sqrt
from pathlib import Path
from statistics import fmean, median
from typing import Any

from adaptive import measures
from adaptive.chance import Luck, beyond, luck_of, luck_of_one
from adaptive.coordination import merged_patterns
from adaptive.files import read_array, write_json
from adaptive.findings import Comparison, findings, is_told
from adaptive.heuristics import DEFAULT_WEIGHTS, WEIGHTS_FILE, checked_weights
from adaptive.types import OptimizationResult, ScheduledTask

PATTERNS_FILE = "coordination_patterns.json"

FULL_STEP_SUCCESS = 0.25
"""A success rate so far from the plan's, beyond luck, is a full surprise, half as far is half of one."""
FULL_STEP_THROUGHPUT = 0.5
"""The same for the part of the expected throughput that is missing."""
THROUGHPUT_LEEWAY = 0.1
"""By how much of the throughput a right plan is off, beside luck: planned lengths are medians, which add up
to less than the mean sum, the agent that ends last is the unluckiest one, and a retry takes time but gets its
task done."""
LEAST_COMPARISONS = 2
WILSON_Z = 1.959964
"""The normal law's 97.5 % quantile: intervals of 95 %."""


class OptimizationFeedbackLoop:
    """Compares, explains, and learns the heuristics' weights.

    weights: those in force (None: the defaults). learning_rate: the part of a weight's way to its bound that
    a full surprise takes it. decay: the part of a weight's distance from its default that an update keeps:
    with 0.9 half of it is gone after seven. bounds: least and largest weight. least_evidence: executed tasks
    below which nothing is learned; what was executed is known of the waves that this loop has evaluated, any
    other counts as one task.

    Raises:
        ValueError: if a number is out of range or a weight's heuristic unknown.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        learning_rate: float = 0.1,
        decay: float = 0.9,
        least_evidence: int = 5,
        bounds: tuple[float, float] = (0.05, 1.0),
    ) -> None:
        if not 0.0 < learning_rate <= 1.0:
            raise ValueError(f"learning_rate is {learning_rate}: expected above 0 and at most 1")
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay is {decay}: expected at least 0 and below 1")
        if least_evidence < 1:
            raise ValueError(f"least_evidence is {least_evidence}: expected at least 1 task")
        if not 0.0 <= bounds[0] < bounds[1]:
            raise ValueError(f"bounds is {bounds}: expected a least weight of at least 0 and a larger one")
        self.learning_rate = learning_rate
        self.decay = decay
        self.least_evidence = least_evidence
        self.bounds = bounds
        self.weights = {key: self._bounded(w) for key, w in checked_weights(weights or {}).items()}
        self._luck: dict[int, Luck] = {}

    def evaluate_schedule_outcome(
        self, result: OptimizationResult, executed: Sequence[ScheduledTask]
    ) -> dict[str, Any]:
        """Return the schedule_comparison of one wave; the measures are those of adaptive.measures.

        The actual success rate and confidence_delta are of first attempts, as planned rates and confidences
        are the chances of one attempt; the throughput is of what succeeded in the end, retries' time
        included. The actual figures, confidence_delta and accuracy_score are None if nothing was executed.

        Raises:
            ValueError: if a task is of another wave than the result.
        """
        for task in executed:
            if task.wave != result.wave:
                raise ValueError(f"wave of {task.task_id!r} is {task.wave}: expected {result.wave}")
        self._luck[result.wave] = luck_of(executed)
        return {
            "wave": result.wave,
            "planned_success_rate": result.expected_success_rate,
            "actual_success_rate": measures.first_success_rate(executed),
            "planned_throughput": result.expected_throughput,
            "actual_throughput": measures.throughput(executed),
            "confidence_delta": measures.confidence_delta(executed),
            "accuracy_score": measures.accuracy_score(executed),
        }

    def generate_feedback_events(
        self, comparisons: Sequence[Comparison], timestamp: str
    ) -> list[dict[str, Any]]:
        """Return an optimization_feedback record for each finding on these waves."""
        return [
            {
                "feedback_id": f"FB_{_waves(comparisons)}_{number:03d}",
                "feedback_type": found.kind,
                "confidence": found.confidence,
                "description": found.description,
                "recommendation": found.recommendation,
                "supporting_evidence": list(found.evidence),
                "timestamp": timestamp,
            }
            for number, found in enumerate(findings(comparisons), start=1)
        ]

    def generate_learning_signals(self, comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
        """Return a learning_signal for each finding that rests on at least two waves."""
        lasting = [found for found in findings(comparisons) if found.waves >= LEAST_COMPARISONS]
        return [
            {
                "signal_id": f"LS_{_waves(comparisons)}_{number:03d}",
                "type": found.kind,
                "confidence": found.confidence,
                "description": found.description,
                "recommendation": found.recommendation,
            }
            for number, found in enumerate(lasting, start=1)
        ]

    def update_heuristic_weights(self, comparisons: Sequence[Comparison]) -> dict[str, float]:
        """Return the new weights, by heuristic; they stay in force for the next update.

        weight' = default + decay (weight - default) + learning_rate * surprise * room, within the bounds

        room is the distance to the bound that the surprise, in [-1, 1], points to. So a lasting surprise s
        has its weight rest inside the bounds, after the part r s / (r s + 1 - decay) of the way from the
        default, r the learning rate (half of it for s = 1 with the defaults), and when it is over the weight
        goes back to its default. Success gains if it fell short of the plan and loses if it exceeded it,
        throughput likewise; confidence loses if confidences were off either way, and gains nothing by being
        right. Only what lies beyond one standard error, by the number of tasks, is a surprise
        (adaptive.chance). It is the median over the waves and a wave without surprise: it takes two waves to
        move a weight, and of many waves half must lie beyond the error on one side, where luck alone puts one
        in six. Nothing changes on fewer than two waves or `least_evidence` executed tasks.
        """
        done = [(each, self._luck_of(each)) for each in comparisons if is_told(each)]
        evidence = sum(luck.runs for _, luck in done)
        if len({each["wave"] for each, _ in done}) >= LEAST_COMPARISONS and evidence >= self.least_evidence:
            surprises = {
                "H16_001": _agreed(starmap(_missing_success, done)),
                "H16_002": _agreed(starmap(_missing_throughput, done)),
                "H16_003": _agreed(starmap(_lost_trust, done)),
            }
            self.weights = {
                key: self._moved(key, weight, surprises.get(key, 0.0)) for key, weight in self.weights.items()
            }
        return dict(self.weights)

    def _luck_of(self, comparison: Comparison) -> Luck:
        return self._luck.get(comparison["wave"]) or luck_of_one(comparison["planned_success_rate"])

    def _moved(self, key: str, weight: float, surprise: float) -> float:
        default, (least, most) = DEFAULT_WEIGHTS[key], self.bounds
        room = most - weight if surprise > 0 else weight - least
        step = self.learning_rate * surprise * max(0.0, room)
        return self._bounded(default + self.decay * (weight - default) + step)

    def _bounded(self, weight: float) -> float:
        return max(self.bounds[0], min(self.bounds[1], weight))

    def evaluate_strategy_effectiveness(
        self, comparisons_by_strategy: Mapping[str, Sequence[Comparison]]
    ) -> dict[str, dict[str, Any]]:
        """Return how each strategy fared, by its name.

        waves: how many were executed. accuracy_score, success_rate, throughput: their means, None without
        waves. effectiveness: the mean over waves of (accuracy + success + actual over planned throughput, at
        most 1) / 3. lower, upper: its Wilson interval of 95 % as if a wave were one trial, which for shares
        between 0 and 1 is wider than needed. rank: by `lower`, from 1; None on fewer than two waves, which
        never lead.
        """
        table = {str(name): _effect(each) for name, each in comparisons_by_strategy.items()}
        ranked = [name for name, row in table.items() if row["waves"] >= LEAST_COMPARISONS]
        ranked.sort(key=lambda name: (-table[name]["lower"], name))
        for rank, name in enumerate(ranked, start=1):
            table[name]["rank"] = rank
        return table

    def update_heuristics(self, folder: Path, timestamp: str) -> None:
        """Write the weights in force to heuristic_weights.json, which the optimizer reads next."""
        write_json(folder / WEIGHTS_FILE, {**self.weights, "updated_at": timestamp}, "heuristic_weights")

    def update_coordination(
        self, folder: Path, executed: Sequence[ScheduledTask], kinds: Mapping[str, str] | None = None
    ) -> None:
        """Add what was executed to coordination_patterns.json, which the optimizer reads next.

        kinds: what a task id is a run of (None: of itself).

        Raises:
            AdaptiveFileError: if the file is there and broken; it is left as it is.
        """
        path = folder / PATTERNS_FILE
        known = read_array(path, "coordination_patterns") if path.exists() else []
        write_json(path, merged_patterns(known, executed, kinds or {}), "coordination_patterns")


def _missing_success(comparison: Comparison, luck: Luck) -> float:
    missing = comparison["planned_success_rate"] - comparison["actual_success_rate"]
    return _within_one(beyond(missing, luck.success) / FULL_STEP_SUCCESS)


def _missing_throughput(comparison: Comparison, luck: Luck) -> float:
    missing = beyond(1 - _speed(comparison), THROUGHPUT_LEEWAY + luck.throughput)
    return _within_one(missing / FULL_STEP_THROUGHPUT)


def _lost_trust(comparison: Comparison, luck: Luck) -> float:
    return _within_one(-abs(beyond(comparison["confidence_delta"], luck.success)) / FULL_STEP_SUCCESS)


def _within_one(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _agreed(surprises: Iterable[float]) -> float:
    return median([0.0, *surprises])


def _effect(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    done = [each for each in comparisons if is_told(each)]
    if not done:
        names = ("accuracy_score", "success_rate", "throughput", "effectiveness", "lower", "upper", "rank")
        return {"waves": 0, **dict.fromkeys(names)}
    effects = [
        (each["accuracy_score"] + each["actual_success_rate"] + min(1.0, _speed(each))) / 3 for each in done
    ]
    lower, upper = wilson_interval(fmean(effects), len(done))
    return {
        "waves": len(done),
        "accuracy_score": fmean(each["accuracy_score"] for each in done),
        "success_rate": fmean(each["actual_success_rate"] for each in done),
        "throughput": fmean(each["actual_throughput"] for each in done),
        "effectiveness": fmean(effects),
        "lower": lower,
        "upper": upper,
        "rank": None,
    }


def _speed(comparison: Comparison) -> float:
    return float(comparison["actual_throughput"] / comparison["planned_throughput"])


def wilson_interval(share: float, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share seen in `trials` trials, at least one (Wilson 1927)."""
    z2 = WILSON_Z**2
    centre = share + z2 / (2 * trials)
    half = WILSON_Z * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(0.0, (centre - half) / (1 + z2 / trials)), min(1.0, (centre + half) / (1 + z2 / trials))


def _waves(comparisons: Sequence[Comparison]) -> str:
    """Return "3" or "1-3": the waves that an id belongs to."""
    numbers = sorted(each["wave"] for each in comparisons)
    return str(numbers[0]) if numbers[0] == numbers[-1] else f"{numbers[0]}-{numbers[-1]}"
