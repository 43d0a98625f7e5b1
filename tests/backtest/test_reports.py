"""The report of a backtest: every form of it says what the result says, and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    BacktestResult,
    Commission,
    Financing,
    OrchestratorConfig,
    OrchestratorResult,
    PriceHistory,
    Signal,
    Strategy,
    StrategyOrchestrator,
    SymbolBars,
)
from trading.backtest.bars import Bar
from trading.backtest.performance.definitions import DEFINITIONS
from trading.backtest.performance.metrics import METRICS, PerformanceMetrics
from trading.backtest.reports import numbers
from trading.backtest.reports.axes import amounts, dates
from trading.backtest.reports.report_generator import ReportGenerator
from trading.backtest.reports.thinning import thinned
from trading.backtest.strategies.registry import made
from trading.backtest.strategy import Signals, State

DAY = 86_400 * 10**9
VOID = {"meta", "link", "br", "img", "input"}
HOSTILE = "<script>alert('x')</script> & \"q\" | `c`"


class Page(HTMLParser):
    """A page taken apart: its tables as text, and the tags that were opened and not closed, or wrongly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def table(self, *head: str) -> list[list[str]]:
        """Return the rows of the table whose columns begin with `head`."""
        return next(each[1:] for each in self.tables if each[0][: len(head)] == list(head))


def _number(cell: str) -> float:
    value = float(cell.removesuffix(" %").replace(",", ""))
    return value / 100 if cell.endswith("%") else value


def _bars(symbol: str, closes: ArrayLike) -> SymbolBars:
    close = np.asarray(closes, dtype=np.float64)
    stamps = np.arange(len(close), dtype=np.int64) * DAY + 10_957 * DAY  # from 2000-01-01 on
    return SymbolBars(
        symbol=symbol, stamps=stamps, open=close, high=close, low=close, close=close, volume=close * 0 + 1e6
    )


def _by_hand(equity: ArrayLike, capital: float = 100.0) -> BacktestResult:
    """A result of nothing but this equity."""
    values = np.asarray(equity, dtype=np.float64)
    history = PriceHistory([_bars("X", [10.0] * len(values))])
    saved = BacktestEngine().run(made("buy_and_hold"), history, capital).specification
    return BacktestResult(
        strategy_id="by_hand",
        initial_capital=capital,
        history=history,
        equity=values,
        record=[],
        allocated=capital,
        used=0.0,
        specification=lambda: saved,
    )


@dataclass(frozen=True)
class Orders:
    """Shares to hold of X from the bar after this one on, by the bar's place."""

    shares: tuple[tuple[int, float], ...]


class AsTold(Strategy):
    """Holds what it was told to hold; raises at the bar 99."""

    parameters: Orders

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if state.row == 99:
            raise RuntimeError("its data ran out")
        shares = dict(self.parameters.shares).get(state.row)
        return None if shares is None else [Signal(symbol=bar.symbol, quantity=shares)]


@pytest.fixture(scope="module")
def portfolio(sample_history: PriceHistory) -> OrchestratorResult:
    """Three strategies with costs and interest; a tenth of the capital is given to none."""
    rules = BacktestConfig(commission=Commission(bps=5), financing=Financing(cash_rate=0.02))
    strategies = [
        (made("moving_average", fast=5, slow=20), 0.4),
        (made("rsi", bars=7), 0.3),
        (made("buy_and_hold"), 0.2),
    ]
    config = OrchestratorConfig(backtest=rules, log_dir=None)
    return StrategyOrchestrator(strategies, config).run(sample_history, 100_000)


@pytest.fixture(scope="module")
def page(portfolio: OrchestratorResult) -> Page:
    return Page(ReportGenerator(portfolio).to_html())


def test_the_page_is_well_formed(portfolio: OrchestratorResult, page: Page) -> None:
    drawings = re.findall(r"<svg.*?</svg>", ReportGenerator(portfolio).to_html(), re.DOTALL)

    assert page.wrong == []
    assert [ElementTree.fromstring(each).tag for each in drawings] == ["svg", "svg"]


