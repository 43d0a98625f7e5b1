"""A real headless Chromium, and what the tests ask of a page in it.

The system's own browser and driver, found on the path; nothing is downloaded and nobody is told.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "no chromium and chromedriver on the path: scripts/setup_browser.sh installs them"

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LIMIT_S = 30.0
"""What takes longer has failed."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever a page might ask for elsewhere is not found.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
NOTE_REFUSALS = """
window.refused = [];
addEventListener("securitypolicyviolation", (event) =>
  window.refused.push(`${event.violatedDirective}: ${event.blockedURI} in ${event.sourceFile}`));
"""
T = TypeVar("T")


class Screen(NamedTuple):
    """Size in CSS pixels."""

    name: str
    width: int
    height: int
    is_phone: bool


DESKTOP = Screen("desktop", 1280, 900, False)
PHONE = Screen("phone", 390, 844, True)
SCREENS = (DESKTOP, PHONE)


def eventually(claim: Callable[[], T], what: str, limit_s: float = LIMIT_S) -> T:
    """Return the first true answer of `claim`; fail, naming `what`, after `limit_s`."""
    end = time.monotonic() + limit_s
    while True:
        try:
            if found := claim():
                return found
        except StaleElementReferenceException:
            # The page has just shown itself anew.
            pass
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        time.sleep(0.05)


class Browser:
    """One Chromium. Its logs are taken when they are asked for, and each line is told once."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        driver.set_page_load_timeout(LIMIT_S)
        driver.set_script_timeout(LIMIT_S)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=NOTE_REFUSALS)

    def cdp(self, command: str, **arguments: object) -> Any:
        """Give a command of the browser's own protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function's body in the page and return its value."""
        return self.driver.execute_script(script, *arguments)

    # --- what the reader has ------------------------------------------------------------------------------

    def use(self, screen: Screen) -> None:
        """Be that wide and high."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=screen.width,
            height=screen.height,
            deviceScaleFactor=1,
            mobile=screen.is_phone,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer `light` or `dark`, as a system's setting says it, and that nothing moves."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def forget(self) -> None:
        """Sign out of everything and forget every choice; what was logged is let go."""
        self.cdp("Network.clearBrowserCookies")
        if self.driver.current_url.startswith("http"):
            self.run("localStorage.clear()")
        self.driver.get("about:blank")
        self.complaints()
        self.requested()

    # --- pages --------------------------------------------------------------------------------------------

    def open(self, address: str) -> None:
        """Open a page and wait until its own script has run."""
        self.driver.get(address)
        eventually(lambda: self.run("return document.readyState") == "complete", f"{address} is loaded")

    def find(self, selector: str) -> WebElement:
        """Return the first element as soon as it is there."""
        return eventually(lambda: self.all(selector), f"{selector} on {self.driver.current_url}")[0]

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "main") -> str:
        """Return what a reader sees of an element now; empty: there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def wait_text(self, wanted: str, selector: str = "main", limit_s: float = LIMIT_S) -> None:
        """Wait until an element says `wanted`."""
        eventually(
            lambda: wanted in self.text(selector),
            f"{wanted!r} in {selector}, which says {self.text(selector)[:400]!r}",
            limit_s,
        )

    def confirm(self) -> None:
        """Say yes to what the page asks, if it asks."""
        time.sleep(0.3)
        with _no_question():
            self.driver.switch_to.alert.accept()

    # --- what is wrong ------------------------------------------------------------------------------------

    def too_wide(self) -> list[str]:
        """Return what makes the page wider than the screen, if anything does."""
        return list(
            self.run(
                """
                const width = document.documentElement.clientWidth;
                const wide = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
                if (wide <= width) return [];
                const beyond = [...document.querySelectorAll("body *")]
                  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
                  .filter((e) => getComputedStyle(e).overflowX === "visible")
                  .map((e) => `${e.tagName.toLowerCase()}.${e.className?.baseVal ?? e.className}`);
                return [`${wide} px wide on ${width}`, ...beyond.slice(-8)];
                """
            )
        )

    def complaints(self) -> list[str]:
        """Return the console's warnings and errors since the last call, and what the policy refused."""
        lines = [
            f"{line['level']}: {line['message']}"
            for line in self._log("browser")
            if line["level"] in ("WARNING", "SEVERE")
        ]
        return [*lines, *(self.run("return window.refused ?? []"))]

    def requested(self) -> list[str]:
        """Return the addresses that were asked for since the last call, by page and browser alike."""
        found = []
        for line in self._log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]  # selenium's own

    def elsewhere(self, origin: str) -> list[str]:
        """Return what was asked for that is not of `origin`."""
        known = urlsplit(origin).netloc
        return [
            address
            for address in self.requested()
            if address.startswith(("http", "ws")) and urlsplit(address).netloc != known
        ]

    def axe(self) -> list[str]:
        """Return what axe-core finds wrong with the page as it stands, a line each."""
        if not self.run("return Boolean(window.axe)"):
            self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script(
            """
            const [tags, done] = arguments;
            axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]})
              .then((result) => done(result.violations.map((each) => [each.id, each.help,
                each.nodes.map((node) => `${node.target.join(" ")} (${node.failureSummary})`)])))
              .catch((error) => done([["axe", String(error), []]]));
            """,
            list(AXE_TAGS),
        )
        return [f"{rule}: {words}: {'; '.join(nodes[:4])}" for rule, words, nodes in found]


@contextmanager
def _no_question() -> Iterator[None]:
    from selenium.common.exceptions import NoAlertPresentException

    try:
        yield
    except NoAlertPresentException:
        return


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Give a browser of its own with an empty profile. The environment says SE_OFFLINE and SE_AVOID_STATS."""
    options = Options()
    options.binary_location = BROWSER or ""
    # "complete" would wait for what never ends: the events.
    options.page_load_strategy = "eager"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.unhandled_prompt_behavior = "ignore"
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
