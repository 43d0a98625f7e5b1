"""What is shown of a box whose database is damaged, newer or older: a sentence, and how to go on."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError
from typer.testing import CliRunner

from orchestration.ctl.main import app
from orchestration.errors import StoreCorrupt, StoreError
from orchestration.state import history
from scripts import backup_databases
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import MINUTE, DashboardBox, dashboard_box, ended, planned

GOLDEN = Path(__file__).parents[1] / "golden" / "state" / "revision_0001.sql"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    done = planned("daily_report", FRIDAY_EVENING - 10 * MINUTE)
    with dashboard_box(
        tmp_path, *ended(done, 5), daemon=FakeDaemon(who={**HOLDER, "pid": 2**22 + 1})
    ) as made:
        # The store is closed as a daemon's is, so that everything is in the file and nothing in its log.
        made.store.close()
        yield made


def damage(path: Path) -> None:
    """Overwrite the file from its third page on: the list of tables can be read, the tables cannot."""
    size = path.stat().st_size
    assert size > 8192
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))


def no_database(path: Path) -> None:
    path.write_bytes(b"no database at all. " * 1000)


def newer(path: Path) -> None:
    """Write what a version to come may write: another revision, and a column by another name."""
    with closing(sqlite3.connect(path)) as other:
        other.executescript(
            "UPDATE alembic_version SET version_num = '0099';"
            "ALTER TABLE task_estimates RENAME COLUMN log_mean TO mean_of_logs;"
        )


def older(path: Path) -> None:
    """Put a database in its place that revision 0001 made."""
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.executescript(GOLDEN.read_text())


def read_all(path: Path) -> None:
    """Read the state and the alerts: of these revision 0001 lacks a column, and of the rest nothing."""
    engine = history.load_readonly(path)
    history.load_stored(engine)
    history.alerts_open(engine)


def words_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


CASES = [
    (damage, "is damaged (database disk image is malformed): restore a backup", StoreCorrupt),
    (no_database, "is damaged (file is not a database): restore a backup", StoreCorrupt),
    (
        newer,
        "was written by a newer version (its revision is 0099, this one knows up to 0002): update",
        StoreError,
    ),
    (
        older,
        "is of an older version (its revision is 0001, this one reads 0002): it can be read as",
        StoreError,
    ),
]


@pytest.mark.parametrize(("spoil", "said", "kind"), CASES)
def test_damage_a_newer_and_an_older_database_are_told_apart(
    box: DashboardBox, spoil: Callable[[Path], None], said: str, kind: type[StoreError]
) -> None:
    path = box.folder / "performance.db"
    spoil(path)

    with pytest.raises(StoreError) as error:
        read_all(path)

    assert type(error.value) is kind
    assert str(error.value).startswith(f"{path} {said}")
    assert "SELECT" not in str(error.value)


@pytest.mark.parametrize(("spoil", "said", "kind"), CASES)
@pytest.mark.parametrize("page", ["/", "/tonight", "/tasks", "/task/daily_report", "/metrics"])
def test_a_page_without_a_view_says_one_sentence_and_leads_to_health(
    box: DashboardBox, page: str, spoil: Callable[[Path], None], said: str, kind: type[StoreError]
) -> None:
    spoil(box.folder / "performance.db")

    answer = box.client().get(page)

    assert answer.status_code == 503
    assert said in words_of(answer.text)
    assert 'href="/health">How the box is' in answer.text
    for raw in ("SELECT", "sqlite3.", "sqlalche.me"):
        assert raw not in answer.text


@pytest.mark.parametrize(("spoil", "said", "kind"), CASES)
def test_health_shows_the_box_the_files_and_the_backups_all_the_same(
    box: DashboardBox, spoil: Callable[[Path], None], said: str, kind: type[StoreError]
) -> None:
    assert backup_databases.main(["--state-dir", str(box.folder)]) == 0
    (backup,) = (box.folder / "backups").glob("performance-*.db")
    spoil(box.folder / "performance.db")

    answer = box.client().get("/health")

    text = words_of(answer.text)
    assert answer.status_code == 200
    assert said in text
    assert "MB free" in text  # the disk's
    assert "Memory of the box" in answer.text
    assert "process 4194305, version 0.1.0, since" in text
    assert re.search(r"performance \S+ .*not tried out yet", text)
    assert "Open alerts unknown" in text
    assert "SELECT" not in text
    is_damaged = kind is StoreCorrupt
    assert ("performance.db" in text, "✗ bad damaged" in text) == (True, is_damaged)
    # The way back is the documents': stop, set the file aside with its log and put the backup there, start.
    assert ("sudo systemctl stop daily-orchestrator" in text) is is_damaged
    assert (f"install -m 600 {backup} {box.folder / 'performance.db'}" in text) is is_damaged
    assert ("orchestratorctl reconcile" in text) is is_damaged


def test_the_way_back_that_health_names_brings_the_box_back(box: DashboardBox) -> None:
    assert backup_databases.main(["--state-dir", str(box.folder)]) == 0
    damage(box.folder / "performance.db")
    steps = re.findall(r"<code>(.*?)</code>", box.client().get("/health").text)
    (command,) = [unescape(step) for step in steps if "install" in step]

    subprocess.run(["/bin/sh", "-c", command], check=True)

    assert box.client().get("/").status_code == 200
    assert [run.key.task for run in history.recent_runs(box.source.engine)] == ["daily_report"]


def test_without_a_backup_health_says_how_to_begin_anew(box: DashboardBox) -> None:
    damage(box.folder / "performance.db")

    text = words_of(box.client().get("/health").text)

    assert f"There is no backup in {box.folder / 'backups'}: begin with an empty history" in text
    assert "install" not in text


def test_health_stands_before_the_first_daemon_has_run(box: DashboardBox) -> None:
    (box.folder / "performance.db").unlink()

    answer = box.client().get("/health")

    assert answer.status_code == 200
    assert "no daemon has run with the state directory" in words_of(answer.text)


def test_health_of_broken_tables_is_that_of_a_damaged_database(box: DashboardBox) -> None:
    """The view can be read, the history of alerts cannot."""
    with closing(sqlite3.connect(box.folder / "performance.db")) as other:
        other.execute("ALTER TABLE events RENAME COLUMN name TO called")

    answer = box.client().get("/health")

    assert answer.status_code == 200
    assert "is damaged (it is not as its revision 0002 says: no such column" in words_of(answer.text)


@pytest.mark.parametrize("page", ["/history", "/task/daily_report", "/run/daily_report.2026-11-23.once.1"])
def test_a_page_of_the_past_does_not_take_damage_for_age(box: DashboardBox, page: str) -> None:
    damage(box.folder / "performance.db")

    text = words_of(box.client().get(page).text)

    assert "is damaged (database disk image is malformed): restore a backup" in text
    assert "older version" not in text


@pytest.mark.parametrize(("spoil", "said", "kind"), CASES)
def test_orchestratorctl_status_says_the_same_sentence(
    box: DashboardBox, spoil: Callable[[Path], None], said: str, kind: type[StoreError]
) -> None:
    spoil(box.folder / "performance.db")
    box.daemon.who = None

    result = CliRunner().invoke(app, ["status", "--json"], obj=box.source.desk)

    # Of an older version only the alerts are unread, which is one of the things that are not fine.
    found = json.loads(result.stdout)
    assert said in " ".join(found["complaints"] if spoil is older else [found["text"]])
    assert "SELECT" not in result.output
    assert "sqlalche.me" not in result.output


@pytest.mark.parametrize(
    "words", [["runs"], ["alerts"], ["why", "daily_report", "--since", "2026-11-20T00:00Z"]]
)
def test_orchestratorctl_says_of_the_past_that_it_is_damaged(box: DashboardBox, words: list[str]) -> None:
    damage(box.folder / "performance.db")

    result = CliRunner().invoke(app, words, obj=box.source.desk)

    assert result.exit_code == 1
    assert "is damaged (database disk image is malformed): restore a backup" in result.stderr
    assert "SELECT" not in result.output


def test_check_names_the_damage_and_the_backup_without_a_statement(box: DashboardBox) -> None:
    """The file is whole page by page, but its tables are not those of its revision."""
    assert backup_databases.main(["--state-dir", str(box.folder)]) == 0
    with closing(sqlite3.connect(box.folder / "performance.db")) as other:
        other.execute("ALTER TABLE task_estimates RENAME COLUMN log_mean TO mean_of_logs")

    findings = json.loads(CliRunner().invoke(app, ["check", "--json"], obj=box.source.desk).stdout)[
        "findings"
    ]

    (text,) = [each["text"] for each in findings if "performance.db is damaged" in each["text"]]
    assert "no such column: task_estimates.log_mean" in text
    assert "The newest whole backup is" in text
    assert "SELECT" not in text


def test_another_program_s_database_is_not_taken_for_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE songs (title TEXT)")

    with pytest.raises(StoreError, match="is not this program's") as error:
        history.load_stored(history.load_readonly(path))

    assert isinstance(error.value.__cause__, SQLAlchemyError)