def test_the_page_loads_nothing_and_runs_nothing(portfolio: OrchestratorResult, page: Page) -> None:
    names = {name for name, _ in page.attributes}

    assert not {"src", "href", "srcset", "xlink:href", "onload", "onclick"} & names
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", ReportGenerator(portfolio).to_html())


def test_each_picture_has_its_content_in_words(portfolio: OrchestratorResult, page: Page) -> None:
    words = [value for name, value in page.attributes if name == "aria-label"]

    assert len(words) == page.tags.count("svg") == 2
    assert numbers.money(portfolio.final_equity) in words[0]
    assert numbers.percent(portfolio.aggregate_metrics.max_drawdown) in words[1]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_on_the_page_is_that_of_the_result(
    name: str, portfolio: OrchestratorResult, page: Page
) -> None:
    columns = [portfolio.aggregate_metrics, *(r.metrics for r in portfolio.strategy_results.values())]
    row = next(row for row in page.table("Metric", "total") if row[0] == numbers.label(name))

    for cell, metrics in zip(row[1:], columns, strict=True):
        value = getattr(metrics, name)
        if np.isnan(value):
            assert cell == "–"
        else:
            # Two decimals of a percentage or of money, three of a ratio, one of days and bars.
            assert _number(cell) == pytest.approx(
                value, abs=0.051 if "days" in name or "bars" in name else 0.006
            )


def test_a_number_that_is_missing_has_its_reason_beside_it(portfolio: OrchestratorResult, page: Page) -> None:
    remarks = portfolio.strategy_results["buy_and_hold"].metrics.remarks

    rows = page.table("Remark on")

    assert remarks["win_rate"] == "undefined: no trades"
    assert [row[2] for row in rows if row[:2] == ["Win rate", "buy_and_hold"]] == ["undefined: no trades"]


def test_every_metric_has_its_definition_on_the_page(page: Page) -> None:
    rows = {row[0]: row[1:] for row in page.table("Metric", "Formula")}

    assert rows == {
        numbers.label(name): [each.formula, each.degenerate, each.source]
        for name, each in DEFINITIONS.items()
    }


def test_the_months_of_the_table_multiply_to_the_total_return(
    portfolio: OrchestratorResult, page: Page
) -> None:
    months = [_number(cell) / 100 for row in page.table("Year") for cell in row[1:13] if cell]

    assert float(np.prod(1 + np.array(months))) - 1 == pytest.approx(
        portfolio.aggregate_metrics.total_return, abs=1e-3
    )


def test_a_drawdown_is_told_with_its_dates() -> None:
    """100 -> 110 -> 88 (-20 %) -> 99 -> 121 is back; then 115 is 4.96 % below 121."""
    given_equity = [110.0, 88.0, 99.0, 121.0, 115.0]

    rows = Page(ReportGenerator(_by_hand(given_equity)).to_html()).table("Deepest")

    assert rows == [
        ["-20.00 %", "2000-01-01", "2000-01-02", "2000-01-04", "3"],
        ["-4.96 %", "2000-01-04", "2000-01-05", "not yet", "1"],
    ]


def test_a_fall_from_the_first_bar_begins_at_the_start() -> None:
    rows = Page(ReportGenerator(_by_hand([90.0, 120.0])).to_html()).table("Deepest")

    assert rows == [["-10.00 %", "the start", "2000-01-01", "2000-01-02", "2"]]


def test_an_equity_that_never_falls_has_no_table_of_drawdowns() -> None:
    page = Page(ReportGenerator(_by_hand([100.0, 100.0, 101.0])).to_html())

    assert not any(each[0][0] == "Deepest" for each in page.tables)


@pytest.fixture(scope="module")
def told() -> BacktestResult:
    """Buys 10 at 20, sells 4 at 25 and 6 at 15, at 1 a trade; then wants 1,000, which it cannot pay."""
    closes = [20.0, 20.0, 25.0, 25.0, 15.0, 15.0, 15.0, 15.0]
    orders = Orders(((0, 10.0), (1, 6.0), (3, 0.0), (5, 1000.0)))
    config = BacktestConfig(commission=Commission(per_trade=1.0))
    return BacktestEngine(config).run(AsTold(orders), PriceHistory([_bars("X", closes)]), 1000.0)


