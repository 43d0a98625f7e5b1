"""Draws the small display: in a picture, and on an SSD1306 on the I2C bus. luma.oled is an optional package.

The letters are luma's own bitmaps, so that a picture is the same with every version of Pillow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from hardware.display import MOVES, Light, Picture, Row

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = (128, 64)
ROOM = SIZE[0] - max(right for right, _ in MOVES)
"""Pixels that a line may take: the picture moves to the right by as much as is left."""
TOP, PITCH = 15, 8
"""Where the rows begin below the headline, and how far they are apart."""
BAR_HEIGHT = 5
CONTRAST = {Light.FULL: 0x7F, Light.DIM: 0x01}


def render(picture: Picture, shift: tuple[int, int] = (0, 0)) -> Image:
    """Return the picture's pixels, a two-coloured image of `SIZE`, moved by `shift`.

    Raises:
        ImportError: if luma.oled, which brings Pillow and the letters, is not installed.
    """
    from PIL import Image, ImageDraw

    image = Image.new("1", SIZE)
    right, down = shift
    headline = _tall(picture.headline)
    image.paste(headline, (right, down))
    clock = _width(picture.clock)
    if headline.width + clock <= ROOM + 1:
        # Its last pixel is the gap after its last letter.
        _write(ImageDraw.Draw(image), (right + ROOM + 1 - clock, down + 4), picture.clock)
    for number, row in enumerate(picture.rows):
        _row(image, row, right, down + TOP + PITCH * number)
    return image


def _row(image: Image, row: Row, left: int, top: int) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    if row.reversed:
        draw.rectangle((left, top, left + ROOM - 1, top + PITCH - 1), fill=1)
    if row.share is None:
        _write(draw, (left + (1 if row.reversed else 0), top + 1), row.text, fill=0 if row.reversed else 1)
        return
    text = _width(row.text)
    end = left + ROOM - text - 4
    draw.rectangle((left, top + 2, end, top + BAR_HEIGHT + 1), outline=1)
    filled = round((end - left - 1) * row.share)
    if filled:
        draw.rectangle((left + 1, top + 3, left + filled, top + BAR_HEIGHT), fill=1)
    _write(draw, (left + ROOM + 1 - text, top + 1), row.text)


def _font() -> Any:
    from luma.core.legacy.font import LCD_FONT, proportional

    return proportional(LCD_FONT)


def _plain(text: str) -> str:
    """Return `text` in letters that the font has."""
    return text.encode("ascii", "replace").decode()


def _write(draw: Any, at: tuple[int, int], text: str, fill: int = 1) -> None:
    from luma.core.legacy import text as write

    write(draw, at, _plain(text), fill=fill, font=_font())


def _width(text: str) -> int:
    from luma.core.legacy import textsize

    width: int = textsize(_plain(text), font=_font())[0]
    return width


def _tall(text: str) -> Image:
    """Return `text` in letters twice as high as the others, and as wide."""
    from PIL import Image, ImageDraw

    flat = Image.new("1", (max(1, _width(text)), PITCH))
    _write(ImageDraw.Draw(flat), (0, 0), text)
    return flat.resize((flat.width, 2 * PITCH), Image.Resampling.NEAREST)


class Display(Protocol):
    """Shows pictures."""

    def show(self, image: Image, light: Light) -> None: ...

    def close(self) -> None: ...


class OledDisplay:
    """A 128 x 64 SSD1306. Sends only what has changed.

    device: luma's; None: the one at `address` of the I2C bus `port`.

    Raises:
        ImportError: if luma.oled is not installed. Whatever luma raises if there is no display.
    """

    def __init__(self, port: int = 1, address: int = 0x3C, *, device: Any = None) -> None:
        if device is None:
            serial = importlib.import_module("luma.core.interface.serial")
            oled = importlib.import_module("luma.oled.device")
            device = oled.ssd1306(serial.i2c(port=port, address=address))
        self._device = device
        self._shown: tuple[bytes, Light] | None = None

    def show(self, image: Image, light: Light) -> None:
        """Show `image`, or nothing where it is to be dark. Raises what luma raises."""
        wanted = (b"" if light is Light.DARK else image.tobytes(), light)
        if wanted == self._shown:
            return
        if light is Light.DARK:
            self._device.hide()
        else:
            self._device.contrast(CONTRAST[light])
            self._device.display(image)
            self._device.show()
        self._shown = wanted

    def close(self) -> None:
        """Put the display out."""
        self._device.cleanup()


def make_display(port: int = 1, address: int = 0x3C, **given: Any) -> tuple[Display | None, str | None]:
    """Return the display and None, or None and why there is none."""
    try:
        return OledDisplay(port, address, **given), None
    except Exception as error:  # luma raises many kinds; none may stop who asked
        why = f"{type(error).__name__}: {error}"
    return None, f"No display: {why}. It needs luma.oled (make setup-display) and I2C switched on."
