"""The report of a session's orders: from a ledger the executor has filled, and on a box that has none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from scripts import execution_report
from tests.measured_orders import OPEN, enter_worked, order_of
from tests.trading_floor import MINUTE, SYMBOL, Floor, bars_of, hours_of, market_of
from tests.trading_floor import order_of as wanted_of
from trading.execution.ledger.ledger import Ledger
from trading.execution.market_windows import window_from_bars
from trading.execution.markets.traded import Bar
from trading.execution.orders import ParentState, Side
from trading.marketdata.intraday import IntradayStore

ROOT = Path(__file__).resolve().parents[2]
DAY = "2026-11-20"
PRICES = [Decimal(100) + Decimal(minute % 7) / 100 for minute in range(60)]


def run(folder: Path, *arguments: str) -> int:
    places = ["--state-dir", str(folder), "--data-dir", str(folder / "data")]
    return execution_report.main([*places, *(arguments or ("--day", DAY))])


def report(folder: Path, kind: str = "md") -> str:
    return (folder / "reports" / f"execution-{DAY}.{kind}").read_text()


def store(folder: Path, bars: list[Bar], shift: float = 0.0) -> None:
    """Put bars of one minute into the store, `shift` $ dearer."""
    numbers = {
        name: [float(getattr(bar, name)) + shift for bar in bars] for name in ("open", "high", "low", "close")
    }
    frame = pd.DataFrame(
        {
            **numbers,
            "volume": [float(bar.volume) for bar in bars],
            "day": pd.Timestamp(DAY),
            "minute": range(len(bars)),
            "session_minutes": 390,
            "is_early": False,
        },
        index=pd.DatetimeIndex([bar.start for bar in bars], name="ts"),
    )
    IntradayStore(folder / "data").merge(SYMBOL, 1, frame, "test")


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour in which a purchase was done by TWAP, a sale at once, and an order too large was refused."""
    folder, hours, bars = tmp_path_factory.mktemp("traded"), hours_of(60), bars_of(PRICES, 1_000)
    floor = Floor(folder, market_of(bars, hours), hours)
    floor.enter(
        wanted_of(600, "twap"),
        wanted_of(90, "market", Side.SELL, reference="r2"),
        wanted_of(80_000, "twap", reference="r3"),
    )
    floor.run()
    store(folder, bars)
    assert run(folder) == 0
    return folder


def test_every_order_has_its_row_of_fills_and_of_costs(traded: Path) -> None:
    text = report(traded)

    assert re.search(r"\| ACME-0001 \| buy 600 \| twap \| completed \| 100\.0 % \|", text)
    assert re.search(r"\| ACME-0002 \| sell 90 \| market \| completed \| 100\.0 % \|", text)
    assert text.count("| ACME-0001 |") == 2


def test_the_costs_of_the_report_are_those_of_the_fills(traded: Path) -> None:
    with Ledger(traded / "ledger.db", read_only=True) as ledger:
        order = ledger.parents()[0]
        fills = ledger.fills(order.parent_id)
    assert order.arrival_price is not None
    paid = sum(fill.quantity * (fill.price - order.arrival_price) for fill in fills)

    row = next(line for line in report(traded).splitlines() if line.startswith("| ACME-0001 | 0.00 |"))
    assert row.split(" | ")[2] == f"{paid:.2f}"


def test_vwap_is_that_of_the_stored_bars_while_it_was_worked(traded: Path) -> None:
    with Ledger(traded / "ledger.db", read_only=True) as ledger:
        order = ledger.parents()[0]
        fills = ledger.fills(order.parent_id)
    assert order.arrived_at is not None
    assert order.completed_at is not None
    window = window_from_bars(bars_of(PRICES, 1_000), order.arrived_at, order.completed_at)
    average = sum(fill.quantity * float(fill.price) for fill in fills) / 600
    assert window.vwap is not None
    worse = 1e4 * (average / float(window.vwap) - 1)

    row = next(line for line in report(traded).splitlines() if "| buy 600 | twap | completed" in line)
    assert row.split(" | ")[9] == f"{worse:+.1f}"


def test_a_refused_order_is_there_with_its_reason(traded: Path) -> None:
    part = report(traded).split("## Refused, or not done in full")[1].split("\n## ")[0]

    assert "| ACME-0003 | sell" not in part
    assert re.search(r"\| ACME-0003 \| buy 80,000 \| rejected \| short by [\d,]+ shares", part)


def test_the_page_has_a_picture_of_each_order_in_words_too_and_needs_nothing_else(traded: Path) -> None:
    page = report(traded, "html")
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", page, re.DOTALL)]

    # Two orders, and how they kept to their plans; the refused one has no picture.
    assert len(pictures) == 3
    assert all(picture.get("role") == "img" and picture.get("aria-label") for picture in pictures)
    assert "600 of 600 shares bought" in page
    assert not re.search(r"https?:|src=|<script|@import|url\(", page)


