"""What a result depends on, as one key: code, bars and configuration. Another key is another study."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

OWN: Final = "trading"
"""The package whose sources are followed; what others a result depends on is named by version."""

LIBRARIES: Final = ("numpy", "optuna", "pandas", "scikit-learn", "scipy", "statsmodels")


def study_key(*, code: str, bars: str, configuration: Mapping[str, Any]) -> str:
    """Return the key, 64 hexadecimal digits. code: `code_hash`. bars: `PriceHistory.fingerprint`.

    Raises:
        ValueError: if the configuration is no JSON.
    """
    try:
        told = json.dumps(dict(configuration), sort_keys=True, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"configuration {configuration!r} is no JSON: {error}") from None
    return hashlib.sha256(f"{code}\n{bars}\n{told}".encode()).hexdigest()


def code_hash(modules: Iterable[str]) -> str:
    """Return a hash over the sources of these modules and of all of our own that they import, directly or
    not, and over the versions of Python and of the libraries that a number may depend on."""
    digest = hashlib.sha256()
    for name, library in sorted(_versions().items()):
        digest.update(f"{name} {library}\n".encode())
    for name in sorted(closure(modules)):
        digest.update(f"{name}\n".encode())
        digest.update(_source(name).encode())
    return digest.hexdigest()


def closure(modules: Iterable[str]) -> set[str]:
    """Return these modules and every module of our own that one of them imports, at any depth and wherever in
    the source the import stands."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imported(name))
    return found


@cache
def _imported(module: str) -> tuple[str, ...]:
    return tuple(_imports(ast.parse(_source(module))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if _is_own(each.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_own(node.module):
            yield node.module
            # `from package import module` imports both.
            inner = (f"{node.module}.{each.name}" for each in node.names)
            yield from (name for name in inner if _path(name) is not None)


def _is_own(module: str) -> bool:
    return module.split(".")[0] == OWN and _path(module) is not None


@cache
def _path(module: str) -> Path | None:
    """Return where a module's source is; None if there is no such module."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _source(module: str) -> str:
    path = _path(module)
    if path is None:
        raise ValueError(f"module is {module!r}: expected one that can be found")
    return path.read_text(encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
