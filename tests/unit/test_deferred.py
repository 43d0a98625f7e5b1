"""Modules that wait until they are used. `colorsys` and `wsgiref` stand for what nothing here loads."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import pytest

from orchestration.deferred import DeferredModule, defer


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let each test begin and end without the modules it defers."""
    names = [name for name in sys.modules if name.split(".")[0] in ("colorsys", "wsgiref")]
    kept = {name: sys.modules.pop(name) for name in names}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("colorsys", "wsgiref")]:
        del sys.modules[name]
    sys.modules.update(kept)


def test_an_import_alone_loads_nothing() -> None:
    defer("colorsys")

    assert isinstance(importlib.import_module("colorsys"), DeferredModule)


def test_the_first_use_loads_the_real_module() -> None:
    defer("colorsys")
    colours = importlib.import_module("colorsys")

    # Pure red has hue 0, full saturation and full value.
    assert colours.rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
    assert not isinstance(sys.modules["colorsys"], DeferredModule)


def test_a_look_at_what_is_loaded_loads_nothing() -> None:
    defer("colorsys")

    assert not hasattr(sys.modules["colorsys"], "__file__")
    assert isinstance(sys.modules["colorsys"], DeferredModule)


def test_a_function_taken_during_an_import_loads_when_it_is_called() -> None:
    defer("colorsys", "rgb_to_hsv")
    taken = importlib.import_module("colorsys").rgb_to_hsv

    assert isinstance(sys.modules["colorsys"], DeferredModule)
    assert taken(0.0, 0.0, 1.0) == (2 / 3, 1.0, 1.0)
    assert taken(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)


def test_a_submodule_can_be_imported_and_deferred() -> None:
    defer("wsgiref")
    defer("wsgiref.util")

    assert importlib.import_module("wsgiref.headers").Headers([("A", "b")])["a"] == "b"
    assert importlib.import_module("wsgiref.util").guess_scheme({"HTTPS": "on"}) == "https"


def test_what_is_loaded_stays_as_it_is() -> None:
    real = importlib.import_module("colorsys")

    defer("colorsys")

    assert sys.modules["colorsys"] is real


def test_a_name_that_is_not_there_is_missed_in_the_real_module() -> None:
    defer("colorsys")

    with pytest.raises(AttributeError, match="no attribute 'octarine'"):
        _ = sys.modules["colorsys"].octarine


def test_a_deferred_submodule_is_an_attribute_of_its_package_as_after_an_import() -> None:
    package = importlib.import_module("wsgiref")
    defer("wsgiref.util")

    # Documented in wsgiref.util: FileWrapper(filelike, blksize=8192).
    assert package.util.FileWrapper(None).blksize == 8192
