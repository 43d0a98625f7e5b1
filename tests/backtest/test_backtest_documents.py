"""The pages on backtests: their programs print what stands under them, their tables are the code's."""

from __future__ import annotations

import re
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

from trading.backtest.performance.definitions import definitions_as_markdown
from trading.marketdata.bars import BarStore

DOCS = Path(__file__).parents[2] / "docs"
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
QUICKSTART = (DOCS / "backtest-quickstart.md").read_text(encoding="utf-8")
STEPS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", QUICKSTART, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with var/data as `make run` leaves it."""
    if find_spec("bokeh_sampledata") is None:
        pytest.skip("the optional package bokeh_sampledata is not installed")
    from trading.marketdata.sources.sample import Sample

    folder = tmp_path_factory.mktemp("checkout")
    store = BarStore(folder / "var" / "data")
    for symbol in ("AAPL", "IBM", "MSFT"):
        store.write(symbol, Sample().fetch(symbol).frame, "sample")
    return folder


def test_there_are_three_first_steps() -> None:
    assert len(STEPS) == 3


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_first_step_prints_what_stands_under_it(
    step: int, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, printed = STEPS[step]
    monkeypatch.chdir(checkout)

    exec(compile(program, f"step {step + 1}", "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out == printed


def test_the_program_of_the_readme_runs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README.partition("## Multi-Strategy Backtesting with StrategyOrchestrator\n")[2]
    program = section.partition("\nEach strategy")[0]
    monkeypatch.chdir(checkout)

    exec(compile(textwrap.dedent(program), "README.md", "exec"), {"__name__": "__main__"})

    printed = capsys.readouterr().out
    assert all(f"'{name}'" in printed for name in ("moving_average", "rsi", "buy_and_hold"))
    assert float(printed.split()[0]) > 0


def test_the_page_defines_the_metrics_as_results_do() -> None:
    page = (DOCS / "backtest.md").read_text(encoding="utf-8")

    told = page.partition("<!-- definitions -->\n\n")[2].partition("\n<!-- end of definitions -->")[0]
    assert told == definitions_as_markdown()
