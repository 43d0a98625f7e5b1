"""The set-up script, the locks and the installer, with a stand-in for the interpreter: nothing is fetched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

# Answers the script's questions as a Python does, and writes every other order down. `-m venv DIR` makes an
# environment whose interpreter is a copy of this file.
STAND_IN = """#!/bin/sh
case "$*" in
    *ensurepip*) exit ${NO_VENV:-0} ;;
    *maxsize*) echo "${VERSION:-3.11} ${NEW_ENOUGH:-1} ${WIDE_ENOUGH:-1}" ;;
    *_base_executable*) echo "$0" ;;
    *"sys, pip"*) echo "${VERSION:-3.11}" ;;
    *find_spec*) exit 0 ;;
    *"-m venv"*) echo venv >>"$ORDERS"; for dir; do :; done
        mkdir -p "$dir/bin"; cp "$0" "$dir/bin/python"; : >"$dir/pyvenv.cfg" ;;
    *"-m pip"*) echo "$*" >>"$ORDERS"; exit ${PIP_FAILS:-0} ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class Checkout:
    """A copy of what the set-up reads, in a folder whose name has spaces."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python
        self.orders_file = root.parent / "orders"

    def setup(self, kind: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
        self.orders_file.write_text("")
        env = {"PATH": "/usr/bin:/bin", "PYTHON": str(self.python), "ORDERS": str(self.orders_file)}
        env |= environment
        argv = ["/bin/sh", str(self.root / "scripts" / "setup.sh"), kind]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)

    @property
    def orders(self) -> list[str]:
        """What the last set-up asked of the interpreter: venv, or whose packages."""
        words = {"-m pip": "?", "requirements.lock": "run", "requirements-dev.lock": "dev"}
        words |= {f"requirements-{extra}.lock": extra for extra in ("brokers", "learn", "display")}
        words |= {"requirements-sample.lock": "sample", "--editable": "self"}
        words["requirements-peers.txt"] = "peers"
        found = []
        for line in self.orders_file.read_text().splitlines():
            found.append(
                [word for mark, word in words.items() if mark in line][-1] if "pip" in line else line
            )
        return found


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "a clone with spaces"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup.sh", root / "scripts")
    for kind in ("", "-brokers", "-learn", "-display", "-dev", "-sample"):
        (root / f"requirements{kind}.lock").write_text(kind)
    (root / "requirements-peers.txt").write_text("")
    (root / "pyproject.toml").write_text("")
    python = tmp_path / "python3"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    return Checkout(root, python)


def test_a_fresh_clone_gets_everything_and_then_nothing_more(checkout: Checkout) -> None:
    first = checkout.setup()

    assert (first.returncode, checkout.orders) == (0, ["venv", "run", "sample", "self"])

    took_s = []
    for _ in range(5):  # the best of several, so that a busy neighbour does not count
        began = time.monotonic()
        again = checkout.setup()
        took_s.append(time.monotonic() - began)
        assert (again.returncode, again.stdout, again.stderr, checkout.orders) == (0, "", "", [])

    assert min(took_s) < 0.3


def test_the_tests_environment_comes_on_top_and_serves_the_run_too(checkout: Checkout) -> None:
    checkout.setup()

    checkout.setup("dev")
    on_top = checkout.orders
    checkout.setup("run")

    assert on_top == ["dev", "sample", "self"]
    assert checkout.orders == []


def test_the_brokers_packages_come_on_top_when_asked_for(checkout: Checkout) -> None:
    checkout.setup()

    first = checkout.setup("brokers")
    on_top = checkout.orders
    checkout.setup("brokers")

    assert (first.returncode, on_top) == (0, ["run", "brokers", "sample", "self"])
    assert checkout.orders == []


def test_an_environment_with_the_brokers_packages_keeps_them(checkout: Checkout) -> None:
    checkout.setup("brokers")
    checkout.setup("run")
    assert checkout.orders == []

    # After an upgrade of the system, and after one of the checkout.
    (checkout.root / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    checkout.setup("run", VERSION="3.13", PIP_FAILS="1")
    checkout.setup("run", VERSION="3.13")
    assert checkout.orders == ["run", "brokers", "sample", "self"]
    (checkout.root / "requirements-brokers.lock").write_text("newer")
    checkout.setup("run", VERSION="3.13")
    assert checkout.orders == ["run", "brokers", "sample", "self"]


def test_brokers_packages_that_cannot_be_fetched_leave_the_box_as_it_was(checkout: Checkout) -> None:
    checkout.setup()

    failed = checkout.setup("brokers", PIP_FAILS="1")
    checkout.setup()

    assert failed.returncode == 1
    assert checkout.orders == ["run", "sample", "self"]


@pytest.mark.parametrize("extra", ["brokers", "learn", "display"])
def test_the_tests_environment_holds_every_extra(checkout: Checkout, extra: str) -> None:
    checkout.setup("dev")
    checkout.setup(extra)

    assert checkout.orders == []


@pytest.mark.parametrize("extras", [("learn",), ("brokers", "learn"), ("learn", "brokers", "display")])
def test_an_environment_keeps_its_extras_through_every_repair(
    checkout: Checkout, extras: tuple[str, ...]
) -> None:
    for kind in ("run", *extras):
        checkout.setup(kind)
    in_order = [extra for extra in ("brokers", "learn", "display") if extra in extras]
    packages = ["run", *in_order, "sample", "self"]
    assert checkout.orders == packages
    checkout.setup("run")
    assert checkout.orders == []

    # Without a network at first, and by way of the smallest kind.
    (checkout.root / "requirements-learn.lock").write_text("newer")
    checkout.setup("run", PIP_FAILS="1")
    checkout.setup("run")
    assert checkout.orders == packages


def test_an_extra_that_was_never_asked_for_is_not_installed(checkout: Checkout) -> None:
    checkout.setup("brokers")
    (checkout.root / "requirements-learn.lock").write_text("newer")

    checkout.setup("brokers")

    assert checkout.orders == []


def test_an_unknown_kind_is_refused_with_those_there_are(checkout: Checkout) -> None:
    result = checkout.setup("learned")

    assert result.returncode == 1
    assert "unknown kind 'learned': it is 'run'" in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_the_peers_have_an_environment_of_their_own(checkout: Checkout) -> None:
    first = checkout.setup("peers")
    assert (first.returncode, checkout.orders) == (0, ["venv", "peers"])
    assert not (checkout.root / ".venv").exists()

    checkout.setup("peers")
    assert checkout.orders == []

    checkout.setup("run")
    (checkout.root / "requirements-peers.txt").write_text("newer")
    checkout.setup("run")
    assert checkout.orders == []
    checkout.setup("peers")
    assert checkout.orders == ["peers"]


def test_peers_that_cannot_be_fetched_leave_no_stamp_behind(checkout: Checkout) -> None:
    """By which the tests that need them know that they are all there."""
    failed = checkout.setup("peers", PIP_FAILS="1")

    assert failed.returncode == 1
    assert not (checkout.root / ".venv-peers" / ".setup-peers").exists()


def test_a_changed_lock_is_installed_into_the_same_environment(checkout: Checkout) -> None:
    checkout.setup()
    (checkout.root / "requirements.lock").write_text("newer")

    checkout.setup()

    assert checkout.orders == ["run", "sample", "self"]


def test_another_python_version_makes_the_environment_again(checkout: Checkout) -> None:
    checkout.setup()

    # After an upgrade of the system the old environment's interpreter finds neither pip nor its packages.
    (checkout.root / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    result = checkout.setup(VERSION="3.13")

    assert result.returncode == 0
    assert checkout.orders == ["venv", "run", "sample", "self"]


def test_an_environment_cut_off_while_it_was_made_is_made_again(checkout: Checkout) -> None:
    checkout.setup()
    (checkout.root / ".venv" / ".setup-busy").touch()
    (checkout.root / ".venv" / ".setup-run").unlink()

    checkout.setup()

    assert checkout.orders == ["venv", "run", "sample", "self"]


def test_a_moved_checkout_makes_its_environment_again(checkout: Checkout) -> None:
    checkout.setup()
    moved = checkout.root.rename(checkout.root.with_name("moved"))
    elsewhere = Checkout(moved, checkout.python)

    elsewhere.setup()

    assert elsewhere.orders == ["venv", "run", "sample", "self"]


def test_without_a_network_it_says_so_and_goes_on_from_there_later(checkout: Checkout) -> None:
    failed = checkout.setup(PIP_FAILS="1")

    assert failed.returncode == 1
    assert "Without a network: connect once" in failed.stderr

    checkout.setup()

    assert checkout.orders == ["run", "sample", "self"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NEW_ENOUGH": "0", "VERSION": "3.9"}, "is Python 3.9, and 3.11 or newer is needed"),
        ({"WIDE_ENOUGH": "0"}, "32-bit Python"),
        ({"NO_VENV": "1"}, "sudo apt install python3.11-venv"),
        ({"PYTHON": "no-such-python"}, "sudo apt install python3 python3-venv"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    checkout: Checkout, environment: dict[str, str], message: str
) -> None:
    result = checkout.setup(**environment)

    assert result.returncode == 1
    assert message in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_two_set_ups_at_once_take_turns(checkout: Checkout) -> None:
    slow = checkout.python.read_text().replace('echo venv >>"$ORDERS"', 'sleep 0.3; echo venv >>"$ORDERS"')
    checkout.python.write_text(slow)
    checkout.orders_file.write_text("")
    env = {"PATH": "/usr/bin:/bin", "PYTHON": str(checkout.python), "ORDERS": str(checkout.orders_file)}
    argv = ["/bin/sh", str(checkout.root / "scripts" / "setup.sh"), "run"]

    both = [subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
    codes = [each.wait(30) for each in both]

    assert codes == [0, 0]
    assert checkout.orders == ["venv", "run", "sample", "self"]


def test_two_extras_asked_for_at_once_are_both_kept(checkout: Checkout) -> None:
    checkout.setup()
    env = {"PATH": "/usr/bin:/bin", "PYTHON": str(checkout.python), "ORDERS": str(checkout.orders_file)}
    script = str(checkout.root / "scripts" / "setup.sh")
    slow = checkout.python.read_text().replace('*"-m pip"*)', '*"-m pip"*) sleep 0.03;')
    (checkout.root / ".venv" / "bin" / "python").write_text(slow)

    both = [
        subprocess.Popen(["/bin/sh", script, extra], env=env, stderr=subprocess.DEVNULL)
        for extra in ("brokers", "learn")
    ]

    assert [each.wait(30) for each in both] == [0, 0]
    checkout.setup("brokers")
    assert checkout.orders == []
    checkout.setup("learn")
    assert checkout.orders == []


def _pins(lock: str) -> dict[str, str]:
    """Return each pinned name's version in a lock file; of several (by marker) the last."""
    pairs = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_locks_answer_to_what_pyproject_asks_for() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    groups, extras = project["dependency-groups"], project["project"]["optional-dependencies"]
    wanted = {
        "requirements.lock": project["project"]["dependencies"] + groups["build"],
        "requirements-brokers.lock": project["project"]["dependencies"] + extras["alpaca"] + extras["ibkr"],
        "requirements-learn.lock": project["project"]["dependencies"] + extras["learn"],
        "requirements-display.lock": project["project"]["dependencies"] + extras["display"],
        "requirements-dev.lock": project["project"]["dependencies"] + groups["build"] + groups["dev"],
        "requirements-sample.lock": groups["sample"],
    }

    for lock, requirements in wanted.items():
        pins = _pins(lock)
        for requirement in map(Requirement, requirements):
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not in {lock}: make lock"
            assert requirement.specifier.contains(version), f"{requirement} is {version} in {lock}: make lock"


