"""The comparison's pictures as files: what is in them, and that they need nothing else."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from trading.execution.comparison.comparison import StrategyComparison, compare_strategies
from trading.execution.comparison.drawing import draw_execution_profile
from trading.execution.comparison.marks import DARK, LIGHT
from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.baselines import (
    generate_market_order_trajectory,
    generate_twap_trajectory,
    generate_vwap_trajectory,
)
from trading.execution.model.frontier import efficient_frontier
from trading.execution.model.params import AlmgrenChrissParams

PARAMS = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, price=0.50)
TWAP = generate_twap_trajectory(5000, 10)
VWAP = generate_vwap_trajectory(5000, [1, 2, 3, 2, 1, 1, 2, 3, 2, 1])
AC = generate_ac_trajectory(5000, 10, PARAMS, 1e-5)
MARKET = generate_market_order_trajectory(5000)
BROKEN = dataclasses.replace(TWAP, holdings=np.full(11, math.nan), strategy_name="broken")


@pytest.fixture(scope="module")
def comparison() -> StrategyComparison:
    return compare_strategies(TWAP, VWAP, AC, MARKET)


@pytest.fixture(scope="module")
def page(comparison: StrategyComparison, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "profile.html"
    return draw_execution_profile(comparison, path).read_text()


class _Elements(HTMLParser):
    """Collects every tag with its attributes, and refuses a tag that is closed by another."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def all_of(self, tag: str) -> Iterator[dict[str, str]]:
        return (attributes for name, attributes in self.found if name == tag)


def test_a_png_is_a_picture_of_several_colours(comparison: StrategyComparison, tmp_path: Path) -> None:
    path = draw_execution_profile(comparison, tmp_path / "profile.png")

    pixels = imread(path)
    assert pixels.shape[0] >= 1000
    assert pixels.shape[1] >= 1600
    for role in ("s0", "s1", "s2", "s3"):  # a bar of each strategy
        wanted = [int(LIGHT[role][i : i + 2], 16) for i in (1, 3, 5)]
        same = (np.round(255 * pixels[..., :3]) == wanted).all(axis=-1)
        assert same.sum() > 1000, role


def test_a_png_says_in_words_what_it_shows(comparison: StrategyComparison, tmp_path: Path) -> None:
    content = draw_execution_profile(
        comparison, tmp_path / "profile.png", title="Of 20 November"
    ).read_bytes()

    assert b"Title\0Of 20 November" in content
    assert b"twap 195 $ (780 bp), risk 211 $" in content


@pytest.mark.parametrize("name", ["profile.png", "profile.html"])
def test_the_same_comparison_gives_the_same_bytes(
    name: str, comparison: StrategyComparison, tmp_path: Path
) -> None:
    first = draw_execution_profile(comparison, tmp_path / name).read_bytes()

    assert draw_execution_profile(comparison, tmp_path / name).read_bytes() == first


def test_the_page_is_well_formed(page: str) -> None:
    elements = _Elements(page)

    assert len(list(elements.all_of("svg"))) == 3
    assert len(list(elements.all_of("table"))) == 1


def test_the_page_fetches_nothing(page: str) -> None:
    elements = _Elements(page)

    assert "//" not in page  # no address of any kind, not even the name of a name space
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    used = {tag for tag, _ in elements.found}
    assert used.isdisjoint({"script", "link", "img", "image", "iframe", "object", "embed", "base", "a"})
    for _, attributes in elements.found:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")


def test_every_reference_within_the_page_finds_its_one_target(page: str) -> None:
    elements = _Elements(page)

    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {attributes["href"][1:] for _, attributes in elements.found if "href" in attributes}
    wanted |= {target[1:] for target in re.findall(r"url\(([^)]*)\)", page)}
    assert wanted <= set(ids)


def test_every_picture_has_a_heading_and_words_for_those_who_do_not_see_it(page: str) -> None:
    elements = _Elements(page)

    words = {each["id"]: tag for tag, each in elements.found if tag in ("h2", "figcaption")}
    for svg in elements.all_of("svg"):
        assert svg["role"] == "img"
        assert [words[name] for name in svg["aria-labelledby"].split()] == ["h2", "figcaption"]


def test_all_colours_of_the_pictures_follow_light_and_dark(page: str) -> None:
    style, pictures = page.split("</style>", 1)

    assert re.findall("#[0-9a-fA-F]{6}", pictures) == []
    assert "@media(prefers-color-scheme:dark)" in style
    used = set(re.findall(r"var\(--(\w+)\)", page))
    assert used <= LIGHT.keys() & DARK.keys()


