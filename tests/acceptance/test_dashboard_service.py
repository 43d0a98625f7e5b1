"""The dashboard's unit: how tight its sandbox is, and under a real systemd what it can and cannot do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance import test_systemd
from tests.acceptance.test_systemd import AT, ROOT, Seen

UNITS = ROOT / "systemd"
UNIT = UNITS / "daily-orchestrator-dashboard.service"
MOST_EXPOSURE = 1.2
"""With the home network let in it is 0.1 more than as shipped."""

SETUP = (
    # As on a booted machine: the credentials' mounts must be seen by the service.
    "mount --make-rshared /",
    *test_systemd.SETUP[:2],
)


def _values(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize(
    "drop_ins", [(), ("dashboard-at-home.conf",)], ids=["as shipped", "with the home network"]
)
def test_the_dashboards_sandbox_is_as_tight_as_promised(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    assert test_systemd.exposure(UNIT, tmp_path, drop_ins) <= MOST_EXPOSURE


def test_the_dashboard_is_of_the_daemons_user_and_settings() -> None:
    """Or it could neither write control.db nor wake the daemon, or would show another box."""
    daemon = (UNITS / "daily-orchestrator.service").read_text().splitlines()
    own = UNIT.read_text().splitlines()

    shared = [
        line for line in own if line.startswith(("User=", "Group=", "Environment", "WorkingDirectory="))
    ]
    assert len(shared) > 6
    assert [line for line in shared if line not in daemon] == []


def test_it_knows_the_addresses_it_is_to_hide_and_starts_where_there_are_none() -> None:
    """A credential's missing file stops a unit unless the unit has a value in its place."""
    loaded = dict(value.split(":", 1) for value in _values("LoadCredential"))
    instead = dict(value.split(":", 1) for value in _values("SetCredential"))

    assert {path.rpartition("/")[2] for path in loaded.values()} >= {"alert_urls", "heartbeat_url"}
    assert instead == dict.fromkeys(loaded, "\\n")
    # Under its own name an empty file would look to the dashboard as if the task were switched on.
    assert not {"alert_urls", "heartbeat_url"} & loaded.keys()


def test_the_daemon_never_waits_for_the_dashboard_nor_ends_with_it() -> None:
    daemon = (UNITS / "daily-orchestrator.service").read_text()

    assert "dashboard" not in daemon
    assert _values("MemoryMax") == ["120M"]
    assert not [name for name in ("Requires", "BindsTo", "PartOf") if _values(name)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One boot for all: install, start, look and act, SIGKILL, stop."""
    options = ["--unit", str(UNITS / "daily-orchestrator.service"), "--timeout", "60"]
    options += ["--dropin", "[Service]", "--dropin", "RestartSec=1"]
    for command in SETUP:
        options += ["--setup", command]
    options += ["--exec", f"{AT}/.venv/bin/python {AT}/tests/acceptance/dashboard_probe.py"]
    out = tmp_path_factory.mktemp("dashboard") / "out"
    found = test_systemd.run_under_systemd(UNIT, out, "verify,security,start,exec,kill,stop", *options)
    assert "left" in found.result, f"not every step was reached:\n{found.text}"
    return found


@pytest.mark.slow
@pytest.mark.systemd
@pytest.mark.timeout(420)
class TestUnderSystemd:
    def test_systemd_finds_nothing_to_say_about_the_unit(self, seen: Seen) -> None:
        assert seen.result["verify_lines"] == 0, seen.text
        assert seen.result["exposure"] <= MOST_EXPOSURE

    def test_it_shows_the_box_and_hands_orders_on(self, seen: Seen) -> None:
        probe = seen.probes["dashboard"]

        assert probe["shown"]
        assert probe["wrong"][0] == 401
        assert (probe["pause"][0], probe["pause"][1][:6]) == (200, "paused")
        assert (probe["halt"][0], probe["halted"]) == (200, True), seen.text

    def test_its_token_was_made_by_the_installer_for_root_alone(self, seen: Seen) -> None:
        assert (seen.probes["dashboard"]["mode"], seen.probes["dashboard"]["token_length"]) == ("0o600", 32)

    def test_without_a_token_it_starts_and_nobody_may_act(self, seen: Seen) -> None:
        assert seen.probes["dashboard"]["without_token"]

    def test_it_can_write_the_state_directory_itself_and_nothing_else(self, seen: Seen) -> None:
        writable = seen.probes["dashboard"]["writable"]

        assert [path for path, may in writable.items() if may] == ["/var/lib/daily-orchestrator/x"]
        assert len(writable) > 4

    def test_it_comes_back_after_a_kill_and_leaves_nothing_behind(self, seen: Seen) -> None:
        assert seen.result["kill_restart_ms"] < 60_000
        assert (seen.result["stop_result"], seen.result["left"]) == ("success", 0)
        assert seen.result["ok"] is True, seen.text
