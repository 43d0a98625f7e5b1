"""What the driver's errors mean for the person at the box."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from orchestration.errors import StoreCorrupt, StoreError
from orchestration.state.engine import explain, file_of, to_url

PATH = Path("/nowhere/at all/performance.db")


def driver_error(code: int, text: str = "something") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC, "disk is full"),
        (sqlite3.SQLITE_BUSY, errno.EBUSY, "write lock"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, errno.EBUSY, "write lock"),
        (sqlite3.SQLITE_READONLY_DBMOVED, errno.EROFS, "read-only"),
        (sqlite3.SQLITE_IOERR_READ, errno.EIO, "something"),
    ],
)
def test_an_error_of_the_world_has_its_number_and_names_the_file(code: int, expected: int, said: str) -> None:
    found = explain(driver_error(code), PATH, None)

    assert found.errno == expected
    assert said in str(found)
    assert found.filename == str(PATH)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT_INDEX]
)
def test_damage_is_an_error_of_its_own(code: int) -> None:
    assert isinstance(explain(driver_error(code), PATH, None), StoreCorrupt)


def test_damage_on_another_server_is_its_operators_to_mend() -> None:
    assert "its database server" in str(explain(driver_error(sqlite3.SQLITE_CORRUPT), None, None))


def test_an_io_error_of_a_database_without_a_file_is_no_full_disk() -> None:
    assert explain(driver_error(sqlite3.SQLITE_IOERR_WRITE), None, None).errno == errno.EIO


def test_an_error_without_a_number_keeps_its_text() -> None:
    found = explain(RuntimeError("the connection is closed"), PATH, None)

    assert isinstance(found, StoreError)
    assert str(found) == f"{PATH}: the connection is closed"


def test_a_path_is_an_sqlite_file_and_a_url_is_what_it_says() -> None:
    assert file_of(to_url("var/performance.db")) == Path("var/performance.db").absolute()
    assert file_of(to_url("sqlite://")) is None
    assert file_of(to_url("postgresql+psycopg://me@host/box")) is None
