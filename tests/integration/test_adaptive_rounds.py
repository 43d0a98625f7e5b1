"""The loop over rounds: what one run of the harness learns, the next begins from, within bounds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from adaptive.feedback import OptimizationFeedbackLoop
from adaptive.files import read_json
from adaptive.harness import AdaptiveHarness
from adaptive.heuristics import DEFAULT_WEIGHTS
from adaptive.runs import PoolRun, Pools
from adaptive.types import Strategy, WaveTask
from orchestration.clock import SystemClock, VirtualClock
from tests.adaptive_box import AGENTS, POOL, read_outputs, wave_of_twelve, write_inputs

AT = datetime(2026, 11, 20, 23, tzinfo=UTC)
WAVES = tuple(wave_of_twelve(number) for number in (1, 2, 3))
LEAST, MOST = OptimizationFeedbackLoop().bounds
RATE = OptimizationFeedbackLoop().learning_rate


class FailsFirst:
    """Pools in which every task's first attempt fails, wherever it is made."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._lock = Lock()

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        with self._lock:
            is_first = task.task_id not in self._tried
            self._tried.add(task.task_id)
        return PoolRun(success=not is_first, duration_ms=1.0)


class FailsOn:
    """Pools in which some agents fail every task, at once and for good."""

    def __init__(self, *agents: str) -> None:
        self.agents = agents
        self.runs: dict[str, int] = dict.fromkeys(AGENTS, 0)
        self._lock = Lock()

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        with self._lock:
            self.runs[agent_id] += 1
        return PoolRun(success=agent_id not in self.agents, duration_ms=1.0, is_final=True)


def for_real(source: Path, folder: Path, pools: Pools) -> AdaptiveHarness:
    return AdaptiveHarness(
        source,
        folder,
        pool=POOL,
        waves=WAVES,
        clock=SystemClock(),
        strategy=Strategy.SUCCESS,
        dry_run=False,
        pools=pools,
    )


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[AdaptiveHarness, AdaptiveHarness, FailsOn]:
    """Two runs in pools in which local/1, which the inputs recommend, fails everything."""
    folder = tmp_path_factory.mktemp("rounds")
    source, harnesses = write_inputs(folder / "in"), []
    for _ in range(2):
        pools = FailsOn("local/1")
        harness = for_real(source, folder / "out", pools)
        harness.run()
        harnesses.append(harness)
    return harnesses[0], harnesses[1], pools


def test_the_second_round_begins_with_the_weights_that_the_first_wrote(
    two_rounds: tuple[AdaptiveHarness, AdaptiveHarness, FailsOn],
) -> None:
    first, second, _ = two_rounds

    assert first.feedback.weights != dict(DEFAULT_WEIGHTS)
    assert second.optimizer.weights == first.feedback.weights


def test_success_weighs_more_after_a_round_that_fell_short_of_it(
    two_rounds: tuple[AdaptiveHarness, AdaptiveHarness, FailsOn],
) -> None:
    first, _, _ = two_rounds

    assert DEFAULT_WEIGHTS["H16_001"] < first.feedback.weights["H16_001"]
    assert first.feedback.weights["H16_001"] <= DEFAULT_WEIGHTS["H16_001"] + RATE


def test_the_second_round_keeps_away_from_the_agent_that_failed_in_the_first(
    two_rounds: tuple[AdaptiveHarness, AdaptiveHarness, FailsOn],
) -> None:
    first, second, pools = two_rounds

    for kind in ("kind0", "kind1"):
        before = first.optimizer.beliefs.success(kind, "local/1").mean
        assert second.optimizer.beliefs.success(kind, "local/1").mean < before
    assert pools.runs["local/1"] == 0


def test_the_patterns_count_what_was_executed_by_kind(
    two_rounds: tuple[AdaptiveHarness, AdaptiveHarness, FailsOn],
) -> None:
    _, second, _ = two_rounds

    patterns = read_outputs(second.folder)["coordination_patterns.json"]

    kinds = {kind for each in patterns for tasks in each["agent_assignments"].values() for kind in tasks}
    assert kinds <= {"kind0", "kind1", "kind2", "kind3"}
    failed = [each for each in patterns if "local/1" in each["agent_assignments"]]
    assert failed
    assert {each["success_rate"] for each in failed} == {0.0}


