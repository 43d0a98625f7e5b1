"""One browser a module; the demo's box once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import chromium, servers
from tests.browser.chromium import DESKTOP, Browser
from tests.browser.servers import Served


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium.BROWSER is None or chromium.DRIVER is None:
        pytest.skip(chromium.MISSING)
    with pytest.MonkeyPatch.context() as patch:
        # Selenium itself would look for a newer driver, and tell how it is used.
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("SE_AVOID_STATS", "true")
        with chromium.chromium(tmp_path_factory.mktemp("profile")) as found:
            yield found


@pytest.fixture
def browser(one_browser: Browser) -> Browser:
    """A browser that knows nothing, on a desktop in light."""
    one_browser.forget()
    one_browser.use(DESKTOP)
    one_browser.prefer("light")
    return one_browser


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if chromium.BROWSER is None or chromium.DRIVER is None:
        pytest.skip(chromium.MISSING)
    folder: Path = tmp_path_factory.mktemp("demo")
    with servers.demo(folder) as found:
        yield found
