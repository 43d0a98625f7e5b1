"""What is pressed in a browser reaches the daemon, and its answer comes back; strangers press in vain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.remote.webelement import WebElement

from observability.dashboard.pages import PAGES
from tests.acceptance.daemon import Daemon, wait_for
from tests.browser import servers
from tests.browser.chromium import PHONE, Browser, eventually
from tests.browser.servers import Served

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-the-tests"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    box = Daemon(tmp_path_factory.mktemp("box"))
    never = {"phases": [], "on": "all", "cron": "0 0 1 1 *"}
    box.write_tasks(
        box.job("long_job", "sleep 600", **never),
        box.job("short_job", "true", **never),
        box.job("bad_job", "echo it went wrong; exit 3", max_attempts=1),
    )
    try:
        box.start()
        yield box
    finally:
        box.clean_up()


@pytest.fixture(scope="module")
def box(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with servers.dashboard(daemon.environment(), tmp_path_factory.mktemp("served"), TOKEN) as found:
        yield found


def sign_in(browser: Browser, box: Served, token: str = TOKEN) -> None:
    browser.open(box.address + "/login")
    browser.find("#token").send_keys(token)
    browser.find("form.sign-in button").click()


def press(browser: Browser, box: Served, action: str, *, page: str | None = None, holding: str = "") -> None:
    """Press an action's button on the first page of the menu (or on `page`) that has it, and confirm.

    holding: what its form must hold, as the name of a task.
    """
    menu = [each.path for each in PAGES if each.title is not None] if page is None else [page]

    def form() -> WebElement | None:
        for path in menu:
            browser.open(box.address + path)
            browser.find("main h1")
            for found in forms(browser, action):
                if holding in str(found.get_attribute("outerHTML")):
                    return found
        return None

    found = eventually(form, f"a page with a button for {action} {holding}")
    assert found is not None
    button = found.find_element("tag name", "button")
    browser.run("arguments[0].closest('details')?.setAttribute('open', '')", button)
    browser.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    browser.confirm()


def forms(browser: Browser, action: str) -> list[WebElement]:
    return browser.all(f"main form[action='/actions/{action}']")


def test_a_wrong_token_is_refused(browser: Browser, box: Served) -> None:
    sign_in(browser, box, "not-the-token-at-all")

    browser.wait_text("token", "[role=alert]")
    assert "/login" in browser.driver.current_url
    assert not browser.all("form[action='/logout']")
    assert browser.driver.get_cookies() == []


def test_who_has_not_signed_in_is_led_to_it_and_nothing_is_done(
    browser: Browser, daemon: Daemon, box: Served
) -> None:
    press(browser, box, "pause")

    eventually(lambda: "/login" in browser.driver.current_url, "the page to sign in on")
    assert daemon.rows("SELECT value FROM scheduler_state WHERE key = 'paused' AND value != ''") == []


def test_who_signs_in_comes_back_to_the_page(browser: Browser, box: Served) -> None:
    browser.open(box.address + "/task/short_job")
    browser.find(".corner a[href^='/login']").click()
    browser.find("#token").send_keys(TOKEN)
    browser.find("form.sign-in button").click()

    browser.find("form[action='/logout']")
    assert browser.driver.current_url == box.address + "/task/short_job"


def test_a_pause_reaches_the_daemon_and_its_answer_comes_back(
    browser: Browser, daemon: Daemon, box: Served
) -> None:
    sign_in(browser, box)
    browser.find("form[action='/logout']")

    press(browser, box, "pause")
    browser.wait_text("paused: only trading duties start", "#said")
    wait_for(lambda: paused(daemon) == ["research"], "the daemon has written that it is paused")
    browser.wait_text("paused")

    press(browser, box, "resume")
    browser.wait_text("resumed", "#said")
    wait_for(lambda: paused(daemon) == [], "the daemon has written that it goes on")
    assert browser.complaints() == []


def paused(daemon: Daemon) -> list[str]:
    rows = daemon.rows("SELECT value FROM scheduler_state WHERE key = 'paused' AND value != ''")
    return [row["value"] for row in rows]


def test_a_task_is_run_from_its_page_on_a_phone(browser: Browser, daemon: Daemon, box: Served) -> None:
    sign_in(browser, box)
    browser.find("form[action='/logout']")
    browser.use(PHONE)

    press(browser, box, "run", page="/task/short_job")

    browser.wait_text("short_job will run", "#said")
    daemon.wait_seen("stop", "short_job")


def test_a_run_is_stopped_from_a_page(browser: Browser, daemon: Daemon, box: Served) -> None:
    sign_in(browser, box)
    browser.find("form[action='/logout']")
    daemon.command_daemon("run", task="long_job")
    daemon.wait_seen("start", "long_job")
    wait_for(lambda: daemon.outcomes("long_job") == [None], "the run is on record")

    press(browser, box, "stop", holding="long_job")

    browser.wait_text("was asked to stop", "#said")
    wait_for(lambda: daemon.outcomes("long_job") != [None], "the run has ended")


def test_an_alert_is_acknowledged_on_a_page(browser: Browser, daemon: Daemon, box: Served) -> None:
    sign_in(browser, box)
    browser.find("form[action='/logout']")
    key = wait_for(lambda: daemon.rows("SELECT key FROM alerts WHERE task = 'bad_job'"), "the alert")[0][
        "key"
    ]

    press(browser, box, "acknowledge", holding=key)

    browser.wait_text("acknowledged", "#said")
    wait_for(
        lambda: daemon.rows("SELECT 1 FROM alerts WHERE key = ? AND acknowledged_at IS NOT NULL", key),
        "the daemon has written that it was seen",
    )


def test_trading_is_halted_and_let_go_on_from_a_page(browser: Browser, daemon: Daemon, box: Served) -> None:
    sign_in(browser, box)
    browser.find("form[action='/logout']")
    page = next(each.path for each in PAGES if each.title == "Trading")
    browser.open(box.address + page)
    browser.find("#halt-reason").send_keys("the fills look wrong")

    browser.find("main form[action='/actions/halt'] button").click()
    browser.confirm()
    browser.wait_text("trading is halted", "#said")
    assert "the fills look wrong" in (daemon.state / "trading.halt").read_text()
    browser.wait_text("the fills look wrong")

    press(browser, box, "resume-trading", page=page)
    browser.wait_text("trading may go on", "#said")
    assert not (daemon.state / "trading.halt").exists()


def test_another_site_cannot_press_anything(browser: Browser, daemon: Daemon, box: Served) -> None:
    """A page of another origin sends a form with the reader's session: nothing happens."""
    sign_in(browser, box)
    browser.find("form[action='/logout']")
    stranger = box.address.replace("127.0.0.1", "localhost")
    browser.run(
        "const form = document.createElement('form'); form.method = 'post';"
        "form.action = arguments[0] + '/actions/pause'; document.body.append(form); form.submit();",
        stranger,
    )

    eventually(lambda: browser.run("return document.readyState") == "complete", "the answer")
    assert paused(daemon) == []
