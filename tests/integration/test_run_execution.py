"""`scripts/run_execution.py` as a process: a replayed day, plans alone, the open session, what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts import run_execution
from tests.open_market import LIMIT_S, OTHER, TradingBox, now, result_of, store_bars, wait_for
from tests.open_market import SYMBOL as LIVE
from tests.replay_files import EARLY, FULL, SYMBOL, write_folder
from trading.execution.errors import LedgerError
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ChildState, ParentState

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("source"))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with places in `folder`, to its end."""
    places = {name: str(folder / name.lower()) for name in ("STATE_DIR", "DATA_DIR", "LOG_DIR")}
    return subprocess.run(
        [sys.executable, "-m", "scripts.run_execution", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ORCHESTRATOR_RESULT": str(folder / "result.json"),
            **{f"ORCHESTRATOR_{name}": place for name, place in places.items()},
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def replayed(folder: Path, source: Path, *more: str, day: object = FULL) -> subprocess.CompletedProcess[str]:
    wanted = ("--symbols", SYMBOL, "--source", f"csv:{source}", "--replay", str(day), *more)
    return run(folder, *wanted)


# A past day


@pytest.fixture(scope="module")
def compared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A day replayed by two algorithms with a report; the folder and what was said."""
    folder = tmp_path_factory.mktemp("compared")
    more = ("--use-smart-execution", "--algorithm", "twap,adaptive", "--urgency", "high", "--quantity", "780")
    done = replayed(folder, source, *more, "--output", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_replay_compares_the_algorithms_beside_a_plain_order(compared: tuple[Path, str]) -> None:
    folder, said = compared

    orders = result(folder)["orders"]
    assert [order["algorithm"] for order in orders] == ["plain", "twap", "adaptive"]
    assert all(0 < order["filled"] <= 780 for order in orders)
    assert "Buy 780 ACME on 2019-02-14" in said
    assert re.search(r"^plain +completed +100\.0 %", said, re.MULTILINE)
    assert "note: plain: one market order on the paper broker" in said


def test_a_replay_touches_nothing_of_the_box(compared: tuple[Path, str]) -> None:
    folder, _ = compared

    assert not {"state_dir", "data_dir", "log_dir"} & {path.name for path in folder.iterdir()}


def test_the_report_is_one_page_that_needs_nothing_else(compared: tuple[Path, str]) -> None:
    page = (compared[0] / "out" / "report.html").read_text()

    assert not re.search(r"https?://|<script|<link|<img|@import|src=", page)
    assert page.count('role="img"') == page.count("<figure>") >= 3
    assert "Buy 780 ACME: the ways to work it" in page
    assert "What was planned anew, and why" in page


def test_the_report_in_markdown_shows_the_pictures_beside_it(compared: tuple[Path, str]) -> None:
    out = compared[0] / "out"
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", (out / "report.md").read_text())

    assert [name for _, name in pictures] == [f"{SYMBOL}.png"]
    assert "twap:" in pictures[0][0]
    assert (out / f"{SYMBOL}.png").read_bytes().startswith(b"\x89PNG")


def test_the_ledgers_of_a_replay_are_kept_beside_its_report(compared: tuple[Path, str]) -> None:
    for name in ("twap", "adaptive"):
        with Ledger(compared[0] / "out" / name / "ledger.db", read_only=True) as ledger:
            assert ledger.verify() == []
            assert len(ledger.parents()) == 1


@pytest.mark.slow
def test_nothing_is_sent_after_an_early_close(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = replayed(tmp_path, source, "--use-smart-execution", "--output", str(out), day=EARLY)

    assert done.returncode == 0, done.stderr
    with Ledger(out / "ledger.db", read_only=True) as ledger:
        (order,) = ledger.parents()
        last = max(child.created_at for child in ledger.children(order.parent_id))
    assert f"{last:%Y-%m-%d %H:%M}" < "2018-12-24 18:00"


def test_a_default_order_is_a_hundredth_of_a_day(source: Path, tmp_path: Path) -> None:
    assert replayed(tmp_path, source).returncode == 0

    (order,) = result(tmp_path)["orders"]
    assert order["quantity"] == 3_900
    assert order["algorithm"] == "plain"


@pytest.mark.slow
def test_a_day_without_bars_can_be_modelled_and_says_so(source: Path, tmp_path: Path) -> None:
    data = tmp_path / "data_dir"
    store_daily(source, data)
    wanted = ("--symbols", SYMBOL, "--replay", str(FULL), "--use-smart-execution", "--quantity", "390")

    refused, modelled = run(tmp_path, *wanted), run(tmp_path, *wanted, "--model")

    assert refused.returncode == 1
    assert "no intraday bars of ACME on 2019-02-14 are stored" in refused.stderr
    assert modelled.returncode == 0, modelled.stderr
    assert "note: no market feed" in modelled.stdout
    assert "(a model)" in result(tmp_path)["remarks"][0]


def store_daily(source: Path, data: Path) -> None:
    """Store the folder's daily bars as the box does."""
    job = [
        sys.executable,
        "-m",
        "scripts.refresh_eod_data",
        "--source",
        f"csv:{source}",
        "--data-dir",
        str(data),
    ]
    subprocess.run(job, cwd=ROOT, check=True, capture_output=True, timeout=60)


def test_bars_that_are_too_long_are_refused(tmp_path: Path) -> None:
    done = replayed(tmp_path, write_folder(tmp_path / "source", minutes=5), "--use-smart-execution")

    assert done.returncode == 1
    assert "the bars of ACME on 2019-02-14 are 5 minutes long" in done.stderr


@pytest.mark.parametrize(
    ("day", "why"),
    [("2019-02-16", "is no session"), ("2199-01-02", "has not ended"), ("2019-02-15", "no intraday")],
)
def test_a_day_that_cannot_be_replayed_is_named(source: Path, tmp_path: Path, day: str, why: str) -> None:
    done = replayed(tmp_path, source, "--use-smart-execution", day=day)

    assert done.returncode == 1
    assert why in done.stderr
    assert day in done.stderr


def test_a_symbol_of_which_nothing_is_known_is_named(source: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "--symbols", "NOPE", "--source", f"csv:{source}", "--replay", str(FULL))

    assert done.returncode == 1
    assert "no daily bars of NOPE" in done.stderr


# Plans alone


def test_a_dry_run_shows_plans_and_stores_nothing(source: Path, tmp_path: Path) -> None:
    more = (
        "--use-smart-execution",
        "--dry-run",
        "--algorithm",
        "all",
        "--quantity",
        "3000",
        "--side",
        "sell",
    )
    done = replayed(tmp_path, source, *more)

    assert done.returncode == 0, done.stderr
    assert "nothing is sent, nothing stored" in done.stdout
    plans = {plan["algorithm"]: plan for plan in result(tmp_path)["plans"]}
    assert list(plans) == ["market", "twap", "vwap", "adaptive", "iceberg", "pov", "arrival_price"]
    assert not plans["market"]["feasible"]
    assert "CANNOT BE DONE: 3,000 shares cannot go at once" in done.stdout
    assert plans["twap"]["expected_cost"] > 0 < plans["twap"]["risk"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json"]


def test_a_dry_run_of_a_plain_order_says_that_nothing_is_planned(source: Path, tmp_path: Path) -> None:
    done = replayed(tmp_path, source, "--dry-run")

    assert done.returncode == 0
    assert "one market order: nothing is planned" in done.stdout


# What makes no sense


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--use-ml-enhanced",), "it needs --use-smart-execution"),
        (("--algorithm", "all", "--use-smart-execution"), "several algorithms can be compared with --replay"),
        (("--algorithm", "twap"), "--algorithm is part of --use-smart-execution"),
        (("--algorithm", "best", "--use-smart-execution"), "--algorithm best: expected all, auto, market"),
        (("--quantity", "AAPL=5"), "NVDA: expected one quantity for each of AAPL, NVDA"),
        (("--quantity", "many"), "'many' is no whole number from 1 up"),
        (("--quantity", "0"), "'0' is no whole number from 1 up"),
        (("--model",), "--source and --model belong to --replay"),
        (("--model", "--source", "csv:x", "--replay", "2019-02-14"), "choose one"),
        (("--replay", "yesterday"), "invalid fromisoformat value"),
        (("--side", "both"), "invalid choice"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_execution.main(["--symbols", "AAPL,NVDA", *words])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_no_symbols_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_execution.main(["--symbols", " , "])

    assert ended.value.code == 2
    assert "--symbols names none" in capsys.readouterr().err


# Now


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TradingBox]:
    """A box whose market is open now."""
    made = TradingBox(tmp_path)
    store_bars(made.data, LIVE, OTHER)
    yield made
    made.end_all()


def test_a_closed_market_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    box = TradingBox(tmp_path, opened=timedelta(hours=-1), closes_in=timedelta(hours=3))
    store_bars(box.data, LIVE)

    done = box.run("run_execution", "--symbols", LIVE, "--use-smart-execution")

    assert done.returncode == 1
    assert "the market is closed; it opens at" in done.stderr
    assert "--dry-run" in done.stderr
    assert not (box.state / "ledger.db").exists()


def test_a_run_in_the_open_session_stops_as_the_executor_does(box: TradingBox) -> None:
    wanted = ("--quantity", f"{LIVE}=900,{OTHER}=300", "--use-smart-execution", "--algorithm", "twap")
    process = box.start("run_execution", "--symbols", f"{LIVE},{OTHER}", *wanted)
    parent_id = f"{box.today:%Y%m%d}-{LIVE}-0001"
    wait_for((box.state / "ledger.db").exists, "a ledger")
    wait_for(lambda: has_parent(box, parent_id), "the orders")
    child = box.wait_child(parent_id)

    second = box.run("run_execution", "--symbols", LIVE, "--use-smart-execution")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=LIMIT_S)

    assert second.returncode == 75
    assert process.returncode == 75
    assert "(a model)" in said
    assert box.parent(parent_id).state is ParentState.PAUSED
    assert box.children(parent_id)[child.sequence - 1].state is ChildState.CANCELLED
    with box.ledger() as ledger:
        assert len(ledger.parents()) == 2
        assert ledger.verify() == []


def has_parent(box: TradingBox, parent_id: str) -> bool:
    """Whether the order has been entered; the ledger may be about to be made."""
    with suppress(LedgerError), box.ledger() as ledger:
        return any(order.parent_id == parent_id for order in ledger.parents())
    return False


def test_a_halted_box_sends_nothing(box: TradingBox) -> None:
    KillSwitch(box.state / "trading.halt").set("a test", "the test", now())

    done = box.run("run_execution", "--symbols", LIVE, "--quantity", "900", "--use-smart-execution")

    assert done.returncode == 0
    (order,) = result_of(box)["orders"]
    assert (order["state"], order["filled"]) == ("killed", 0)
    assert box.children(f"{box.today:%Y%m%d}-{LIVE}-0001") == []


# The page


def test_the_examples_of_the_page_run_as_they_stand(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "execution.md").read_text()
    examples = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", examples], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    shown = page.rpartition("```")[2]
    assert [line.strip() for line in shown.strip().splitlines()] == done.stdout.splitlines()[-2:]


def test_every_command_of_the_page_has_arguments_that_are_known() -> None:
    page = (ROOT / "docs" / "execution.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^    python -m scripts\.run_execution (.*)$", page, re.MULTILINE)

    assert len(commands) >= 6
    for command in commands:
        run_execution.command_line().parse_args(command.split())
