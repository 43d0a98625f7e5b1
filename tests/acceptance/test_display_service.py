"""The unit of the display and the button: how tight its sandbox is, and that it is of the daemon's user."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_systemd import ROOT, exposure

UNITS = ROOT / "systemd"
UNIT = UNITS / "daily-orchestrator-display.service"
MOST_EXPOSURE = 1.0


def _values(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_the_sandbox_is_as_tight_as_promised(tmp_path: Path) -> None:
    assert exposure(UNIT, tmp_path, ()) <= MOST_EXPOSURE


def test_it_reaches_the_lines_and_the_bus_and_no_other_device() -> None:
    assert _values("DevicePolicy") == ["closed"]
    assert _values("DeviceAllow") == ["char-gpiochip rw", "char-i2c rw"]


def test_it_is_of_the_daemons_user_and_settings() -> None:
    """Or it could neither write control.db nor wake the daemon, or would show another box."""
    daemon = (UNITS / "daily-orchestrator.service").read_text().splitlines()
    own = UNIT.read_text().splitlines()

    shared = [line for line in own if line.startswith(("User=", "Group=", "Environment", "WorkingDir"))]
    assert len(shared) > 6
    # lgpio's pipe is in a folder of its own.
    assert [line for line in shared if line not in daemon] == [
        "Environment=LG_WD=/run/daily-orchestrator-display"
    ]
    assert _values("RuntimeDirectory") == ["daily-orchestrator-display"]


def test_the_daemon_never_waits_for_it_and_it_is_left_alone_without_hardware() -> None:
    assert not [name for name in ("Requires", "BindsTo", "PartOf", "Wants", "Before") if _values(name)]
    assert _values("Restart") == ["on-failure"]
    assert _values("RestartPreventExitStatus") == ["78"]
