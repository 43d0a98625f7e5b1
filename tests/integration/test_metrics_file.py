"""Counts that never fall whatever is deleted, /metrics over HTTP, and the file for node_exporter."""

from __future__ import annotations

import os
import random
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from observability import totals as counting
from observability.metric_families import read_books
from observability.metrics import Exporter, write_textfile
from observability.totals import Totals
from orchestration.changes import AlertSaved, BlockedSaved, Change, RunPlanned
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.runs import Outcome
from orchestration.state.retention import Retention
from orchestration.state.store import SqlStore
from scripts import export_metrics
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import MINUTE, DashboardBox, dashboard_box, ended, planned, running

HOUR = 60 * MINUTE
STUDY, BACKUP = "run_weekend_research", "backup_databases"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path) as made:
        yield made


def sample(text: str, name: str, **labels: str) -> float:
    found = [
        each.value
        for family in parse_text(text)
        for each in family.samples
        if each.name == name and each.labels == labels
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def runs(exporter: Exporter, task: str, result: Outcome = Outcome.SUCCEEDED) -> float:
    return sample(exporter.text(), "orchestrator_task_runs_total", task=task, result=result.value)


# --- counting ---------------------------------------------------------------------------------------------


def test_a_run_counts_once_however_often_it_is_looked_at(box: DashboardBox) -> None:
    exporter = Exporter(box.source)
    exporter.text()

    box.store.commit(ended(planned(STUDY, box.clock.now(), slot="a"), 10))
    box.clock.sleep(900)
    box.store.commit(ended(planned(STUDY, box.clock.now(), slot="b"), 20, Outcome.FAILED))
    box.clock.sleep(1800)

    assert [runs(exporter, STUDY) for _ in range(3)] == [1, 1, 1]
    text = exporter.text()
    assert sample(text, "orchestrator_task_runs_total", task=STUDY, result="failed") == 1
    assert sample(text, "orchestrator_task_duration_seconds_count", task=STUDY) == 2
    assert sample(text, "orchestrator_task_duration_seconds_sum", task=STUDY) == 1800
    assert sample(text, "orchestrator_task_last_duration_seconds", task=STUDY) == 1200
    assert sample(text, "orchestrator_task_memory_peak_bytes", task=STUDY) == 80_000_000


def test_what_ended_before_the_counting_began_is_not_in_it(tmp_path: Path) -> None:
    """Else every start with fewer rows than before would look to Prometheus like thousands of runs."""
    early = planned(STUDY, FRIDAY_EVENING - 2 * HOUR, slot="early")
    open_ = planned(BACKUP, FRIDAY_EVENING - HOUR)
    with dashboard_box(tmp_path, *ended(early, 10), *running(open_)) as box:
        exporter = Exporter(box.source)

        assert (runs(exporter, STUDY), runs(exporter, BACKUP)) == (0, 0)

        box.store.commit(ended(open_, 61)[-1:])
        box.clock.sleep(120)

        assert (runs(exporter, STUDY), runs(exporter, BACKUP)) == (0, 1)
        since = sample(exporter.text(), "orchestrator_counting_since_timestamp_seconds")
        assert since == FRIDAY_EVENING.timestamp()


class Counting:
    """The counting alone, without the rest of a scrape. restart: as another process goes on from the file."""

    def __init__(self, box: DashboardBox) -> None:
        self.box, self.path = box, box.folder / counting.FILE_NAME
        self.totals = counting.begin(box.source.engine, box.clock.now())

    def look(self) -> Counter[tuple[str, str]]:
        self.totals.catch_up(self.box.source.engine, self.box.clock.now(), set())
        return Counter(self.totals.runs)

    def restart(self) -> None:
        kept = counting.load(self.path)
        assert kept is not None
        self.totals = kept


def test_a_run_that_stays_open_for_days_counts_when_it_ends(box: DashboardBox) -> None:
    counts = Counting(box)
    long = planned(STUDY, box.clock.now())
    box.store.commit(running(long))
    for number in range(20):
        box.clock.sleep(3 * 3600)
        box.store.commit(ended(planned("health_check", box.clock.now(), slot=str(number)), 0.1))
        assert counts.look() == {("health_check", "succeeded"): number + 1}

    box.store.commit(ended(long, 60 * 60)[-1:])
    box.clock.sleep(60)

    assert counts.look() == {("health_check", "succeeded"): 20, (STUDY, "succeeded"): 1}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_counts_never_fall_and_are_right_over_pruning_and_restarts(tmp_path: Path, seed: int) -> None:
    """Rows are deleted down to 20 of a task; the counts are what this test itself has counted."""
    dice, done, before = random.Random(seed), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    retention = Retention(runs_per_task=20)
    with (
        dashboard_box(tmp_path) as box,
        closing(SqlStore(tmp_path / "performance.db", retention=retention)) as store,
    ):
        counts, open_ = Counting(box), list[RunPlanned]()
        counting.save(counts.totals, counts.path, box.clock.now())
        for number in range(60):
            box.clock.sleep(dice.randrange(30, 600))
            open_.append(planned(dice.choice([STUDY, BACKUP]), box.clock.now(), slot=str(number)))
            store.commit(running(open_[-1]))
            while open_ and dice.random() < 0.6:
                run = open_.pop(dice.randrange(len(open_)))
                outcome = dice.choice([Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INTERRUPTED])
                store.commit(ended(run, 1, outcome)[-1:])
                done[run.run.task, outcome.value] += 1
            match dice.randrange(5):
                case 0:
                    counts.restart()
                case 1:
                    assert counts.look() == done
                    assert counting.save(counts.totals, counts.path, box.clock.now())
                    store.prune(box.clock.now())
                case 2:
                    now = counts.look()
                    assert now == done
                    assert all(now[key] >= count for key, count in before.items())
                    before = now
        assert counts.look() == done
        assert sum(done.values()) > 40


def test_a_clock_that_is_set_back_counts_nothing_twice(box: DashboardBox) -> None:
    counts = Counting(box)
    for slot in "abc":
        box.clock.sleep(3600)
        box.store.commit(ended(planned(STUDY, box.clock.now(), slot=slot), 1))
    assert counts.look().total() == 3

    box.clock.step_wall(timedelta(hours=-5))
    assert counts.look().total() == 3
    for _ in range(8):
        box.clock.sleep(3600)
        box.store.commit(ended(planned(STUDY, box.clock.now(), slot=f"{box.clock.now()}"), 0.5))
        counts.look()

    assert counts.look().total() == 11


def test_a_database_that_is_put_back_is_counted_on_from_there(box: DashboardBox) -> None:
    """Its numbers of waits and alerts are smaller than those that were seen."""
    counts = Counting(box)
    counts.totals.wait_id = counts.totals.alert_id = 1000
    counts.look()
    box.store.commit(misfortunes())

    counts.look()

    assert counts.totals.skipped == {(BACKUP, "DEADLINE_PASSED"): 1, (BACKUP, "MEMORY"): 1}
    assert counts.totals.alerts == {"warning": 2, "critical": 1}


def test_a_start_elsewhere_comes_to_the_same_figures(box: DashboardBox) -> None:
    """The dashboard counts in its memory, the job from the file that either has left."""
    dashboard = Exporter(box.source)
    dashboard.text()
    for number in range(4):
        box.clock.sleep(300)
        box.store.commit(ended(planned(STUDY, box.clock.now(), slot=str(number)), 1))
        assert runs(dashboard, STUDY) == number + 1

    assert runs(Exporter(box.source), STUDY) == 4


def test_the_file_is_written_once_an_hour_not_at_each_scrape(box: DashboardBox) -> None:
    exporter, path = Exporter(box.source), box.folder / counting.FILE_NAME
    written = set()
    for _ in range(13):
        exporter.text()
        written.add(path.stat().st_mtime_ns)
        box.clock.sleep(600)

    # Each writing is a new file: at the start, after an hour, after two.
    assert len(written) == 3


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"version": 1, "lateness": []}', "null"]
)
def test_a_file_that_cannot_be_understood_begins_the_counting_anew(box: DashboardBox, content: str) -> None:
    (box.folder / counting.FILE_NAME).write_text(content)

    assert runs(Exporter(box.source), STUDY) == 0
    assert counting.load(box.folder / counting.FILE_NAME) is not None


