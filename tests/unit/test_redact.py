"""No secret is written, under whatever name it stands; everything else becomes plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from observability.redact import HIDDEN, LONGEST_TEXT, Redactor, is_secret_name
from orchestration.types import OperatingMode, TaskPriority

PLANTED = "hunter2hunter2"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "token",
            "API_KEY",
            "apiKey",
            "apikey",
            "X-Auth-Token",
            "dbPassword",
            "client_secret",
            "Authorization",
        ),
        *("broker.credentials", "private-key", "APCA_API_SECRET_KEY", "HTTPBearer", "passphrase"),
    ],
)
def test_a_name_with_a_secret_word_hides_its_value(name: str) -> None:
    assert is_secret_name(name)
    assert Redactor().mapping({name: PLANTED, "task": "a"}) == {name: HIDDEN, "task": "a"}


@pytest.mark.parametrize(
    "name", ["task", "monkey", "keyboard", "tokenizer", "turkey_day", "authority", "cookies_eaten"]
)
def test_a_name_that_only_looks_like_one_keeps_its_value(name: str) -> None:
    assert Redactor().mapping({name: "seen"}) == {name: "seen"}


def test_secrets_are_found_at_any_depth() -> None:
    nested = {
        "request": [
            {"headers": {"Authorization": f"Bearer {PLANTED}"}},
            ("x", {"password": {"old": PLANTED}}),
        ]
    }

    assert PLANTED not in json.dumps(Redactor().mapping(nested))


def test_whether_there_is_a_secret_may_be_said() -> None:
    assert Redactor().mapping({"api_key": True, "token": None}) == {"api_key": True, "token": None}


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://trader:{PLANTED}@db.local/state",
        f"https://user:{PLANTED}@example.org/path?x=1",
        f"sent Authorization: Bearer {PLANTED}",
        f"header Basic {PLANTED}== refused",
        f"api_key={PLANTED}&symbol=AAPL",
        f"password = '{PLANTED}'",
        f'{{"token": "{PLANTED}"}}',
        f"APCA_SECRET={PLANTED}",
    ],
)
def test_secrets_in_running_text_are_hidden(text: str) -> None:
    plain = Redactor().text(text)

    assert PLANTED not in plain
    assert HIDDEN in plain


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///srv/box/performance.db",
        "http://localhost:8080/status",
        "needs 300 MB: 200 MB free",
        "at 18:00:00Z",
    ],
)
def test_running_text_without_a_secret_is_left_alone(text: str) -> None:
    assert Redactor().text(text) == text


def test_the_option_before_a_secret_in_a_command_line_hides_it() -> None:
    argv = ("push", "--api-key", PLANTED, "--symbol", "AAPL", f"--token={PLANTED}")

    assert Redactor().plain(argv) == ["push", "--api-key", HIDDEN, "--symbol", "AAPL", f"--token={HIDDEN}"]


def test_known_values_are_hidden_wherever_they_stand() -> None:
    redactor = Redactor([f" {PLANTED}\n", "a1"])
    redactor.add([PLANTED + "-longer"])

    plain = redactor.mapping({"detail": f"got {PLANTED}-longer, then {PLANTED}", PLANTED: 1, "a1": "a1"})

    assert plain == {"detail": f"got {HIDDEN}, then {HIDDEN}", HIDDEN: 1, "a1": "a1"}


def test_a_known_value_is_hidden_even_where_a_long_text_is_cut() -> None:
    text = "x" * (LONGEST_TEXT - 5) + PLANTED

    assert "hunte" not in Redactor([PLANTED]).text(text)


@dataclass(frozen=True)
class Sample:
    """A dataclass with a secret in it."""

    task: str
    api_token: str


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 11, 20, 18, 0, tzinfo=UTC), "2026-11-20T18:00:00Z"),
        (date(2026, 11, 20), "2026-11-20"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (OperatingMode.PREP, "prep"),
        (TaskPriority.HIGH, 4),
        (Path("/srv/box"), "/srv/box"),
        (Decimal("10.50"), "10.50"),
        ({"b", "a"}, ["a", "b"]),
        (Sample("a", PLANTED), {"task": "a", "api_token": HIDDEN}),
        (ValueError("no such day"), "ValueError: no such day"),
        (float("nan"), None),
        (float("-inf"), None),
        (1.5, 1.5),
        (b"\x00", "b'\\x00'"),
        ({OperatingMode.PREP: 1, 2: None}, {"prep": 1, "2": None}),
        (Sample, str(Sample)),
    ],
)
def test_values_become_plain_json(value: object, plain: object) -> None:
    result = Redactor().plain(value)

    assert result == plain
    assert json.loads(json.dumps(result, allow_nan=False)) == plain


def test_a_value_without_end_is_cut() -> None:
    loop: list[object] = []
    loop.append(loop)

    text = json.dumps(Redactor().plain(loop))

    assert len(text) < 200
    long = Redactor().text("y" * 100_000)
    assert (len(long) < LONGEST_TEXT + 50, long.endswith("(100000 characters)")) == (True, True)
