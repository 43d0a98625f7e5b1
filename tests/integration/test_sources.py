"""One suite for every source of bars: a new adapter is done when it passes."""

from __future__ import annotations

import gzip
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.bar_frames import steady, write_csv
from trading.marketdata.bars import COLUMNS, BarStore
from trading.marketdata.errors import SourceError
from trading.marketdata.sources import SOURCES, Source, open_source
from trading.marketdata.sources.csv_folder import MAX_PROBLEMS, CsvFolder
from trading.marketdata.sources.sample import Sample

needs_sample = pytest.mark.skipif(
    find_spec("bokeh_sampledata") is None, reason="the optional package bokeh_sampledata is not installed"
)


class SourceContract:
    """What every source promises; a subclass gives `source` (with at least one symbol)."""

    def test_it_is_marked_with_a_name_that_opens_it_again(self, source: Source) -> None:
        again = open_source(source.name)

        assert (again.name, again.symbols()) == (source.name, source.symbols())

    def test_its_symbols_are_sorted_and_can_be_stored(self, source: Source, tmp_path: Path) -> None:
        symbols = source.symbols()

        assert symbols
        assert symbols == sorted(set(symbols))
        assert all(BarStore(tmp_path).path(symbol) for symbol in symbols)

    def test_bars_have_the_columns_of_the_store(self, source: Source) -> None:
        frame = source.fetch(source.symbols()[0]).frame

        assert set(COLUMNS) <= set(frame.columns)
        assert all(frame[name].dtype == "float64" for name in COLUMNS)
        assert len(frame) > 0

    def test_dates_are_naive_midnights_that_rise(self, source: Source) -> None:
        index = source.fetch(source.symbols()[0]).frame.index

        assert isinstance(index, pd.DatetimeIndex)
        assert index.name == "date"
        assert index.tz is None
        assert (index == index.normalize()).all()
        assert index.is_monotonic_increasing

    def test_fetching_twice_gives_the_same(self, source: Source) -> None:
        symbol = source.symbols()[0]

        first, second = source.fetch(symbol), source.fetch(symbol)

        pd.testing.assert_frame_equal(first.frame, second.frame)
        assert first.fingerprint == second.fingerprint == source.fingerprint(symbol) != ""

    def test_a_symbol_it_does_not_have_is_an_error_that_names_it(self, source: Source) -> None:
        with pytest.raises(SourceError, match="NOSUCH"):
            source.fingerprint("NOSUCH")
        with pytest.raises(SourceError, match="NOSUCH"):
            source.fetch("NOSUCH")

    def test_what_it_delivers_can_be_stored_and_read(self, source: Source, tmp_path: Path) -> None:
        store, symbol = BarStore(tmp_path), source.symbols()[0]
        frame = source.fetch(symbol).frame

        store.write(symbol, frame, source.name)

        assert store.read(symbol)["close"].tolist() == frame["close"].tolist()


class TestCsvFolder(SourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        write_csv(tmp_path / "csv", "ABC", steady())
        write_csv(tmp_path / "csv", "XYZ", steady(10))
        return CsvFolder(str(tmp_path / "csv"))


@needs_sample
class TestSample(SourceContract):
    @pytest.fixture
    def source(self) -> Source:
        return Sample()


@needs_sample
def test_the_sample_is_real_and_ends_in_2013() -> None:
    sample = Sample()

    fetched = sample.fetch("AAPL")

    # Apple closed at 430.47 on 2013-03-01, before its 7:1 and 4:1 splits.
    assert fetched.frame["close"].iloc[-1] == 430.47
    assert fetched.frame.index[-1] == pd.Timestamp("2013-03-01")
    assert str(fetched.ends_on) in sample.remark


def test_a_sample_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)

    with pytest.raises(SourceError, match=r'pip install "bokeh_sampledata>=2026.1"'):
        Sample().symbols()


def test_a_sample_without_a_record_of_its_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2025.0")

    with pytest.raises(SourceError, match="too old"):
        Sample().fingerprint("AAPL")


def test_a_damaged_sample_is_an_error_not_a_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2026.1")
    monkeypatch.setattr("trading.marketdata.sources.sample.PACKAGE", "no_such_package")

    with pytest.raises(SourceError, match="damaged"):
        Sample().fetch("AAPL")