def test_what_is_kept_comes_back_as_it_was(box: DashboardBox) -> None:
    path = box.folder / "kept.json"
    kept = Totals(since=FRIDAY_EVENING, planned_to=FRIDAY_EVENING + HOUR)
    box.store.commit([*ended(planned(STUDY, box.clock.now() + MINUTE), 1), *misfortunes()])
    kept.catch_up(box.source.engine, box.clock.now() + HOUR, {STUDY})

    assert counting.save(kept, path, FRIDAY_EVENING + HOUR)

    assert counting.load(path) == kept


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_memory(box: DashboardBox) -> None:
    (box.folder / counting.FILE_NAME).mkdir()
    exporter = Exporter(box.source)
    exporter.text()
    box.store.commit(ended(planned(STUDY, box.clock.now()), 1))
    box.clock.sleep(60)

    assert runs(exporter, STUDY) == 1
    assert sorted(path.name for path in box.folder.glob(".metrics*")) == []


def misfortunes() -> list[Change]:
    """A deadline that passed, an occasion that passed for another reason, a mere wait, and three alerts."""
    at = FRIDAY_EVENING + MINUTE

    def blocked(reason: Reason, slot: str | None) -> Change:
        gates = (Gate(reason=reason, passed=False),)
        return BlockedSaved(task=BACKUP, at=at, blocked=Blocked(BACKUP, gates), slot=slot)

    def raised(key: str, severity: str) -> Change:
        return AlertSaved(at=at, key=key, severity=severity, text="x")

    return [
        blocked(Reason.DEADLINE_PASSED, "2026-11-20T23:30:00Z"),
        blocked(Reason.MEMORY, "2026-11-20/OVERNIGHT"),
        blocked(Reason.SLOTS, None),
        raised("a", "warning"),
        raised("b", "critical"),
        raised("c", "warning"),
    ]


