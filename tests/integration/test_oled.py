"""The display's pixels, on luma's device without a display, and its driver."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from luma.core.device import dummy
from PIL import Image

from hardware.display import MOVES, WIDTH, Light, Picture, Row, pages_of
from hardware.oled import CONTRAST, PITCH, ROOM, SIZE, TOP, OledDisplay, make_display, render
from tests.display_pictures import EXTENDED, FOLDER, PICTURES, SCALE, enlarged

Box = tuple[int, int, int, int]


def picture(*rows: Row, headline: str = "RESEARCH", clock: str = "18:05") -> Picture:
    return Picture(headline=headline, clock=clock, rows=rows)


def lit(image: Image.Image, box: Box | None = None) -> Box | None:
    """Return what encloses the light pixels (of a part): left, top, right, bottom; None: all is dark."""
    found = (image if box is None else image.crop(box)).getbbox()
    return found if found is None or box is None else (
        found[0] + box[0], found[1] + box[1], found[2] + box[0], found[3] + box[1],
    )  # fmt: skip


def row_box(number: int) -> Box:
    return 0, TOP + PITCH * number, SIZE[0], TOP + PITCH * (number + 1)


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_drawn_is_what_the_page_shows(name: str) -> None:
    """To draw them anew: python -m tests.display_pictures, and look at them."""
    kept = Image.open(FOLDER / f"{name}.png")

    assert kept.size == (SCALE * SIZE[0], SCALE * SIZE[1])
    assert kept.convert("1").tobytes() == enlarged(render(PICTURES[name])).tobytes()


def test_the_headline_is_twice_as_high_as_a_line_and_the_clock_ends_at_the_edge() -> None:
    image = render(picture())

    head = lit(image, (0, 0, 90, TOP))
    clock = lit(image, (90, 0, SIZE[0], TOP))
    assert head is not None
    assert clock is not None
    assert (head[1], head[3]) == (0, 14)
    assert clock[3] - clock[1] == 7
    assert clock[2] == ROOM


def test_the_longest_mode_leaves_room_for_the_clock() -> None:
    image = render(picture(headline="RESEARCH EXTENDED", clock="20:48"))

    assert lit(image, (100, 4, SIZE[0], 11)) is not None
    gap = [x for x in range(90, 110) if image.crop((x, 0, x + 1, TOP)).getbbox() is None]
    assert gap, "a dark column parts them"


def test_six_lines_end_within_the_display_and_never_touch() -> None:
    """The lowest line moved down by a pixel is still whole; between two lines is a dark row."""
    rows = [Row("Mg" * 10)] * 6
    image = render(picture(*rows), MOVES[3])

    found = [lit(render(picture(*rows)), row_box(number)) for number in range(6)]
    assert all(box is not None and box[3] - box[1] == 7 for box in found)
    below = lit(image, (0, TOP + 5 * PITCH + 1, SIZE[0], SIZE[1]))
    assert below is not None
    assert below[3] - below[1] == 7


@pytest.mark.parametrize("letter", [chr(code) for code in range(33, 127)])
def test_a_full_line_of_any_letter_fits_where_the_picture_is_moved_furthest(letter: str) -> None:
    right = max(right for right, _ in MOVES)
    line = lit(render(picture(Row(letter * WIDTH), headline="", clock=""), (right, 0)))
    first = lit(render(picture(Row(letter), headline="", clock="")))

    assert line is not None
    assert first is not None
    # Each letter is as wide as the first, with a dark column between two.
    width = first[2] - first[0]
    assert line[2] == right + first[0] + WIDTH * (width + 1) - 1 <= SIZE[0]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_bar_is_as_full_as_the_share_and_its_figure_stands_beside_it(share: float) -> None:
    image = render(picture(Row("42%", share=share), headline="", clock=""))

    upper = [bool(image.getpixel((x, TOP + 2))) for x in range(SIZE[0])]
    frame = upper.index(False)
    inside = [bool(image.getpixel((x, TOP + 4))) for x in range(1, frame - 1)]
    assert frame > 90
    assert inside == [True] * round(share * len(inside)) + [False] * (
        len(inside) - round(share * len(inside))
    )
    figure = lit(image, (frame, TOP, SIZE[0], TOP + PITCH))
    assert figure is not None
    assert figure[0] > frame
    assert figure[2] == ROOM


def test_a_reversed_line_is_dark_letters_on_light() -> None:
    image = render(picture(Row("PAUSED", reversed=True), headline="", clock=""))
    bar = image.crop((0, TOP, ROOM, TOP + PITCH))

    assert sum(bar.histogram()[1:]) > 0.7 * ROOM * PITCH
    assert lit(image) == (0, TOP, ROOM, TOP + PITCH)


def test_letters_that_the_font_lacks_are_a_question_mark_and_no_fault() -> None:
    strange = render(picture(Row("Zürich → ☃"), headline="Ж", clock="18:05"))
    plain = render(picture(Row("Z?rich ? ?"), headline="?", clock="18:05"))

    assert strange.tobytes() == plain.tobytes()


def test_a_moved_picture_is_the_same_picture() -> None:
    face = pages_of(EXTENDED)[0]
    here, there = render(face), render(face, (2, 1))

    assert here.crop((0, 0, 126, 63)).tobytes() == there.crop((2, 1, 128, 64)).tobytes()


# --- the driver -------------------------------------------------------------------------------------------


class Panel(dummy):  # type: ignore[misc]  # luma has no types
    """luma's device without a display, which remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(width=SIZE[0], height=SIZE[1], mode="1")
        self.told: list[object] = []

    def display(self, image: Image.Image) -> None:
        super().display(image)
        self.told.append("display")

    def contrast(self, level: int) -> None:
        self.told.append(level)

    def show(self) -> None:
        self.told.append("show")

    def hide(self) -> None:
        self.told.append("hide")

    def cleanup(self) -> None:
        self.told.append("cleanup")


