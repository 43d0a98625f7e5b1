"""The portfolio's jobs as processes: what they say, what they keep, and being killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.open_market import ROOT, TradingBox, now, result_of
from tests.traded_ledger import know, trade
from trading.execution.kill_switch import KillSwitch
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.limits import Kind
from trading.portfolio.valuation import Mark

JOBS = ("monitor_positions", "check_risk_limits", "calculate_pnl", "risk_report")
DAY = timedelta(days=1)
CAPITAL = {"ORCHESTRATOR_RISK_CAPITAL": "100000"}


@pytest.fixture
def box(tmp_path: Path) -> TradingBox:
    """Trading opened an hour ago; 100 ACME were bought yesterday at 100 $ for a strategy."""
    made = TradingBox(tmp_path, environ=CAPITAL)
    trade(path_of(made), "a", 100, "100", session=made.today - DAY, at=now() - DAY, strategy="trend", fee="1")
    return made


def path_of(box: TradingBox) -> Path:
    return box.state / "ledger.db"


def mark_at(box: TradingBox, price: str) -> None:
    """Record a price of now, as monitor_positions does."""
    with PortfolioBooks(path_of(box)) as books, books.writing():
        books.put_marks(box.today, {"ACME": Mark(price=Decimal(price), at=now())})


def told(box: TradingBox) -> dict[str, Any]:
    found: dict[str, Any] = result_of(box)["alerts"]
    return found


def halts(box: TradingBox) -> list[str]:
    path = box.state / "trading.halt"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("job", JOBS)
def test_on_a_box_that_never_traded_a_job_has_nothing_to_do_and_begins_no_ledger(
    tmp_path: Path, job: str
) -> None:
    empty = TradingBox(tmp_path)

    done = empty.run(job)

    assert (done.returncode, done.stderr) == (0, "")
    assert not path_of(empty).exists()


def test_a_price_is_recorded_and_shares_that_the_broker_does_not_have_are_told(box: TradingBox) -> None:
    """The paper broker never saw the order; its market is the modelled one, around 100 $."""
    know(path_of(box), now(), "ACME")

    done = box.run("monitor_positions")

    assert (done.returncode, done.stderr) == (0, "")
    assert told(box)["differs ACME"] == "ACME: the ledger has 100 shares, the broker 0"
    with PortfolioBooks(path_of(box), read_only=True) as books:
        assert 80 < books.quotes(box.today)["ACME"].price < 120


def test_a_loss_beyond_the_limit_halts_once_and_after_resuming_not_again(box: TradingBox) -> None:
    """100 shares at 100 $ are worth 60: 4,001 $ with the fee, 4.0 % of 100,000 $."""
    mark_at(box, "60")

    first = box.run("check_risk_limits")
    alert = told(box)["daily_loss"]
    box.run("check_risk_limits")
    halted = halts(box)
    resumed = box.run("orders", "resume")
    box.run("check_risk_limits")

    assert (first.returncode, resumed.returncode) == (0, 0)
    assert alert == (
        "daily loss is 4.00 % of equity, the limit is 3 %; trading is halted until "
        "`orchestratorctl resume --trading`"
    )
    assert [json.loads(line)["reason"] for line in halted] == [
        "daily loss 4.00 % of equity, the limit is 3 %"
    ]
    assert halts(box) == []
    assert told(box)["daily_loss"].endswith("trading goes on by a person's word, and halts again at 4.75 %")


def test_within_the_limits_nothing_is_told(box: TradingBox) -> None:
    mark_at(box, "101")

    done = box.run("check_risk_limits")

    assert (done.returncode, told(box), halts(box)) == (0, {}, [])
    # 100 $ gained, 1 $ of fee.
    assert result_of(box)["equity"] == "100099"
    assert result_of(box)["limits"]["position ACME"] == ["10.0900", "25"]


def test_a_halt_is_told_however_many_positions_are_too_large(box: TradingBox) -> None:
    """The daemon takes the first 20 alerts of a run."""
    for n in range(22):
        trade(path_of(box), f"s{n}", 10, "100", session=box.today, at=now(), symbol=f"S{n:02}")
    mark_at(box, "60")

    box.run("check_risk_limits", ORCHESTRATOR_RISK_MAX_POSITION_PCT="0.5")

    assert len(told(box)) <= 20
    assert next(iter(told(box))) == "daily_loss"
    assert told(box)["more positions"].startswith("18 more like these: position S")


def test_a_stop_loss_that_is_passed_is_kept_once(box: TradingBox) -> None:
    """Without facts the modelled market has no quote of ACME: the price recorded is the price."""
    mark_at(box, "80")

    box.run("monitor_positions")
    box.run("monitor_positions")

    with PortfolioBooks(path_of(box), read_only=True) as books:
        [kept] = books.decisions()
    assert (kept.kind, kept.subject, kept.value_pct) == (Kind.STOP_LOSS, "ACME of trend", Decimal(20))
    assert "stop ACME of trend" in told(box)


def test_exposure_halts_where_the_settings_say_so(box: TradingBox) -> None:
    box.run("check_risk_limits", ORCHESTRATOR_RISK_MAX_POSITION_PCT="5", ORCHESTRATOR_RISK_ON_EXPOSURE="halt")

    assert "position in ACME 10.00 % of equity, the limit is 5 %" in halts(box)[0]


def test_limits_judged_by_old_prices_are_said_to_be(box: TradingBox) -> None:
    """Nobody recorded a price in the hour since the open."""
    box.run("check_risk_limits")

    assert told(box)["old prices"].startswith("the limits are judged by old prices: ACME (")


def test_real_money_wants_its_capital_named(box: TradingBox) -> None:
    done = box.run(
        "check_risk_limits",
        ORCHESTRATOR_BROKER="alpaca",
        ORCHESTRATOR_BROKER_LIVE="true",
        ORCHESTRATOR_RISK_CAPITAL="",
    )

    assert done.returncode == 1
    assert "ORCHESTRATOR_RISK_CAPITAL is not set" in done.stderr


# The process is killed by itself where the step says so; nothing after it is done.
DYING = """
import os, signal, sys
from scripts import _portfolio, check_risk_limits
from trading.portfolio.books import PortfolioBooks

