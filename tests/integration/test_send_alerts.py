"""Alerts arrive once each at real receivers, whatever happens to these, to the job and to the clock."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import ROOT, Settings
from observability.alert_addresses import find_addresses, read_addresses
from observability.alert_outbox import Outbox, hold, open_outbox
from observability.alert_receiver import Receiver
from orchestration.assembly import builtins_of
from orchestration.changes import AlertAcknowledged, AlertSaved, Change, RunEnded, RunPlanned
from orchestration.clock import SystemClock
from orchestration.ctl.words import next_start
from orchestration.runs import ActiveRun, Outcome, RunKey, TaskResult
from orchestration.state.store import SqlStore
from scripts._alert_post import deliver
from scripts.send_alerts import Job, main
from tests.calendars import ny
from tests.mail_server import MailServer
from tests.ntfy_server import NtfyServer, Received

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # apprise asks for a module that Python is to lose
    import apprise

    apprise.Apprise.instantiate("json://127.0.0.1")  # it loads its parts only now

NIGHT = ny("2026-11-19T20:00")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class BoxClock(SystemClock):
    """The box's clock, set to any time; it runs on from there."""

    def __init__(self, at: datetime) -> None:
        self._shift = at - super().now()

    def now(self) -> datetime:
        return super().now() + self._shift

    def step(self, by: timedelta) -> None:
        self._shift += by