def test_pictures_and_table_name_every_strategy(page: str) -> None:
    words = _Elements(page).words

    for name, cost in (("twap", "780.00"), ("vwap", "845.68"), ("market", "4,200.00")):
        assert name in words
        assert cost in words
    assert "ac (λ 1e-05)" in words
    assert "efficient frontier: the least cost for each risk" in words


def test_a_title_is_text_and_nothing_else(comparison: StrategyComparison, tmp_path: Path) -> None:
    title = '<b>"5 $ & 6 $"</b>'
    named = StrategyComparison([dataclasses.replace(TWAP, strategy_name="<i>$x$</i>"), AC])

    page = draw_execution_profile(named, tmp_path / "profile.html", title=title).read_text()

    elements = _Elements(page)
    assert title in elements.words
    assert "<i>$x$</i>" in elements.words
    assert list(elements.all_of("b")) == list(elements.all_of("i")) == []


def test_a_strategy_with_nan_is_named_as_not_drawn(tmp_path: Path) -> None:
    path = draw_execution_profile(compare_strategies(TWAP, BROKEN, AC), tmp_path / "profile.html")

    page = path.read_text()
    assert "Not drawn: broken (holdings[0] is nan: nothing can be told)." in page
    assert "broken" not in "".join(re.findall("<svg.*?</svg>", page, re.DOTALL))


def test_without_costs_there_is_no_picture_of_them(tmp_path: Path) -> None:
    bare = compare_strategies(TWAP, VWAP)

    page = draw_execution_profile(bare, tmp_path / "profile.html").read_text()

    assert page.count("<svg") == 2
    assert draw_execution_profile(bare, tmp_path / "profile.png").stat().st_size > 10_000


def test_a_frontier_given_is_the_line_and_an_empty_one_none(
    comparison: StrategyComparison, tmp_path: Path
) -> None:
    given = efficient_frontier(5000, 20, PARAMS, [0, 1e-4, 1e-2, 1])

    with_line = draw_execution_profile(comparison, tmp_path / "a.html", frontier=given).read_text()
    without = draw_execution_profile(comparison, tmp_path / "b.html", frontier=()).read_text()

    assert "the least cost for each risk over 20 intervals" in with_line
    assert "efficient frontier" not in without


def test_costs_far_apart_are_drawn_on_a_logarithmic_scale(tmp_path: Path) -> None:
    params = dataclasses.replace(PARAMS, gamma=0.0, epsilon=0.0)
    # 50 slices cost a fiftieth of one: 20 $ against 1000 $.
    far = compare_strategies(generate_twap_trajectory(5000, 50), MARKET, params=params)

    words = _Elements(draw_execution_profile(far, tmp_path / "profile.html").read_text()).words

    assert {"20", "50", "100", "200", "500", "1,000"} <= set(words)


def test_orders_of_other_sizes_and_no_risk_are_drawn(tmp_path: Path) -> None:
    still = dataclasses.replace(PARAMS, sigma=0.0)
    both = StrategyComparison(
        [generate_twap_trajectory(100, 3, still), generate_market_order_trajectory(200, still)]
    )

    assert draw_execution_profile(both, tmp_path / "profile.png").exists()


@pytest.mark.slow
def test_many_intervals_and_strategies_are_drawn(tmp_path: Path) -> None:
    fine = dataclasses.replace(PARAMS, tau=1 / 390)
    many = compare_strategies(*(generate_ac_trajectory(5000, 390, fine, 10.0**-k) for k in range(2, 11)))

    assert draw_execution_profile(many, tmp_path / "profile.png").exists()


@pytest.mark.parametrize("name", ["profile.svg", "profile", "profile.png.txt"])
def test_another_suffix_is_refused(name: str, comparison: StrategyComparison, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png or \.html"):
        draw_execution_profile(comparison, tmp_path / name)


def test_nothing_to_draw_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no strategy can be drawn: Not drawn: broken"):
        draw_execution_profile(StrategyComparison([BROKEN]), tmp_path / "profile.png")

    assert list(tmp_path.iterdir()) == []


def test_a_persons_own_settings_of_matplotlib_change_nothing(
    comparison: StrategyComparison, tmp_path: Path
) -> None:
    first = draw_execution_profile(comparison, tmp_path / "a.png").read_bytes()

    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "figure.dpi": 40}):
        second = draw_execution_profile(comparison, tmp_path / "b.png").read_bytes()
        after = matplotlib.rcParams["font.size"]

    assert second == first
    assert after == 30
