"""The trading jobs as processes, in an open market, in real time: how they work, stop, die, come back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.alpaca_server import KEY, SECRET, AlpacaServer, alpaca_server, stamp
from tests.open_market import LIMIT_S, OTHER, SYMBOL, TradingBox, now, result_of, store_bars, wait_for
from trading.execution.kill_switch import KillSwitch
from trading.execution.orders import ChildState, ParentState
from trading.execution.turn_lock import held

SECOND = timedelta(seconds=1)
alpaca = pytest.mark.skipif(find_spec("alpaca") is None, reason="alpaca-py is not installed")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bars")
    store_bars(folder, SYMBOL, OTHER, "AAPL")
    return folder


@pytest.fixture
def open_box(tmp_path: Path, bars: Path) -> Iterator[Callable[..., TradingBox]]:
    boxes: list[TradingBox] = []

    def make(**environ: str) -> TradingBox:
        boxes.append(TradingBox(tmp_path, environ={"ORCHESTRATOR_DATA_DIR": str(bars), **environ}))
        return boxes[-1]

    yield make
    for box in boxes:
        box.end_all()


@pytest.fixture
def box(open_box: Callable[..., TradingBox]) -> TradingBox:
    return open_box()


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with alpaca_server() as running:
        running.quotes["AAPL"] = {"t": stamp(now()), "bp": 100.42, "ap": 100.44}
        yield running


@pytest.fixture
def alpaca_box(open_box: Callable[..., TradingBox], server: AlpacaServer) -> TradingBox:
    return open_box(
        ORCHESTRATOR_BROKER="alpaca", ORCHESTRATOR_BROKER_URL=server.url, broker_key=KEY, broker_secret=SECRET
    )


# --- optimize_execution -----------------------------------------------------------------------------------


def test_orders_are_planned_and_those_that_cannot_be_are_told(box: TradingBox) -> None:
    """A tenth of 50,000,000 shares a day is 5,000,000: 100,000,000 cannot be bought in a day."""
    good = box.enter(SYMBOL, "buy", "300")
    huge = box.enter(OTHER, "buy", "100000000")
    strange = box.enter("NONE", "sell", "10")

    done = box.run("optimize_execution")

    assert done.returncode == 0, done.stderr
    alerts = result_of(box)["alerts"]
    assert sorted(alerts) == sorted([huge, strange])
    assert alerts[huge].startswith(f"{huge} is refused: ")
    assert alerts[strange].startswith(f"{strange} cannot be planned: no daily bars of NONE")
    states = [box.parent(order).state for order in (good, huge, strange)]
    assert states == [ParentState.VALIDATED, ParentState.REJECTED, ParentState.NEW]
    assert f"{good}: buy 300 ACME: market" in done.stdout


def test_a_second_planning_changes_nothing_and_tells_the_same(box: TradingBox) -> None:
    box.enter(OTHER, "buy", "100000000")
    box.run("optimize_execution")
    first = result_of(box)

    done = box.run("optimize_execution")

    assert done.returncode == 0
    assert result_of(box)["alerts"] == first["alerts"]
    assert result_of(box)["orders"] == 0


def test_many_refusals_share_one_alert(box: TradingBox) -> None:
    path = box.folder / "many.csv"
    path.write_text("symbol,side,quantity\n" + "NONE,buy,1\n" * 40)
    box.run("orders", "import", str(path))

    box.run("optimize_execution")

    alerts = result_of(box)["alerts"]
    assert len(alerts) == 16
    assert alerts[f"more of {box.today}"].startswith("25 more orders of")


@pytest.mark.slow
@pytest.mark.parametrize(
    "job", ["optimize_execution", "execute_orders", "reconcile_orders", "reconcile_positions"]
)
def test_a_calendar_that_cannot_be_used_ends_a_job_with_a_line(box: TradingBox, job: str) -> None:
    box.start("execute_orders")
    parent = box.enter(SYMBOL, "buy", "300")
    box.wait_child(parent)
    box.end_all()
    (box.state / "overrides.csv").write_text("2026-11-31, closed\n")

    done = box.run(job)

    assert done.returncode == 1
    assert done.stderr.startswith(f"{job}: ")
    assert "'2026-11-31' is not a date" in done.stderr
    assert "'2026-11-31' is not a date" in result_of(box)["error"]


# --- execute_orders on the paper broker -------------------------------------------------------------------


def test_asked_to_stop_it_cancels_what_is_open_and_the_next_run_resumes_the_order(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    first = box.start("execute_orders")
    child = box.wait_child(parent)

    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=LIMIT_S)
    left = box.children(parent), box.parent(parent)
    second = box.start("execute_orders")
    wait_for(lambda: len(box.children(parent)) == 2, "a second child")

    assert (first.returncode, err) == (75, "")
    assert "stopped; 1 paused" in out
    assert "no market feed" in out
    assert [(c.client_order_id, c.state) for c in left[0]] == [(child.client_order_id, ChildState.CANCELLED)]
    assert (left[1].state, left[1].reason) == (ParentState.PAUSED, "the executor was asked to stop")
    box.wait_state(parent, ParentState.WORKING)
    assert [c.sequence for c in box.children(parent)] == [1, 2]
    assert second.poll() is None


@pytest.mark.slow
def test_asked_to_keep_its_orders_it_leaves_them_open_and_the_next_run_takes_them_up(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    first = box.start("execute_orders", "--on-stop", "keep")
    child = box.wait_child(parent)

    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=LIMIT_S)
    kept = box.children(parent)
    box.start("execute_orders")
    box.wait_state(parent, ParentState.WORKING)

    assert first.returncode == 75
    assert [(c.client_order_id, c.state) for c in kept] == [(child.client_order_id, ChildState.ACKED)]
    assert len(box.children(parent)) == 1


@pytest.mark.slow
def test_a_killed_run_is_reconciled_and_the_next_sends_nothing_twice(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    first = box.start("execute_orders")
    child = box.wait_child(parent)

    first.kill()
    first.communicate()
    settled = box.run("reconcile_orders")
    box.start("execute_orders")
    time.sleep(3)  # three of the executor's looks would be enough to send another

    assert (settled.returncode, settled.stdout) == (0, "every order is accounted for\n")
    assert result_of(box) == {"in_doubt": 0}
    assert [c.client_order_id for c in box.children(parent)] == [child.client_order_id]
    assert box.parent(parent).state is ParentState.WORKING


@pytest.mark.slow
def test_an_order_entered_while_it_works_is_worked_too(box: TradingBox) -> None:
    box.start("execute_orders")

    parent = box.enter(SYMBOL, "sell", "200")

    assert box.wait_child(parent).quantity == 200


@pytest.mark.slow
def test_an_order_cancelled_by_hand_is_cancelled_at_the_broker(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    job = box.start("execute_orders", "--no-stay")
    box.wait_child(parent)

    box.run("orders", "cancel", parent)
    job.communicate(timeout=LIMIT_S)

    assert job.returncode == 0
    assert [c.state for c in box.children(parent)] == [ChildState.CANCELLED]
    assert result_of(box)["alerts"] == {}  # a person wanted it so


@pytest.mark.slow
def test_a_halt_ends_what_is_open_and_what_is_left_is_told(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    job = box.start("execute_orders", "--no-stay")
    box.wait_child(parent)

    KillSwitch(box.state / "trading.halt").set("looks wrong", "me", now())
    job.communicate(timeout=LIMIT_S)

    assert job.returncode == 0
    assert [c.state for c in box.children(parent)] == [ChildState.CANCELLED]
    text = f"{parent} is killed, 0 of 300 shares filled: the kill switch is set"
    assert result_of(box)["alerts"] == {parent: text}


def test_while_trading_is_halted_no_order_is_sent(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    box.run("orders", "halt", "looks wrong")

    done = box.run("execute_orders", "--no-stay")

    assert done.returncode == 0
    assert box.children(parent) == []
    assert box.parent(parent).state is ParentState.KILLED


@pytest.mark.slow
def test_the_close_ends_the_run_and_tells_what_is_left(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    box.set_hours(timedelta(hours=1), 6 * SECOND)

    done = box.run("execute_orders")

    assert done.returncode == 0, done.stderr
    assert "done; 1 expired" in done.stdout
    assert [c.state.is_final for c in box.children(parent)] == [True]
    text = f"{parent} is expired, 0 of 300 shares filled: the horizon ended with 300 shares left"
    assert result_of(box)["alerts"] == {parent: text}


@pytest.mark.slow
def test_an_early_close_entered_by_hand_holds_while_it_works_and_a_slip_of_the_pen_does_not(
    box: TradingBox,
) -> None:
    job = box.start("execute_orders")
    parent = box.enter(SYMBOL, "buy", "300")
    box.wait_child(parent)
    overrides = box.state / "overrides.csv"

    overrides.write_text("2026-11-31, closed, no such day\n")
    time.sleep(3)
    still_at_work = job.poll() is None and box.parent(parent).state is ParentState.WORKING
    overrides.write_text(f"{box.today}, closed, the exchange said so\n")
    _, err = job.communicate(timeout=LIMIT_S)

    assert still_at_work
    assert err.count("the calendar that was known holds") == 1
    assert job.returncode == 0
    assert box.parent(parent).state is ParentState.EXPIRED


def test_before_the_open_there_is_nothing_to_work(box: TradingBox) -> None:
    box.enter(SYMBOL, "buy", "300")
    box.set_hours(-timedelta(minutes=30), timedelta(hours=2))

    done = box.run("execute_orders")

    assert (done.returncode, done.stdout) == (0, "the market is closed; nothing to work\n")


@pytest.mark.slow
@pytest.mark.timeout(300)  # up to a minute until the next bar begins, and the minute that it takes
def test_an_order_is_filled_by_the_modelled_market_and_both_books_agree(box: TradingBox) -> None:
    """A bar is a minute long, and the order is filled from one that begins after it was sent."""
    parent = box.enter(SYMBOL, "buy", "300")
    job = box.start("execute_orders", "--no-stay")

    job.communicate(timeout=240)
    report = result_of(box)
    agreed = box.run("reconcile_positions")

    assert job.returncode == 0
    assert (report["states"], report["filled"], report["alerts"]) == ({"completed": 1}, {parent: 300}, {})
    assert (agreed.returncode, agreed.stdout) == (0, "ledger and broker agree on 1 symbols\n")


# --- one worker -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_worker_waits_until_the_first_has_ended(box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    with held(box.state / "execution.lock"):
        job = box.start("execute_orders")
        time.sleep(2)
        sent = box.children(parent)

    assert sent == []
    assert box.wait_child(parent).sequence == 1
    assert job.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("job", ["execute_orders", "reconcile_positions"])
def test_a_second_worker_gives_up_after_half_a_minute_and_names_the_first(box: TradingBox, job: str) -> None:
    with held(box.state / "execution.lock"):
        done = box.run(job)

    assert done.returncode == 75
    assert f"{job}: orders are being worked by process " in done.stdout


def test_while_the_executor_works_a_reconciliation_leaves_everything_to_it(box: TradingBox) -> None:
    with held(box.state / "execution.lock"):
        done = box.run("reconcile_orders")

    assert (done.returncode, done.stdout) == (0, "the executor is at work; it reconciles by itself\n")
    assert result_of(box) == {"at_work": True}


def test_with_nothing_open_a_reconciliation_asks_nobody(box: TradingBox) -> None:
    """It would say so: there is no package and no address for this broker."""
    done = box.run("reconcile_orders", ORCHESTRATOR_BROKER="ibkr", ORCHESTRATOR_BROKER_URL="127.0.0.1:1")

    assert (done.returncode, done.stdout) == (0, "no order is open or in doubt\n")


@pytest.mark.parametrize("job", ["reconcile_orders", "reconcile_positions", "monitor_positions"])
def test_before_the_state_directory_is_made_nothing_was_ever_traded(box: TradingBox, job: str) -> None:
    """The jobs that follow positions say the same, and make nothing."""
    absent = box.folder / "not-made-yet"

    done = box.run(job, "--state-dir", str(absent))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "nothing was ever traded: there is no ledger yet\n"
    assert not absent.exists()


# --- a broker over a connection ---------------------------------------------------------------------------


def fill_all(server: AlpacaServer) -> None:
    """Execute every order that is open, as the exchange does with time."""
    for order in list(server.orders):
        if order["status"] in ("new", "accepted"):
            server.fill(order["client_order_id"], order["qty"], "100.44")


@pytest.mark.slow
@alpaca
def test_an_order_goes_through_a_real_connection_and_both_books_agree(
    alpaca_box: TradingBox, server: AlpacaServer
) -> None:
    parent = alpaca_box.enter("AAPL", "buy", "300")
    job = alpaca_box.start("execute_orders", "--no-stay")
    child = alpaca_box.wait_child(parent)

    fill_all(server)
    job.communicate(timeout=LIMIT_S)
    report = result_of(alpaca_box)
    agreed = alpaca_box.run("reconcile_positions")

    assert job.returncode == 0
    assert (report["broker"], report["filled"]) == ("alpaca", {parent: 300})
    assert server.count("POST", "/v2/orders") == 1
    assert server.order(child.client_order_id)["side"] == "buy"
    assert (agreed.returncode, agreed.stdout) == (0, "ledger and broker agree on 1 symbols\n")


@pytest.mark.slow
@alpaca
def test_shares_that_were_there_before_our_first_order_are_no_difference(
    alpaca_box: TradingBox, server: AlpacaServer
) -> None:
    server.positions.append({"symbol": "AAPL", "qty": "1000", "side": "long", "asset_class": "us_equity"})
    parent = alpaca_box.enter("AAPL", "sell", "300")
    job = alpaca_box.start("execute_orders", "--no-stay")
    alpaca_box.wait_child(parent)
    fill_all(server)
    job.communicate(timeout=LIMIT_S)

    agreed = alpaca_box.run("reconcile_positions")

    assert server.positions[0]["qty"] == "700"
    assert (agreed.returncode, agreed.stderr) == (0, "")


@pytest.mark.slow
@alpaca
def test_a_position_that_differs_is_named_with_both_numbers_and_written_down(
    alpaca_box: TradingBox, server: AlpacaServer
) -> None:
    parent = alpaca_box.enter("AAPL", "buy", "300")
    job = alpaca_box.start("execute_orders", "--no-stay")
    alpaca_box.wait_child(parent)
    fill_all(server)
    job.communicate(timeout=LIMIT_S)
    server.positions[0]["qty"] = "299"

    done = alpaca_box.run("reconcile_positions")

    assert done.returncode == 1
    assert "AAPL: the ledger has 300 shares, the broker 299" in done.stderr
    assert result_of(alpaca_box)["differences"] == {"AAPL": [300, 299]}
    with alpaca_box.ledger() as ledger:
        assert [event.kind for event in ledger.events()][-1] == "positions.differ"


@pytest.mark.slow
@alpaca
def test_a_run_killed_before_its_order_was_filled_is_settled_by_the_reconciliation(
    alpaca_box: TradingBox, server: AlpacaServer
) -> None:
    parent = alpaca_box.enter("AAPL", "buy", "300")
    job = alpaca_box.start("execute_orders")
    alpaca_box.wait_child(parent)
    job.kill()
    job.communicate()
    fill_all(server)

    settled = alpaca_box.run("reconcile_orders")
    resumed = alpaca_box.run("execute_orders", "--no-stay")

    assert settled.returncode == 0
    assert [c.state for c in alpaca_box.children(parent)] == [ChildState.FILLED]
    assert resumed.returncode == 0
    assert alpaca_box.parent(parent).state is ParentState.COMPLETED
    assert server.count("POST", "/v2/orders") == 1


JOBS = ("execute_orders", "reconcile_orders", "reconcile_positions")


def _killed_at_work(box: TradingBox) -> str:
    """Leave an open order behind, so that reconcile_orders has to ask; return its parent."""
    parent = box.enter("AAPL", "buy", "300")
    job = box.start("execute_orders")
    box.wait_child(parent)
    job.kill()
    job.communicate()
    return parent


@pytest.mark.slow
@alpaca
def test_a_broker_that_is_down_is_tried_again_later(alpaca_box: TradingBox, server: AlpacaServer) -> None:
    parent = _killed_at_work(alpaca_box)
    before = alpaca_box.children(parent)
    server.close()

    for job in JOBS:
        done = alpaca_box.run(job)

        assert (done.returncode, done.stderr) == (75, ""), job
        assert done.stdout.startswith(f"{job}: ")
    assert alpaca_box.children(parent) == before


@pytest.mark.slow
@alpaca
def test_keys_that_are_refused_fail_and_are_not_printed(alpaca_box: TradingBox, server: AlpacaServer) -> None:
    _killed_at_work(alpaca_box)
    requests = server.count("POST", "/v2/orders")

    for job in JOBS:
        done = alpaca_box.run(job, broker_secret="wrong-secret-000000")

        assert done.returncode == 1, job
        assert done.stderr.startswith(f"{job}: ")
        assert "wrong-secret" not in done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
    assert server.count("POST", "/v2/orders") == requests


@alpaca
@pytest.mark.parametrize("job", JOBS)
def test_without_keys_a_job_says_what_is_missing(
    alpaca_box: TradingBox, server: AlpacaServer, job: str
) -> None:
    _killed_at_work(alpaca_box)

    done = alpaca_box.run(job, broker_key="", broker_secret="")

    assert done.returncode == 1
    assert done.stderr.startswith(f"{job}: ")
    assert "key" in done.stderr
    assert "Traceback" not in done.stderr