def test_all_locks_pin_the_same_versions() -> None:
    run, brokers, learn, display, dev = (
        _pins(f"requirements{kind}.lock") for kind in ("", "-brokers", "-learn", "-display", "-dev")
    )

    assert len(run) > 20
    for smaller in (run, brokers, learn, display):
        assert {name: dev.get(name) for name in smaller} == smaller


def test_the_lock_check_passes_here_and_refuses_an_address_and_a_missing_hash(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_locks.sh", tmp_path / "scripts")
    argv = ["/bin/sh", str(tmp_path / "scripts" / "check_locks.sh")]
    lock = tmp_path / "requirements.lock"

    def check(text: str) -> tuple[int, str]:
        lock.write_text(text)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    for name in sorted(path.name for path in ROOT.glob("requirements*.lock")):
        assert check((ROOT / name).read_text()) == (0, "")
    (tmp_path / "requirements-peers.txt").write_text((ROOT / "requirements-peers.txt").read_text())
    good = "six==1.17.0 \\\n    --hash=sha256:ab12\n"
    assert check(good) == (0, "")
    for line in ("--index-url https://host/simple", "-f /wheels", "six @ file:///wheels/six.whl"):
        code, said = check(good + line + "\n")
        assert code == 1
        assert "names an address" in said
    assert check("six==1.17.0\n")[0] == 1
    assert check("six>=1 \\\n    --hash=sha256:ab12\n")[0] == 1
    assert check("")[0] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bt>=1.4", "lines that pin no version"),
        ("bt", "lines that pin no version"),
        ("--index-url https://host/simple", "names an address"),
        ("bt @ https://host/bt.whl", "names an address"),
    ],
)
def test_the_lock_check_refuses_a_peer_without_a_version_or_with_an_address(
    tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_locks.sh", tmp_path / "scripts")
    shutil.copy(ROOT / "requirements-sample.lock", tmp_path)
    (tmp_path / "requirements-peers.txt").write_text(f"# Ours.\nffn==1.4.1\n{line}\n")

    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "scripts" / "check_locks.sh")], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 1
    assert message in done.stdout + done.stderr


