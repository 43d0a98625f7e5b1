"""Modules that are loaded when they are first used, not when a library imports them. Standard library only.

SQLAlchemy imports asyncio (with it ssl, OpenSSL, sockets, subprocesses), hashlib and importlib.metadata (with
it email and zipfile) for what the daemon never does; together they are 7 MB of its 50.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any


class DeferredModule(ModuleType):
    """Stands in sys.modules for a module until something of it is asked for.

    Not importlib.util.LazyLoader: there the next `import` of it, in any module, loads it already.
    """

    def __getattr__(self, name: str) -> Any:
        # Those who only look at what is loaded (inspect, warnings) ask for `__file__` and the like.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} yet")
        return getattr(self._loaded(), name)

    def _loaded(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        real = import_module(self.__name__)
        self.__dict__.update(vars(real))
        return real


def defer(name: str, *functions: str) -> None:
    """Let `name` be loaded when it is first used; harmless if it is loaded already.

    functions: those of its functions that another module takes while it is itself being imported, as
    `f = module.f`; what it gets loads the module when it is called.
    """
    if name in sys.modules:
        return
    module = DeferredModule(name)
    parent = name.rpartition(".")[0]
    path = import_module(parent).__path__ if parent else None
    module.__spec__ = PathFinder.find_spec(name, path)
    for function in functions:
        setattr(module, function, _deferred_function(module, function))
    sys.modules[name] = module
    if parent:
        # As an import does it: after `import importlib.metadata`, `importlib.metadata.version` is asked for.
        setattr(import_module(parent), name.rpartition(".")[2], module)


def _deferred_function(module: DeferredModule, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(module._loaded(), name)(*arguments, **keywords)

    return call
