"""The Trading pages over real ledgers: what they show, and that they survive whatever ledger there is."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest

from config import Settings
from observability.dashboard import books as ledger_books
from observability.dashboard.pages import orders, reports, trading
from scripts._portfolio import capital_of, limits_of
from tests.calendars import ny
from tests.dashboard_box import DashboardBox, dashboard_box
from tests.traded_ledger import trade
from tests.traded_month import check, found_candidate, judge_candidate, trade_weeks, work_order
from tests.trading_floor import DAY, OPEN
from trading.execution.errors import LedgerError
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.schema import MIGRATIONS

NOON = ny("2026-11-20T12:00")
MINUTE = timedelta(minutes=1)
GOLDEN = Path(__file__).parents[1] / "golden"
CAPITAL = {"ORCHESTRATOR_RISK_CAPITAL": "100000"}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path, at=NOON, environ=CAPITAL) as made:
        yield made


def page(box: DashboardBox, path: str = "/trading") -> str:
    """The text of a page's content, as one line."""
    answer = box.client().get(path, headers={"HX-Request": "1"})
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


# --- whatever ledger there is -----------------------------------------------------------------------------


def test_a_box_that_never_traded_says_so_and_begins_no_ledger(box: DashboardBox) -> None:
    assert "Nothing was ever traded here: there is no ledger yet" in page(box)
    assert "there is no ledger yet" in page(box, "/trading/orders")
    assert not box.source.ledger_file.exists()


