"""A page that is open follows the box: nobody loads it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon
from tests.browser import servers
from tests.browser.chromium import Browser, eventually
from tests.browser.servers import Served

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-the-tests"
SOON_S = 10.0
"""A change is seen within half a second and shown within another; a busy box takes its time."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    box = Daemon(tmp_path)
    box.write_tasks(box.job("long_job", "sleep 600", phases=[], on="all", cron="0 0 1 1 *"))
    try:
        yield box
    finally:
        box.clean_up()


@pytest.fixture
def box(daemon: Daemon, tmp_path: Path) -> Iterator[Served]:
    daemon.start()
    with servers.dashboard(daemon.environment(), tmp_path, TOKEN) as found:
        yield found


def open_and_mark(browser: Browser, address: str) -> None:
    """Open a page and leave a mark in it that loading it again would take away."""
    browser.open(address)
    browser.find("main h1")
    browser.run("window.mark = 'still the same page'")


def is_same(browser: Browser) -> bool:
    return bool(browser.run("return window.mark === 'still the same page'"))


def test_a_run_appears_and_goes_on_the_page_that_is_open(
    browser: Browser, daemon: Daemon, box: Served
) -> None:
    open_and_mark(browser, box.address + "/")
    assert "long_job" not in browser.text()

    daemon.command_daemon("run", task="long_job")
    browser.wait_text("long_job", limit_s=SOON_S)
    assert is_same(browser)

    run = daemon.wait_seen("start", "long_job")
    daemon.command_daemon("stop", run=run[0][2])
    eventually(lambda: "long_job" not in running(browser), "the run is gone", SOON_S)
    assert is_same(browser)
    assert browser.complaints() == []


def running(browser: Browser) -> str:
    """Return what the first page says of running tasks."""
    return "\n".join(
        browser.run(
            "return [...document.querySelectorAll('main section')]"
            ".filter((s) => /running/i.test(s.querySelector('h2')?.innerText ?? ''))"
            ".map((s) => s.innerText)"
        )
    )


def test_a_log_that_is_followed_takes_no_page_to_sign_in_on_for_its_lines(
    browser: Browser, daemon: Daemon, box: Served
) -> None:
    """Where looking needs a session, too, one that has ended leads every request there."""
    daemon.command_daemon("run", task="long_job")
    daemon.wait_seen("start", "long_job")
    run = box.value("performance.db", "SELECT run_id FROM task_runs WHERE task = 'long_job'")
    browser.open(f"{box.address}/run/{run}")
    browser.find("#log pre")

    browser.run(
        "const real = window.fetch; window.asked = 0;"
        "window.fetch = async () => {"
        "  const page = await real('/login');"
        "  Object.defineProperty(page, 'redirected', {value: true});"
        "  window.asked += 1;"
        "  return page;"
        "};"
    )
    eventually(lambda: browser.run("return window.asked"), "the log is asked for")
    browser.driver.execute_async_script("setTimeout(arguments[0], 300)")

    assert "Sign in" not in browser.text("#log")


def test_a_daemon_that_ends_is_missed_on_the_page_that_is_open(
    browser: Browser, daemon: Daemon, box: Served
) -> None:
    open_and_mark(browser, box.address + "/")
    assert "no daemon" not in browser.text().lower()

    daemon.stop()

    eventually(lambda: "daemon" in browser.text().lower(), "the page says that no daemon runs", SOON_S)
    assert is_same(browser)


def test_a_dashboard_that_comes_back_is_followed_again(
    browser: Browser, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.start()
    port = servers.free_port()
    with servers.dashboard(daemon.environment(), tmp_path, TOKEN, port) as first:
        open_and_mark(browser, first.address + "/")

    browser.wait_text("does not answer", "#said")
    with servers.dashboard(daemon.environment(), tmp_path, TOKEN, port):
        browser.wait_text("answers again", "#said")
        daemon.command_daemon("run", task="long_job")
        browser.wait_text("long_job", limit_s=SOON_S)

    assert is_same(browser)


def test_a_new_box_shows_its_first_page_as_soon_as_there_is_one(
    browser: Browser, daemon: Daemon, tmp_path: Path
) -> None:
    with servers.dashboard(daemon.environment(), tmp_path, TOKEN) as box:
        open_and_mark(browser, box.address + "/")
        browser.wait_text("no daemon has run")

        daemon.start()

        eventually(lambda: browser.all("main .leds"), "the page shows the LEDs", SOON_S)
        assert is_same(browser)
