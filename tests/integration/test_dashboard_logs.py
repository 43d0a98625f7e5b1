"""Reading logs a part at a time: huge, growing, cut, rotated, binary, and those that must not be read."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from observability.dashboard.logs import (
    BEHIND,
    CUT,
    FAR,
    PART,
    REPLACED,
    LogPart,
    LogReader,
    NoLog,
    Place,
)
from observability.redact import HIDDEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "logs"
    made.mkdir()
    return made


@pytest.fixture
def reader(folder: Path) -> LogReader:
    return LogReader(folder, ["s3cr3t-value"])


def write(path: Path, text: str | bytes, mode: str = "wb") -> str:
    with path.open(mode) as file:
        file.write(text.encode() if isinstance(text, str) else text)
    return str(path)


def append(path: str, text: str | bytes) -> None:
    write(Path(path), text, "ab")


def followed(reader: LogReader, path: str, part: LogPart, *, over: bool = False) -> tuple[str, LogPart]:
    """Ask for what comes after `part` until there is no more; return it and the last part."""
    text = ""
    for _ in range(1000):
        part = reader.after(path, part.end, over=over)
        text += part.text
        if not part.more:
            return text, part
    raise AssertionError("there is always more")


# --- the end, and what lies before ------------------------------------------------------------------------


def test_a_short_log_is_shown_whole(reader: LogReader, folder: Path) -> None:
    part = reader.tail(write(folder / "a.log", "one\ntwo\n"), over=True)

    assert (part.text, part.start, part.size, part.more) == ("one\ntwo\n", None, 8, False)


def test_going_back_from_the_end_gives_every_line_once(reader: LogReader, folder: Path) -> None:
    lines = [f"line {number} {'x' * (number % 97)}\n" for number in range(6000)]
    path = write(folder / "a.log", "".join(lines))

    part = reader.tail(path, over=True)
    found = [part.text]
    while part.start is not None:
        part = reader.before(path, part.start)
        found.insert(0, part.text)

    assert len(found) > 3
    assert "".join(found) == "".join(lines)


def test_a_huge_log_costs_no_more_memory_than_a_part(reader: LogReader, folder: Path) -> None:
    path = folder / "a.log"
    path.touch()
    os.truncate(path, 3_000_000_000)  # a hole: it takes no room on the disk
    append(str(path), "\nthe end\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    part = reader.tail(str(path), over=True)
    assert part.start is not None
    earlier = reader.before(str(path), part.start)

    assert part.text == "the end\n"
    assert part.size > 3_000_000_000
    assert len(earlier.text) < PART
    # kB; a part is 64 of them.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


# --- following --------------------------------------------------------------------------------------------


def test_what_is_appended_is_handed_over_once_and_in_whole_lines(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "one\ntw")
    part = reader.tail(path, over=False)
    assert part.text == "one\n"

    append(path, "o\nthr")
    text, part = followed(reader, path, part)
    assert text == "two\n"
    append(path, "ee")

    assert followed(reader, path, part, over=True)[0] == "three"


def test_a_burst_is_read_in_parts_without_a_gap(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "begin\n")
    part = reader.tail(path, over=False)
    lines = "".join(f"line {number}\n" for number in range(30_000))
    assert PART < len(lines) < FAR
    append(path, lines)

    assert followed(reader, path, part)[0] == lines


def test_a_reader_far_behind_a_flood_goes_on_at_its_end(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "begin\n")
    part = reader.tail(path, over=False)
    append(path, "flood\n" * (FAR // 3) + "the end\n")

    part = reader.after(path, part.end, over=False)

    assert part.note == BEHIND
    assert part.text.endswith("flood\nthe end\n")
    assert len(part.text) <= PART


def test_a_log_that_was_cut_is_shown_from_its_end_with_a_word_of_it(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "old\n" * 1000)
    part = reader.tail(path, over=False)
    with open(path, "r+b") as file:  # the same inode
        file.truncate(0)
        file.write(b"new\n")

    part = reader.after(path, part.end, over=False)

    assert (part.text, part.note) == ("new\n", CUT)


def test_a_log_that_was_cut_and_has_grown_beyond_is_noticed_too(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "old\n" * 10)
    part = reader.tail(path, over=False)
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(b"new\n" * 50)

    assert reader.after(path, part.end, over=False).note == CUT
    assert part.start is None


def test_a_log_that_was_rotated_is_read_to_its_end_and_then_the_new_one(
    reader: LogReader, folder: Path
) -> None:
    path = write(folder / "a.log", "one\n")
    part = reader.tail(path, over=False)
    append(path, "two\n")
    os.rename(path, f"{path}.1")
    write(Path(path), "three\n")

    rotated = reader.after(path, part.end, over=False)
    assert (rotated.text, rotated.note, rotated.more) == ("two\n", REPLACED, True)

    assert followed(reader, path, rotated)[0] == "three\n"


def test_a_log_that_was_replaced_is_read_from_its_beginning(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "one\n")
    part = reader.tail(path, over=False)
    write(folder / "b.log", "new\n")
    os.rename(folder / "b.log", path)

    assert followed(reader, path, part)[0] == "new\n"


def test_a_log_that_was_removed_is_told_so(reader: LogReader, folder: Path) -> None:
    path = write(folder / "a.log", "one\n")
    part = reader.tail(path, over=False)
    os.unlink(path)

    with pytest.raises(NoLog, match="There is no log"):
        reader.after(path, part.end, over=False)


# --- what is in it ----------------------------------------------------------------------------------------


def shown(reader: LogReader, folder: Path, raw: str | bytes) -> str:
    return reader.tail(write(folder / "a.log", raw), over=True).text


def test_terminal_codes_are_taken_out(reader: LogReader, folder: Path) -> None:
    link = "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"
    raw = f"\x1b[1;31mred\x1b[0m \x1b]0;title\x07plain {link} \x1b(Bend\x1b[2K\n"

    assert shown(reader, folder, raw) == "red plain link end\n"


def test_a_line_written_over_is_shown_as_it_was_left(reader: LogReader, folder: Path) -> None:
    assert shown(reader, folder, "10 %\r50 %\r100 %\r\nunix\nwindows\r\n") == "100 %\nunix\nwindows\n"


def test_what_is_no_text_is_counted(reader: LogReader, folder: Path) -> None:
    assert shown(reader, folder, b"a\x00b\nc" + b"\x00" * 500 + b"d\xff\n") == (
        "a·b\nc[500 characters that are no text]d·\n"
    )


def test_marks_that_turn_the_direction_of_reading_are_no_text(reader: LogReader, folder: Path) -> None:
    assert shown(reader, folder, "pay \u202e001\u202c\n") == "pay ·001·\n"


def test_noise_is_handed_over_in_bounded_text(reader: LogReader, folder: Path) -> None:
    noise = bytes(range(256)) * 4096
    path = write(folder / "a.log", noise.replace(b"\n", b""))

    part = reader.tail(path, over=False)

    assert part.end.offset == part.size
    assert 0 < len(part.text) <= 2 * PART


def test_secrets_are_hidden_by_their_value_and_by_their_name(reader: LogReader, folder: Path) -> None:
    raw = "using s3cr\x1b[0m3t-value\npassword=hunter22\nhttps://me:mine@host/x\n"

    assert shown(reader, folder, raw) == (f"using {HIDDEN}\npassword={HIDDEN}\nhttps://me:{HIDDEN}@host/x\n")


def test_no_secret_is_shown_wherever_the_parts_are_cut(reader: LogReader, folder: Path) -> None:
    filler, secret = "x" * 30 + "\n", "the key is s3cr3t-value here\n"
    raw = filler * (PART // 31 - 2) + secret * 9 + filler * (PART // 31)
    path = write(folder / "a.log", raw)

    part = reader.tail(path, over=True)
    found = part.text
    while part.start is not None:
        part = reader.before(path, part.start)
        found += part.text

    assert "s3cr" not in found
    assert found.count(HIDDEN) == 9


# --- what must not be read --------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.write_text("not for you\n")
    return path


def test_a_file_outside_the_folder_is_not_shown(reader: LogReader, folder: Path, outside: Path) -> None:
    for path in (outside, folder / ".." / "outside", folder.parent / "logs-of-others.log"):
        path.touch()
        with pytest.raises(NoLog, match="does not lie in the folder"):
            reader.tail(str(path), over=True)


def test_a_link_out_of_the_folder_is_not_followed(reader: LogReader, folder: Path, outside: Path) -> None:
    (folder / "a.log").symlink_to(outside)
    (folder / "runs").symlink_to(outside.parent)

    for path in (folder / "a.log", folder / "runs" / "outside"):
        with pytest.raises(NoLog):
            reader.tail(str(path), over=True)


def test_a_folder_of_logs_that_is_itself_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.log", "one\n")
    (tmp_path / "link").symlink_to(folder)

    assert LogReader(tmp_path / "link").tail(str(tmp_path / "link" / "a.log"), over=True).text == "one\n"


def test_a_pipe_or_a_folder_is_no_log_and_blocks_nobody(reader: LogReader, folder: Path) -> None:
    os.mkfifo(folder / "pipe.log")
    (folder / "sub").mkdir()

    for name in ("pipe.log", "sub"):
        with pytest.raises(NoLog, match="no ordinary file"):
            reader.tail(str(folder / name), over=True)


def test_a_path_that_cannot_be_is_no_log(reader: LogReader) -> None:
    for path in ("/no/such/file", "with\0nul", "x" * 5000):
        with pytest.raises(NoLog):
            reader.tail(path, over=True)


@pytest.mark.parametrize("text", ["", "1.2", "1.2.x", "-1.2.3", "1.2.3\n", "٣.1.1", "9" * 21 + ".1.1"])
def test_a_place_that_was_never_given_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected one that was given"):
        Place.parse(text)