def test_costs_are_the_fees_of_all_fills(told: BacktestResult) -> None:
    """3 fills at 1 each; traded 10 * 20 + 4 * 25 + 6 * 15 = 390."""
    (row,) = Page(ReportGenerator(told).to_html()).table("Strategy", "Fills")

    assert row == ["as_told", "3", "390.00", "-3.00", "0.00", "0.00", "0.00", "-3.00"]


def test_trades_are_summed_up(told: BacktestResult) -> None:
    """The first: 4 * (25 - 20) - 0.40 - 1 = 18.60 over 1 bar; the second: 6 * (15 - 20) - 0.60 - 1 = -31.60
    over 3 bars."""
    page = Page(ReportGenerator(told).to_html())

    (row,) = page.table("Strategy", "Closed")

    assert row == ["as_told", "2", "1", "1", "-13.00", "-6.50", "18.60", "-31.60", "2.0", "2.0", "3"]


def test_best_and_worst_trades_are_told_apart(told: BacktestResult) -> None:
    page = Page(ReportGenerator(told).to_html())

    best, worst = (
        rows[1:] for rows in page.tables if rows[0][1:3] == ["Symbol", "Shares"] and len(rows[0]) > 3
    )

    assert [row[8] for row in best] == ["18.60"]
    assert [row[8] for row in worst] == ["-31.60"]
    assert worst[0][3:5] == ["2000-01-02", "2000-01-05"]


def test_refused_orders_are_counted_by_strategy_and_reason(told: BacktestResult) -> None:
    """1,000 shares at 15 and a fee of 1 are 15,001."""
    page = Page(ReportGenerator(told).to_html())

    (row,) = page.table("Strategy", "Orders")

    assert row == [
        "as_told",
        "1",
        "it costs more than the capital that is available",
        "2000-01-07",
        "2000-01-07",
        "15,001.00",
    ]


def test_released_capital_is_what_positions_had_cost(told: BacktestResult) -> None:
    """10 * 20 + 1 = 201 were bound, and all of it came back."""
    (row,) = Page(ReportGenerator(told).to_html()).table("Strategy", "Given")

    assert row == ["as_told", "1,000.00", "0.00", "201.00", "201.00", "0.00", "–"]


def test_bound_less_released_is_what_the_allocation_uses(portfolio: OrchestratorResult, page: Page) -> None:
    rows = page.table("Strategy", "Given")

    for row in rows:
        bound, released, used, available = (_number(cell) for cell in row[3:])
        allocation = portfolio.allocations[row[0]]
        assert bound - released == pytest.approx(used, abs=0.02)
        assert used == pytest.approx(float(allocation.used_capital), abs=0.006)
        assert available == pytest.approx(float(allocation.available_capital or 0), abs=0.006)


def test_capital_that_no_strategy_has_is_told(portfolio: OrchestratorResult) -> None:
    assert "10,000.00 after the first bar, 10,000.00 at the end" in ReportGenerator(portfolio).to_markdown()


def test_a_strategy_that_was_stopped_is_told_at_the_top() -> None:
    history = PriceHistory([_bars("X", 20.0 + np.arange(120) % 7)])
    strategies = [(AsTold(Orders(())), 0.5), (made("buy_and_hold"), 0.5)]

    result = StrategyOrchestrator(strategies, OrchestratorConfig(log_dir=None)).run(history, 1000)
    text = ReportGenerator(result).to_markdown()

    assert "✗ as_told was stopped on 2000-04-09: " in text
    assert "its data ran out" in text


def test_the_configuration_and_the_fingerprint_are_on_the_page(
    portfolio: OrchestratorResult, page: Page
) -> None:
    settings = dict(page.table("Setting"))

    assert settings["config.backtest.commission.bps"] == "5"
    assert settings["config.backtest.financing.cash_rate"] == "0.02"
    assert settings["data.fingerprint"].endswith(portfolio.specification["history"]["fingerprint"])
    assert [row[3] for row in page.table("Strategy", "Weight")] == [
        "fast=5:slow=20:average=simple:shorting=False",
        "bars=7:low=30.0:exit=50.0:shorting=False",
        "none",
    ]


