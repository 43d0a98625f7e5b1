"""docs/control.md keeps up with the command: every command, every option, every exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from orchestration.ctl.app import SHOWN_ORDER
from orchestration.ctl.exits import EXIT_CODES
from orchestration.ctl.main import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "control.md").read_text(encoding="utf-8")


def _options(name: str) -> list[str]:
    """Return the options of a command, the long ones; of a group, those of all its commands."""
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]  # Typer's own group
    params = [param for each in (command, *_parts(name).values()) for param in each.params]
    return [opt for param in params if param.param_type_name == "option" for opt in param.opts]


def _parts(name: str) -> dict[str, Any]:
    """Return the commands of a group by name, none of a command."""
    group = typer.main.get_command(app)
    return dict(getattr(group.commands[name], "commands", {}))  # type: ignore[attr-defined]


def _section(name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/control.md has no section '## {name}'"
    return found[1]


def test_the_app_has_the_commands_of_its_help() -> None:
    commands = typer.main.get_command(app).list_commands(click.Context(click.Command("x")))  # type: ignore[attr-defined]

    assert commands == list(SHOWN_ORDER)


def test_the_page_has_a_section_for_each_command_and_no_other() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)

    assert sections == ["Exit codes", *SHOWN_ORDER]


@pytest.mark.parametrize("name", SHOWN_ORDER)
def test_each_section_has_an_example_and_names_every_option(name: str) -> None:
    section = _section(name)

    assert f"    $ orchestratorctl {name}" in section
    for option in _options(name):
        if option not in ("--json", "--help"):
            assert option in section, f"{name} {option}"


@pytest.mark.parametrize("name", SHOWN_ORDER)
def test_a_groups_section_tells_of_each_of_its_commands(name: str) -> None:
    for part in _parts(name):
        assert f"orchestratorctl {name} {part}" in _section(name)


def test_the_page_gives_every_exit_code_and_its_meaning() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))

    assert {int(code): text.replace("`", "") for code, text in rows.items()} == EXIT_CODES


def test_every_command_named_on_the_page_exists() -> None:
    named = set(re.findall(r"orchestratorctl ([a-z]+)", PAGE))

    assert named <= set(SHOWN_ORDER)
