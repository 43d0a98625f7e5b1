"""Task files on disk: the shipped example loads and its commands run; broken files are refused clearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from config import Settings
from orchestration.calendar_source import build_calendars
from orchestration.errors import SpecError
from orchestration.registry import NO_TASKS, Registry, build_registry, expand_argv, load_tasks_file
from orchestration.task_specs import TASK_SPECS
from orchestration.types import TaskSpec

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 20)


def build(path: Path) -> Registry:
    return build_registry(
        TASK_SPECS,
        load_tasks_file(path),
        total_mb=4000,
        slots=2,
        calendars=build_calendars({}, today=TODAY),
        today=TODAY,
        values=Settings.from_env({}).placeholders,
    )


def run(spec: TaskSpec, result: Path) -> subprocess.CompletedProcess[str]:
    values = {"python": sys.executable, **Settings.from_env({}).placeholders}
    return subprocess.run(
        expand_argv(spec.argv, values),
        cwd=spec.cwd,
        env={"PATH": os.environ["PATH"], "ORCHESTRATOR_RESULT": str(result)},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        build(path)
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "tasks.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_file_adds_two_tasks_to_the_built_in_ones() -> None:
    registry = build(ROOT / "tasks.example.toml")

    assert len(registry) == len(TASK_SPECS) + 2
    assert registry.empty_days == {}


def test_the_examples_that_are_commented_out_are_right_as_well(tmp_path: Path) -> None:
    example = (ROOT / "tasks.example.toml").read_text(encoding="utf-8")
    _, _, rest = example.partition("# A built-in task is changed by its name")
    commented = [line.removeprefix("# ").removeprefix("#") for line in rest.splitlines()[1:]]
    lines = [line for line in commented if line.startswith("[[") or " = " in line]
    lines = [line for line in lines if "Tasks choose it" not in line and "task ends" not in line]

    registry = build(written(tmp_path, "\n".join(lines)))

    assert registry.get("daily_report").at == "close+90m"
    assert registry.get("weekly_report").enabled is False
    assert registry.pools["cluster"].launcher == ("srun", "--ntasks=1")


def test_the_shell_example_really_runs(tmp_path: Path) -> None:
    result = tmp_path / "result.json"

    ended = run(build(ROOT / "tasks.example.toml").get("hello_box"), result)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Hello trader, up for ")
    assert json.loads(result.read_text(encoding="utf-8"))["uptime_s"] > 0


def test_the_python_example_really_runs(tmp_path: Path) -> None:
    result = tmp_path / "result.json"

    ended = run(build(ROOT / "tasks.example.toml").get("disk_report"), result)

    free_gb = json.loads(result.read_text(encoding="utf-8"))["free_gb"]
    assert ended.returncode == (0 if free_gb >= 1 else 1), ended.stderr
    assert f"{free_gb:.1f} GB free" in ended.stdout


def test_no_file_named_means_no_tasks_of_ones_own() -> None:
    assert load_tasks_file(None) is NO_TASKS


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    assert "there is no such task file" in refusal(tmp_path / "tasks.toml")


def test_a_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_bytes(b"# caf\xe9\n")

    assert "byte 5 is not UTF-8" in refusal(path)


def test_a_script_counts_from_the_folder_of_its_file_and_runs_there(tmp_path: Path) -> None:
    script = tmp_path / "odd {name}.sh"
    script.write_text("#!/bin/sh\npwd\n", encoding="utf-8")
    script.chmod(0o755)
    path = written(tmp_path, '[[task]]\nname = "a"\nscript = "odd {name}.sh"')

    ended = run(build(path).get("a"), tmp_path / "result.json")

    assert ended.stdout.strip() == str(tmp_path.resolve())


def test_a_python_script_is_run_with_the_daemons_interpreter(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys; print(sys.executable, sys.argv[1])", encoding="utf-8")
    path = written(tmp_path, '[[task]]\nname = "a"\nscript = "job.py"\nargs = ["x"]')

    ended = run(build(path).get("a"), tmp_path / "result.json")

    assert ended.stdout.split() == [sys.executable, "x"]


def test_a_script_that_may_not_be_executed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\n", encoding="utf-8")

    text = refusal(written(tmp_path, '[[task]]\nname = "a"\nscript = "job.sh"'))

    assert f"Run: chmod +x {tmp_path}/job.sh" in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('script = "nothing.sh"', "there is no file"),
        ("script = 5", "script = 5: expected text"),
        ('module = "nothing_here"', "there is no such module"),
        ('module = "not a name"', "there is no such module"),
        ('module = "json.tool"\nargs = "x"', "args = 'x': expected a list"),
        ('argv = ["/nowhere/tool"]', "there is no file /nowhere/tool"),
        ('argv = ["true"]\ncwd = "nowhere"', "there is no folder"),
    ],
)
def test_a_command_that_is_not_there_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    text = refusal(written(tmp_path, f'[[task]]\nname = "a"\n{line}'))

    assert text.startswith(f"{tmp_path}/tasks.toml:1: task 'a', ")
    assert expected in text


def test_an_installed_module_needs_no_folder(tmp_path: Path) -> None:
    spec = build(written(tmp_path, '[[task]]\nname = "a"\nmodule = "json.tool"')).get("a")

    assert spec.argv == ("{python}", "-m", "json.tool")


def test_switching_off_what_others_need_names_them(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, '[[task]]\nname = "backup_databases"\nenabled = false'))

    assert (
        "task 'verify_backups', dependencies = ['backup_databases']: 'backup_databases' is disabled" in text
    )
    assert "task 'vacuum_databases'" in text


def test_the_task_file_beside_the_program_is_used_when_there_is_one() -> None:
    default = ROOT / "tasks.toml"

    assert Settings.from_env({}).tasks_file == (default if default.is_file() else None)


@pytest.mark.parametrize("spec", [s for s in TASK_SPECS if s.enabled], ids=lambda spec: spec.name)
def test_the_job_of_every_enabled_task_knows_its_arguments(spec: TaskSpec) -> None:
    values = {"python": sys.executable, **Settings.from_env({}).placeholders}
    command = [*expand_argv(spec.argv, values), "--no-such-option"]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    # The parser complains of the stranger alone, before any work is done.
    assert ended.returncode == 2
    assert ended.stderr.strip().endswith("error: unrecognized arguments: --no-such-option")
