"""The key of a result: what changes it, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading.research import study_key as keys
from trading.research.study_key import closure, code_hash, study_key

CONFIGURATION = {"capital": 1000.0, "seed": 7}


def test_the_same_code_bars_and_configuration_have_the_same_key() -> None:
    assert study_key(code="c", bars="b", configuration=CONFIGURATION) == study_key(
        code="c", bars="b", configuration=dict(reversed(CONFIGURATION.items()))
    )


@pytest.mark.parametrize(
    "change", [{"code": "x"}, {"bars": "x"}, {"configuration": CONFIGURATION | {"seed": 8}}]
)
def test_whatever_changes_changes_the_key(change: dict[str, object]) -> None:
    given: dict[str, object] = {"code": "c", "bars": "b", "configuration": CONFIGURATION}

    assert study_key(**(given | change)) != study_key(**given)  # type: ignore[arg-type]


def test_a_configuration_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        study_key(code="c", bars="b", configuration={"strategy": object()})


def test_a_strategy_s_sources_are_followed_wherever_they_are_imported() -> None:
    found = closure(["trading.backtest.strategies.moving_average", "trading.research.objective"])

    assert {
        "trading.backtest.indicators",
        "trading.backtest.engine",
        # Imported within a function.
        "trading.backtest.array_form",
        # The law of costs, of another package of ours.
        "trading.execution.model.impact",
    } <= found
    # Another strategy's change leaves this one's results alone.
    assert "trading.backtest.strategies.momentum" not in found
    assert all(name.split(".")[0] == "trading" for name in found)


def test_a_changed_source_changes_the_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = code_hash(["trading.backtest.costs"])
    path = keys._path("trading.backtest.costs")
    assert path is not None
    changed = tmp_path / "costs.py"
    changed.write_text(path.read_text().replace("0.5e-4", "0.6e-4"))
    real = keys._path

    monkeypatch.setattr(
        keys, "_path", lambda name: changed if name == "trading.backtest.costs" else real(name)
    )

    assert code_hash(["trading.backtest.costs"]) != before


def test_another_version_of_a_library_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_hash(["trading.backtest.costs"])

    monkeypatch.setattr(keys, "version", lambda name: "0.0.1")

    assert code_hash(["trading.backtest.costs"]) != before


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"trading\.nothing"):
        code_hash(["trading.nothing"])
