"""Take the pages' pictures for the documents, over the demo's box.

    python -m tests.browser.pictures [docs/img]

Look at each before it is kept.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tests.browser import servers
from tests.browser.chromium import DESKTOP, PHONE, Browser, Screen, chromium

TALL = Screen("tall desktop", 1280, 1080, False)
COLOURS = 255
"""Of a picture: the pages have few, and the files are a third."""
AT_NIGHT = "2026-11-26T05:20:00+00:00"
"""Twenty past midnight at the exchange, in the research window before a holiday."""


class Shot(NamedTuple):
    name: str
    path: str
    screen: Screen = TALL
    scheme: str = "light"


BY_DAY = (Shot("trading", "/trading"),)
BY_NIGHT = (
    Shot("now", "/", DESKTOP),
    Shot("tonight", "/tonight"),
    Shot("history", "/history"),
    Shot("task", "/task/refresh_eod_data"),
    Shot("health", "/health"),
    Shot("phone", "/", PHONE),
    Shot("dark", "/tonight", TALL, "dark"),
)


def take(browser: Browser, address: str, shots: Iterable[Shot], folder: Path) -> None:
    """Write each shot's picture to `folder`."""
    for shot in shots:
        browser.forget()
        browser.use(shot.screen)
        browser.prefer(shot.scheme)
        browser.open(address + shot.path)
        browser.find("main h1")
        # Charts are drawn once the page stands.
        browser.driver.execute_async_script("setTimeout(arguments[0], 700)")
        picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
        path = folder / f"dashboard-{shot.name}.png"
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0] if arguments else "docs/img")
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        with chromium(scratch / "profile") as browser:
            browser.cdp("Emulation.setScrollbarsHidden", hidden=True)
            for when, shots in (((), BY_DAY), (("--watch-from", AT_NIGHT), BY_NIGHT)):
                place = scratch / f"demo{len(when)}"
                place.mkdir()
                with servers.demo(place, *when) as box:
                    take(browser, box.address, shots, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
