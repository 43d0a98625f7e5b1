"""What is done on a page reaches a real daemon, and its answer the page; and how the dashboard starts."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from config import Settings
from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from orchestration.ctl.desk import Desk
from orchestration.errors import SettingsError
from orchestration.halt import reason_of
from scripts import dashboard
from tests.acceptance.daemon import LIMIT_S, Daemon, wait_for
from tests.dashboard_box import TestClient

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon with one job that only a person starts, for all tests."""
    made = Daemon(tmp_path_factory.mktemp("dashboard"))
    made.write_tasks(made.job("by_hand", "sleep 300", cron="0 3 1 1 *"))
    made.start()
    yield made
    made.clean_up()


def browser(state: Path, *, signed_in: bool = True) -> TestClient:
    """Return a browser at a dashboard of the box in `state`."""
    source = Source(Desk({"ORCHESTRATOR_STATE_DIR": str(state), "USE_UNIFIED_SCHEDULER": "true"}))
    made = TestClient(create_app(source, Access(TOKEN)), base_url="http://localhost", follow_redirects=False)
    if signed_in:
        assert made.post("/login", data={"token": TOKEN}).status_code == 303
    return made


def act(client: TestClient, name: str, **form: str) -> tuple[int, str]:
    """Press a button on the page to sign in on, whose frame is that of every page; return what is told."""
    found = re.search(r'name="csrf" value="(\w+)"', client.get("/no/such/page").text)
    assert found is not None
    headers = {"HX-Request": "true", "X-CSRF-Token": found[1]}
    answer = client.post(f"/actions/{name}", data=form, headers=headers)
    return answer.status_code, unquote(answer.headers["X-Said"])


def paused(daemon: Daemon) -> str:
    (row,) = daemon.rows("SELECT value FROM scheduler_state WHERE key = 'paused'")
    return str(json.loads(row["value"]) if row["value"].startswith('"') else row["value"])


def test_a_pause_reaches_the_daemon_and_its_words_come_back(daemon: Daemon) -> None:
    client = browser(daemon.state)

    status, said = act(client, "pause", all="true")

    assert (status, said[:29]) == (204, "paused: nothing starts until ")
    wait_for(lambda: paused(daemon) == "all", "the pause in the database")
    assert act(client, "resume") == (204, "resumed")
    wait_for(lambda: paused(daemon) == "", "the end of the pause")


def test_a_task_is_run_and_its_run_is_stopped(daemon: Daemon) -> None:
    client = browser(daemon.state)

    assert act(client, "run", task="by_hand") == (
        204,
        "by_hand will run as soon as memory, slots, conflicts and dependencies let it",
    )
    daemon.wait_seen("start", "by_hand")
    assert act(client, "run", task="by_hand")[0] == 409
    (run,) = daemon.runs("by_hand")
    assert act(client, "stop", run=run["run_id"]) == (204, f"{run['run_id']} was asked to stop")
    daemon.wait_outcomes("by_hand", "killed")


def test_what_the_daemon_refuses_is_told_in_its_words(daemon: Daemon) -> None:
    client = browser(daemon.state)

    assert act(client, "run", task="by_hands") == (
        409,
        "no task is called 'by_hands'. Did you mean 'by_hand'? `orchestratorctl tasks` lists them",
    )
    assert act(client, "acknowledge", alert="no such alert")[0] == 409
    assert act(client, "acknowledge", all="true")[0] == 204


def test_without_javascript_an_order_is_asked_for_once_more_and_then_told_on_the_page(daemon: Daemon) -> None:
    client = browser(daemon.state)

    asked = client.post("/actions/pause", data={"task": "by_hand", "back": "/login"})
    assert (asked.status_code, "Nothing has been done yet" in asked.text) == (403, True)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked.text.partition('<main id="content"')[2]))
    done = client.post("/actions/pause", data=fields)

    assert (done.status_code, done.headers["Location"]) == (303, "/login")
    shown = client.get("/no/such/page").text
    assert re.search(r'<p class="notice ok"><b aria-hidden="true">✓</b> by_hand is paused; [^<]+</p>', shown)
    act(client, "resume", task="by_hand")


def test_words_that_the_dashboard_did_not_say_are_not_shown(daemon: Daemon) -> None:
    client = browser(daemon.state)
    client.cookies.set("dashboard_said", "0" * 64 + ".ok:Send%20all%20your%20money")

    assert "money" not in client.get("/no/such/page").text