def test_a_hostile_name_stays_text_everywhere(sample_history: PriceHistory) -> None:
    strategies = [(made("buy_and_hold", strategy_id=HOSTILE), 0.5), (made("rsi", strategy_id="a|b"), 0.5)]
    result = StrategyOrchestrator(strategies, OrchestratorConfig(log_dir=None)).run(sample_history, 1000)

    html, markdown = ReportGenerator(result).to_html(), ReportGenerator(result).to_markdown()

    assert "<script" not in html
    assert "<script" not in markdown.replace(r"\<script", "")
    page = Page(html)
    assert page.wrong == []
    assert HOSTILE in page.tables[1][0]
    table = next(line for line in markdown.splitlines() if line.startswith("| Metric | total"))
    assert len(re.findall(r"(?<!\\)\|", table)) == 5


def test_a_strategy_called_total_does_not_hide_the_total(sample_history: PriceHistory) -> None:
    strategies = [(made("buy_and_hold", strategy_id="total"), 0.5), (made("rsi"), 0.5)]
    result = StrategyOrchestrator(strategies, OrchestratorConfig(log_dir=None)).run(sample_history, 1000)

    page = Page(ReportGenerator(result).to_html())

    assert page.table("Metric")[-1][1:3] == [
        numbers.money(result.final_equity),
        numbers.money(result.strategy_results["total"].final_equity),
    ]


def test_the_report_of_one_strategy_has_one_column(told: BacktestResult) -> None:
    page = Page(ReportGenerator(told).to_html())

    assert page.tables[1][0] == ["Metric", "as_told"]
    assert page.wrong == []


def test_json_carries_the_whole_result_and_the_report(portfolio: OrchestratorResult) -> None:
    saved = json.loads(ReportGenerator(portfolio).to_json())

    assert saved["equity"] == portfolio.equity.tolist()
    assert saved["specification"] == json.loads(json.dumps(dict(portfolio.specification)))
    assert saved["report"]["kind"] == "portfolio"
    assert saved["report"]["trades"]["all"]["count"] == portfolio.aggregate_metrics.trades
    assert saved["report"]["drawdowns"][0]["depth"] == portfolio.aggregate_metrics.max_drawdown


def test_markdown_has_the_numbers_of_the_page(portfolio: OrchestratorResult, page: Page) -> None:
    text = ReportGenerator(portfolio).to_markdown()

    for row in page.table("Metric", "total"):
        assert "| " + " | ".join(row) + " |" in text


def test_the_same_result_gives_the_same_bytes(portfolio: OrchestratorResult) -> None:
    first, second = ReportGenerator(portfolio), ReportGenerator(portfolio)

    assert first.to_html() == second.to_html()
    assert first.to_json() == second.to_json()
    assert first.to_markdown() == second.to_markdown()


def test_when_it_was_made_is_told_if_it_is_given(portfolio: OrchestratorResult) -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)

    assert "report made 2026-11-20T12:00:00+00:00" in ReportGenerator(portfolio, made_at=at).to_html()
    assert "report made" not in ReportGenerator(portfolio).to_html()


@pytest.mark.parametrize("suffix", [".json", ".md", ".html"])
def test_the_suffix_chooses_the_form(suffix: str, told: BacktestResult, tmp_path: Path) -> None:
    report = ReportGenerator(told)
    forms = {".json": report.to_json(), ".md": report.to_markdown(), ".html": report.to_html()}

    path = report.write(tmp_path / f"new/out{suffix}")

    assert path.read_text(encoding="utf-8") == forms[suffix]


def test_an_unknown_suffix_is_refused_with_those_it_knows(told: BacktestResult, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"out\.pdf.*\.json, \.md, \.html, \.png"):
        ReportGenerator(told).write(tmp_path / "out.pdf")

    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_a_png_with_its_content_in_words(
    portfolio: OrchestratorResult, tmp_path: Path
) -> None:
    path = ReportGenerator(portfolio).write(tmp_path / "out.png")

    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Equity from 2000-01-01" in content
    assert b"Software" not in content


