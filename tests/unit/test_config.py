"""Settings: defaults, every kind of bad value, misspelt names, and the example file."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import config
from config import ROOT, Settings
from orchestration.errors import SettingsError
from orchestration.types import Offsets


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults_below_the_project() -> None:
    settings = Settings.from_env({})

    assert settings.state_dir == ROOT / "var"
    assert settings.log_dir == ROOT / "logs"
    assert settings.data_dir == ROOT / "var" / "data"
    assert settings.backup_dir == ROOT / "var" / "backups"
    assert settings.overrides == ROOT / "var" / "overrides.csv"
    assert settings.state_url == f"sqlite:///{ROOT}/var/performance.db"
    assert (settings.panel, settings.exchange, settings.slots) == ("auto", "XNYS", None)
    assert settings.once_wait == timedelta(minutes=15)
    assert settings.credentials_dir is None
    assert (settings.broker, settings.broker_live, settings.broker_url) == ("paper", False, None)
    assert settings.offsets == Offsets()


def test_what_hangs_on_the_state_directory_moves_with_it() -> None:
    settings = Settings.from_env({"ORCHESTRATOR_STATE_DIR": "/srv/box"})

    assert settings.data_dir == Path("/srv/box/data")
    assert settings.state_url == "sqlite:////srv/box/performance.db"
    assert settings.placeholders["state_dir"] == "/srv/box"


def test_an_empty_value_means_the_default() -> None:
    assert Settings.from_env({"ORCHESTRATOR_EXCHANGE": "", "ORCHESTRATOR_SLOTS": " "}) == Settings.from_env(
        {}
    )


def test_a_relative_path_becomes_absolute() -> None:
    assert Settings.from_env({"ORCHESTRATOR_LOG_DIR": "here"}).log_dir == Path.cwd() / "here"


def test_every_setting_can_be_given() -> None:
    settings = Settings.from_env(
        {
            "ORCHESTRATOR_AFTER_CLOSE": "1h30m",
            "ORCHESTRATOR_READY_AT": "7:45",
            "ORCHESTRATOR_SLOTS": "3",
            "ORCHESTRATOR_EXCHANGE": "xlon",
            "ORCHESTRATOR_DATA_SOURCE": "csv:/srv/prices",
            "ORCHESTRATOR_DATABASE_URL": "postgresql://box@localhost/state",
            "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "True",
            "ORCHESTRATOR_PANEL": "NULL",
            "ORCHESTRATOR_TASKS": "/etc/box/tasks.toml",
            "ORCHESTRATOR_LED_SYSTEM": "5",
            "ORCHESTRATOR_BROKER": "Alpaca",
            "ORCHESTRATOR_BROKER_LIVE": "true",
            "ORCHESTRATOR_BROKER_URL": "http://127.0.0.1:8080",
        }
    )

    assert settings.offsets == Offsets(after_close=timedelta(minutes=90), ready_at_minutes=465)
    assert (settings.slots, settings.exchange, settings.panel) == (3, "XLON", "null")
    assert settings.state_url == "postgresql://box@localhost/state"
    assert settings.tasks_file == Path("/etc/box/tasks.toml")
    assert settings.assume_clock_synced is True
    assert (settings.broker, settings.broker_live) == ("alpaca", True)
    assert settings.broker_url == "http://127.0.0.1:8080"
    assert settings.placeholders["broker"] == "alpaca"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("USE_TASK_SCHEDULER", "yes"),
        ("USE_UNIFIED_SCHEDULER", ""),
        ("ORCHESTRATOR_PANEL", "led"),
        ("ORCHESTRATOR_SLOTS", "0"),
        ("ORCHESTRATOR_SLOTS", "1.5"),
        ("ORCHESTRATOR_STOP_GRACE", "20"),
        ("ORCHESTRATOR_STOP_GRACE", "-5s"),
        ("ORCHESTRATOR_AFTER_CLOSE", "7h"),
        ("ORCHESTRATOR_READY_AT", "24:00"),
        ("ORCHESTRATOR_READY_AT", "8"),
        ("ORCHESTRATOR_MEMORY_RESERVE_MB", "lots"),
        ("ORCHESTRATOR_MEMORY_RESERVE_MB", "-1"),
        ("ORCHESTRATOR_BACKUPS_KEPT", "0"),
        ("ORCHESTRATOR_LED_TRADING", "28"),
        ("ORCHESTRATOR_LED_TRADING", "٣"),
        ("ORCHESTRATOR_EXCHANGE", "New York!"),
        ("ORCHESTRATOR_DATA_SOURCE", "csv:"),
        ("ORCHESTRATOR_ALERT_COMMAND", "mail 'me"),
        ("ORCHESTRATOR_LOG_LEVEL", "loud"),
        ("ORCHESTRATOR_BROKER", "etrade"),
        ("ORCHESTRATOR_RISK_CAPITAL", "0"),
        ("ORCHESTRATOR_RISK_CAPITAL", "off"),
        ("ORCHESTRATOR_RISK_MAX_GROSS_PCT", "-5"),
        ("ORCHESTRATOR_RISK_MAX_GROSS_PCT", "1e3"),
        ("ORCHESTRATOR_RISK_MAX_DAILY_LOSS_PCT", "none"),
        ("ORCHESTRATOR_RISK_ON_EXPOSURE", "stop"),
        ("ORCHESTRATOR_BROKER_URL", "https://paper-api.alpaca.markets/v2"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(variable: str, value: str) -> None:
    assert f"{variable}={value!r}: expected " in refusal(**{variable: value})


def test_all_bad_values_are_reported_at_once() -> None:
    text = refusal(ORCHESTRATOR_PANEL="led", ORCHESTRATOR_SLOTS="many", USE_TASK_SCHEDULER="1")

    assert len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ORCHESTRATOR_STATEDIR", "ORCHESTRATOR_STATE_DIR"),
        ("USE_UNIFED_SCHEDULER", "USE_UNIFIED_SCHEDULER"),
        ("USE_TASK_SCHEDULERS", "USE_TASK_SCHEDULER"),
    ],
)
def test_a_misspelt_variable_is_not_silently_ignored(given: str, meant: str) -> None:
    assert f"Did you mean {meant}?" in refusal(**{given: "true"})


def test_an_unknown_variable_without_a_neighbour_points_to_the_list() -> None:
    assert ".env.example" in refusal(ORCHESTRATOR_QQQQQQQQQQQQQQQQQQ="1")


def test_the_variables_given_to_jobs_and_strangers_are_let_through() -> None:
    environ = dict.fromkeys(config.OTHER_VARIABLES, "x") | {"HOME": "/root", "USE_COLOUR": "1"}

    assert Settings.from_env(environ) == Settings.from_env({})


def test_secrets_are_never_shown() -> None:
    given = {
        "ORCHESTRATOR_DATABASE_URL": "pg://me:hush@db/x",
        "ORCHESTRATOR_ALERT_URLS": "mailto://me:hush@x",
    }

    settings = Settings.from_env(given)

    assert settings.database_url == "pg://me:hush@db/x"
    assert settings.alert_urls == "mailto://me:hush@x"
    assert "hush" not in repr(settings)
    assert "ORCHESTRATOR_DATABASE_URL=(not shown): expected a database URL" in refusal(
        ORCHESTRATOR_DATABASE_URL="me:hush"
    )
    assert "hush" not in refusal(ORCHESTRATOR_ALERT_URL="mailto://me:hush@x")


def test_leds_must_not_share_a_pin() -> None:
    assert "ORCHESTRATOR_LED_TRADING=17" in refusal(ORCHESTRATOR_LED_TRADING="17")


def test_the_stop_timeout_must_cover_the_grace() -> None:
    assert "ORCHESTRATOR_STOP_TIMEOUT is 10 s" in refusal(ORCHESTRATOR_STOP_TIMEOUT="10s")


def test_systemds_credentials_are_used_unless_a_folder_is_named() -> None:
    systemd = {"CREDENTIALS_DIRECTORY": "/run/credentials/box"}
    named = systemd | {"ORCHESTRATOR_CREDENTIALS_DIR": "/etc/box/secrets"}

    assert Settings.from_env(systemd).credentials_dir == Path("/run/credentials/box")
    assert Settings.from_env(named).credentials_dir == Path("/etc/box/secrets")


@pytest.mark.parametrize(
    ("task", "unified", "policy"),
    [
        ("false", "false", "timetable"),
        ("true", "FALSE", "phases"),
        ("False", "True", "unified"),
        ("true", "true", "unified"),
    ],
)
def test_the_flags_choose_the_policy(task: str, unified: str, policy: str) -> None:
    settings = Settings.from_env({"USE_TASK_SCHEDULER": task, "USE_UNIFIED_SCHEDULER": unified})

    assert settings.policy_name == policy


def test_the_flags_are_booleans_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TASK_SCHEDULER", "TRUE")
    monkeypatch.delenv("USE_UNIFIED_SCHEDULER", raising=False)

    from config import USE_TASK_SCHEDULER, USE_UNIFIED_SCHEDULER

    assert USE_TASK_SCHEDULER is True
    assert USE_UNIFIED_SCHEDULER is False


def test_a_bad_flag_is_an_error_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_UNIFIED_SCHEDULER", "on")

    with pytest.raises(SettingsError, match="USE_UNIFIED_SCHEDULER='on': expected true or false"):
        _ = config.USE_UNIFIED_SCHEDULER


def test_the_module_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="ORCHESTRATOR_PANEL"):
        getattr(config, "ORCHESTRATOR_PANEL")  # noqa: B009  (mypy knows that the name is not there)


def test_settings_are_read_from_the_process_when_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_BACKUPS_KEPT", "3")

    assert Settings.from_env().backups_kept == 3


def test_every_field_has_a_variable_a_unit_and_a_sentence() -> None:
    described = config.documented()

    assert [d["field"] for d in described] == [f.name for f in fields(Settings)]
    assert len({d["variable"] for d in described}) == len(described)
    assert all(d["unit"] and d["sentence"].endswith(".") for d in described)


def test_limits_of_risk_are_percentages_or_off() -> None:
    settings = Settings.from_env(
        {
            "ORCHESTRATOR_RISK_CAPITAL": "25000.50",
            "ORCHESTRATOR_RISK_MAX_DAILY_LOSS_PCT": "0.5",
            "ORCHESTRATOR_RISK_MAX_DRAWDOWN_PCT": "Off",
        }
    )

    assert (settings.risk_capital, settings.risk_max_drawdown_pct) == (Decimal("25000.50"), None)
    assert (settings.risk_max_daily_loss_pct, settings.risk_max_gross_pct) == (Decimal("0.5"), Decimal(100))
