"""The shipped unit under the distribution's own systemd, booted in namespaces over a throw-away copy of `/`.

The service is installed by its own installer, both examples of a person's own commands run under its sandbox,
and a long run is followed through a kill, a hang and a stop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "daily-orchestrator.service"
HARNESS = ROOT / ".." / "shared" / "tools" / "systemd" / "run_under_systemd.sh"
AT = "/opt/daily-orchestrator"

MOST_EXPOSURE = 1.9
LONG_SLEEP = """
[[task]]
name = "long_sleep"
description = "A run that is there through it all."
argv = ["/bin/sleep", "987"]
# By hand only, for all that a test can tell: once a year.
cron = "0 3 1 1 *"
memory_mb = 10
estimated_minutes = 20
timeout_minutes = 60
idempotent = true
"""

SETUP = (
    # The checkout's own environment is shown at AT; it was made for another folder.
    f"sed -i 's#^/.*#{AT}#' {AT}/.venv/lib/python3*/site-packages/*daily_orchestrator*.pth",
    f"sh {AT}/scripts/install_service.sh install --no-setup --no-enable",
    f"cat {AT}/tasks.example.toml /etc/long_sleep.toml >{AT}/tasks.acceptance.toml",
    f"echo ORCHESTRATOR_TASKS={AT}/tasks.acceptance.toml >>/etc/daily-orchestrator/daily-orchestrator.env",
)


class Seen(NamedTuple):
    """result: the harness's figures. probes: what was seen inside, by step. text: everything it printed."""

    result: dict[str, Any]
    probes: dict[str, dict[str, Any]]
    text: str


def _output_of(argv: list[str]) -> str:
    """Run the harness in its own session: when it finds no main process to kill, it signals its own group."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as harness:
        try:
            return harness.communicate(timeout=360)[0]
        except subprocess.TimeoutExpired:
            # SIGTERM lets it take its machine down; a SIGKILL would leave the mounts.
            harness.terminate()
            return harness.communicate(timeout=30)[0]


def run_under_systemd(unit: Path, out: Path, steps: str, *more: str) -> Seen:
    """Boot a machine with `unit`, drive it through the harness's `steps`, and return what was seen."""
    _needs_the_harness()
    argv = [
        str(HARNESS.resolve()),
        "--unit",
        str(unit),
        "--unit",
        f"{UNIT.parent}/daily-orchestrator-alert@.service",
    ]
    argv += [
        "--checkout",
        str(ROOT),
        "--at",
        AT,
        "--venv",
        str(ROOT / ".venv"),
        "--steps",
        steps,
        "--out",
        str(out),
    ]
    text = _output_of([*argv, *more])
    if "boot failed" in text or "did not come up" in text:
        pytest.skip(f"this machine does not let a systemd boot in namespaces: {text[-300:]}")
    answers = [json.loads(line) for line in re.findall(r"^PROBE (.+)$", text, re.MULTILINE)]
    last = re.search(r"^RESULT (.+)$", text, re.MULTILINE)
    assert last is not None, text
    return Seen(json.loads(last[1]), {answer["step"]: answer for answer in answers}, text)


def _needs_the_harness() -> None:
    if not HARNESS.exists():
        pytest.skip("the systemd harness is not beside this checkout (../shared/tools/systemd)")
    if os.geteuid() != 0:
        pytest.skip("booting a systemd in namespaces needs root")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("drop_ins", [(), ("cgroup.conf",)], ids=["as shipped", "with a cgroup per run"])
def test_the_sandbox_is_as_tight_as_promised(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    assert exposure(UNIT, tmp_path, drop_ins) <= MOST_EXPOSURE


def exposure(shipped: Path, folder: Path, drop_ins: tuple[str, ...]) -> float:
    """Return systemd's figure for how exposed a unit with its `drop_ins` is, from 0 to 10."""
    unit = folder / shipped.name
    # Offline, systemd-analyze reads no drop-in of a unit given by its path: what they say is appended.
    extra = "".join((shipped.parent / "drop-ins" / name).read_text() for name in drop_ins)
    unit.write_text(shipped.read_text() + "\n" + extra)

    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=30, env={**os.environ, "LANG": "C.UTF-8"}
    )

    figure = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert figure is not None, done.stdout + done.stderr
    return float(figure[1])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One boot for all: install, start, run, SIGKILL, SIGSTOP, stop."""
    folder = tmp_path_factory.mktemp("systemd")
    (folder / "long_sleep.toml").write_text(LONG_SLEEP)
    options = ["--file", f"{folder}/long_sleep.toml=/etc/long_sleep.toml", "--timeout", "60"]
    # The shipped minute of patience would only make the test longer.
    options += ["--dropin", "[Service]", "--dropin", "WatchdogSec=10", "--dropin", "RestartSec=1"]
    for command in SETUP:
        options += ["--setup", command]
    options += ["--exec", f"{AT}/.venv/bin/python {AT}/tests/acceptance/systemd_probe.py"]
    steps = "verify,security,start,exec,kill,exec,hang,exec,stop"
    found = run_under_systemd(UNIT, folder / "out", steps, *options)
    assert "left" in found.result, f"not every step was reached:\n{found.text}"
    return found


@pytest.mark.slow
@pytest.mark.systemd
@pytest.mark.timeout(420)
class TestUnderSystemd:
    def test_systemd_finds_nothing_to_say_about_the_unit(self, seen: Seen) -> None:
        assert seen.result["verify_lines"] == 0, seen.text
        assert seen.result["exposure"] <= MOST_EXPOSURE

    def test_it_becomes_ready_and_stays_small(self, seen: Seen) -> None:
        assert seen.result["start_ms"] < 60_000
        rss = re.match(r"rss ([0-9.]+)", seen.result["mem"])
        assert rss is not None
        assert float(rss[1]) < 50

    @pytest.mark.parametrize("task", ["hello_box", "disk_report"])
    def test_a_persons_own_command_runs_in_the_sandbox(self, seen: Seen, task: str) -> None:
        begun = seen.probes["begin"]

        assert begun["refused"] == {}
        ends = {(run["status"], run["outcome"], run["exit_code"]) for run in begun["runs"][task]}
        assert ends == {("ended", "succeeded", 0)}, seen.text

    @pytest.mark.parametrize("step", ["after-kill", "after-hang"])
    def test_a_run_outlives_the_daemon_and_is_adopted(self, seen: Seen, step: str) -> None:
        before, after = seen.probes["begin"], seen.probes[step]

        assert len(before["sleepers"]) == 1
        assert after["sleepers"] == before["sleepers"]
        (run,) = after["runs"]["long_sleep"]
        assert (run["status"], run["attempt"]) == ("running", 1)
        assert run["run_id"] == before["runs"]["long_sleep"][0]["run_id"]
        assert 0 not in after["uid"]

    def test_the_watchdog_ends_a_daemon_that_hangs(self, seen: Seen) -> None:
        # Ten seconds without a ping, then the abort and the restart.
        assert 5_000 < seen.result["hang_restart_ms"] < 40_000

    def test_a_stop_leaves_nothing_behind(self, seen: Seen) -> None:
        assert seen.result["stop_result"] == "success"
        assert seen.result["left"] == 0
        assert seen.result["ok"] is True, seen.text