def test_trading_is_halted_and_goes_on_without_a_daemon(tmp_path: Path) -> None:
    client = browser(tmp_path)

    status, said = act(client, "halt", reason="the fills look wrong")
    assert (status, said[:17]) == (204, "trading is halted")
    halt_file = tmp_path / "trading.halt"
    assert json.loads(halt_file.read_text())["by"] == "dashboard, testclient"
    assert (reason_of(halt_file) or "").startswith("the fills look wrong")
    assert "already: the fills look wrong" in act(client, "halt", reason="and once more")[1]

    assert act(client, "resume-trading") == (
        204,
        "trading may go on; orders that the halt has ended stay so",
    )
    assert not halt_file.exists()
    assert act(client, "resume-trading") == (204, "trading was not halted")


def test_a_halt_that_cannot_be_written_is_told_as_none(tmp_path: Path) -> None:
    status, said = act(browser(tmp_path / "gone"), "halt", reason="x")

    assert (status, said[:30]) == (409, "trading could NOT be halted: [")


def test_where_no_daemon_runs_an_order_is_refused_in_words(tmp_path: Path) -> None:
    status, said = act(browser(tmp_path), "pause")

    assert status == 409
    assert said.startswith("no daemon is running on")


# --- how it starts ------------------------------------------------------------------------------------------


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"ORCHESTRATOR_STATE_DIR": str(tmp_path), "USE_UNIFIED_SCHEDULER": "true", **more}


@pytest.mark.parametrize("address", ["0.0.0.0:8480", "[::]:8480", "192.0.2.1:8480"])
def test_for_others_it_does_not_start_without_a_token(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard.main(["--address", address], environ(tmp_path)) == 78
    assert "no token is set" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["8480", "127.0.0.1", "127.0.0.1:99999", "a b:1"])
def test_an_address_that_is_none_is_refused(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard.main(["--address", address], environ(tmp_path)) == 78
    assert "ORCHESTRATOR_DASHBOARD_ADDRESS" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert dashboard.main(["--address", address], environ(tmp_path)) == 1

    assert capsys.readouterr().err == f"dashboard: cannot listen on {address}: Address already in use\n"


def test_the_token_is_the_credentials_before_the_settings(tmp_path: Path) -> None:
    folder = {"ORCHESTRATOR_CREDENTIALS_DIR": str(tmp_path)}
    both = Settings.from_env(environ(tmp_path, ORCHESTRATOR_DASHBOARD_TOKEN="f" * 32, **folder))
    file = tmp_path / "dashboard_token"

    assert dashboard.token_of(both) == "f" * 32
    # What systemd gives where there is no such file.
    file.write_text("\n")
    assert dashboard.token_of(both) == "f" * 32
    file.write_text(f"{TOKEN}\n")
    assert dashboard.token_of(both) == TOKEN
    assert dashboard.token_of(Settings.from_env(environ(tmp_path))) is None


def test_a_token_that_is_too_short_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    settings = Settings.from_env(environ(tmp_path, ORCHESTRATOR_CREDENTIALS_DIR=str(tmp_path)))
    file = tmp_path / "dashboard_token"

    file.write_text("hunter2")
    with pytest.raises(SettingsError, match="at least 16") as refused:
        dashboard.token_of(settings)
    assert "hunter2" not in str(refused.value)
    file.write_bytes(b"\xff" * 32)
    with pytest.raises(SettingsError, match="cannot be read"):
        dashboard.token_of(settings)


def test_the_process_serves_turns_foreign_names_away_and_ends_when_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--address", f"127.0.0.1:{port}"]
    env = environ(tmp_path, ORCHESTRATOR_DASHBOARD_TOKEN=TOKEN, PATH="/usr/bin:/bin")
    process = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_for(lambda: _status(port, "localhost") == 200, "an answer")
        seen = [_status(port, name) for name in ("127.0.0.1", "evil.example", socket.gethostname())]
        wrong = _status(port, "localhost", "not the token at all")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait(LIMIT_S)

    assert (seen, wrong) == ([200, 421, 200], 401)
    assert process.returncode == 0
    assert said.startswith(f"dashboard: http://127.0.0.1:{port}/\n")
    assert '"token.refused"' in said
    assert "not the token at all" not in said
    assert TOKEN not in said


def _status(port: int, host: str, token: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/login", headers={"Host": host})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_dashboard_loads_nothing_heavy_not_even_to_halt_trading() -> None:
    heavy = ["numpy", "pandas", "scipy", "matplotlib", "pyarrow", "rich", "typer", "optuna"]
    code = (
        "import sys, scripts.dashboard, trading.execution.kill_switch\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )

    assert done.stdout == "[]\n"