def test_a_ledger_of_an_older_version_is_left_alone_and_said_to_be_one(box: DashboardBox) -> None:
    with closing(sqlite3.connect(box.source.ledger_file)) as connection:
        connection.executescript((GOLDEN / "ledger_v2.sql").read_text())

    text = page(box)

    assert f"has version 2, this program reads {len(MIGRATIONS)}" in text
    with closing(sqlite3.connect(box.source.ledger_file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_ledger_of_a_newer_version_is_said_to_be_one(box: DashboardBox) -> None:
    trade_weeks(box.source.ledger_file, 1)
    with closing(sqlite3.connect(box.source.ledger_file)) as connection:
        connection.execute("PRAGMA user_version = 99")

    assert "has version 99" in page(box)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no ledger yet"), (b"not a database at all" * 100, "is damaged")],
)
def test_a_file_that_is_no_ledger_is_said_to_be_none(box: DashboardBox, content: bytes, said: str) -> None:
    box.source.ledger_file.write_bytes(content)

    assert said in page(box)
    assert said in page(box, "/trading/fills")


def test_rows_that_make_no_sense_are_damage_and_no_broken_page(box: DashboardBox) -> None:
    trade_weeks(box.source.ledger_file, 2)
    with closing(sqlite3.connect(box.source.ledger_file)) as connection:
        connection.execute("UPDATE pnl_sessions SET profit = 'much'")
        connection.commit()

    assert "is damaged" in page(box)


# --- what is shown ----------------------------------------------------------------------------------------


def test_amounts_are_exact_however_large(box: DashboardBox) -> None:
    """A billion shares at 1,234,567.890123 $: 1,234,567,890,123,000.00 $, to the cent, and 5 parts in 10^17
    of a second strategy's beside it that a float would lose."""
    at = OPEN + MINUTE
    trade(box.source.ledger_file, "a", 10**9, "1234567.890123", session=DAY, at=at)
    trade(box.source.ledger_file, "b", 1, "0.01", session=DAY, at=at, symbol="CENT")

    text = page(box)

    assert "1,234,567,890,123,000.01 $ gross" in text
    assert "1,234,567.890123" in text


def test_positions_say_how_old_their_price_is_and_where_it_is_from(box: DashboardBox) -> None:
    trade_weeks(box.source.ledger_file, 3)
    check(box.source.ledger_file, "106", NOON - 7 * MINUTE)

    text = page(box)

    assert "ACME trend 100 100.00 106.00 Fri 11:53 EST quote, 7 min old ! old 10,600.00 $" in text
    assert "+600.00 $" in text


def test_limits_stand_as_the_job_judges_them(box: DashboardBox) -> None:
    """100 shares from 100.25 $ at the last close to 106: 575 $ up; 10,600 of 100,599 $ are 10.54 %."""
    trade_weeks(box.source.ledger_file, 2)
    judged = check(box.source.ledger_file, "106", NOON)

    with ledger_books.opened(box.source.ledger_file) as books:
        shown = books.checked(
            trading.limits_of(box.source), session=DAY, capital=trading.capital_of(box.source), now=NOON
        )

    assert shown.standings == judged.standings
    assert shown.valuation == judged.valuation
    assert "position in ACME 10.54 %" in page(box)


def test_the_limits_are_those_that_the_jobs_read_from_the_settings(tmp_path: Path) -> None:
    for environ in ({}, {**CAPITAL, "ORCHESTRATOR_RISK_MAX_GROSS_PCT": "off"}):
        with dashboard_box(tmp_path, at=NOON, environ=environ) as box:
            settings: Settings = box.source.desk.settings
            assert trading.limits_of(box.source) == limits_of(settings)
            assert trading.capital_of(box.source) == capital_of(settings)


def test_a_loss_beyond_the_limit_is_said_with_the_halt_and_the_way_back(box: DashboardBox) -> None:
    """100 shares fall from 100.25 to 60 $: 4,025 of 100,024 $ are 4.02 %."""
    trade_weeks(box.source.ledger_file, 2)
    check(box.source.ledger_file, "60", NOON)

    text = page(box)

    assert "Trading is halted: daily loss 4.02 % of equity, the limit is 3 %" in text
    assert "daily loss 4.02 %" in text
    assert "✗ passed by 1.02 %; the limit is 3 % of equity halts trading" in text
    assert "4.02 % 3.00 % ✗ trading was halted" in text
    assert "Resume trading" in text
    assert "Reason for a halt" not in text


def test_a_breach_that_nobody_has_acted_on_yet_is_told(box: DashboardBox) -> None:
    trade(box.source.ledger_file, "a", 100, "100", session=DAY, at=OPEN + MINUTE)
    trade(box.source.ledger_file, "b", -1, "60", session=DAY, at=OPEN + 2 * MINUTE)

    assert "Not acted on yet: daily loss" in page(box)
    assert not (box.folder / "trading.halt").exists()


def test_a_halt_by_hand_is_shown_at_once_though_a_page_was_kept(box: DashboardBox) -> None:
    assert "Trading is not halted" in page(box)

    KillSwitch(box.folder / "trading.halt").set("the fills look wrong", "somebody", NOON)

    assert "Trading is halted: the fills look wrong" in page(box)


def test_profit_is_told_by_session_and_by_strategy(box: DashboardBox) -> None:
    """Two sessions: +0.50 $ and -0.25 $ on 100 shares, a fee of 1 $ in the first: 49 and -25 $."""
    trade_weeks(box.source.ledger_file, 2)

    text = page(box)

    assert "2026-11-18 +49.00 $ 0.00 $ +50.00 $ 1.00 $ 100,049.00 $" in text
    assert "2026-11-19 -25.00 $ 0.00 $ -25.00 $ 0.00 $ 100,024.00 $" in text
    assert "By strategy, over 2 sessions trend +24.00 $" in text


def test_an_order_that_was_worked_is_shown_against_its_plan(box: DashboardBox) -> None:
    """600 shares by TWAP, in a market of 1,000 shares a minute that stands at 100 $."""
    order = work_order(box.folder)

    listed, one = page(box), page(box, f"/trading/orders/{order.parent_id}")

    assert f"{order.parent_id} buy 600 ACME twap ✓ completed" in listed
    assert "600 of 600, 100 %" in listed
    assert "600 of 600 shares, 100 %" in one
    assert "Half was planned to be done by 09:45, and was by" in one
    answer = box.client().get(f"/trading/orders/{order.parent_id}")
    assert 'data-chart="{' in answer.text


def test_an_average_price_is_that_of_the_shares_not_of_the_fills(box: DashboardBox) -> None:
    """100 at 100 $ and 300 at 101 $ by one order each: their own prices; done for all lines of a page."""
    trade(box.source.ledger_file, "a", 100, "100", session=DAY, at=OPEN + MINUTE)
    trade(box.source.ledger_file, "b", 300, "101", session=DAY, at=OPEN + 2 * MINUTE)

    with ledger_books.opened(box.source.ledger_file) as books:
        lines = books.orders(10)
        traded = books.traded(OPEN + 2 * MINUTE)

    assert [(line.filled, line.average_price) for line in lines] == [(300, Decimal(101)), (100, Decimal(100))]
    assert (traded.fills, traded.value) == (1, Decimal(30_300))


def test_long_lists_are_told_in_pages_without_a_gap(
    box: DashboardBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "SHOWN", 5)
    for number in range(8):
        trade(box.source.ledger_file, f"r{number}", 1, "100", session=DAY, at=OPEN + number * MINUTE)

    for kind, pattern in (("orders", r"buy 1 ACME"), ("fills", r"buy 1 ACME")):
        texts = [page(box, f"/trading/{kind}?page={number}") for number in (1, 2)]
        assert [len(re.findall(pattern, text)) for text in texts] == [5, 3]
        assert f"6 to 8 of 8 {kind}" in texts[1]


@pytest.mark.parametrize(
    "path", ["/trading/orders/20261120-NONE-0001", "/trading/fills?page=9", "/trading/candidates/none"]
)
def test_what_is_not_there_is_said_not_to_be(box: DashboardBox, path: str) -> None:
    trade_weeks(box.source.ledger_file, 1)

    answer = box.client().get(path)

    assert answer.status_code == 404
    assert "there is no" in answer.text


def test_candidates_are_shown_with_what_validation_said_test_by_test(box: DashboardBox) -> None:
    name = judge_candidate(box.source.ledger_file, found_candidate(), passes=False)
    judge_candidate(box.source.ledger_file, found_candidate(fast=5), passes=True)

    listed, one = page(box, "/trading/candidates"), page(box, f"/trading/candidates/{name}")

    assert f"{name} ✗ rejected" in listed
    assert "rejected: deflated_sharpe is 0.08, not at least 0.95" in listed
    assert "✓ validated, in use" in listed
    assert "deflated sharpe ✗ failed 0.08 at least 0.95" in one
    assert "out of sample ✓ passed 0.61 above 0" in one


def test_names_from_the_ledger_are_text_and_never_markup(box: DashboardBox) -> None:
    trade(box.source.ledger_file, "a", 1, "100", session=DAY, at=OPEN, strategy="<script>alert(1)</script>")

    answer = box.client().get("/trading").text

    assert "<script>alert" not in answer
    assert "&lt;script&gt;alert(1)" in answer


def test_a_corrected_calendar_moves_the_session(tmp_path: Path) -> None:
    """Closed by the operator's word, Friday is no session: Thursday's is the last."""
    (tmp_path / "overrides.csv").write_text("2026-11-20,closed,storm\n")
    with dashboard_box(tmp_path, at=NOON) as box:
        session = trading.session_of(box.source, NOON)

    assert session is not None
    assert session.day.isoformat() == "2026-11-19"


def test_a_calendar_that_cannot_be_used_is_said_to_be_so_and_the_page_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "overrides.csv").write_text("soon,closed,storm\n")
    with dashboard_box(tmp_path, at=NOON) as box:
        trade_weeks(box.source.ledger_file, 1)
        answer = box.client().get("/trading")

    assert answer.status_code == 503
    assert "is not a date; write YYYY-MM-DD" in unescape(answer.text)