def test_missed_deadlines_skipped_slots_and_alerts_are_counted(box: DashboardBox) -> None:
    exporter = Exporter(box.source)
    exporter.text()

    box.store.commit(
        [*misfortunes(), AlertSaved(at=FRIDAY_EVENING, key="a", severity="info", text="", cleared=True)]
    )
    box.clock.sleep(60)
    text = exporter.text()

    assert sample(text, "orchestrator_task_deadlines_missed_total", task=BACKUP) == 1
    assert sample(text, "orchestrator_slots_skipped_total", reason="deadline_passed") == 1
    assert sample(text, "orchestrator_slots_skipped_total", reason="memory") == 1
    assert sample(text, "orchestrator_slots_skipped_total", reason="slots") == 0
    assert sample(text, "orchestrator_alerts_raised_total", severity="warning") == 2
    assert sample(text, "orchestrator_alerts_raised_total", severity="critical") == 1
    assert sample(text, "orchestrator_alerts_open", severity="warning") == 1
    assert sample(text, "orchestrator_alerts_unacknowledged") == 2


def test_how_late_a_duty_started_is_told_from_its_slot(box: DashboardBox) -> None:
    """monitor_positions is a duty, health_check is none; a second attempt is not late by its slot."""
    exporter = Exporter(box.source)
    exporter.text()
    slot = FRIDAY_EVENING + HOUR
    text_of = f"{slot:%Y-%m-%dT%H:%M:%SZ}"
    box.clock.sleep(3600)
    box.store.commit(ended(planned("monitor_positions", slot + timedelta(seconds=0.1), slot=text_of), 0.1))
    box.store.commit(ended(planned("check_risk_limits", slot + timedelta(seconds=20), slot=text_of), 0.1))
    box.store.commit(ended(planned("health_check", slot + timedelta(seconds=250), slot=text_of), 0.1))
    box.store.commit(ended(planned("reconcile_positions", slot, slot="once"), 0.1))
    box.clock.sleep(600)
    text = exporter.text()

    def within(bound: str) -> float:
        return sample(text, "orchestrator_duty_lateness_seconds_bucket", le=bound)

    assert [within(bound) for bound in ("0.25", "10.0", "30.0", "+Inf")] == [1, 1, 2, 2]
    assert sample(text, "orchestrator_duty_lateness_seconds_sum") == pytest.approx(20.1)


def test_research_time_counts_once_where_runs_overlap(tmp_path: Path) -> None:
    """Of the hour since 18:00, 18:10 to 18:40 in two overlapping runs and 18:55 to 19:00 in an open one."""
    at = FRIDAY_EVENING + HOUR / 2
    first = planned(STUDY, at - 50 * MINUTE, slot="a")
    second = planned("optimize_parameters", at - 40 * MINUTE)
    third = planned(STUDY, at - 5 * MINUTE, slot="b")
    other = planned(BACKUP, at - 60 * MINUTE)
    changes = [*ended(first, 20), *ended(second, 20), *running(third), *ended(other, 55)]
    with dashboard_box(tmp_path, *changes, at=at) as box:
        text = Exporter(box.source).text()

    assert sample(text, "orchestrator_window_research_elapsed_seconds") == 3600
    assert sample(text, "orchestrator_window_research_used_seconds") == 35 * 60
    assert sample(text, "orchestrator_window_utilisation_ratio") == pytest.approx(35 / 60)
    assert sample(text, "orchestrator_task_running", task=STUDY) == 1
    assert sample(text, "orchestrator_task_running", task=BACKUP) == 0