def test_fifteen_years_of_three_strategies_fit_in_300_kilobytes() -> None:
    random = np.random.default_rng(1)
    closes = 100 * np.exp(np.cumsum(random.normal(0.0005, 0.02, 5400)))
    strategies = [(made(name), 0.3) for name in ("moving_average", "rsi", "buy_and_hold")]
    config = OrchestratorConfig(log_dir=None, arrays=True)
    result = StrategyOrchestrator(strategies, config).run(PriceHistory([_bars("X", closes)]), 100_000)

    html = ReportGenerator(result).to_html()

    assert len(html.encode()) < 300_000


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 60))
def test_thinning_loses_neither_ends_nor_extremes(values: list[float], columns: int) -> None:
    curve = np.array(values)

    kept = thinned(curve, columns)

    assert len(kept) <= max(2 * columns + 2, 1)
    assert (kept[0], kept[-1]) == (0, len(curve) - 1)
    assert (curve[kept].min(), curve[kept].max()) == (curve.min(), curve.max())


def test_a_fortune_is_drawn_on_a_logarithmic_axis() -> None:
    scale = amounts([np.array([100.0, 1000.0, 10_000.0])], None)

    assert scale.is_log
    # Half way from 100 to 10,000 in growth is 1,000.
    assert scale.at(1000.0) == pytest.approx((scale.at(100.0) + scale.at(10_000.0)) / 2)
    assert [value for value, _ in scale.marks] == pytest.approx([100, 200, 500, 1000, 2000, 5000, 10_000])


@pytest.mark.parametrize("curve", [[100.0, 120.0], [100.0, -5.0], [100.0, 0.0]])
def test_little_growth_and_ruin_are_drawn_on_a_straight_axis(curve: list[float]) -> None:
    assert not amounts([np.array(curve)], None).is_log


def test_dates_are_marked_at_the_beginnings_of_years() -> None:
    stamps = np.arange(0, 20 * 365, 1, dtype=np.int64) * DAY

    marks = dates(stamps)

    # 1972-01-01 is 730 days after 1970-01-01.
    assert marks[0] == (730, "1972")
    assert [label for _, label in marks] == [
        "1972",
        "1974",
        "1976",
        "1978",
        "1980",
        "1982",
        "1984",
        "1986",
        "1988",
    ]


def test_a_single_day_is_marked_with_its_ends() -> None:
    stamps = np.arange(5, dtype=np.int64) * 60 * 10**9

    assert dates(stamps) == [(0, "1970-01-01"), (4, "1970-01-01 00:04:00Z")]


def test_a_report_of_one_bar_can_be_made() -> None:
    html = ReportGenerator(_by_hand([100.0])).to_html()

    assert Page(html).wrong == []


def test_infinity_is_written_as_its_sign() -> None:
    assert numbers.metric("sortino_ratio", float("inf")) == "∞"
    assert numbers.metric("sortino_ratio", float("-inf")) == "-∞"
    assert isinstance(_by_hand([101.0, 102.0]).metrics, PerformanceMetrics)


def test_nothing_is_written_as_minus_zero() -> None:
    assert numbers.money(-0.001) == "0.00"
    assert numbers.percent(-0.00001) == "0.00 %"


@dataclass(frozen=True)
class Precise:
    """Parameters that JSON has no words for."""

    share: Decimal = Decimal("0.50")
    days: tuple[date, ...] = (date(2020, 1, 2), date(2020, 1, 3))


class Exact(Strategy):
    """Does nothing with them."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return None


def test_parameters_that_json_has_no_words_for_are_written_as_people_do() -> None:
    history = PriceHistory([_bars("A", [10.0, 11.0, 12.0])])

    text = ReportGenerator(BacktestEngine().run(Exact(Precise()), history, 1000)).to_markdown()

    assert "share=0.50:days=2020-01-02+2020-01-03" in text