def test_simulated_fills_are_called_so(traded: Path) -> None:
    assert "Simulated: the paper broker's fills" in report(traded)


def test_the_algorithms_have_their_success_rates(traded: Path) -> None:
    part = report(traded).split("## The algorithms over the last session")[1]

    assert re.search(r"\| market \| 1 \| 1 \| 100 % \| 100\.0 % \|", part)
    assert re.search(r"\| twap \| 1 \| 1 \| 100 % \| 100\.0 % \|", part)


def test_bars_of_another_market_are_not_used_and_said_so(tmp_path: Path) -> None:
    hours, bars = hours_of(60), bars_of(PRICES, 1_000)
    floor = Floor(tmp_path, market_of(bars, hours), hours)
    floor.enter(wanted_of(300, "twap"))
    floor.run()
    store(tmp_path, bars, shift=5.0)

    assert run(tmp_path) == 0
    assert "intraday bars of ACME are not of the market the orders were filled in" in report(tmp_path)
    row = next(line for line in report(tmp_path).splitlines() if "| buy 300 |" in line)
    assert row.endswith("| – | – |")


def test_damaged_bars_leave_a_report_that_says_so(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        enter_worked(ledger, order_of(), [(1_000, "50.20")])
    store(tmp_path, bars_of(PRICES, 1_000))
    for path in (tmp_path / "data").rglob("*.parquet"):
        path.write_bytes(b"not a parquet file")

    assert run(tmp_path) == 0
    assert "ACME: the intraday bars cannot be used" in report(tmp_path)


def test_costs_by_hand(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        expired = order_of(state=ParentState.EXPIRED, reason="the horizon ended with 200 shares left")
        enter_worked(ledger, expired, [(600, "50.20"), (200, "50.40")], end_price="50.60")

    assert run(tmp_path) == 0
    # Delay 100, execution 120, opportunity 100 $: 64.0 bp of 50,000 $; 220 $ since arrival, 44.0 bp; the
    # plan: 10 bp and 100 $ of risk, 20 bp, z = (220 - 50) / 100.
    row = "| ACME-0001 | 100.00 | 120.00 | 100.00 | 0.00 | 320.00 | 64.0 | 44.0 | 10.0 | 20.0 | +1.70 |"
    assert row in report(tmp_path)
    assert "| ACME-0001 | buy 1,000 | expired | the horizon ended with 200 shares left |" in report(tmp_path)


def test_the_algorithms_are_judged_by_sixty_sessions(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        for number in range(62):
            day = date.fromordinal(date(2026, 11, 20).toordinal() - number)
            done = order_of(reference=f"r{number}", session=day)
            enter_worked(ledger, done, [(1_000, "50.20")])

    assert run(tmp_path) == 0
    part = report(tmp_path).split("## The algorithms over the last 60 sessions with orders")[1]
    assert "| twap | 60 | 60 | 100 % |" in part


def test_a_session_without_orders_has_a_short_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0

    assert f"No orders were entered for {DAY}." in report(tmp_path)
    assert "##" not in report(tmp_path).replace("# Execution report", "")
    assert capsys.readouterr().out.startswith("written: ")
    assert not (tmp_path / "ledger.db").exists()


def test_without_a_date_it_is_of_the_last_trading_day(tmp_path: Path) -> None:
    places = ["--state-dir", str(tmp_path), "--data-dir", str(tmp_path)]

    assert execution_report.main(places) == 0
    (name,) = {path.stem for path in (tmp_path / "reports").iterdir()}
    assert date.fromisoformat(name.removeprefix("execution-")).weekday() < 5


def test_a_closed_day_has_a_short_report(tmp_path: Path) -> None:
    assert run(tmp_path, "--day", "2026-11-22") == 0


def test_the_result_file_has_the_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))
    with Ledger(tmp_path / "ledger.db") as ledger:
        enter_worked(ledger, order_of(), [(1_000, "50.20")])

    assert run(tmp_path) == 0
    found = json.loads((tmp_path / "result.json").read_text())
    # 0.20 $ a share above the decision price of 50 $.
    assert (found["orders"], found["completed"], found["refused"]) == (1, 1, 0)
    assert Decimal(found["shortfall"]) == 200
    assert found["shortfall_bps"] == pytest.approx(40.0)


def test_a_damaged_ledger_is_a_failure_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)

    assert run(tmp_path) == 1
    assert "ledger.db" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")

    assert run(tmp_path) == 1


def test_a_date_that_is_none_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, "--day", "yesterday")

    assert ended.value.code == 2


def test_pandas_is_loaded_only_for_intraday_bars(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        enter_worked(ledger, order_of(completed_at=OPEN + 5 * MINUTE), [(1_000, "50.20")])
    program = (
        "import sys; from scripts import execution_report; "
        f"execution_report.main(['--state-dir', {str(tmp_path)!r}, '--data-dir', {str(tmp_path)!r}, "
        f"'--day', {DAY!r}]); print(sorted({{'pandas', 'numpy', 'matplotlib'}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "[]"
