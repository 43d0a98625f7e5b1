"""A backup folder with files that are only called like backups, and one that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from orchestration.state.backups import backup_name, list_backups, made_at, newest_whole_backup
from scripts import backup_databases
from tests.control_desk import FRIDAY_EVENING
from tests.dashboard_box import DashboardBox, dashboard_box

NO_INSTANTS = (
    "performance-99999999T999999Z.db",
    "performance-20260230T120000Z.db",
    "performance-20261120T240000Z.db",
    "performance-20261120T120060Z.db",
    "ledger-00000101T000000Z.db",
)
"""A month 99, the 30th of February, an hour 24, a second 60, a year 0."""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path) as made:
        yield made


def health(box: DashboardBox) -> str:
    """The text of the Health page as one line."""
    answer = box.client().get("/health")
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def unreadable(folder: Path) -> Path:
    """Make a folder that is there and cannot be listed, by root neither: a link that leads to itself."""
    folder.symlink_to(folder.name)
    return folder


def put(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_name_that_is_no_instant_is_no_backup(tmp_path: Path) -> None:
    good = backup_name("performance", FRIDAY_EVENING)
    put(tmp_path, *NO_INSTANTS, good)

    assert list_backups(tmp_path) == [tmp_path / good]
    assert made_at(tmp_path / good) == FRIDAY_EVENING


def test_what_is_no_backup_takes_the_place_of_none_and_is_not_deleted(tmp_path: Path) -> None:
    names = [backup_name("performance", FRIDAY_EVENING.replace(day=day)) for day in (18, 19, 20)]
    put(tmp_path, *NO_INSTANTS, *names)

    gone = backup_databases.rotate(tmp_path, "performance", keep=2)

    assert [path.name for path in gone] == names[:1]
    assert {path.name for path in tmp_path.iterdir()} == {*NO_INSTANTS, *names[1:]}


def test_a_folder_that_cannot_be_read_is_an_error_and_gives_nothing_to_restore(tmp_path: Path) -> None:
    folder = unreadable(tmp_path / "backups")

    with pytest.raises(OSError, match="symbolic links"):
        list_backups(folder)
    assert newest_whole_backup(folder, "performance") is None


def test_health_shows_no_backup_of_a_name_that_is_no_instant(box: DashboardBox) -> None:
    put(box.folder / "backups", *NO_INSTANTS)
    assert "There is no backup yet" in health(box)

    put(box.folder / "backups", backup_name("performance", FRIDAY_EVENING))
    assert re.search(r"performance Fri 18:30 EST [^✓]*✓ new enough [^✓]* · not tried out yet", health(box))


@pytest.mark.parametrize("is_damaged", [False, True], ids=["with a view", "without one"])
def test_health_says_that_the_backups_cannot_be_read(box: DashboardBox, is_damaged: bool) -> None:
    folder = unreadable(box.folder / "backups")
    if is_damaged:
        box.store.close()
        (box.folder / "performance.db").write_bytes(b"no database at all. " * 1000)

    text = health(box)

    assert f"{folder} cannot be read: Too many levels of symbolic links." in text
    assert "There is no backup yet" not in text
    assert ("put that right, the backups lie there" in text) is is_damaged
