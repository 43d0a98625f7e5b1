"""Import directions that import-linter cannot see: each module alone in a process, and the core's sources."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks.rss import FORBIDDEN, daemon_modules

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)  # who asks first waits for every module, on a small and busy box

# Each module is imported in a fork of an interpreter that has loaded nothing of ours: it stands alone.
PROBE = """
import importlib, json, os, sys

for name in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(name)
            answer = sorted(sys.modules)
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        print(json.dumps([name, json.loads(pipe.read())]))
    os.wait()
"""


def _modules_of(*folders: str) -> list[str]:
    """Return the dotted names of every module below `folders`."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem != "__init__"
    ]


@cache
def _loaded_by(names: tuple[str, ...]) -> dict[str, list[str] | str]:
    """Import each name alone; return what was loaded then, or the error as text."""
    argv = [sys.executable, "-c", PROBE, json.dumps(names)]
    child = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True, timeout=280)
    return dict(json.loads(line) for line in child.stdout.splitlines())


def _contracts() -> dict[str, dict[str, list[str]]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return {each["name"]: each for each in tomllib.load(file)["tool"]["importlinter"]["contracts"]}


CORE_CONTRACT = _contracts()["The core imports nothing of the shell"]

ASIDE = {"ctl", "data"}
"""Parts of `orchestration` that are neither core nor shell: the control command has contracts of its own."""


def _is_below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("name", daemon_modules())
def test_a_module_of_the_daemon_loads_nothing_heavy(name: str) -> None:
    loaded = _loaded_by(tuple(daemon_modules()))[name]

    assert not isinstance(loaded, str), f"{name} cannot be imported alone: {loaded}"
    assert sorted(set(FORBIDDEN) & set(loaded)) == []


def test_the_probe_notices_a_heavy_import() -> None:
    loaded = _loaded_by(("numpy", "no_such_module"))

    assert "numpy" in set(FORBIDDEN) & set(loaded["numpy"])
    assert loaded["no_such_module"] == "ModuleNotFoundError: No module named 'no_such_module'"


@pytest.mark.slow
@pytest.mark.parametrize("name", _modules_of("trading"))
def test_a_job_module_knows_nothing_of_the_daemon_but_its_clock(name: str) -> None:
    loaded = _loaded_by(tuple(_modules_of("trading")))[name]

    assert not isinstance(loaded, str), f"{name} cannot be imported alone: {loaded}"
    ours = {each for each in loaded if _is_below(each, ("orchestration", "hardware", "config"))}
    # The clock's own imports come with it; its port is named there.
    allowed = {"orchestration", "orchestration.clock"}
    if "orchestration.clock" in ours:
        allowed |= set(_loaded_by(("orchestration.clock",))["orchestration.clock"])
    assert sorted(ours - allowed) == []


HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "sqlalchemy", "matplotlib", "alpaca", "ib_async"}
LIGHT_PARTS = (
    "brokers", "checking", "errors", "facts", "kill_switch", "ledger", "markets", "measures", "orders",
    "smart", "transitions", "turn_lock", "volume_shapes",
)  # fmt: skip
"""Parts of `trading.execution` that the jobs of every minute import."""


def _light_modules() -> list[str]:
    light = tuple(f"trading.execution.{part}" for part in LIGHT_PARTS)
    return [name for name in _modules_of("trading") if _is_below(name, light)]


@pytest.mark.slow
@pytest.mark.parametrize("name", _light_modules())
def test_a_light_part_of_the_execution_loads_nothing_heavy(name: str) -> None:
    loaded = _loaded_by(tuple(_modules_of("trading")))[name]

    assert not isinstance(loaded, str), f"{name} cannot be imported alone: {loaded}"
    assert sorted(HEAVY & set(loaded)) == []


def test_the_execution_knows_nothing_of_backtests() -> None:
    """DESIGN 3.4: backtests may use the impact model, never the reverse."""
    files = sorted((ROOT / "trading" / "execution").rglob("*.py"))

    assert len(files) > 50
    assert [path.name for path in files if "trading.backtest" in path.read_text()] == []


def test_every_module_of_the_daemon_is_named_as_core_or_as_shell() -> None:
    named = {*CORE_CONTRACT["source_modules"], *CORE_CONTRACT["forbidden_modules"]}
    present = {
        f"orchestration.{path.stem}"
        for path in (ROOT / "orchestration").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in {"__init__", *ASIDE}
    }

    assert sorted(present - named) == [], "name these in pyproject.toml, in the contract on the core"


UNREPEATABLE_MODULES = (
    "asyncio", "logging", "os", "pathlib", "random", "secrets", "selectors", "shutil", "signal", "socket",
    "sqlite3", "subprocess", "tempfile", "threading", "time", "uuid",
)  # fmt: skip
UNREPEATABLE_CALLS = {"open", "input", "print", "now", "utcnow", "today", "read_text", "write_text", "getenv"}


def _core_files() -> list[Path]:
    found: list[Path] = []
    for name in CORE_CONTRACT["source_modules"]:
        place = ROOT.joinpath(*name.split("."))
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return found


def _breaches(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module's source reads a clock, an environment, a file, a random source or a logger."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            given = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
            )
            yield from (
                f"line {node.lineno}: imports {name}"
                for name in given
                if _is_below(name, UNREPEATABLE_MODULES)
            )
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in UNREPEATABLE_CALLS:
                yield f"line {node.lineno}: calls {called}()"


@pytest.mark.parametrize("path", _core_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_core_module_takes_everything_as_an_argument(path: Path) -> None:
    assert list(_breaches(ast.parse(path.read_text()))) == []


def test_the_search_for_breaches_finds_them() -> None:
    source = "import os.path\nfrom time import sleep\nx = datetime.now(UTC)\nopen('f')\nimport osprey\n"

    assert list(_breaches(ast.parse(source))) == [
        "line 1: imports os.path",
        "line 2: imports time",
        "line 3: calls now()",
        "line 4: calls open()",
    ]
