"""Metrics against empyrical-reloaded 0.7.1: its answers as stored, and as it gives them."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trading.backtest.performance.calculator import PerformanceCalculator

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
GOLDEN: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "performance.json").read_text())
CURVES: dict[str, dict[str, Any]] = GOLDEN["curves"]


def apart(ours: float, theirs: float | str) -> bool:
    """Return whether two answers differ by more than 1e-12, relative to theirs or to 0.001."""
    expected = float(theirs)
    if math.isfinite(expected) and math.isfinite(ours):
        return abs(ours - expected) > 1e-12 * max(abs(expected), 1e-3)
    return str(ours) != str(expected)


@pytest.mark.parametrize("curve", CURVES)
def test_every_shared_metric_equals_empyrical(curve: str) -> None:
    equity, answers = CURVES[curve]["equity"], CURVES[curve]["answers"]

    metrics = PerformanceCalculator().calculate_metrics(equity, initial_capital=GOLDEN["initial_capital"])

    differing = {
        name: (getattr(metrics, name), answer)
        for name, answer in answers.items()
        if apart(getattr(metrics, name), answer)
    }
    assert differing == {}


@pytest.mark.slow
def test_empyrical_still_gives_the_stored_answers(tmp_path: Path) -> None:
    if not PEERS_PYTHON.exists():
        pytest.skip("run: make setup-peers")
    script = ROOT / "tests" / "backtest" / "peers" / "make_performance_golden.py"

    subprocess.run(
        [PEERS_PYTHON, script, tmp_path / "answers.json"], check=True, timeout=100, start_new_session=True
    )

    now = json.loads((tmp_path / "answers.json").read_text())["curves"]
    assert now.keys() == CURVES.keys()
    for name, curve in now.items():
        assert curve["equity"] == CURVES[name]["equity"]
        stored = CURVES[name]["answers"]
        assert curve["answers"].keys() == stored.keys()
        assert [m for m, answer in curve["answers"].items() if apart(float(answer), stored[m])] == []
