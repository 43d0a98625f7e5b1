"""A task's spec in words, its charts, and a run's report as a tree."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from observability.dashboard.pages.runs import LONGEST_VALUE, MOST_NODES, Node, report_tree
from observability.dashboard.pages.task import course_chart, reasons, spread_chart, unit_of
from observability.dashboard.past import distribution
from observability.dashboard.spec_words import instant_words, told, window_words
from observability.redact import HIDDEN
from orchestration.decisions import Gate, Reason
from orchestration.state.codec import to_instant
from orchestration.state.history import WaitRow
from orchestration.state.summaries import Taken
from orchestration.task_specs import TASK_SPECS
from orchestration.types import TaskPriority, TaskSpec

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


def words_of(spec: TaskSpec) -> dict[str, str]:
    return {each.field: each.text for group in told(spec).values() for each in group}


# --- the spec ---------------------------------------------------------------------------------------------


def test_every_field_of_a_spec_is_told() -> None:
    names = {field.name for field in fields(TaskSpec)}

    # These two are the page's head.
    assert set(words_of(TaskSpec(name="job"))) == names - {"name", "description"}


@pytest.mark.parametrize("spec", TASK_SPECS, ids=lambda spec: spec.name)
def test_a_built_in_task_is_told_whole(spec: TaskSpec) -> None:
    found = told(spec)

    assert all(each.text or each.links for group in found.values() for each in group)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open+30m..close-15m", "from 30 min after the open to 15 min before the close"),
        ("pre..open", "from the hour at which the box must be ready to the open"),
        ("02:00..prep-1h30m", "from 02:00 at the exchange to 1 h 30 min before the beginning of PREP"),
        ("09:00@Europe/Berlin..24:00", "from 09:00 in Europe/Berlin to 24:00 at the exchange"),
        ("whenever", "whenever"),
    ],
)
def test_a_window_is_told_in_words(text: str, expected: str) -> None:
    assert window_words(text) == expected


def test_an_instant_is_told_in_words() -> None:
    assert instant_words("post") == "the end of the hours after the close"
    assert instant_words("no instant") == "no instant"


def test_a_field_is_told_with_its_expression_as_the_file_has_it() -> None:
    spec = TaskSpec(
        name="job",
        window="open..close",
        every=timedelta(minutes=15),
        on="early_close",
        deadline="close-5m",
        priority=TaskPriority.HIGH,
        needs=frozenset({"network"}),
        timeout_minutes=0.0,
    )

    found = words_of(spec)

    assert found["window"] == "from the open to the close (open..close)"
    assert (found["every"], found["on"]) == ("15 min", "trading days with an early close (early_close)")
    assert found["deadline"] == "5 min before the close (close-5m)"
    assert (found["priority"], found["needs"], found["timeout_minutes"]) == (
        "high",
        "network",
        "never stopped",
    )


def test_tasks_that_a_spec_names_are_links() -> None:
    spec = TaskSpec(
        name="job", dependencies=frozenset({"b", "a"}), conflicts=frozenset({"c"}), reconciled_by="d"
    )

    links = {each.field: each.links for group in told(spec).values() for each in group if each.links}

    assert links == {"dependencies": ("a", "b"), "conflicts": ("c",), "reconciled_by": ("d",)}


def test_secrets_in_a_command_or_an_environment_are_hidden() -> None:
    spec = TaskSpec(name="job", argv=("send", "--token", "abc123xyz"), env={"API_KEY": "k", "LEVEL": "2"})

    found = words_of(spec)

    assert "abc123xyz" not in found["argv"]
    assert found["env"] == f"API_KEY={HIDDEN}, LEVEL=2"


# --- charts -----------------------------------------------------------------------------------------------


def a_run(number: int, seconds: float, minutes: float | None) -> Taken:
    at = to_instant(NOW + timedelta(minutes=number))
    return Taken(f"job.{number}", at, "succeeded", seconds, None, minutes)


def test_durations_are_read_in_the_unit_of_the_longest() -> None:
    assert [unit_of(s)[1] for s in (0.2, 179, 181, 10_000, 11_000)] == ["s", "s", "min", "min", "h"]


def test_a_course_is_drawn_from_old_to_new_beside_its_estimates() -> None:
    chart = course_chart([a_run(2, 240.0, None), a_run(1, 120.0, 3.0)], "America/New_York")

    took, estimated = (series["values"] for series in chart["series"])
    assert (took, estimated, chart["unit"]) == ([2.0, 4.0], [3.0, None], "min")
    assert chart["x"] == [NOW.timestamp() + 60, NOW.timestamp() + 120]


def test_a_spread_is_drawn_with_its_unit_across() -> None:
    spread = distribution([60.0] * 3)
    assert spread is not None

    chart = spread_chart(spread, 60.0, "min")

    assert (chart["x"], chart["across"], chart["series"][0]["values"]) == ([1.0], "min", [3])


def test_a_recorded_reason_is_given_with_its_numbers() -> None:
    gate = Gate(Reason.MEMORY, False, "free MB", 900.0, 300.0)
    wait = WaitRow(task="job", at=NOW, slot=None, reason="MEMORY", failures=(gate,), until=None)

    (found,) = reasons(wait)

    assert (found["reason"], found["needed"], found["available"]) == ("MEMORY", 900.0, 300.0)


# --- a report ---------------------------------------------------------------------------------------------


def count(node: Node) -> int:
    return sum(1 + count(part) for part in node.parts)


def test_a_report_is_a_tree_with_plain_lists_in_one_line() -> None:
    tree = report_tree(
        {"rows": 1200, "ok": True, "symbols": ["A", "B"], "books": {"cash": 1.5, "none": None}}
    )

    found = {part.name: part.text for part in tree.parts}
    assert found == {"rows": "1200", "ok": "yes", "symbols": "A, B", "books": None}
    assert [(part.name, part.text) for part in tree.parts[-1].parts] == [("cash", "1.5"), ("none", "none")]


def test_a_report_with_too_many_values_says_how_many_are_left_out() -> None:
    tree = report_tree({"rows": [{"n": n} for n in range(1000)]})

    assert count(tree) <= MOST_NODES
    (rows,) = tree.parts
    assert len(rows.parts) + rows.left_out == 1000


def test_a_long_value_is_cut_and_a_deep_one_not_followed() -> None:
    deep: dict[str, object] = {"end": 1}
    for _ in range(50):
        deep = {"more": deep}

    tree = report_tree({"text": "x" * 3000, "deep": deep})

    text = tree.parts[0].text
    assert text is not None
    assert len(text) < LONGEST_VALUE + 40
    assert count(tree) < 10


def test_a_secret_in_a_report_is_hidden() -> None:
    (part,) = report_tree({"api_key": "abc"}).parts

    assert part.text == HIDDEN
