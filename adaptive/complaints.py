"""What a value of a file lacks of its JSON Schema, in words: field, what is wrong, what was expected.

Each schema's `description` is such a word: a noun phrase that stands after "expected".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from adaptive.positions import Where


def complaints(value: object, schema: str) -> list[tuple[Where, str]]:
    """Return the fields of `value` that break adaptive/schemas/`schema`.json and why; none: it is valid.

    value: as read from JSON (dicts, lists, texts, numbers, truth values, None).

    Raises:
        ValueError: if there is no such schema.
    """
    defined = schema_of(schema).get("$defs", {})
    errors = _validator(schema).iter_errors(value)
    found = (complaint for error in errors for complaint in _in_words(error, defined))
    return list(dict.fromkeys(found))  # jsonschema has an error per missing key, and each names them all


@cache
def schema_of(name: str) -> Mapping[str, Any]:
    """Return a schema by its name. Raises ValueError if there is none."""
    folder = files("adaptive") / "schemas"
    names = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir())
    if name not in names:
        raise ValueError(f"schema is {name!r}: expected one of {', '.join(names)}")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return found


@cache
def _validator(name: str) -> Any:
    # 0.06 s: only who reads or writes a file pays them.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema_of(name))


def _in_words(error: Any, defined: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    """Yield the complaints that a jsonschema ValidationError stands for; at a key's place if it has one."""
    where = tuple(error.absolute_path)
    known = error.schema.get("properties", {})
    match error.validator:
        case "required":
            for name in error.validator_value:
                if name not in error.instance:
                    yield (*where, name), f"is missing, expected {_expected(known[name], defined)}"
        case "additionalProperties":
            for name in error.instance:
                if name not in known:
                    yield (*where, name), f"is not known here, expected only {', '.join(known)}"
        case _:
            yield where, f"is {_shown(error.instance)}, expected {_expected(error.schema, defined)}"


def _expected(schema: Mapping[str, Any], defined: Mapping[str, Any]) -> str:
    schema = defined[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "enum" in schema:
        return f"one of {', '.join('null' if word is None else str(word) for word in schema['enum'])}"
    return str(schema["description"])


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