left = int(sys.argv[1])

def step(name):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

check_risk_limits.portfolio_of = lambda folder: PortfolioBooks(folder / "ledger.db", step=step)
check_risk_limits.main([])
"""


@pytest.mark.parametrize("step", [2, 3])
def test_killed_between_decision_and_halt_or_after_it_the_next_run_leaves_one_halt(
    box: TradingBox, step: int
) -> None:
    """Step 2 is the decision's commit, step 3 comes after the halt and before it is noted."""
    mark_at(box, "60")
    died = subprocess.run(
        [sys.executable, "-c", DYING, str(step)], cwd=ROOT, env=box.environment(), check=False, timeout=60
    )
    before = len(halts(box))

    done = box.run("check_risk_limits")

    assert died.returncode == -signal.SIGKILL
    assert before == (0 if step == 2 else 1)
    assert (done.returncode, len(halts(box))) == (0, 1)
    with PortfolioBooks(path_of(box), read_only=True) as books:
        assert books.undone() == []


def test_the_last_session_s_books_are_closed_once(box: TradingBox) -> None:
    """100 ACME bought at 100 $ and not priced since: nothing but the fee."""
    first = box.run("calculate_pnl")
    kept = result_of(box)
    trade(path_of(box), "b", 10, "90", session=box.today, at=now())
    second = box.run("calculate_pnl")

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.startswith(
        f"{box.today - DAY}: -1.00 $ (realised +0.00, unrealised +0.00, fees 1.00)"
    )
    assert second.stdout == first.stdout
    assert (kept["total"], kept["equity"], kept["by_strategy"]) == ("-1", "99999", {"trend": "-1"})


def test_fills_of_the_closing_auction_belong_to_the_session(box: TradingBox) -> None:
    """Yesterday's close was two hours after this minute of the day: `TradingBox.closes_in`."""
    close = now() - DAY + box.closes_in
    trade(path_of(box), "auction", 7, "100", session=box.today - DAY, at=close + timedelta(seconds=30))
    trade(path_of(box), "later", 5, "100", session=box.today, at=close + timedelta(minutes=20))

    box.run("calculate_pnl")

    with PortfolioBooks(path_of(box), read_only=True) as books:
        rows = books.position_pnl(box.today - DAY)
    assert [row.position.quantity for row in rows] == [7, 100]
    assert not any(name.startswith("shares") for name in told(box))