def test_the_daemon_s_own_size_is_that_of_its_process(tmp_path: Path) -> None:
    who = {**HOLDER, "pid": os.getpid()}
    with dashboard_box(tmp_path, daemon=FakeDaemon(who=who)) as box:
        text = Exporter(box.source).text()

    assert sample(text, "orchestrator_up") == 1
    assert 10e6 < sample(text, "orchestrator_daemon_resident_memory_bytes") < 10e9
    assert sample(text, "orchestrator_daemon_cpu_seconds_total") > 0
    assert sample(text, "orchestrator_database_size_bytes", database="performance") > 50_000


def test_books_that_are_not_there_or_no_ledger_give_nothing(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_text("no database")

    assert read_books(tmp_path / "absent.db").equity is None
    assert read_books(tmp_path / "not.db").equity is None


# --- over HTTP --------------------------------------------------------------------------------------------


def test_a_scrape_is_text_and_open_metrics_for_who_asks(box: DashboardBox) -> None:
    client = box.client()

    plain = client.get("/metrics")
    open_ = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})

    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert sample(plain.text, "orchestrator_up") == 0
    assert open_.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert len(list(parse_open_metrics(open_.text))) > 50  # type: ignore[no-untyped-call]


def test_a_scrape_shows_at_once_what_was_written(box: DashboardBox) -> None:
    client = box.client()
    client.get("/metrics")
    box.store.commit([AlertSaved(at=FRIDAY_EVENING, key="a", severity="error", text="x")])

    box.clock.sleep(1)

    assert sample(client.get("/metrics").text, "orchestrator_alerts_open", severity="error") == 1


def test_a_scrape_shows_what_no_row_says_within_five_seconds(box: DashboardBox) -> None:
    client = box.client()
    first = sample(client.get("/metrics").text, "orchestrator_window_research_elapsed_seconds")

    box.clock.sleep(5)

    assert sample(client.get("/metrics").text, "orchestrator_window_research_elapsed_seconds") == first + 5


def test_only_reading_is_allowed(box: DashboardBox) -> None:
    assert box.client().post("/metrics").status_code in (403, 405)


# --- the textfile -----------------------------------------------------------------------------------------


def job(box: DashboardBox, *more: str) -> int:
    return export_metrics.main(["--state-dir", str(box.folder), *more], clock=box.clock)


def test_the_job_writes_a_file_that_anybody_may_read(
    box: DashboardBox, capsys: pytest.CaptureFixture[str]
) -> None:
    path = box.folder / "orchestrator.prom"
    before = os.umask(0o077)
    try:
        code = job(box, "--file", str(path))
    finally:
        os.umask(before)

    assert code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sample(path.read_text(), "orchestrator_window_research_available_seconds") == 56 * 3600
    assert f"written to {path}" in capsys.readouterr().out


def test_counts_go_on_from_one_run_of_the_job_to_the_next(box: DashboardBox) -> None:
    path = box.folder / "orchestrator.prom"
    counts = []
    for number in range(3):
        assert job(box, "--file", str(path)) == 0
        counts.append(
            sample(path.read_text(), "orchestrator_task_runs_total", task=STUDY, result="succeeded")
        )
        box.store.commit(ended(planned(STUDY, box.clock.now(), slot=str(number)), 1))
        box.clock.sleep(300)

    assert counts == [0, 1, 2]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, texts = tmp_path / "x.prom", {f"{letter * 200_000}\n" for letter in "ab"}
    write_textfile("a" * 200_000 + "\n", path)
    done, seen = threading.Event(), set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        write_textfile("ab"[number % 2] * 200_000 + "\n", path)
    done.set()
    reader.join()

    assert seen <= texts
    assert [each.name for each in tmp_path.iterdir()] == ["x.prom"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_says_where_to_look(
    box: DashboardBox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(box, "--file", str(box.folder / "absent" / "x.prom")) == 1

    assert "docs/metrics.md" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["metrics.txt", "prom"])
def test_a_file_that_node_exporter_would_not_read_is_refused(
    box: DashboardBox, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        job(box, "--file", str(box.folder / name))

    assert ".prom" in capsys.readouterr().err


def test_without_a_state_the_job_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = export_metrics.main(["--state-dir", str(tmp_path), "--file", str(tmp_path / "x.prom")])

    assert code == 1
    assert "no daemon has run" in capsys.readouterr().err
    assert not (tmp_path / "x.prom").exists()


@pytest.mark.parametrize(
    ("environ", "is_on"), [({}, False), ({"ORCHESTRATOR_METRICS_FILE": "/x.prom"}, True)]
)
def test_the_daemon_exports_only_where_a_file_is_set(
    tmp_path: Path, environ: dict[str, str], is_on: bool
) -> None:
    with dashboard_box(tmp_path, environ=environ) as box:
        assert box.source.specs["export_metrics"].enabled is is_on
