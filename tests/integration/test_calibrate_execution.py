"""The calibration from own fills as a job, on real ledgers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from scripts import calibrate_execution
from tests.measured_orders import OPEN, enter_worked, order_of
from trading.execution.ledger.ledger import Ledger

pytestmark = pytest.mark.usefixtures("signals_given_back")


def run(folder: Path) -> int:
    return calibrate_execution.main(["--state-dir", str(folder), "--data-dir", str(folder / "data")])


def fill_ledger(folder: Path, count: int, broker: str = "alpaca") -> None:
    """Orders that each paid eta 0.2 exactly: 0.0002 of half a spread, and 0.02 * 0.2 * p^0.6 of the price."""
    with Ledger(folder / "ledger.db") as ledger:
        for number in range(count):
            share = 0.01 + 0.002 * number
            price = Decimal("50.10") * Decimal(repr(1 + 0.0002 + 0.02 * 0.2 * share**0.6))
            enter_worked(
                ledger,
                order_of(reference=f"{broker}{number}"),
                [(1_000, f"{price:.8f}")],
                broker=broker,
                market_volume=round(1_000 / share),
            )


def test_with_fewer_than_fifty_orders_it_says_how_many_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_ledger(tmp_path, 3)

    assert run(tmp_path) == 0
    assert "measured orders: 3 at alpaca; a calibration needs 50 at one broker" in capsys.readouterr().out
    assert not (tmp_path / "data" / "calibration.json").exists()


def test_without_a_ledger_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    assert "measured orders: none" in capsys.readouterr().out
    assert not (tmp_path / "ledger.db").exists()


def test_with_enough_orders_the_file_has_eta_with_its_error_bars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_ledger(tmp_path, 55)
    # Those of another broker are counted apart.
    fill_ledger(tmp_path, 4, "paper")

    assert run(tmp_path) == 0
    content = json.loads((tmp_path / "data" / "calibration.json").read_text())
    (found,) = content["brokers"]
    assert found["eta"]["value"] == pytest.approx(0.2, rel=1e-3)
    assert found["eta"]["low"] <= found["eta"]["value"] <= found["eta"]["high"]
    assert (found["broker"], found["orders"], found["agrees"]) == ("alpaca", 55, False)
    assert (found["first"], found["last"]) == (f"{OPEN:%Y-%m-%d}", f"{OPEN:%Y-%m-%d}")
    assert set(content) == {"as_of", "law", "brokers"}
    assert "for a person, no plan reads it" in capsys.readouterr().out


def test_asked_to_stop_it_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_ledger(tmp_path, 55)
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2020-01-01T00:00:00Z")

    assert run(tmp_path) == 75
    assert not (tmp_path / "data" / "calibration.json").exists()


def test_a_damaged_ledger_is_a_failure_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)

    assert run(tmp_path) == 1
    assert "ledger.db" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    fill_ledger(tmp_path, 50)
    (tmp_path / "data").write_text("in the way")

    assert run(tmp_path) == 1