class TestInstaller:
    """`DESTDIR` shows every file the installer places, without root."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        source = tmp_path / "source tree"
        shutil.copytree(ROOT / "systemd", source / "systemd")
        (source / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "install_service.sh", source / "scripts")
        (source / "pyproject.toml").write_text('name = "daily-orchestrator"\n')
        (source / "old_module.py").touch()
        (source / "var").mkdir()
        (source / "var" / "performance.db").touch()
        for environment in (".venv", ".venv-peers"):
            (source / environment).mkdir()
            (source / environment / "pyvenv.cfg").touch()
        return source

    def run(self, source: Path, action: str, destination: Path, **more: str) -> tuple[int, str]:
        argv = ["/bin/sh", str(source / "scripts" / "install_service.sh"), action]
        env = {"PATH": os.environ["PATH"], "DESTDIR": str(destination), **more}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_it_places_code_units_settings_and_command(self, source: Path, tmp_path: Path) -> None:
        into = tmp_path / "into"

        code, said = self.run(source, "install", into)

        assert code == 0, said
        placed = {str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}
        assert {path for path in placed if not path.startswith("opt/")} == {
            "etc/systemd/system/daily-orchestrator.service",
            "etc/systemd/system/daily-orchestrator-alert@.service",
            "etc/systemd/system/daily-orchestrator-dashboard.service",
            "etc/systemd/system/daily-orchestrator-display.service",
            "etc/daily-orchestrator/daily-orchestrator.env",
            "etc/daily-orchestrator/tasks.toml",
            "etc/daily-orchestrator/alerts.toml",
            "usr/local/bin/orchestratorctl",
        }
        assert "opt/daily-orchestrator/old_module.py" in placed
        assert "opt/daily-orchestrator/var/performance.db" not in placed
        assert not any(path.startswith("opt/daily-orchestrator/.venv") for path in placed)

    def test_an_upgrade_keeps_settings_and_drops_code_that_went(self, source: Path, tmp_path: Path) -> None:
        into = tmp_path / "into"
        self.run(source, "install", into)
        settings = into / "etc/daily-orchestrator/daily-orchestrator.env"
        settings.write_text("USE_UNIFIED_SCHEDULER=false\n")
        (source / "old_module.py").unlink()

        code, said = self.run(source, "install", into)

        assert code == 0, said
        assert settings.read_text() == "USE_UNIFIED_SCHEDULER=false\n"
        assert not (into / "opt/daily-orchestrator/old_module.py").exists()

    def test_another_prefix_is_written_into_the_units(self, source: Path, tmp_path: Path) -> None:
        into = tmp_path / "into"

        self.run(source, "install", into, PREFIX="/srv/box")

        scripts = {"": "daily_orchestrator.py", "-dashboard": "scripts/dashboard.py"}
        for name, script in (scripts | {"-display": "scripts/box_face.py"}).items():
            unit = (into / f"etc/systemd/system/daily-orchestrator{name}.service").read_text()
            assert f"ExecStart=/srv/box/.venv/bin/python /srv/box/{script}\n" in unit
            assert "/opt/" not in unit

    def test_a_folder_with_something_else_in_it_is_left_alone(self, source: Path, tmp_path: Path) -> None:
        into = tmp_path / "into"
        (into / "srv").mkdir(parents=True)
        (into / "srv" / "precious").touch()

        code, said = self.run(source, "install", into, PREFIX="/srv")

        assert code == 1
        assert "is not empty" in said
        assert (into / "srv" / "precious").exists()

    def test_a_package_holds_no_token_and_none_is_ever_printed(self, source: Path, tmp_path: Path) -> None:
        into, script = tmp_path / "into", source / "scripts" / "install_service.sh"

        _, said = self.run(source, "install", into)
        assert not (into / "etc/daily-orchestrator/credentials/dashboard_token").exists()

        # Its function alone, as the whole of an installation on a box itself needs root.
        maker = script.read_text().partition("make_token() {")[2].partition("\n}\n")[0]
        token = tmp_path / "dashboard_token"
        argv = ["/bin/sh", "-euc", f"say() {{ echo $*; }}; TOKEN={token}; make() {{ {maker}\n}}; make; make"]
        made = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

        assert re.fullmatch(r"[0-9a-f]{32}", token.read_text())
        assert token.stat().st_mode & 0o777 == 0o600
        assert token.read_text() not in made.stdout + made.stderr + said
        assert made.stdout.count("\n") == 1, "one that is there is kept"

    def test_removing_it_keeps_settings_code_and_own_drop_ins(self, source: Path, tmp_path: Path) -> None:
        into = tmp_path / "into"
        self.run(source, "install", into)
        own = into / "etc/systemd/system/daily-orchestrator.service.d/override.conf"
        own.touch()

        code, _ = self.run(source, "uninstall", into)

        assert code == 0
        left = {str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}
        assert {path for path in left if not path.startswith("opt/")} == {
            "etc/daily-orchestrator/daily-orchestrator.env",
            "etc/daily-orchestrator/tasks.toml",
            "etc/daily-orchestrator/alerts.toml",
            "etc/systemd/system/daily-orchestrator.service.d/override.conf",
        }