def test_a_fill_that_is_booked_after_the_books_were_closed_is_not_missed_in_them(box: TradingBox) -> None:
    """It is in the next session's: nothing for a person to look at when the job runs once more."""
    box.run("calculate_pnl")
    trade(path_of(box), "late", 10, "100", session=box.today - DAY, at=now() - DAY)

    box.run("calculate_pnl")

    assert not any(name.startswith("shares") for name in told(box))


def test_sessions_that_were_missed_are_closed_in_order(box: TradingBox) -> None:
    with PortfolioBooks(path_of(box)) as books, books.writing():
        day = box.today - 3 * DAY
        books.close(day, books.valuation(day, capital=Decimal(100_000), at=now() - 3 * DAY), now())

    box.run("calculate_pnl")

    with PortfolioBooks(path_of(box), read_only=True) as books:
        assert [pnl.session for pnl in books.session_pnls(9)] == [box.today - n * DAY for n in (3, 2, 1)]


def test_the_risk_report_has_limits_exposure_and_profit_by_strategy(box: TradingBox) -> None:
    trade(path_of(box), "b", -20, "110", session=box.today - DAY, at=now() - DAY, strategy="pairs")
    box.run("calculate_pnl")
    box.run("check_risk_limits")

    done = box.run("risk_report")

    name = box.state / "reports" / f"risk-{box.today - DAY}"
    text, page = name.with_suffix(".md").read_text(), name.with_suffix(".html").read_text()
    assert (done.returncode, done.stderr) == (0, "")
    # Our newest fill is the price: 100 shares of trend have gained 1,000 $, less 1 $; 20 short at 110.
    assert "| trend | +999.00 | +0.00 | +1,000.00 | -1.00 |" in text
    assert "| All | +999.00 |" in text
    # 80 * 110 = 8,800 of 100,999 $ of equity.
    assert "| gross exposure | 8.71 % | 100 % | 91.29 % |" in text
    assert re.search(r"\| ACME \| trend \| 100 \| 100\.0000 \| 110\.0000 \|", text)
    assert not re.search(r"https?:|src=|<script|@import|url\(", page)


def test_the_report_draws_profit_over_the_sessions(box: TradingBox) -> None:
    with PortfolioBooks(path_of(box)) as books, books.writing():
        for n in (4, 3, 2, 1):
            day, at = box.today - n * DAY, now() - n * DAY + timedelta(minutes=1)
            worth = books.valuation(day, capital=Decimal(100_000), at=at)
            books.close(day, worth, at)
            books.note_equity(day, worth)

    box.run("risk_report")

    page = (box.state / "reports" / f"risk-{box.today - DAY}.html").read_text()
    [svg] = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert "at the close of 4 sessions" in (ElementTree.fromstring(svg).get("aria-label") or "")


def test_a_halt_that_stands_is_at_the_top_of_the_report(box: TradingBox) -> None:
    box.run("calculate_pnl")
    KillSwitch(box.state / "trading.halt").set("by hand", "me", now())

    box.run("risk_report")

    text = (box.state / "reports" / f"risk-{box.today - DAY}.md").read_text()
    assert "> ✗ Trading is halted: by hand" in text


def test_a_reconciliation_writes_down_what_differs(box: TradingBox) -> None:
    done = box.run("reconcile_positions")

    text = (box.state / "reports" / f"reconciliation-{box.today - DAY}.md").read_text()
    assert done.returncode == 1
    assert "| ACME | 100 | 0 | 0 | -100 |" in text
    assert "1 of 1 symbols differ" in text


@pytest.mark.parametrize("job", JOBS)
def test_a_damaged_ledger_is_a_failure_that_names_it(box: TradingBox, job: str) -> None:
    for path in box.state.glob("ledger.db*"):
        path.unlink()
    path_of(box).write_bytes(b"not a database" * 100)

    done = box.run(job)

    assert done.returncode == 1
    assert "ledger.db" in done.stderr


@pytest.mark.parametrize("job", JOBS)
def test_jobs_of_every_minute_load_nothing_heavy(box: TradingBox, job: str) -> None:
    """Up and done in tenths of a second on a Pi, within 40 MB."""
    code = (
        f"import sys; from scripts import {job}; code = {job}.main([])\n"
        "heavy = {'numpy', 'pandas', 'sqlalchemy', 'scipy', 'pyarrow', 'typer'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **box.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "0 []"