def test_the_patterns_count_every_attempt_as_a_database_does(tmp_path: Path) -> None:
    for_real(write_inputs(tmp_path / "in"), tmp_path / "out", FailsFirst()).run()

    patterns = read_outputs(tmp_path / "out")["coordination_patterns.json"]

    # Each of 36 tasks failed once and succeeded once; n runs have the confidence n / (n + 2).
    runs = [2 * each["confidence"] / (1 - each["confidence"]) for each in patterns]
    assert sum(runs) == pytest.approx(72)
    good = sum(each["success_rate"] * count for each, count in zip(patterns, runs, strict=True))
    assert good == pytest.approx(36)


def test_a_dry_run_adds_nothing_to_the_patterns(tmp_path: Path) -> None:
    """A simulation is drawn from the beliefs and cannot teach them."""
    source = write_inputs(tmp_path / "in")

    AdaptiveHarness(source, tmp_path / "out", pool=POOL, waves=WAVES, clock=VirtualClock(AT)).run()

    assert not (tmp_path / "out" / "coordination_patterns.json").exists()


def test_however_many_dry_runs_there_are_the_weights_stay_as_they_are(tmp_path: Path) -> None:
    """What a simulation shows is the seed's luck: 25 of them once took success from 0.4 to 0.05."""
    source, weights = write_inputs(tmp_path / "in"), tmp_path / "out" / "heuristic_weights.json"
    learned = {"H16_001": 0.7, "H16_002": 0.2, "updated_at": "2026-11-13T23:00:00Z"}
    weights.parent.mkdir()
    weights.write_text(json.dumps(learned))

    for seed in range(4):
        harness = AdaptiveHarness(
            source, tmp_path / "out", pool=POOL, waves=WAVES[:2], clock=VirtualClock(AT), seed=seed
        )
        harness.run()

        assert harness.optimizer.weights["H16_001"] == 0.7
        assert json.loads(weights.read_text()) == learned


def test_a_dry_run_without_earlier_weights_writes_the_defaults(tmp_path: Path) -> None:
    source = write_inputs(tmp_path / "in")

    AdaptiveHarness(source, tmp_path / "out", pool=POOL, waves=WAVES, clock=VirtualClock(AT)).run()

    told = read_outputs(tmp_path / "out")["heuristic_weights.json"]
    assert told == {**DEFAULT_WEIGHTS, "updated_at": "2026-11-20T23:00:00Z"}


@pytest.mark.slow
def test_however_many_real_rounds_there_are_no_weight_leaves_its_bounds(tmp_path: Path) -> None:
    """Executed ones: a simulation teaches no weight. Half of the agents fail in the first six of them."""
    source = write_inputs(tmp_path / "in")
    told: list[dict[str, Any]] = []
    for number in range(12):
        failing = AGENTS[:2] if number < 6 else ()
        harness = for_real(source, tmp_path / "out", FailsOn(*failing))
        begun = read_json(tmp_path / "out" / "heuristic_weights.json", "heuristic_weights") if told else {}
        harness.run()
        told.append(read_json(tmp_path / "out" / "heuristic_weights.json", "heuristic_weights"))

        # The weights that one round wrote are those that the next began from.
        assert {key: harness.optimizer.weights[key] for key in begun if key != "updated_at"} == {
            key: weight for key, weight in begun.items() if key != "updated_at"
        }

    weights = [[each[key] for each in told] for key in DEFAULT_WEIGHTS]
    assert all(LEAST <= value <= MOST for row in weights for value in row)
    # A tenth of the way to a bound, and a tenth of the way back to the default.
    steps = [abs(b - a) for row in weights for a, b in pairwise(row)]
    assert 0.0 < max(steps) <= (RATE + 0.1) * (MOST - LEAST)


def test_a_source_is_only_read(tmp_path: Path) -> None:
    source = write_inputs(tmp_path / "in")
    before = {path.name: path.read_bytes() for path in source.iterdir()}

    for_real(source, tmp_path / "out", FailsOn()).run()

    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
