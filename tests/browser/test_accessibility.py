"""Everybody can use the pages: axe-core finds nothing, and a keyboard alone suffices."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE, SCREENS, Browser
from tests.browser.servers import Served
from tests.browser.shown import ADDRESSES, address_in

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", [*ADDRESSES, "/no/such/page"])
def test_axe_finds_nothing_on_a_page_in_light_and_dark(browser: Browser, demo: Served, path: str) -> None:
    found = []
    for screen in SCREENS:
        browser.use(screen)
        browser.open(address_in(demo, path))
        browser.find("main h1")
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            found += [f"{screen.name}, {scheme}: {line}" for line in browser.axe()]

    assert "\n".join(found) == ""


@pytest.mark.parametrize("path", ADDRESSES)
def test_axe_finds_nothing_for_a_reader_who_may_act(browser: Browser, demo: Served, path: str) -> None:
    sign_in(browser, demo)
    browser.use(PHONE)
    browser.open(address_in(demo, path))
    browser.find("main h1")

    assert "\n".join(browser.axe()) == ""
    assert browser.too_wide() == []


def test_the_first_key_offers_to_skip_the_menu(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/")

    press(browser, Keys.TAB)
    link = browser.driver.switch_to.active_element
    assert link.get_attribute("href") == f"{demo.address}/#content"
    place = link.rect
    assert place["x"] >= 0
    assert place["y"] >= 0

    press(browser, Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "content"


def test_where_the_keyboard_is_can_be_seen(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/")
    ring = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
    seen = set()

    for _ in range(12):
        press(browser, Keys.TAB)
        if browser.run("return document.activeElement === document.body"):
            # Past the last one: the browser's own bar has the keyboard now.
            break
        here = browser.run("return document.activeElement.outerHTML.slice(0, 120)")
        style, width = browser.run(ring)
        assert (style, width) not in (("none", "0px"), ("none", width)), here
        seen.add(here)

    assert len(seen) > 4


def test_a_live_page_does_not_take_the_keyboard_away(browser: Browser, demo: Served) -> None:
    browser.open(demo.address + "/")
    first = browser.find("main a[href]")
    browser.run("arguments[0].focus()", first)
    here = "return [document.activeElement.tagName, document.activeElement.getAttribute('href')]"
    before = browser.run(here)
    assert before[0] == "A"

    browser.run(
        "window.shown = false;"
        "document.addEventListener('htmx:afterSettle', () => { window.shown = true; }, {once: true});"
        "htmx.trigger('#content', 'sse:tick');"
    )
    browser.driver.execute_async_script(
        "const done = arguments[0]; const look = () => window.shown ? done() : setTimeout(look, 20); look();"
    )

    assert browser.run(here) == before


def press(browser: Browser, key: str) -> None:
    """Press a key wherever the keyboard is."""
    ActionChains(browser.driver).send_keys(key).perform()


def sign_in(browser: Browser, box: Served) -> None:
    """Begin a session."""
    browser.open(box.address + "/login")
    browser.find("#token").send_keys(box.token)
    browser.find("form.sign-in button").click()
    browser.find("form[action='/logout']")
