"""A box whose database is damaged, in a browser: what is said fits the screen, and Health can be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestration.state.store import SqlStore
from tests.browser import chromium, servers
from tests.browser.chromium import SCREENS, Browser
from tests.browser.servers import Served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if chromium.BROWSER is None or chromium.DRIVER is None:
        pytest.skip(chromium.MISSING)
    folder: Path = tmp_path_factory.mktemp("damaged")
    # Wider than a telephone, as paths are; a line may break at a hyphen, so there is none.
    state = folder / "astatedirectorywithanamethatiswiderthananytelephone"
    with closing(SqlStore(state / "performance.db")):
        pass
    file = state / "performance.db"
    file.write_bytes(file.read_bytes()[:8192] + b"\xa5" * (file.stat().st_size - 8192))
    environ = {"ORCHESTRATOR_STATE_DIR": str(state), "ORCHESTRATOR_LOG_DIR": str(state / "logs")}
    with servers.dashboard(environ, folder, "sixteen-letters-x") as found:
        yield found


@pytest.mark.parametrize(("path", "heading"), [("/", "Nothing can be shown now"), ("/health", "Health")])
def test_what_is_said_of_damage_fits_every_screen_and_can_be_read_by_everybody(
    browser: Browser, damaged: Served, path: str, heading: str
) -> None:
    found = []
    for screen in SCREENS:
        browser.use(screen)
        browser.open(damaged.address + path)
        assert browser.find("main h1").text == heading
        assert "is damaged (database disk image is malformed)" in browser.find("main").text
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            found += [f"{screen.name}, {scheme}: {line}" for line in [*browser.axe(), *browser.too_wide()]]

    assert "\n".join(found) == ""


def test_the_first_page_of_a_damaged_box_leads_to_the_way_on(browser: Browser, damaged: Served) -> None:
    browser.open(damaged.address + "/")

    browser.find('main a[href="/health"]').click()

    assert "Stop the daemon" in browser.find("section[aria-label='How to go on'] ol").text
