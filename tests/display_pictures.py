"""The pictures of the display that docs/hardware.md shows: python -m tests.display_pictures draws them anew.

A test holds them to what is drawn, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hardware.display import DisplayState, Picture, Run, answer_page, pages_of

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "img"
SCALE = 4
NOW = datetime(2026, 11, 25, 18, 5, tzinfo=ZoneInfo("America/New_York"))

EXTENDED = DisplayState(
    mode="research",
    now=NOW,
    extended=True,
    window="holiday weekend 80 h",
    next_name="PREP",
    next_change=NOW + timedelta(hours=79, minutes=55),
    running=(Run("run_weekend_research", 0.42), Run("optimize_parameters", 0.1)),
    waiting=4,
    temperature_c=53.6,
    memory_free_mb=5120,
)
TRADING = DisplayState(
    mode="trading",
    now=NOW.replace(hour=10, minute=31),
    window="market open",
    next_name="close",
    next_change=NOW.replace(hour=16, minute=0),
    running=(Run("monitor_positions", 0.9),),
    temperature_c=48.2,
    memory_free_mb=6100,
)
PAUSED = DisplayState(
    mode="research",
    now=NOW,
    window="overnight 10 h",
    next_name="PREP",
    next_change=NOW + timedelta(hours=9, minutes=55),
    waiting=7,
    paused="all",
    temperature_c=41.0,
    memory_free_mb=6900,
)
FAULT = DisplayState(mode="trading", now=NOW.replace(hour=9, minute=45), fault="needs_reconcile")
ALERT = DisplayState(
    mode="prep",
    now=NOW.replace(hour=4),
    alerts=("refresh_data failed (exit 1) after 3 attempts", "the calendar ends in 29 days"),
)
DOWN = DisplayState(mode=None, now=NOW, temperature_c=39.0, memory_free_mb=7000)
PICTURES: Mapping[str, Picture] = {
    "display-extended": pages_of(EXTENDED)[0],
    "display-trading": pages_of(TRADING)[0],
    "display-paused": pages_of(PAUSED)[0],
    "display-fault": pages_of(FAULT)[1],
    "display-alert": pages_of(ALERT)[1],
    "display-down": pages_of(DOWN)[0],
    "display-button": answer_page(PAUSED, "BUTTON", "All is paused, runs are stopping. Hold 2s to go on."),
}


def enlarged(image: Image) -> Image:
    """Return a picture with `SCALE` times as many pixels each way."""
    from PIL import Image as Pillow

    width, height = image.size
    return image.resize((SCALE * width, SCALE * height), Pillow.Resampling.NEAREST)


def main() -> None:
    """Draw every picture anew."""
    from hardware.oled import render

    for name, picture in PICTURES.items():
        enlarged(render(picture)).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