@pytest.mark.parametrize("name", ["sampel", "sample:x", "csv", "csv:", "", "csv:/no/such/folder"])
def test_a_source_that_cannot_be_is_an_error(name: str) -> None:
    with pytest.raises(SourceError):
        open_source(name).symbols()


def test_every_source_is_named_in_the_docs() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")

    assert all(f"`{name}" in text for name in SOURCES)


def folder_with(tmp_path: Path, name: str, text: str) -> CsvFolder:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return CsvFolder(str(tmp_path))


def test_headers_are_read_in_any_case_order_and_vendors_spelling(tmp_path: Path) -> None:
    text = "VOLUME,Adj Close,close,LOW,High,open,Date,Stock Splits,remark\n9,5,10,8,12,9.5,2024-01-02,0,x\n"

    frame = folder_with(tmp_path, "abc.CSV", text).fetch("ABC").frame

    row = frame.iloc[0]
    assert row[["open", "high", "low", "close", "adj_close", "volume"]].tolist() == [9.5, 12, 8, 10, 5, 9]
    assert row["split"] == 1.0
    assert "remark" not in frame.columns


def test_every_bad_line_is_reported_with_its_file_and_number(tmp_path: Path) -> None:
    text = (
        "date,open,high,low,close,volume\n"
        "2024-01-02,1,1,1,1,1\n"
        "02.01.2024,1,1,1,1,1\n"
        "\n"
        "2024-01-04,1,1,1,n/a,1\n"
        "2024-01-05,1,1\n"
        "2024-01-08,1,1,nan,1,1\n"
    )

    with pytest.raises(SourceError) as caught:
        folder_with(tmp_path, "ABC.csv", text).fetch("ABC")

    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "ABC.csv:3",
        "ABC.csv:5",
        "ABC.csv:6",
        "ABC.csv:7",
    ]
    assert "close 'n/a' is not a number" in caught.value.problems[1]


def test_a_file_full_of_bad_lines_is_not_listed_for_ever(tmp_path: Path) -> None:
    text = "date,open,high,low,close,volume\n" + "x,1,1,1,1,1\n" * 500

    with pytest.raises(SourceError) as caught:
        folder_with(tmp_path, "ABC.csv", text).fetch("ABC")

    assert len(caught.value.problems) == MAX_PROBLEMS + 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column date"),
        ("date,open,high,low,close\n", "no column volume"),
        ("date,open,high,low,close,close,volume\n", "two columns close"),
        ("date,open,high,low,close,volume\n", "no rows"),
        ('date,open,high,low,close,volume\n"' + "x" * 200_000, "not CSV"),
    ],
    ids=["empty", "no volume", "two closes", "no rows", "an endless field"],
)
def test_a_file_that_holds_no_bars_says_what_is_missing(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        folder_with(tmp_path, "ABC.csv", text).fetch("ABC")


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"date,open\n")[:-6], b"\xff\xfe\x00"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ABC.csv.gz").write_bytes(content)

    with pytest.raises(SourceError, match=r"ABC\.csv\.gz"):
        CsvFolder(str(tmp_path)).fetch("ABC")


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    plain = write_csv(tmp_path, "ABC", steady())
    (tmp_path / "ABC.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()

    assert len(CsvFolder(str(tmp_path)).fetch("ABC").frame) == 100


def test_newest_first_is_turned_round(tmp_path: Path) -> None:
    write_csv(tmp_path, "ABC", steady().iloc[::-1])

    assert CsvFolder(str(tmp_path)).fetch("ABC").frame.index.tolist() == steady().index.tolist()


def test_bars_without_adj_close_say_that_the_raw_close_stands_in(tmp_path: Path) -> None:
    write_csv(tmp_path, "ABC", steady().drop(columns="adj_close"))

    fetched = CsvFolder(str(tmp_path)).fetch("ABC")

    assert fetched.frame["adj_close"].tolist() == fetched.frame["close"].tolist()
    assert "no adj_close" in fetched.notes[0]


def test_two_files_of_one_symbol_are_an_error(tmp_path: Path) -> None:
    write_csv(tmp_path, "ABC", steady())
    write_csv(tmp_path, "abc", steady())

    with pytest.raises(SourceError, match="remove one"):
        CsvFolder(str(tmp_path)).symbols()


def test_other_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    write_csv(tmp_path, "ABC", steady())
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "DEF.csv").mkdir()
    (tmp_path / ".hidden.csv").write_text("x")

    assert CsvFolder(str(tmp_path)).symbols() == ["ABC"]