# --- reports ----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(box: DashboardBox) -> Path:
    folder = box.folder / "reports"
    (folder / "validation").mkdir(parents=True)
    for name in ("risk-2026-11-20", "2026-11-20", "2026-W47", "validation/rsi-54b67bf52a7123ed"):
        (folder / f"{name}.html").write_text(f"<style>p {{}}</style><p>{name}</p>")
    return folder


def test_stored_reports_are_listed_by_what_they_are_about(box: DashboardBox, stored: Path) -> None:
    found = {(each.kind, each.of) for each in reports.stored(box.source)}

    assert found == {
        ("risk", "2026-11-20"),
        ("day", "2026-11-20"),
        ("week", "2026-W47"),
        ("validation", "rsi-54b67bf52a7123ed"),
    }
    assert "rsi-54b67bf52a7123ed" in page(box, "/reports?kind=validation")
    assert "2026-W47" not in page(box, "/reports?kind=validation")


def test_a_report_comes_as_it_was_written_and_in_a_sandbox(box: DashboardBox, stored: Path) -> None:
    answer = box.client().get("/reports/validation/rsi-54b67bf52a7123ed.html")

    assert answer.text == "<style>p {}</style><p>validation/rsi-54b67bf52a7123ed</p>"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    # With another one a browser refuses to open a sandboxed page.
    assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"


NO_REPORTS = (
    "..%2Fperformance.db", "../performance.db", "%2e%2e/performance.db", "..%2f..%2f..%2fetc%2fpasswd",
    "validation/..%2f..%2fperformance.db", "secret.html", "outside/x.html", "notes.md", "validation",
    "x%00.html", "/etc/passwd", "a" * 1900 + ".html",
)  # fmt: skip
"""secret.html is a link that leads out of the folder."""


def test_nothing_but_a_report_is_served(box: DashboardBox, stored: Path) -> None:
    outside = box.folder / "secret.html"
    outside.write_text("secret")
    (stored / "secret.html").symlink_to(outside)
    (stored / "outside").mkdir()
    (stored / "outside" / "x.html").write_text("secret")
    (stored / "notes.md").write_text("secret")

    client = box.client()
    answers = {path: client.get(f"/reports/{path}") for path in NO_REPORTS}

    assert [path[:40] for path, answer in answers.items() if answer.status_code != 404] == []
    told = [answer.text.replace("secret.html", "") for answer in answers.values()]
    assert [text for text in told if "secret" in text] == []


def test_without_reports_the_list_says_so(box: DashboardBox) -> None:
    assert "No report was written yet" in page(box, "/reports")


def test_the_pages_load_nothing_heavy() -> None:
    """The dashboard's own process has 80 MB; the jobs' light readers cost it 2 of them."""
    code = (
        "import sys; import observability.dashboard.app; "
        "heavy = {'numpy', 'pandas', 'scipy', 'pyarrow', 'matplotlib', 'sqlalchemy.orm'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


def test_a_ledger_that_cannot_be_opened_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()

    with pytest.raises(LedgerError), ledger_books.opened(tmp_path / "ledger.db"):
        pass
