"""Deflated Sharpe ratios and probabilities of overfitting equal ffn 1.4.1's to 1e-12."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading.research.statistics.deflated_sharpe import deflated_sharpe_ratio
from trading.research.statistics.overfitting import probability_of_overfitting

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests" / "golden" / "validation.json"
PEERS_PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"

ANSWERS: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("case", ANSWERS["deflated"])
def test_a_deflated_sharpe_ratio_equals_ffns(case: str) -> None:
    expected = ANSWERS["deflated"][case]
    sharpes = expected["trial_sharpes"]

    found = deflated_sharpe_ratio(
        expected["returns"],
        trials=len(sharpes),
        trial_sharpe_variance=float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0,
    )

    for field in ("probability", "sharpe", "expected_maximum", "skew", "kurtosis"):
        assert getattr(found, field) == pytest.approx(expected[field], rel=1e-12, abs=1e-14), field


@pytest.mark.parametrize("case", ANSWERS["overfitting"])
def test_a_probability_of_overfitting_equals_ffns(case: str) -> None:
    expected = ANSWERS["overfitting"][case]

    found = probability_of_overfitting(np.transpose(expected["trials"]), expected["splits"])

    assert found.pbo == pytest.approx(expected["pbo"], rel=1e-12)
    assert found.mean_rank == pytest.approx(expected["mean_rank"], rel=1e-12)
    assert math.fsum(found.logits) == pytest.approx(expected["logit_sum"], rel=1e-12)
    assert math.fsum(found.logits**2) == pytest.approx(expected["logit_square_sum"], rel=1e-12)
    if expected["logits"] is not None:
        assert list(found.logits) == pytest.approx(expected["logits"], rel=1e-12, abs=1e-14)


@pytest.mark.slow
@pytest.mark.skipif(
    not PEERS_PYTHON.exists(), reason="ffn is in the peers' environment: run: make setup-peers"
)
def test_the_golden_answers_are_what_ffn_says_today(tmp_path: Path) -> None:
    script = REPOSITORY / "tests" / "backtest" / "peers" / "make_validation_golden.py"
    fresh = tmp_path / "validation.json"

    subprocess.run([PEERS_PYTHON, script, fresh], check=True, timeout=110, start_new_session=True)

    assert _same(json.loads(fresh.read_text()), ANSWERS)


def _same(one: Any, other: Any) -> bool:
    """Return whether two answers agree, numbers to 1e-12 relative."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-14)
    return bool(one == other)