def test_the_display_is_sent_what_has_changed_and_nothing_else() -> None:
    panel = Panel()
    display = OledDisplay(device=panel)
    first, second = (render(PICTURES[name]) for name in ("display-extended", "display-trading"))

    for image in (first, first, second):
        display.show(image, Light.FULL)
    display.close()

    assert panel.told == [*[CONTRAST[Light.FULL], "display", "show"] * 2, "cleanup"]
    assert panel.image.tobytes() == second.tobytes()


def test_a_dark_display_is_switched_off_and_a_dim_one_shines_least() -> None:
    panel = Panel()
    display = OledDisplay(device=panel)
    image = render(PICTURES["display-extended"])

    for light in (Light.DARK, Light.DARK, Light.DIM, Light.DIM):
        display.show(image, light)

    assert panel.told == ["hide", CONTRAST[Light.DIM], "display", "show"]
    assert 0 < CONTRAST[Light.DIM] < CONTRAST[Light.FULL] <= 255


def test_the_driver_is_asked_for_the_bus_and_the_address_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []
    serial = types.ModuleType("luma.core.interface.serial")
    serial.__dict__["i2c"] = lambda **where: asked.append(where)
    oled = types.ModuleType("luma.oled.device")
    oled.__dict__["ssd1306"] = lambda bus: Panel()
    monkeypatch.setitem(sys.modules, "luma.core.interface.serial", serial)
    monkeypatch.setitem(sys.modules, "luma.oled.device", oled)

    display, warning = make_display(3, 0x3D)

    assert (type(display), warning) == (OledDisplay, None)
    assert asked == [{"port": 3, "address": 0x3D}]


def test_a_missing_driver_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "luma.core.interface.serial", None)

    display, warning = make_display()

    assert display is None
    assert warning is not None
    assert "make setup-display" in warning
