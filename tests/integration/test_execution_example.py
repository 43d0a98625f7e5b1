"""The example that must run as it stands, and the names of `trading.execution`, each in a real process."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trading.execution

ROOT = Path(__file__).resolve().parents[2]

EXAMPLE = """\
from trading.execution import (calibrate_ac_params, generate_ac_trajectory, generate_twap_trajectory, generate_vwap_trajectory,
                               generate_market_order_trajectory, optimize_schedule, compare_strategies)
import numpy as np
params = calibrate_ac_params(daily_volume=50000, daily_spread=0.02, daily_volatility=0.05, price=0.50)
order_size = 5000
twap = generate_twap_trajectory(order_size, duration_periods=10)
vwap = generate_vwap_trajectory(order_size, volume_profile=np.array([1,2,3,2,1,1,2,3,2,1]))
ac = generate_ac_trajectory(order_size, duration_periods=10, params=params, risk_aversion=1e-5)
mkt = generate_market_order_trajectory(order_size)
print(compare_strategies(twap, vwap, ac, mkt).summary_table())
"""  # noqa: E501 - to the letter

WIDE = "import pandas\npandas.set_option('display.width', 300, 'display.max_columns', None)\n"


def _run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        start_new_session=True,
    )


def test_the_example_runs_as_it_stands() -> None:
    done = _run(EXAMPLE)

    names = [line.split()[1] for line in done.stdout.splitlines()[1:5]]
    assert names == ["twap", "vwap", "ac", "market"]
    # The only thing to be told on the side: the rule of thumb is far from the empirical law here.
    assert "LinearImpactWarning: temporary impact at 10% of the daily volume is 4000 bp" in done.stderr


def test_the_example_prints_the_numbers_of_the_optimum() -> None:
    lines = _run(WIDE + EXAMPLE).stdout.splitlines()

    head = lines[0].split()
    (row,) = [
        dict(zip(head, line.split()[1:], strict=False)) for line in lines if line.split()[1:2] == ["ac"]
    ]
    assert float(row["expected_cost"]) == pytest.approx(195.00, abs=5e-3)
    assert float(row["risk"]) == pytest.approx(210.76, abs=5e-3)
    assert float(row["max_slice_pct"]) * 50 == pytest.approx(502.34, abs=5e-3)


def test_the_package_loads_nothing_heavy_before_a_name_needs_it() -> None:
    program = "import json, sys, trading.execution\nprint(json.dumps(sorted(sys.modules)))"

    loaded = {name.partition(".")[0] for name in json.loads(_run(program).stdout)}

    assert loaded.isdisjoint({"numpy", "pandas", "matplotlib", "scipy", "sqlalchemy", "pyarrow"})


def test_comparing_costs_loads_neither_pandas_nor_matplotlib() -> None:
    program = EXAMPLE.replace(".summary_table())", ".order_size)") + "import sys\nprint(*sys.modules)"

    loaded = {name.partition(".")[0] for name in _run(program).stdout.split()}

    assert "numpy" in loaded
    assert loaded.isdisjoint({"pandas", "matplotlib", "scipy"})


@pytest.mark.parametrize("name", trading.execution.__all__)
def test_every_public_name_is_there_and_goes_by_it(name: str) -> None:
    assert getattr(trading.execution, name).__name__ == name


def test_a_star_import_brings_every_public_name() -> None:
    brought: dict[str, object] = {}

    exec("from trading.execution import *", brought)

    assert set(trading.execution.__all__) <= brought.keys()


def test_every_public_name_is_listed() -> None:
    assert set(trading.execution.__all__) <= set(dir(trading.execution))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'trading\.execution' has no attribute 'optimise'"):
        trading.execution.optimise  # type: ignore[attr-defined]  # noqa: B018 - that is the question


def test_the_checker_of_types_sees_what_a_program_gets() -> None:
    """The imports under TYPE_CHECKING and the homes of the names are two lists of one thing."""
    tree = ast.parse(Path(trading.execution.__file__).read_text())
    seen = {
        alias.name: (node.module or "").removeprefix("trading.execution.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert seen == trading.execution._HOME
    assert sorted(seen) == trading.execution.__all__
