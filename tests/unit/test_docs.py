"""The documents keep up with the code: settings, task fields, built-in tasks, placeholders."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import config
from config import Settings
from orchestration.registry import EXAMPLE_VALUES
from orchestration.spec_fields import TASK_FIELDS
from orchestration.types import TaskSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def env_example() -> str:
    return (ROOT / ".env.example").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tasks_page() -> str:
    return (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")


def test_the_example_environment_lists_every_setting_in_order(env_example: str) -> None:
    names = re.findall(r"^([A-Z_]+)=", env_example, re.MULTILINE)

    assert names == [d["variable"] for d in config.documented()]


def test_the_example_environment_gives_the_defaults(env_example: str) -> None:
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", env_example, re.MULTILINE))

    for described in config.documented():
        default = described["default"]
        assert given[described["variable"]] == ("" if default.startswith("STATE_DIR/") else default)


def test_the_example_environment_explains_each_line_above_it(env_example: str) -> None:
    lines = env_example.splitlines()

    for described in config.documented():
        at = next(i for i, line in enumerate(lines) if line.startswith(described["variable"] + "="))
        assert lines[at - 1].startswith("# " + described["sentence"].rstrip("."))
        assert described["unit"] in lines[at - 1]
        where = described["default"].removeprefix("STATE_DIR/")
        assert where == described["default"] or where in lines[at - 1]


def test_the_example_environment_used_as_it_stands_changes_nothing(
    env_example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", env_example, re.MULTILINE))

    assert Settings.from_env(given) == Settings.from_env({})


def test_every_field_of_a_task_is_documented(tasks_page: str) -> None:
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", tasks_page, re.MULTILINE))))

    assert {f.name for f in fields(TaskSpec)} <= documented
    assert documented >= TASK_FIELDS


def test_every_default_of_a_task_field_is_documented(tasks_page: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", tasks_page, re.MULTILINE))
    bare = TaskSpec(name="bare")

    for name, text in rows.items():
        value = getattr(bare, name)
        if isinstance(value, bool):
            assert text == str(value).lower(), name
        elif isinstance(value, int | float) and name != "priority":
            assert float(text) == value, name


def test_every_placeholder_is_documented(tasks_page: str) -> None:
    for name in EXAMPLE_VALUES:
        assert f"`{{{name}}}`" in tasks_page


def test_the_settings_fill_every_placeholder() -> None:
    assert {"python", *Settings.from_env({}).placeholders} == set(EXAMPLE_VALUES)


def test_the_page_shows_the_examples_that_the_example_file_holds(tasks_page: str) -> None:
    example = (ROOT / "tasks.example.toml").read_text(encoding="utf-8")

    for block in re.findall(r"```toml\n(.*?)```", tasks_page, re.DOTALL):
        for line in block.splitlines():
            assert line in example, line
