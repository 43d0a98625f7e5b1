"""Reads a person's own task file (TOML) into values; what they mean together is `registry`'s to check.

Everything wrong with a file is collected, so that it can be reported at once with what the registry finds.
Only a file that cannot be read at all (missing, not UTF-8, broken TOML) raises here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestration.errors import SpecError
from orchestration.spec_fields import (
    CONVERTERS,
    NAME,
    POOL_FIELDS,
    TASK_FIELDS,
    did_you_mean,
    duration,
    expect,
    text,
    texts,
)
from orchestration.types import TaskSpec

DEPENDENCIES = 'a list of names, or of { task = "b", max_age = "2d" }'
SHORTHANDS = frozenset({"script", "module", "args"})
SLOT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "at": ("every", "cron", "window"),
    "cron": ("every", "at"),
    "every": ("at", "cron"),
    "window": ("at",),
}
"""Naming one of these over a built-in takes the place of those that cannot stand beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A place where runs go. slots, memory_mb: what it has; launcher: the command put before a job's own.

    origin: where it was defined, for messages.
    """

    name: str
    slots: int
    memory_mb: float
    launcher: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTask:
    """A `[[task]]` table: the named fields of TaskSpec, converted. origin: file and line (`a.toml:12`)."""

    name: str
    changes: Mapping[str, object]
    origin: str

    def over(self, spec: TaskSpec) -> TaskSpec:
        """Return `spec` with the named fields replaced.

        A field that says when takes the place of those it cannot stand beside; a shorter timeout brings the
        estimate down to it.
        """
        changes = dict(self.changes)
        for named, displaced in SLOT_FIELDS.items():
            if changes.get(named) is not None:
                for other in displaced:
                    changes.setdefault(other, None)
        timeout = changes.get("timeout_minutes")
        if isinstance(timeout, float) and timeout > 0:
            changes.setdefault("estimated_minutes", min(spec.estimated_minutes, timeout))
        return spec.but(**changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksFile:
    """What a task file says. problems: every complaint about it, to be raised by the registry."""

    tasks: tuple[OwnTask, ...] = ()
    pools: tuple[Pool, ...] = ()
    problems: tuple[str, ...] = ()
    path: str = ""


NO_TASKS = TasksFile()


def load_tasks_file(path: str | Path | None) -> TasksFile:
    """Read the task file at `path`; None: there is none, and nothing to read.

    Raises:
        SpecError: if it is missing, unreadable, not UTF-8 or not TOML, with line and column.
    """
    if path is None:
        return NO_TASKS
    try:
        content = Path(path).read_bytes().decode()
    except FileNotFoundError:
        raise SpecError(
            f"{path}: there is no such task file. Copy tasks.example.toml there, or set ORCHESTRATOR_TASKS."
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8 text.") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}. Check its owner and mode.") from None
    return parse_tasks(content, str(path))


def parse_tasks(content: str, path: str) -> TasksFile:
    """Return what the TOML `content` of the file `path` says; its relative paths count from its folder.

    Raises:
        SpecError: if it is not TOML, with line and column.
    """
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(syntax_problem(content, path, error)) from None
    reader = _Reader(content, path)
    for key in table:
        if key not in ("task", "pool"):
            reader.problems.append(
                f"{path}: the table or key {key!r} means nothing here{did_you_mean(key, ('task', 'pool'))}"
                " Write each task under [[task]] and each pool under [[pool]]."
            )
    tasks = [reader.task(entry, origin) for entry, origin in reader.entries(table, "task")]
    pools = [reader.pool(entry, origin) for entry, origin in reader.entries(table, "pool")]
    return TasksFile(
        tasks=tuple(t for t in tasks if t is not None),
        pools=tuple(p for p in pools if p is not None),
        problems=tuple(reader.problems),
        path=path,
    )


def syntax_problem(content: str, path: str, error: tomllib.TOMLDecodeError) -> str:
    """Return what is wrong with the TOML `content` of the file `path`, with the line that says it."""
    found = re.search(r"^(?P<what>.*?) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", str(error))
    lines = content.splitlines()
    if found is None:
        return f"{path}, line {max(1, len(lines))}: {error}. Finish the last line of the file."
    line, column = int(found["line"]), int(found["column"])
    shown = lines[line - 1].strip() if line <= len(lines) else "(the end of the file)"
    return (
        f"{path}, line {line}, column {column}: {found['what']}. The line reads: {shown} "
        'Write a field and its value as field = 1, text in "quotes"; then run `orchestratorctl check`.'
    )


def origins(content: str, path: str, kind: str, count: int) -> list[str]:
    """Return the file and line of each of the `count` tables `[[kind]]`; the file where that is unsure."""
    heads = re.finditer(rf"^[ \t]*\[\[[ \t]*{kind}[ \t]*\]\]", content, re.MULTILINE)
    lines = [content.count("\n", 0, head.start()) + 1 for head in heads]
    if len(lines) != count:  # a header inside a long text, or tables written in line
        return [path] * count
    return [f"{path}:{line}" for line in lines]


class _Reader:
    """Turns the tables of one file into values and collects every complaint in `problems`."""

    def __init__(self, content: str, path: str) -> None:
        self.path = path
        self.folder = Path(path).absolute().parent
        self.problems: list[str] = []
        self._content = content

    def entries(self, table: Mapping[str, Any], kind: str) -> list[tuple[dict[str, Any], str]]:
        """Return each `[[kind]]` table with its origin."""
        entries = table.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            self.problems.append(
                f"{self.path}: {kind!r} must be a list of tables. Write [[{kind}]], with two brackets."
            )
            return []
        return list(zip(entries, origins(self._content, self.path, kind, len(entries)), strict=True))

    def task(self, entry: dict[str, Any], origin: str) -> OwnTask | None:
        """Return the task of `entry`; None where it has no usable name."""
        name = self._name(entry, "task", origin)
        if name is None:
            return None
        changes: dict[str, object] = {}
        for key, value in entry.items():
            if key == "dependencies":
                changes |= self._dependencies(name, value, origin)
            elif key in CONVERTERS:
                self._convert(CONVERTERS[key], f"task {name!r}", key, value, origin, changes)
            elif key not in SHORTHANDS:
                hint = did_you_mean(key, TASK_FIELDS | SHORTHANDS)
                self.problems.append(
                    f"{origin}: task {name!r}: there is no field {key!r} (value {value!r}){hint}"
                    " docs/tasks.md lists all fields."
                )
        self._paths(name, changes)
        self._command(name, entry, origin, changes)
        return OwnTask(name=name, changes=changes, origin=origin)

    def pool(self, entry: dict[str, Any], origin: str) -> Pool | None:
        """Return the pool of `entry`; None where something of it cannot be used."""
        name = self._name(entry, "pool", origin)
        if name is None:
            return None
        where = f"{origin}: pool {name!r}"
        values: dict[str, Any] = {}
        before = len(self.problems)
        for key, value in entry.items():
            if key in POOL_FIELDS:
                self._convert(POOL_FIELDS[key], f"pool {name!r}", key, value, origin, values)
            else:
                hint = did_you_mean(key, POOL_FIELDS)
                self.problems.append(
                    f"{origin}: pool {name!r}: there is no field {key!r} (value {value!r}){hint}"
                )
        for key in ("slots", "memory_mb"):
            if key not in entry:
                self.problems.append(
                    f"{origin}: pool {name!r}: field {key!r} is missing. Say how much it has."
                )
            elif key in values and values[key] <= 0:
                self.problems.append(f"{where}, {key} = {values[key]:g}: it must be above 0.")
        if name == "local":
            self.problems.append(
                f"{origin}: pool 'local' is this box and needs no table. Give yours another name."
            )
        return Pool(**values, origin=origin) if len(self.problems) == before else None

    def _name(self, entry: dict[str, Any], kind: str, origin: str) -> str | None:
        name = entry.get("name")
        if isinstance(name, str) and NAME.fullmatch(name):
            return name
        what = "has no name" if name is None else f"has the name {name!r}"
        self.problems.append(
            f"{origin}: this {kind} {what}. Give it one of lower case letters, digits and underscores,"
            f' as name = "my_{kind}".'
        )
        return None

    def _convert(
        self,
        convert: Callable[[Any], object],
        owner: str,
        key: str,
        value: Any,
        origin: str,
        into: dict[str, Any],
    ) -> None:
        try:
            into[key] = convert(value)
        except ValueError as error:
            wanted = str(error) if str(error).endswith("?") else f"{error}."
            self.problems.append(
                f"{origin}: {owner}, {key} = {value!r}: expected {wanted} Correct the value."
            )

    def _dependencies(self, name: str, value: Any, origin: str) -> dict[str, object]:
        """Read `["a", { task = "b", max_age = "2d" }]`."""
        names: set[str] = set()
        ages: dict[str, timedelta] = {}
        try:
            expect(isinstance(value, list), DEPENDENCIES)
            for item in value:
                if isinstance(item, dict):
                    expect(set(item) == {"task", "max_age"}, DEPENDENCIES)
                    ages[text(item["task"])] = duration(item["max_age"])
                else:
                    expect(isinstance(item, str), DEPENDENCIES)
                    names.add(item)
        except ValueError as error:
            self.problems.append(
                f"{origin}: task {name!r}, dependencies = {value!r}: expected {error}. Correct it."
            )
        return {"dependencies": frozenset(names | set(ages)), "dependency_max_age": MappingProxyType(ages)}

    def _paths(self, name: str, changes: dict[str, object]) -> None:
        """Let a relative `cwd` count from the file's folder."""
        cwd = changes.get("cwd")
        if isinstance(cwd, str):
            changes["cwd"] = os.path.normpath(self.folder / Path(cwd).expanduser())

    def _command(self, name: str, entry: dict[str, Any], origin: str, changes: dict[str, object]) -> None:
        """Turn `script` or `module` with `args` into `argv`."""
        given = [key for key in ("argv", "script", "module") if key in entry]
        if len(given) > 1:
            self.problems.append(
                f"{origin}: task {name!r} gives {' and '.join(given)}. Keep one: each is a whole command."
            )
            return
        given_texts: dict[str, Any] = {}
        for key, convert in (("script", text), ("module", text), ("args", texts)):
            if key in entry:
                self._convert(convert, f"task {name!r}", key, entry[key], origin, given_texts)
        if "args" in entry and given not in (["script"], ["module"]):
            self.problems.append(
                f"{origin}: task {name!r}, args = {entry['args']!r}: they need a script or a module."
                " With argv, write them into argv."
            )
        arguments: Sequence[str] = given_texts.get("args", ())
        if {"script", "module"} & given_texts.keys():
            changes.setdefault("cwd", str(self.folder))
        if "script" in given_texts:
            changes["argv"] = (*self._script(name, given_texts["script"], origin), *arguments)
        if "module" in given_texts:
            self._check_module(name, given_texts["module"], origin, str(changes["cwd"]))
            changes["argv"] = ("{python}", "-m", given_texts["module"], *arguments)

    def _script(self, name: str, script: str, origin: str) -> tuple[str, ...]:
        path = os.path.normpath(self.folder / Path(script).expanduser())
        where = f"{origin}: task {name!r}, script = {script!r}"
        if not os.path.isfile(path):
            self.problems.append(
                f"{where}: there is no file {path}. Correct the path; it counts from {self.folder}."
            )
        elif path.endswith(".py"):
            return ("{python}", _literal(path))
        elif not os.access(path, os.X_OK):
            self.problems.append(f"{where}: the file may not be executed. Run: chmod +x {path}")
        return (_literal(path),)

    def _check_module(self, name: str, module: str, origin: str, cwd: str) -> None:
        folder, top = Path(cwd), module.partition(".")[0]
        is_name = re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z_]\w*)*", module) is not None
        near_by = (folder / top).is_dir() or (folder / f"{top}.py").is_file()
        if not is_name or not (near_by or importlib.util.find_spec(top)):
            self.problems.append(
                f"{origin}: task {name!r}, module = {module!r}: there is no such module in {folder}."
                " Correct the name, or set cwd to the folder it lies in."
            )


def _literal(path: str) -> str:
    """Return `path` so that braces in it are no placeholders."""
    return re.sub(r"\{(\w+)\}", r"{{\1}}", path)
