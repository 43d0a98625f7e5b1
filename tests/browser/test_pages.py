"""Every page, as a browser at home shows it: on a desktop and on a phone, from this box alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import servers
from tests.browser.chromium import SCREENS, Browser, eventually
from tests.browser.servers import Served
from tests.browser.shown import ADDRESSES, address_in

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_page_fits_every_screen_and_has_nothing_to_complain_of(
    browser: Browser, demo: Served, path: str
) -> None:
    for screen in SCREENS:
        browser.use(screen)
        browser.open(address_in(demo, path))
        browser.find("main h1")

        assert browser.too_wide() == [], screen.name
        assert browser.complaints() == [], screen.name
        assert browser.elsewhere(demo.address) == [], screen.name


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_page_that_shows_itself_anew_stays_as_it_is(browser: Browser, demo: Served, path: str) -> None:
    """Its own content, fetched again by itself, changes neither its headings nor its width."""
    browser.open(address_in(demo, path))
    browser.find("main h1")
    headings = "return [...document.querySelectorAll('main :is(h1, h2)')].map((e) => e.id || e.tagName)"
    before = browser.run(headings)
    if not browser.all("main[hx-get]"):
        return

    browser.run(
        "window.shown = false;"
        "document.addEventListener('htmx:afterSettle', () => { window.shown = true; }, {once: true});"
        "htmx.trigger('#content', 'sse:tick');"
    )
    eventually(lambda: browser.run("return window.shown"), "the page shows itself anew")

    assert browser.run(headings) == before
    assert browser.too_wide() == []
    assert browser.complaints() == []


def test_the_menu_leads_to_every_page_it_names(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/")
    names = [link.text for link in browser.all(".top nav a")]

    for name in names:
        link = next(each for each in browser.all(".top nav a") if each.text == name)
        link.click()
        eventually(lambda: browser.text("nav a[aria-current]"), f"{name} is marked in the menu")

        assert browser.text("nav a[aria-current]") == name
        assert name in browser.driver.title


def test_light_and_dark_are_remembered(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)

    browser.find("#theme").click()
    dark = browser.run(ground)
    browser.open(demo.address + "/")

    assert dark != light
    assert browser.run(ground) == dark


def test_what_is_not_there_is_said_on_a_page(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/task/no_such_task")

    assert browser.text("h1")
    assert browser.all("nav a")
    assert browser.too_wide() == []


def test_a_box_without_a_state_yet_says_so(browser: Browser, tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_STATE_DIR": str(tmp_path / "state"), "ORCHESTRATOR_LOG_DIR": str(tmp_path)}
    with servers.dashboard(environ, tmp_path, "sixteen-letters-x") as box:
        browser.open(box.address + "/")

        browser.wait_text("no daemon has run")
        assert browser.too_wide() == []
