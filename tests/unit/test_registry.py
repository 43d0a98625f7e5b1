"""The registry: what it answers, how own tasks are laid over the built-in ones, and every complaint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from orchestration.errors import SpecError
from orchestration.registry import NO_TASKS, Pool, Registry, TasksFile, build_registry, expand_argv
from orchestration.spec_file import parse_tasks
from orchestration.types import Catchup, OncePer, ShortDay, TaskCategory, TaskPriority, TaskSpec
from tests.unit.weekdays import weekday_calendars

FRIDAY = date(2026, 11, 20)
CALENDARS = weekday_calendars(FRIDAY - timedelta(days=10), 450)
Specs = list[TaskSpec]


def spec(name: str, **fields: object) -> TaskSpec:
    return TaskSpec(name=name, argv=("true",)).but(**fields)


def build(
    specs: Specs,
    own: TasksFile = NO_TASKS,
    *,
    is_file: Callable[[str], bool] = lambda path: True,
    exchange: str = "XNYS",
) -> Registry:
    return build_registry(
        specs,
        own,
        total_mb=1000,
        slots=2,
        calendars=CALENDARS,
        today=FRIDAY,
        exchange=exchange,
        is_file=is_file,
    )


def problems(specs: Specs, own: TasksFile = NO_TASKS) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        build(specs, own, is_file=lambda path: "missing" not in path)
    return caught.value.problems


def only_problem(specs: Specs, own: TasksFile = NO_TASKS) -> str:
    found = problems(specs, own)
    assert len(found) == 1, found
    return found[0]


def own(text: str) -> TasksFile:
    return parse_tasks(text, "/box/tasks.toml")


# What a registry answers


def test_tasks_come_in_the_order_of_their_names() -> None:
    registry = build([spec("b"), spec("a", enabled=False)])

    assert [s.name for s in registry] == ["a", "b"] == list(registry.specs)
    assert [s.name for s in registry.enabled] == ["b"]
    assert len(registry) == 2
    assert "a" in registry
    assert registry.origins["a"] == "built-in"


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match=r"'daly_report'\. Did you mean 'daily_report'\?"):
        build([spec("daily_report")]).get("daly_report")


def test_conflicts_hold_both_ways_and_with_itself() -> None:
    registry = build([spec("a", conflicts={"b"}), spec("b"), spec("c")])

    assert registry.conflicts_of("a") == {"a", "b"}
    assert registry.conflicts_of("b") == {"a", "b"}
    assert registry.conflicts_of("c") == {"c"}


def test_the_chain_behind_a_task_is_the_longest_one() -> None:
    # a <- b <- d and a <- c: two tasks wait behind a, one after the other.
    registry = build(
        [
            spec("a"),
            spec("b", dependencies={"a"}),
            spec("c", dependencies={"a"}),
            spec("d", dependencies={"b"}),
        ]
    )

    assert registry.dependents_of("a") == {"b", "c"}
    assert [registry.chain_length(name) for name in "abcd"] == [2, 1, 0, 0]


def test_a_registry_cannot_be_changed() -> None:
    registry = build([spec("a")])

    with pytest.raises(TypeError):
        registry.specs["b"] = spec("b")  # type: ignore[index]  # that is the promise


def test_days_on_which_a_window_is_empty_are_listed() -> None:
    short = date(2026, 11, 27)
    calendars = weekday_calendars(FRIDAY, 450, frozenset({short}))
    late = spec("late", on="trading", window="14:00..close")
    noon = spec("noon", on="trading", at="break_start")

    registry = build_registry([late], total_mb=100, slots=1, calendars=calendars, today=FRIDAY)

    assert registry.empty_days == {"late": (short,)}
    with pytest.raises(SpecError, match="no midday break"):
        build([noon])


# A person's own tasks


def test_a_task_of_the_same_name_replaces_the_named_fields_only() -> None:
    base = spec("report", description="Writes.", memory_mb=70, timeout_minutes=9)

    changed = build([base], own('[[task]]\nname = "report"\nmemory_mb = 80\nenabled = false')).get("report")

    assert changed == base.but(memory_mb=80.0, enabled=False)


def test_naming_when_takes_the_place_of_what_it_cannot_stand_beside() -> None:
    base = spec("report", window="open..close", every=timedelta(minutes=5))

    at = build([base], own('[[task]]\nname = "report"\nat = "close+1h"')).get("report")
    cron = build([base], own('[[task]]\nname = "report"\ncron = "5 6 * * *"\nwindow = ""')).get("report")

    assert (at.at, at.every, at.window) == ("close+1h", None, None)
    assert (cron.cron, cron.every, cron.window) == ("5 6 * * *", None, None)


def test_naming_a_window_keeps_the_interval() -> None:
    base = spec("report", window="open..close", every=timedelta(minutes=5))

    changed = build([base], own('[[task]]\nname = "report"\nwindow = "pre..open"')).get("report")

    assert (changed.window, changed.every) == ("pre..open", timedelta(minutes=5))


def test_a_shorter_timeout_brings_the_estimate_down() -> None:
    changed = build([], own('[[task]]\nname = "a"\nargv = ["true"]\ntimeout_minutes = 2')).get("a")

    assert (changed.estimated_minutes, changed.timeout_minutes) == (2, 2)


def test_every_field_can_be_written_in_toml() -> None:
    text = """
    [[task]]
    name = "all"
    description = "Everything."
    category = "Research"
    priority = "low"
    argv = ["{python}", "-c", "pass"]
    env = { LANG = "C" }
    cwd = "jobs"
    phases = ["overnight"]
    modes = ["RESEARCH"]
    calendar = "XNYS"
    on = "mon..fri"
    window = "18:00..23:00"
    every = "2h30m"
    deadline = "prep"
    short_day = "skip"
    catchup = "once"
    grace = "1m30s"
    dependencies = ["first", { task = "second", max_age = "2d" }]
    conflicts = ["second"]
    memory_mb = 64
    estimated_minutes = 1.5
    timeout_minutes = 20
    max_attempts = 2
    backoff = "10s"
    extendable = true
    interruptible = true
    idempotent = true
    opportunistic = true
    needs = ["network"]
    pool = "cluster"
    enabled = true
    cpus = 4
    min_slice_minutes = 10
    secrets = ["api_key"]
    once_per = "cycle"
    tolerance = "1h"
    setup = true
    reconciled_by = "first"

    [[pool]]
    name = "cluster"
    slots = 4
    memory_mb = 64000
    launcher = ["srun"]
    """

    registry = build([spec("first"), spec("second")], own(text))

    assert registry.get("all") == TaskSpec(
        name="all",
        description="Everything.",
        category=TaskCategory.RESEARCH,
        priority=TaskPriority.LOW,
        argv=("{python}", "-c", "pass"),
        env={"LANG": "C"},
        cwd="/box/jobs",
        phases={"OVERNIGHT"},
        modes={"research"},
        on="mon..fri",
        window="18:00..23:00",
        every=timedelta(hours=2, minutes=30),
        deadline="prep",
        short_day=ShortDay.SKIP,
        catchup=Catchup.ONCE,
        grace=timedelta(seconds=90),
        dependencies={"first", "second"},
        dependency_max_age={"second": timedelta(days=2)},
        conflicts={"second"},
        memory_mb=64,
        estimated_minutes=1.5,
        timeout_minutes=20,
        max_attempts=2,
        backoff=timedelta(seconds=10),
        extendable=True,
        interruptible=True,
        idempotent=True,
        opportunistic=True,
        needs={"network"},
        pool="cluster",
        cpus=4,
        min_slice_minutes=10,
        secrets={"api_key"},
        tolerance=timedelta(hours=1),
        setup=True,
        reconciled_by="first",
    )
    assert registry.pools["cluster"] == Pool(
        name="cluster", slots=4, memory_mb=64000, launcher=("srun",), origin="/box/tasks.toml:42"
    )
    assert registry.origins["all"] == "/box/tasks.toml:2"


def test_tasks_without_a_calendar_follow_the_boxs_exchange() -> None:
    registry = build([spec("a")], own('[[task]]\nname = "b"\nargv = ["true"]'), exchange="24/7")

    assert [s.calendar for s in registry] == ["24/7", "24/7"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("every = 5", "every = 5: expected a duration in quotes"),
        ('every = "5 minutes"', "every = '5 minutes': expected a duration in quotes"),
        ('grace = "99999999999999d"', "expected a duration in quotes"),
        ("evry = '5m'", "there is no field 'evry' (value '5m'). Did you mean 'every'?"),
        ("category = 'fun'", "category = 'fun': expected one of trading, risk"),
        ("category = 'reserch'", "Did you mean 'research'"),
        ("category = 1", "category = 1: expected one of"),
        ("priority = 'URGENT'", "expected one of CRITICAL, HIGH, NORMAL, LOW, BACKGROUND"),
        ("phases = 'OVERNIGHT'", "phases = 'OVERNIGHT': expected a list of texts"),
        ("phases = ['OVERNITE']", "Did you mean 'OVERNIGHT'"),
        ("enabled = 'no'", "enabled = 'no': expected true or false"),
        ("memory_mb = nan", "memory_mb = nan: expected a number"),
        ("memory_mb = true", "memory_mb = True: expected a number"),
        ("cpus = 1.5", "cpus = 1.5: expected a whole number"),
        ("description = 1", "description = 1: expected text in quotes"),
        ("env = { A = 1 }", "expected a table of texts"),
        ("env = { 'A-B' = 'x' }", "expected names of letters, digits and _"),
        ("dependencies = 'b'", "dependencies = 'b': expected a list of names"),
        ("dependencies = [{ task = 'b' }]", "expected a list of names, or of"),
        ("dependencies = [{ task = 'b', max_age = 2 }]", "expected a duration in quotes"),
        ("script = 'a.sh'", "gives argv and script. Keep one"),
        ("args = ['x']", "they need a script or a module"),
    ],
)
def test_a_bad_field_is_named_with_its_value(line: str, expected: str) -> None:
    text = f'[[task]]\nname = "a"\nargv = ["true"]\n{line}\n'

    complaint = only_problem([spec("b")], own(text))

    assert complaint.startswith("/box/tasks.toml:1: task 'a'")
    assert expected in complaint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[task]]\nargv = ["true"]', "this task has no name"),
        ('[[task]]\nname = "My Task"', "has the name 'My Task'"),
        ("[task]\nname = 'a'", "Write [[task]], with two brackets"),
        ("[[tasks]]\nname = 'a'", "'tasks' means nothing here. Did you mean 'task'?"),
        ("[[pool]]\nslots = 1", "this pool has no name"),
        ("[[pool]]\nname = 'far'\nslots = 1", "'memory_mb' is missing"),
        ("[[pool]]\nname = 'far'\nslots = 0\nmemory_mb = 1", "slots = 0: it must be above 0"),
        ("[[pool]]\nname = 'far'\nslots = '1'\nmemory_mb = 1", "slots = '1': expected a whole number"),
        ("[[pool]]\nname = 'far'\nslots = 1\nmemory_mb = 1\nlancher = []", "Did you mean 'launcher'?"),
        ("[[pool]]\nname = 'local'\nslots = 1\nmemory_mb = 1", "is this box and needs no table"),
    ],
)
def test_a_bad_table_is_refused(text: str, expected: str) -> None:
    assert expected in only_problem([], own(text))


def test_broken_toml_is_reported_with_line_column_and_the_line() -> None:
    with pytest.raises(SpecError) as caught:
        own('[[task]]\nname = "a"\nevery 5m\n')

    # The eighth character of line 3 stands where the equals sign should.
    assert "/box/tasks.toml, line 3, column 7: " in str(caught.value)
    assert "The line reads: every 5m" in str(caught.value)


def test_toml_that_breaks_off_is_reported_too() -> None:
    with pytest.raises(SpecError, match=r"tasks\.toml, line 1: .*Finish the last line"):
        own("every =")


def test_a_header_inside_a_text_does_not_confuse_the_origins() -> None:
    text = "[[task]]\nname = 'a'\nargv = ['true']\ndescription = '''\n[[task]]\n'''\nbad = 1"

    assert only_problem([], own(text)).startswith("/box/tasks.toml: task 'a'")


def test_the_same_name_twice_is_refused() -> None:
    twice = own("[[task]]\nname = 'a'\nargv = ['true']\n[[task]]\nname = 'a'\nargv = ['true']")

    assert only_problem([], twice).startswith(
        "/box/tasks.toml:4: task 'a' is defined a second time; the first is at /box/tasks.toml:1."
    )
    assert only_problem([spec("b"), spec("b")]) == "built-in: task 'b' is defined twice. Rename one."


def test_the_same_pool_twice_is_refused() -> None:
    twice = "[[pool]]\nname = 'far'\nslots = 1\nmemory_mb = 1\n" * 2

    assert "pool 'far' is defined twice" in only_problem([], own(twice))


# What must hold for a task alone


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"name": "Bad Name"}, "name", "use lower case letters"),
        ({"phases": {"OVERNITE"}}, "phases", "there is no 'OVERNITE'. Did you mean 'OVERNIGHT'?"),
        ({"modes": {"sleep"}}, "modes", "Known are prep, research, trading."),
        ({"needs": {"netwrk"}}, "needs", "Did you mean 'network'?"),
        ({"secrets": {"../key"}}, "secrets", "'../key' is no file name"),
        ({"env": {"A=B": "x"}}, "env", "'A=B' is no variable"),
        ({"memory_mb": float("nan")}, "memory_mb", "above 0"),
        ({"memory_mb": -1.0}, "memory_mb", "above 0"),
        ({"memory_mb": 2000.0}, "memory_mb", "this box has 1000. Lower it"),
        ({"timeout_minutes": 0.0, "estimated_minutes": 1.0}, "timeout_minutes", "above 0"),
        ({"estimated_minutes": float("inf")}, "estimated_minutes", "above 0"),
        ({"estimated_minutes": 90.0}, "timeout_minutes", "before its estimate of 90"),
        ({"cpus": -1}, "cpus", "at least 0"),
        ({"cpus": 3}, "cpus", "this box has 2 slots"),
        ({"max_attempts": 0}, "max_attempts", "at least 1"),
        ({"min_slice_minutes": -1.0}, "min_slice_minutes", "0 or more"),
        ({"min_slice_minutes": 5.0}, "min_slice_minutes", "Set interruptible = true"),
        ({"min_slice_minutes": 99.0, "interruptible": True}, "min_slice_minutes", "never gets that long"),
        ({"extendable": True, "estimated_minutes": 60.0}, "extendable", "Raise timeout_minutes"),
        ({"grace": timedelta(-1)}, "grace", "must not be negative"),
        ({"every": timedelta(0)}, "every", "at least a second"),
        ({"every": timedelta(1), "at": "open"}, "every", "it also gives at = 'open'"),
        ({"cron": "5 6 * * *", "every": timedelta(1)}, "cron", "it also gives every = 86400s"),
        ({"at": "open", "window": "open..close"}, "window", "at = 'open' already says when"),
        ({"at": "open", "once_per": OncePer.WEEK}, "once_per", "no meaning beside at"),
        ({"dependency_max_age": {"b": timedelta(1)}}, "dependency_max_age", "'b' is not among"),
        ({"argv": ()}, "argv", "there is no command"),
        ({"argv": ("/missing/tool",)}, "argv", "there is no file /missing/tool"),
        ({"argv": ("missing/tool",)}, "argv", "there is no file missing/tool"),
        (
            {"argv": ("echo", "{stat_dir}")},
            "argv",
            "'{stat_dir}'. Did you mean 'state_dir'?",
        ),
        ({"cwd": "/missing"}, "cwd", "there is no folder /missing"),
        ({"pool": "gpu"}, "pool", "there is no such pool"),
        ({"calendar": "XNYZ"}, "calendar", "did you mean 'XNYS'?"),
        ({"on": "moonday"}, "on", "moonday"),
        ({"window": "opne..close"}, "window", "Did you mean 'open'?"),
        ({"at": "25:00"}, "at", "25:00"),
        ({"deadline": "noon"}, "deadline", "unknown anchor 'noon'"),
        ({"cron": "61 * * * *"}, "cron", "minute '61'"),
        ({"reconciled_by": "a"}, "reconciled_by", "cannot reconcile itself"),
        ({"reconciled_by": "nobody"}, "reconciled_by", "no task is called 'nobody'"),
    ],
)
def test_a_task_that_cannot_be_right_is_refused(fields: dict[str, object], field: str, expected: str) -> None:
    name = str(fields.get("name", "a"))

    complaint = next(p for p in problems([spec("a").but(**fields)]) if f", {field} = " in p)

    assert complaint.startswith(f"built-in: task {name!r}, {field} = ")
    assert expected in complaint


def test_an_age_for_a_dependency_must_be_positive() -> None:
    bad = spec("a", dependencies={"b"}, dependency_max_age={"b": timedelta(0)})

    assert "the age for 'b' must be above 0" in only_problem([bad, spec("b")])


def test_what_a_switched_off_task_needs_is_not_asked_of_the_box() -> None:
    off = spec("a", enabled=False, memory_mb=99_999.0, cpus=64, argv=("/missing/tool",), dependencies={"b"})

    assert build([off, spec("b", enabled=False)], is_file=lambda path: False).enabled == ()


def test_a_command_in_another_pool_is_not_looked_for_here() -> None:
    far = own("[[pool]]\nname = 'far'\nslots = 1\nmemory_mb = 5000")

    registry = build(
        [spec("a", pool="far", argv=("/far/tool",), memory_mb=4000.0)], far, is_file=lambda p: False
    )

    assert registry.get("a").pool == "far"


def test_a_pool_of_its_own_bounds_a_task_too() -> None:
    far = own("[[pool]]\nname = 'far'\nslots = 1\nmemory_mb = 50")

    assert "pool 'far' has 50" in only_problem([spec("a", pool="far")], far)


# What must hold among tasks


def test_a_circle_of_dependencies_is_printed() -> None:
    ring = [spec("c", dependencies={"a"}), spec("a", dependencies={"b"}), spec("b", dependencies={"c"})]

    assert "circle: a -> b -> c -> a." in only_problem([*ring, spec("d", dependencies={"b"})])


def test_a_task_that_waits_for_itself_is_a_circle() -> None:
    assert "circle: a -> a." in only_problem([spec("a", dependencies={"a"})])


def test_an_unknown_dependency_is_met_with_a_suggestion() -> None:
    pnl = spec("calculate_pnl", dependencies={"reconcile"})

    assert only_problem([pnl, spec("reconcile_it")]) == (
        "built-in: task 'calculate_pnl', dependencies = ['reconcile']: no task is called 'reconcile'."
        " Did you mean 'reconcile_it'?"
    )


def test_a_dependency_on_a_switched_off_task_is_refused() -> None:
    assert "'b' is disabled" in only_problem([spec("a", dependencies={"b"}), spec("b", enabled=False)])


def test_everything_wrong_is_reported_at_once() -> None:
    text = "[[task]]\nname = 'x'\nargv = ['true']\nevry = 1\nconflicts = ['nobody']"

    found = problems([spec("a", memory_mb=-1.0), spec("b", dependencies={"b"})], own(text))

    assert len(found) == 4


# A task that can never run


@pytest.mark.parametrize(
    "fields",
    [
        {"phases": {"OVERNIGHT"}, "window": "open..close"},
        {"phases": {"MARKET_OPEN"}, "modes": {"research"}},
        {"phases": {"MARKET_OPEN"}, "category": TaskCategory.RESEARCH},
        {"on": "sat", "window": "open..close"},
        {"on": "sat", "phases": {"MARKET_OPEN"}},
        {"at": "close+10m", "phases": {"PRE_MARKET"}},
        {"cron": "0 12 * * sat", "phases": {"MARKET_OPEN"}},
        {"cron": "0 12 * * mon", "window": "13:00..14:00"},
        {"on": "early_close"},
        {"short_day": ShortDay.SKIP, "on": "early_close"},
    ],
)
def test_a_task_that_never_meets_its_hour_is_refused(fields: dict[str, object]) -> None:
    assert "can never run" in only_problem([spec("a").but(**fields)])


@pytest.mark.parametrize(
    "fields",
    [
        {"phases": {"WEEKEND"}, "modes": {"prep"}},
        {"category": TaskCategory.RESEARCH},
        {"on": "last trading of quarter", "window": "close..post"},
        {"at": "open-30m", "phases": {"PRE_MARKET"}},
        {"cron": "0 6 1 * *", "phases": {"WEEKEND"}},
        {"every": timedelta(minutes=1), "window": "open..close", "phases": {"MARKET_OPEN"}},
        {"calendar": "24/7", "window": "00:00..24:00", "on": "sun"},
    ],
)
def test_a_task_that_meets_its_hour_now_and_then_is_fine(fields: dict[str, object]) -> None:
    assert "a" in build([spec("a").but(**fields)])


def test_a_switched_off_task_may_have_no_hour() -> None:
    assert "a" in build([spec("a", enabled=False, phases={"OVERNIGHT"}, window="open..close")])


def test_where_the_sessions_end_too_early_nothing_is_claimed() -> None:
    never = spec("a", phases={"OVERNIGHT"}, window="open..close")

    for days in (0, 60):
        calendars = weekday_calendars(FRIDAY - timedelta(days=10), days)
        registry = build_registry([never], total_mb=500, slots=1, calendars=calendars, today=FRIDAY)
        assert "a" in registry


def test_a_short_day_is_skipped_where_the_task_says_so() -> None:
    calendars = weekday_calendars(FRIDAY, 450, frozenset({date(2026, 11, 27)}))
    skips = spec("a", on="early_close", short_day=ShortDay.SKIP)

    with pytest.raises(SpecError, match="can never run"):
        build_registry([skips], total_mb=500, slots=1, calendars=calendars, today=FRIDAY)


# Placeholders


def test_placeholders_are_filled_in() -> None:
    argv = expand_argv(
        ("{python}", "--to={state_dir}/x", "{{python}}", '{"a": 1}'), {"python": "py", "state_dir": "/s"}
    )

    assert argv == ("py", "--to=/s/x", "{python}", '{"a": 1}')


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(SpecError, match=r"unknown placeholder '\{pyton\}'\. Did you mean 'python'\?"):
        expand_argv(("{pyton}",), {"python": "py"})