class AlertBox:
    """A box with alerts, and the job that tells of them."""

    def __init__(self, folder: Path, at: datetime = NIGHT) -> None:
        self.folder, self.clock = folder, BoxClock(at)
        self.store = SqlStore(folder / "performance.db", now=self.clock.now)
        self.environ = {"ORCHESTRATOR_STATE_DIR": str(folder)}

    def commit(self, *changes: Change) -> None:
        self.store.commit(changes)

    def raises(self, *keys: str, severity: str = "warning", task: str | None = None) -> None:
        at = self.clock.now()
        self.commit(
            *(AlertSaved(at=at, key=key, severity=severity, text=f"of {key}", task=task) for key in keys)
        )

    def clears(self, *keys: str) -> None:
        at = self.clock.now()
        self.commit(
            *(AlertSaved(at=at, key=key, severity="info", text="cleared", cleared=True) for key in keys)
        )

    def rules(self, text: str) -> None:
        path = self.folder / "alerts.toml"
        path.write_text(text)
        self.environ["ORCHESTRATOR_ALERTS"] = str(path)

    def tells(self, *urls: str, after: timedelta = timedelta(0)) -> dict[str, Any]:
        """Run the job once, some time later; return its report."""
        self.clock.step(after)
        with closing(open_outbox(self.folder / "alerts.db")[0]) as outbox:
            settings = Settings.from_env(self.environ)
            job = Job(settings, self.folder / "performance.db", outbox, self.clock)
            return job.run(read_addresses(" ".join(urls)))

    def script(self, *urls: str) -> subprocess.Popen[bytes]:
        """Start the job as the daemon does, in a session of its own."""
        env = {"PATH": os.environ["PATH"], "alert_urls": " ".join(urls)} | self.environ
        command = [sys.executable, "-m", "scripts.send_alerts", "--state-dir", str(self.folder)]
        return subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.alert_receiver.PAUSE_S", 0.0)
    # smtplib asks the name server for the box's own name; here nobody answers.
    monkeypatch.setattr("socket.getfqdn", lambda name="": "box.example.org")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[AlertBox]:
    made = AlertBox(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def phone() -> Iterator[NtfyServer]:
    with NtfyServer() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


# --- each alert arrives once ------------------------------------------------------------------------------


def test_an_alert_reaches_every_address_once_and_so_does_its_end(
    box: AlertBox, phone: NtfyServer, mail: MailServer
) -> None:
    ways = (mail.url, f"phone={phone.url('box')}")
    box.raises("disk", severity="error")

    first, second = box.tells(*ways), box.tells(*ways, after=5 * MINUTE)
    box.clears("disk")
    box.tells(*ways, after=5 * MINUTE)
    box.tells(*ways, after=5 * MINUTE)

    assert first == {"sent": {"mailto": 1, "phone": 1}, "waiting": {}, "failed": {}}
    assert second == {"sent": {}, "waiting": {}, "failed": {}}
    assert mail.subjects == phone.titles == ["[error] disk", "[cleared] disk"]
    assert mail.received[0].text.split("\n\n") == ["of disk", "raised Thu 2026-11-19 20:00 EST\n"]
    assert mail.received[0].to == ("me@example.org",)
    assert phone.topics == ["box", "box"]


def test_what_came_and_went_before_anyone_was_told_is_one_message(box: AlertBox, phone: NtfyServer) -> None:
    box.tells(phone.url("box"))
    box.raises("clock", severity="error")
    box.clears("clock")

    box.tells(phone.url("box"))

    assert phone.titles == ["[error, over] clock"]


def test_a_new_address_hears_of_what_stands_alone(box: AlertBox, phone: NtfyServer) -> None:
    box.raises("clock", "disk")
    box.clears("clock")

    box.tells(phone.url("box"))

    assert phone.titles == ["[warning] disk"]


def test_an_alert_that_stands_is_told_again_until_someone_has_seen_it(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.raises("disk", severity="error")  # shipped rule: every 6 h
    box.tells(phone.url("box"))
    box.tells(phone.url("box"), after=5 * HOUR)
    box.tells(phone.url("box"), after=HOUR)
    box.commit(AlertAcknowledged(at=box.clock.now(), key="disk"))
    box.tells(phone.url("box"), after=12 * HOUR)

    assert [t for t in phone.titles if "digest" not in t] == ["[error] disk", "[error, still] disk"]


def test_an_alert_nobody_acknowledges_is_told_to_more(box: AlertBox, phone: NtfyServer) -> None:
    box.rules(
        '[[rule]]\nwhen = "disk"\nchannels = ["mail"]\nremind = "never"\n'
        'escalate_after = "30m"\nescalate_to = ["phone"]\n'
    )
    ways = (f"mail={phone.url('mail')}", f"phone={phone.url('phone')}")
    box.raises("disk")
    box.tells(*ways)
    assert phone.topics == ["mail"]

    box.tells(*ways, after=30 * MINUTE)
    box.clears("disk")
    box.tells(*ways)

    assert phone.topics[1] == "phone"
    assert sorted(phone.topics[2:]) == ["mail", "phone"]


def test_a_rule_whose_channel_has_no_address_tells_all_and_says_so(box: AlertBox, phone: NtfyServer) -> None:
    box.rules('[[rule]]\nwhen = "disk"\nchannels = ["pager"]\n')
    box.raises("disk")

    report = box.tells(phone.url("box"))

    assert phone.titles == ["[warning] disk"]
    assert "pager" in report["alerts"]["channels"]


# --- receivers in trouble ---------------------------------------------------------------------------------


def test_while_one_receiver_is_down_the_others_get_theirs_and_it_gets_its_own_later(
    box: AlertBox, phone: NtfyServer, mail: MailServer
) -> None:
    ways = (mail.url, phone.url("box"))
    mail.stop()
    box.raises("disk")
    first = box.tells(*ways)
    box.raises("clock")
    second = box.tells(*ways, after=5 * MINUTE)
    mail.start()

    third = box.tells(*ways, after=10 * MINUTE)

    assert phone.titles == ["[warning] disk", "[warning] clock"]
    assert first["waiting"] == {"mailto": 1}
    assert second["waiting"] == {"mailto": 2}
    assert "not reached" in first["failed"]["mailto"]
    assert mail.subjects == ["[warning] disk", "[warning] clock"]
    assert third == {"sent": {"mailto": 2}, "waiting": {}, "failed": {}}


def test_a_server_error_and_a_refusal_after_reading_are_tried_again(
    box: AlertBox, phone: NtfyServer, mail: MailServer
) -> None:
    phone.status, mail.refusals = 500, 1
    box.raises("disk")
    report = box.tells(mail.url, phone.url("box"))
    phone.status = 200

    box.tells(mail.url, phone.url("box"), after=5 * MINUTE)

    assert report["failed"]["ntfy"] == "it answered 500"
    assert (len(phone.refused), mail.refused) == (1, 1)
    assert phone.titles == mail.subjects == ["[warning] disk"]


def test_a_receiver_that_takes_a_message_and_does_not_say_so_gets_it_again(
    box: AlertBox, phone: NtfyServer
) -> None:
    phone.rude = True
    box.raises("disk")
    report = box.tells(phone.url("box"))
    phone.rude = False
    box.tells(phone.url("box"), after=5 * MINUTE)
    box.tells(phone.url("box"), after=5 * MINUTE)

    assert report["waiting"] == {"ntfy": 1}
    assert phone.titles == ["[warning] disk", "[warning] disk"]


def test_a_slow_receiver_holds_nobody_up_and_is_not_told_twice(box: AlertBox, phone: NtfyServer) -> None:
    quick, go = threading.Event(), threading.Event()

    def wait(message: Received) -> None:
        if message.topic == "slow":
            go.wait(30)
        else:
            quick.set()

    phone.before = wait
    box.raises("disk")

    def let_go() -> None:
        quick.wait(30)
        go.set()

    threading.Thread(target=let_go, daemon=True).start()

    report = box.tells(f"slow={phone.url('slow')}", phone.url("quick"))

    assert report["sent"] == {"slow": 1, "ntfy": 1}
    assert phone.topics == ["quick", "slow"]


def test_a_receiver_that_hangs_is_given_up_for_this_time(box: AlertBox, phone: NtfyServer) -> None:
    go = threading.Event()

    def hang(message: Received) -> None:
        go.wait(30)

    phone.before = hang
    box.raises("disk")
    with closing(Outbox(box.folder / "alerts.db")) as outbox:
        job = Job(Settings.from_env(box.environ), box.folder / "performance.db", outbox, box.clock)
        [address] = read_addresses(phone.url("box"))
        outbox.begin({address.name: (address.tag, address.fingerprint)}, box.clock.now())
        job.note(job.rules({"ntfy"}), box.clock.now())
        receiver = Receiver.open(address)
        assert isinstance(receiver, Receiver)

        done = deliver(
            outbox,
            lambda _: receiver.send,
            box.clock,
            per_hour=20,
            zone=NIGHT.tzinfo or job.home,
            limit_s=0.2,
        )

        assert done.failed == {"ntfy": "it took longer than 0.2 s"}
        assert [n.owed for n in outbox.notices("ntfy").values()] == ["raised"]
    go.set()


def test_a_way_that_fails_for_an_hour_is_an_alert_of_its_own(box: AlertBox, phone: NtfyServer) -> None:
    gone = NtfyServer()
    gone.start()
    gone.stop()
    ways = (f"gone={gone.url('x')}", phone.url("box"))
    box.raises("disk")
    reports = [box.tells(*ways, after=20 * MINUTE) for _ in range(4)]

    assert [sorted(report.get("alerts", {})) for report in reports] == [[], [], [], ["way gone"]]
    assert "has taken nothing since 2026-11-20 01:20Z" in reports[-1]["alerts"]["way gone"]


def test_an_address_that_apprise_does_not_know_is_told_at_once_without_being_repeated(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.raises("disk")

    report = box.tells("odd=nosuch://user:hidden@host", phone.url("box"))

    assert report["sent"] == {"ntfy": 1}
    assert "does not understand" in report["alerts"]["way odd"]
    assert "hidden" not in json.dumps(report)


# --- floods -----------------------------------------------------------------------------------------------


def test_a_thousand_alerts_at_once_are_each_named_once_in_few_messages(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.rules("[limits]\nper_hour = 12\n")
    keys = [f"failed:task_{number:04}" for number in range(1000)]
    box.raises(*keys)

    for _ in range(3):
        box.tells(phone.url("box"), after=5 * MINUTE)

    # In a list of names, or with its text in a line of its own.
    told = "\n".join(re.sub("of failed:.*", "", message.text) for message in phone.received)
    assert Counter(re.findall(r"task_\d{4}", told)) == Counter(key.partition(":")[2] for key in keys)
    assert len(phone.received) == 4
    assert max(len(message.text) for message in phone.received) <= 4000


def test_beyond_the_limit_what_waits_is_gathered_into_one_message(box: AlertBox, phone: NtfyServer) -> None:
    box.rules("[limits]\nper_hour = 4\n")
    box.raises("disk", "clock", "network", "horizon")

    box.tells(phone.url("box"))

    assert phone.titles == ["[warning] disk", "3 more: 3 warning"]
    assert phone.received[1].text.splitlines() == [
        "[warning] clock: of clock",
        "[warning] network: of network",
        "[warning] horizon: of horizon",
    ]


# --- the digest -------------------------------------------------------------------------------------------


def ran(task: str, at: datetime, outcome: Outcome, detail: str = "") -> tuple[Change, ...]:
    """The rows of a run of five minutes."""
    key = RunKey(task, "2026-11-20", at.strftime("%Y-%m-%dT%H:%M:%SZ"), 1)
    run = ActiveRun(key=key, started_at=at, predicted_end=at + HOUR, reserved_mb=100.0)
    result = TaskResult(
        key=key, outcome=outcome, started_at=at, ended_at=at + 5 * MINUTE, duration_s=300.0, detail=detail
    )
    return RunPlanned(run=run, predicted_minutes=5.0, log=""), RunEnded(result=result)


def test_once_a_day_the_digest_says_what_ran_what_failed_and_what_comes(
    box: AlertBox, phone: NtfyServer
) -> None:
    # 17:45 in New York is the shipped time; the night before is 20:00.
    box.tells(phone.url("box"))
    box.commit(*ran("run_nightly_research", NIGHT + HOUR, Outcome.SUCCEEDED))
    box.commit(*ran("refresh_data", NIGHT + 12 * HOUR, Outcome.FAILED, "the source is away"))
    box.raises("disk", severity="error")
    for _ in range(11):
        box.tells(phone.url("box"), after=2 * HOUR)

    [digest] = [message for message in phone.received if "digest" in message.title]
    assert digest.title == "Daily digest, Fri 2026-11-20: 1 failed, 1 alert open"
    assert digest.text.splitlines() == [
        "Since Thu 2026-11-19 18:00 (America/New_York):",
        "2 runs of 2 tasks, 1 failed.",
        "- refresh_data: failed, the source is away",
        "",
        # The window from 18:00 to 04:00.
        "Research time before 2026-11-20: 1 % used (5 min 00 s of 10 h 00 min).",
        "Alerts: 1 raised, 0 cleared, 1 open.",
        "- [error] since Thu 2026-11-19 20:00: of disk",
        "",
        "Next session: Mon 2026-11-23 09:30 to 16:00.",
        "Research time left before 2026-11-23: 56 h.",
    ]


def test_a_digest_that_was_not_taken_gives_way_to_the_next_which_reaches_further_back(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.rules('[digest]\nat = "07:00@Europe/Berlin"\n')
    box.tells(phone.url("box"))
    box.tells(phone.url("box"), after=6 * HOUR)  # 02:00 in New York, 08:00 in Berlin
    phone.status = 500
    box.tells(phone.url("box"), after=24 * HOUR)
    phone.status = 200
    box.tells(phone.url("box"), after=24 * HOUR)

    first, second = (message for message in phone.received if "digest" in message.title)
    assert first.title == "Daily digest, Fri 2026-11-20: all well"
    assert second.title == "Daily digest, Sun 2026-11-22: all well"
    assert second.text.startswith("Since Fri 2026-11-20 02:00 (America/New_York):")


def test_an_address_that_takes_nothing_makes_no_digest_of_another_longer(
    box: AlertBox, phone: NtfyServer, mail: MailServer
) -> None:
    urls = (phone.url("box"), mail.url)
    box.tells(*urls)
    mail.stop()
    for _ in range(2):
        box.tells(*urls, after=24 * HOUR)
    mail.start()
    box.tells(*urls, after=HOUR)

    texts = [message.text for message in phone.received] + [message.text for message in mail.received]
    assert [text.splitlines()[0] for text in texts] == [
        "Since Thu 2026-11-19 20:00 (America/New_York):",
        "Since Fri 2026-11-20 20:00 (America/New_York):",
        # As it took none before, it hears of the last day.
        "Since Fri 2026-11-20 20:00 (America/New_York):",
    ]


def test_a_digest_of_a_database_that_cannot_be_read_does_not_say_that_all_is_well(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.tells(phone.url("box"))
    box.store.close()
    (box.folder / "performance.db").write_bytes(b"not a database" * 1000)

    box.tells(phone.url("box"), after=24 * HOUR)

    [digest] = phone.received
    assert digest.title == "Daily digest, Fri 2026-11-20: not all is known"
    assert digest.text.count("could not be read in part") == 1


def test_a_clock_that_was_years_ahead_does_not_end_the_digests(box: AlertBox, phone: NtfyServer) -> None:
    box.tells(phone.url("box"))
    box.tells(phone.url("box"), after=timedelta(days=2000))
    box.tells(phone.url("box"), after=timedelta(days=-2000))
    phone.received.clear()

    box.tells(phone.url("box"), after=24 * HOUR)

    assert [title.partition(":")[0] for title in phone.titles] == ["Daily digest, Fri 2026-11-20"]


# --- kills, clocks, two at once ---------------------------------------------------------------------------


def test_a_job_killed_between_sending_and_marking_tells_again_and_loses_nothing(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.raises("disk", "clock")
    job: list[subprocess.Popen[bytes]] = []
    phone.before = lambda message: job[0].kill()
    job.append(box.script(phone.url("box")))
    assert job[0].wait(60) == -signal.SIGKILL
    phone.before = lambda message: None

    box.tells(phone.url("box"), after=MINUTE)
    box.tells(phone.url("box"), after=MINUTE)

    # The first was taken and could not be marked: it comes again. The second comes once.
    assert phone.titles == ["[warning] disk", "[warning] disk", "[warning] clock"]


def test_a_clock_that_steps_back_repeats_nothing_and_keeps_nothing_waiting(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.clock.step(timedelta(days=400))
    box.raises("disk", severity="error")
    box.tells(phone.url("box"))
    phone.status = 500
    box.raises("clock")
    box.tells(phone.url("box"))
    phone.status = 200

    box.tells(phone.url("box"), after=timedelta(days=-400))
    box.tells(phone.url("box"), after=15 * MINUTE)

    assert phone.titles == ["[error] disk", "[warning] clock"]


def test_a_clock_that_jumps_ahead_reminds_once_and_loses_nothing(box: AlertBox, phone: NtfyServer) -> None:
    box.raises("disk", severity="error")
    box.tells(phone.url("box"))
    box.tells(phone.url("box"), after=timedelta(days=3000))
    box.clears("disk")
    box.tells(phone.url("box"), after=timedelta(days=-3000))

    titles = [title for title in phone.titles if "digest" not in title]
    assert titles == ["[error] disk", "[error, still] disk", "[cleared] disk"]


def test_of_two_jobs_at_once_one_leaves_the_work_to_the_other(
    box: AlertBox, phone: NtfyServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box.raises("disk")
    monkeypatch.setenv("alert_urls", phone.url("box"))
    with hold(box.folder) as ours:
        assert ours
        assert main(["--state-dir", str(box.folder)]) == 0

    assert "another send_alerts is at work" in capsys.readouterr().out
    assert phone.received == []


# --- the job ----------------------------------------------------------------------------------------------


def test_the_job_ends_well_with_a_receiver_down_and_writes_no_address_down(
    box: AlertBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    down = NtfyServer()
    down.start()
    down.stop()
    box.raises("disk")
    monkeypatch.setenv("alert_urls", f"phone=ntfy://me:planted@127.0.0.1:{down.port}/topic-planted")
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))

    assert main(["--state-dir", str(tmp_path)]) == 0

    report = json.loads((tmp_path / "result.json").read_text())
    assert (report["waiting"], list(report["failed"])) == ({"phone": 1}, ["phone"])
    written = b"".join(path.read_bytes() for path in tmp_path.glob("alerts.db*")).decode(errors="replace")
    told = capfd.readouterr()
    assert "planted" not in written + json.dumps(report) + told.out + told.err
    assert {path.stat().st_mode & 0o77 for path in tmp_path.glob("alerts.*")} == {0}


def test_where_nothing_changes_nothing_is_written_and_apprise_is_not_loaded(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.rules('[digest]\nat = "never"\n')
    box.raises("network")
    box.tells(phone.url("box"))
    before = _changes(box)
    code = (
        "import sys; from scripts.send_alerts import main; code = main(['--state-dir', sys.argv[1]]);"
        "sys.exit(code or 10 * ('apprise' in sys.modules) + 20 * ('sqlalchemy' in sys.modules))"
    )

    env = {"PATH": os.environ["PATH"], "alert_urls": phone.url("box"), **box.environ}
    ended = subprocess.run([sys.executable, "-c", code, str(box.folder)], cwd=ROOT, env=env, timeout=60)

    assert ended.returncode == 0
    assert _changes(box) == before
    assert len(phone.received) == 1


def _changes(box: AlertBox) -> int:
    """How often the outbox was committed to: SQLite counts it in the file's header."""
    with closing(sqlite3.connect(box.folder / "alerts.db")) as outbox:
        outbox.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return int.from_bytes((box.folder / "alerts.db").read_bytes()[24:28])


def test_a_damaged_outbox_is_put_aside_and_what_stands_is_told_again(
    box: AlertBox, phone: NtfyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "alerts.db").write_bytes(b"not a database" * 1000)
    box.raises("disk")
    monkeypatch.setenv("alert_urls", phone.url("box"))
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))

    assert main(["--state-dir", str(tmp_path)]) == 0

    assert phone.titles == ["[warning] disk"]
    assert "begun anew" in json.loads((tmp_path / "result.json").read_text())["alerts"]["outbox"]
    assert (tmp_path / "alerts.db.damaged").exists()


def test_a_daemon_s_database_that_cannot_be_read_keeps_nothing_that_waits(
    box: AlertBox, phone: NtfyServer
) -> None:
    phone.stop()
    box.raises("disk")
    box.tells(phone.url("box"))
    phone.start()
    box.store.close()
    (box.folder / "performance.db").write_bytes(b"not a database" * 1000)

    report = box.tells(phone.url("box"), after=5 * MINUTE)

    assert phone.titles == ["[warning] disk"]
    assert "cannot be read" in report["alerts"]["unread"]


# --- addresses --------------------------------------------------------------------------------------------


def test_addresses_are_named_by_their_tag_or_their_kind() -> None:
    found = read_addresses("ntfy://a/b phone=ntfy://c/d?x=y\nphone=json://e?f=g")

    assert [(a.name, a.tag, a.url) for a in found] == [
        ("ntfy", "ntfy", "ntfy://a/b"),
        ("phone", "phone", "ntfy://c/d?x=y"),
        ("phone-2", "phone", "json://e?f=g"),
    ]
    assert "c/d" not in repr(found)


def test_a_job_s_own_secret_goes_before_the_file_and_that_before_the_setting(tmp_path: Path) -> None:
    (tmp_path / "alert_urls").write_text("ntfy://file/x\n")
    folder = {"ORCHESTRATOR_CREDENTIALS_DIR": str(tmp_path), "ORCHESTRATOR_ALERT_URLS": "ntfy://setting/x"}

    def urls(env: dict[str, str]) -> list[str]:
        return [address.url for address in find_addresses(env)]

    assert urls({"alert_urls": "ntfy://own/x", **folder}) == ["ntfy://own/x"]
    assert urls(folder) == ["ntfy://file/x"]
    assert urls({"ORCHESTRATOR_ALERT_URLS": "ntfy://setting/x"}) == ["ntfy://setting/x"]
    assert urls({}) == []


def switched_on(**settings: str) -> set[str]:
    given = Settings.from_env({f"ORCHESTRATOR_{name}": value for name, value in settings.items()})
    specs = {spec.name: spec for spec in builtins_of(given)}
    return {name for name in ("send_alerts", "send_heartbeat") if specs[name].enabled}


def test_the_tasks_are_on_where_an_address_is_set_or_lies_among_the_credentials(tmp_path: Path) -> None:
    (tmp_path / "heartbeat_url").write_text("https://hc.example/uuid\n")

    assert switched_on() == set()
    assert switched_on(ALERT_URLS="ntfy://a/b") == {"send_alerts"}
    assert switched_on(CREDENTIALS_DIR=str(tmp_path)) == {"send_heartbeat"}
    assert switched_on(HEARTBEAT_URL="https://a/b", ALERT_URLS="ntfy://a/b") == {
        "send_alerts",
        "send_heartbeat",
    }


def test_why_names_the_setting_that_switches_it_on() -> None:
    said = next_start({"name": "send_alerts", "enabled": False, "next_at": None}, UTC, NIGHT)

    assert said == "none while it is disabled; set ORCHESTRATOR_ALERT_URLS"


def test_a_changed_address_behind_a_name_is_tried_at_once_and_told_only_the_rest(
    box: AlertBox, phone: NtfyServer
) -> None:
    box.raises("disk")
    box.tells(f"phone={phone.url('old')}")
    phone.status = 500
    box.raises("clock")
    for _ in range(4):
        box.tells(f"phone={phone.url('old')}", after=10 * MINUTE)
    phone.status = 200

    box.tells(f"phone={phone.url('new')}")

    assert [(m.topic, m.title) for m in phone.received] == [
        ("old", "[warning] disk"),
        ("new", "[warning] clock"),
    ]
