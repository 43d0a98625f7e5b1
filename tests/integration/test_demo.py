"""The demo is a box like any other: its pages have everything to show, and its buttons work."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from scripts import demo
from scripts._demo_box import DemoBox
from tests.acceptance.daemon import wait_for
from tests.dashboard_box import TestClient

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DemoBox]:
    with closing(demo.made_box(tmp_path, "sixteen-letters-x")) as made:
        yield made


def count(path: Path, query: str) -> int:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute(query).fetchone()[0])


def test_an_hour_of_trading_leaves_runs_logs_orders_and_fills(box: DemoBox, tmp_path: Path) -> None:
    box.live(until=demo.BEGIN + timedelta(minutes=100))

    ended = "SELECT count(*) FROM task_runs WHERE task = 'monitor_positions' AND outcome = 'succeeded'"
    # One is due in each of the first 70 minutes of the session.
    assert 65 <= count(tmp_path / "performance.db", ended) <= 70
    assert "done" in (tmp_path / "logs" / "runs" / "monitor_positions.log").read_text()
    assert count(tmp_path / "ledger.db", "SELECT count(*) FROM parents WHERE state = 'working'") == 3
    assert count(tmp_path / "ledger.db", "SELECT count(*) FROM fills") > 0


def test_the_same_demo_is_made_again(tmp_path: Path) -> None:
    def prices(folder: Path) -> list[tuple[str, str]]:
        folder.mkdir()
        with closing(demo.made_box(folder, "sixteen-letters-x")) as made:
            made.live(until=demo.BEGIN + timedelta(minutes=45))
        with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
            return list(ledger.execute("SELECT symbol, price FROM fills ORDER BY at, symbol"))

    first = prices(tmp_path / "first")

    assert first
    assert prices(tmp_path / "second") == first


def test_an_order_reaches_the_box_while_time_passes(box: DemoBox) -> None:
    box.live(until=demo.BEGIN + timedelta(minutes=1))
    before = signal.signal(signal.SIGUSR1, lambda number, frame: box.order())
    # An hour in four seconds.
    living = threading.Thread(target=box.live, kwargs={"pace": 900.0})
    living.start()
    try:
        answer = box.desk.daemon.ask("pause")
        view = wait_for(
            lambda: shown if (shown := Source(box.desk, box.used).view())["paused"] else None, "it"
        )
    finally:
        box.end()
        living.join()
        signal.signal(signal.SIGUSR1, before)

    assert answer.ok
    assert view is not None
    assert view["paused"] == "research"
    assert view["daemon"]["pid"] == os.getpid()


def test_what_runs_use_is_seen_beside_what_is_reserved(box: DemoBox) -> None:
    box.live(until=demo.BEGIN + timedelta(minutes=60))

    view = Source(box.desk, box.used).view()

    assert view["running"]
    assert all(0 <= run["used_mb"] <= run["reserved_mb"] for run in view["running"])


def test_every_page_shows_the_heat_of_the_demo_s_own_box(box: DemoBox) -> None:
    """Not that of the machine it is shown on, which may have no sensor."""
    hot_until = demo.BEGIN + timedelta(minutes=30)
    box.sensors.hot = demo.BEGIN, hot_until

    def page(path: str) -> str:
        # A dashboard of its own each time: a page may be some seconds old.
        reader = TestClient(create_app(Source(box.desk, box.used, box.health), Access()))
        return " ".join(re.sub(r"<[^>]*>", " ", reader.get(path).text).split())

    box.live(until=demo.BEGIN + timedelta(minutes=20))
    hot = page("/"), page("/health")
    box.live(until=hot_until + timedelta(minutes=1))
    cool = page("/health")

    assert "Too hot (82.5 C): no research starts" in hot[0]
    assert "Temperature ✗ bad 82 °C, above 80: no research starts" in hot[1]
    assert "Throttling ! warning now: soft temperature limit" in hot[1]
    assert "not now; since the start of the box: soft temperature limit" in cool
    # 47 degrees, and five more for each run.
    assert re.search(r"Temperature ✓ ok (47|52|57|62|67|68) °C", cool)


def test_the_demo_s_health_check_finds_the_heat_that_there_is(box: DemoBox) -> None:
    box.sensors.hot = demo.BEGIN, demo.BEGIN + timedelta(minutes=30)

    def heat() -> object:
        items = box.work.ended("health_check", box.clock.now())["items"]
        assert isinstance(items, list)
        return next(item["text"] for item in items if item["name"] == "temperature")

    hot = heat()
    box.clock.advance(timedelta(minutes=31))

    # 82.5 in whole degrees.
    assert (hot, heat()) == ("82 degrees C", "47 degrees C")


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "performance.db").write_text("of a real box")

    with pytest.raises(SystemExit) as ended:
        demo.main(["--state-dir", str(tmp_path), "--no-serve"])

    assert ended.value.code == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_ends_by_ctrl_c_and_leaves_nothing(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.demo", "--port", "0"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "TMPDIR": str(tmp_path)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "http://127.0.0.1:" in said.read_text(), "it serves", limit_s=120.0)
        (made,) = tmp_path.glob("orchestrator-demo-*")
        week = "SELECT count(DISTINCT session) FROM pnl_sessions"
        assert count(made / "ledger.db", week) == 5
        assert count(made / "performance.db", "SELECT count(*) FROM alerts WHERE cleared_at IS NULL") > 0

        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()

    assert list(tmp_path.glob("orchestrator-demo-*")) == []
    assert "Traceback" not in said.read_text()
