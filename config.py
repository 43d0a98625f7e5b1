"""The settings: one frozen dataclass, one documented field per environment variable. Light.

Only `daily_orchestrator.py`, `orchestratorctl` and `scripts/` read it; everyone else gets arguments. Nothing
is read on import: `Settings.from_env()` reads once, and the two flags are read when they are asked for.
"""

# ruff: noqa: RUF009  (`_setting` describes a field, as `field` does; no value is shared)

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration import setting_values as kinds
from orchestration.errors import SettingsError
from orchestration.types import Offsets

ROOT = Path(__file__).resolve().parent

PANELS = ("gpio", "recording", "null", "auto")
BROKERS = ("paper", "alpaca", "ibkr")
LOG_LEVELS = ("debug", "info", "warning", "error")
HIGHEST_PIN = 27  # BCM numbers of the 40-pin header end at 27

OTHER_VARIABLES: Mapping[str, str] = {
    "ORCHESTRATOR_RUN_ID": "given to every job: the name of its run",
    "ORCHESTRATOR_RESULT": "given to every job: where it writes its result file (JSON)",
    "ORCHESTRATOR_DEADLINE": "given to every job: the instant (UTC) at which it should be done by itself",
    "ORCHESTRATOR_TASK": "given to every job: the name of its task",
    "ORCHESTRATOR_CRASH_AT": "set by the acceptance tests alone: where the daemon kills itself",
    "ORCHESTRATOR_SHARED_DATA": "read by the tests: a folder of price data for them",
}
"""Names with our prefix that are no settings, with who uses them; they are not reported as misspelt."""


def _setting(
    variable: str,
    default: str,
    unit: str,
    sentence: str,
    parse: Callable[[str], object],
    *,
    also: str = "",
    secret: bool = False,
) -> Any:
    """Describe a field read from `variable`.

    default: the text used where it is unset; `STATE_DIR/` at its start stands for the state directory, empty
    means None. also: a second variable, read when the first is unset. secret: never shown.
    """
    meta = {
        "variable": variable,
        "default": default,
        "unit": unit,
        "sentence": sentence,
        "parse": parse,
        "also": also,
        "secret": secret,
    }
    return field(metadata=meta, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the box. Made by `from_env`; a test makes one from a plain dictionary.

    Paths are absolute: a relative value counts from the working directory, a default from the project's root.
    An unset or empty variable means its default (an empty flag is an error).
    """

    # Flags
    use_task_scheduler: bool = _setting(
        "USE_TASK_SCHEDULER",
        "false",
        "flag",
        "Use the phases policy instead of the fixed timetable.",
        kinds.flag,
    )
    use_unified_scheduler: bool = _setting(
        "USE_UNIFIED_SCHEDULER",
        "false",
        "flag",
        "Use the unified policy (modes and budgets from the calendar); wins over the other flag.",
        kinds.flag,
    )
    # Places
    state_dir: Path = _setting(
        "ORCHESTRATOR_STATE_DIR",
        "./var",
        "folder",
        "Where databases, the lock and run files live.",
        kinds.path,
    )
    log_dir: Path = _setting("ORCHESTRATOR_LOG_DIR", "./logs", "folder", "Where log files go.", kinds.path)
    tasks: Path | None = _setting(
        "ORCHESTRATOR_TASKS",
        "",
        "file",
        "Your own tasks; unset means tasks.toml in the project's root, if there is one.",
        kinds.path,
    )
    overrides: Path = _setting(
        "ORCHESTRATOR_OVERRIDES",
        "STATE_DIR/overrides.csv",
        "file",
        "Your corrections to the calendar (date, closed or open=HH:MM or close=HH:MM, reason).",
        kinds.path,
    )
    data_dir: Path = _setting(
        "ORCHESTRATOR_DATA_DIR", "STATE_DIR/data", "folder", "Where price bars are kept.", kinds.path
    )
    backup_dir: Path = _setting(
        "ORCHESTRATOR_BACKUP_DIR", "STATE_DIR/backups", "folder", "Where database backups go.", kinds.path
    )
    credentials_dir: Path | None = _setting(
        "ORCHESTRATOR_CREDENTIALS_DIR",
        "",
        "folder",
        "Where secrets lie, one file each; unset means systemd's CREDENTIALS_DIRECTORY, if it is set.",
        kinds.path,
        also="CREDENTIALS_DIRECTORY",
    )
    database_url: str | None = _setting(
        "ORCHESTRATOR_DATABASE_URL",
        "",
        "URL",
        "Where the daemon's state is kept; unset means performance.db in the state directory.",
        kinds.url,
        secret=True,
    )
    # Calendar
    exchange: str = _setting(
        "ORCHESTRATOR_EXCHANGE",
        "XNYS",
        "MIC name",
        "The exchange whose sessions set the box's day.",
        kinds.exchange,
    )
    after_close: timedelta = _setting(
        "ORCHESTRATOR_AFTER_CLOSE",
        "2h",
        "duration",
        "How long after the close research may begin.",
        kinds.duration(6),
    )
    ready_at_minutes: int = _setting(
        "ORCHESTRATOR_READY_AT",
        "08:00",
        "time of day at the exchange",
        "When the box must be ready on a trading day.",
        kinds.minute_of_day,
    )
    prep_after_weekend: timedelta = _setting(
        "ORCHESTRATOR_PREP_AFTER_WEEKEND",
        "6h",
        "duration",
        "How long before that time PREP begins after a weekend.",
        kinds.duration(24),
    )
    prep_after_night: timedelta = _setting(
        "ORCHESTRATOR_PREP_AFTER_NIGHT",
        "4h",
        "duration",
        "How long before that time PREP begins after a plain night or a mid-week holiday.",
        kinds.duration(12),
    )
    # Resources
    memory_reserve_mb: int = _setting(
        "ORCHESTRATOR_MEMORY_RESERVE_MB", "300", "MB", "Memory that is never given to a task.", kinds.whole(0)
    )
    duty_reserve_mb: int = _setting(
        "ORCHESTRATOR_DUTY_RESERVE_MB",
        "200",
        "MB",
        "Memory kept free for trading duties in TRADING and PREP.",
        kinds.whole(0),
    )
    duty_slots: int = _setting(
        "ORCHESTRATOR_DUTY_SLOTS",
        "1",
        "slots",
        "Slots kept free for trading duties in TRADING and PREP.",
        kinds.whole(0, 1024),
    )
    slots: int | None = _setting(
        "ORCHESTRATOR_SLOTS",
        "auto",
        "slots",
        "How many tasks may run at once; auto is one per core.",
        kinds.slots,
    )
    max_temperature_c: int = _setting(
        "ORCHESTRATOR_MAX_TEMPERATURE_C",
        "80",
        "degrees Celsius",
        "Above this no research starts.",
        kinds.whole(30, 120),
    )
    # Running
    stop_grace: timedelta = _setting(
        "ORCHESTRATOR_STOP_GRACE",
        "20s",
        "duration",
        "How long a task has between SIGTERM and SIGKILL.",
        kinds.duration(1),
    )
    stop_timeout: timedelta = _setting(
        "ORCHESTRATOR_STOP_TIMEOUT",
        "60s",
        "duration",
        "How long an orderly stop waits for tasks to wind down; keep it below the unit's TimeoutStopSec.",
        kinds.duration(2),
    )
    once_wait: timedelta = _setting(
        "ORCHESTRATOR_ONCE_WAIT",
        "15m",
        "duration",
        "The longest that --once waits for what it started.",
        kinds.duration(24),
    )
    assume_clock_synced: bool = _setting(
        "ORCHESTRATOR_ASSUME_CLOCK_SYNCED",
        "false",
        "flag",
        "Your word that the clock is right, where the system cannot tell.",
        kinds.flag,
    )
    # Data
    data_source: str = _setting(
        "ORCHESTRATOR_DATA_SOURCE",
        "sample",
        "name",
        "Where price bars come from: sample (real prices that end in 2013), or csv:FOLDER.",
        kinds.source,
    )
    backups_kept: int = _setting(
        "ORCHESTRATOR_BACKUPS_KEPT",
        "7",
        "backups",
        "How many backups of each database are kept.",
        kinds.whole(1, 10_000),
    )
    retention_days: int = _setting(
        "ORCHESTRATOR_RETENTION_DAYS",
        "90",
        "days",
        "How long the history of runs is kept.",
        kinds.whole(1, 36_500),
    )
    # Broker
    broker: str = _setting(
        "ORCHESTRATOR_BROKER",
        "paper",
        "name",
        "Which broker orders go to: paper (simulated here), alpaca, or ibkr (docs/brokers.md).",
        kinds.choice(*BROKERS),
    )
    broker_live: bool = _setting(
        "ORCHESTRATOR_BROKER_LIVE",
        "false",
        "flag",
        "Trade with real money; false is the broker's own practice account.",
        kinds.flag,
    )
    broker_url: str | None = _setting(
        "ORCHESTRATOR_BROKER_URL",
        "",
        "address",
        "Where the broker or its gateway answers; unset means the usual place.",
        kinds.address,
    )
    # Risk
    risk_capital: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_CAPITAL",
        "",
        "$",
        "What the box trades with: equity is this and all profit and loss; unset means 1000000, with "
        "real money it must be set.",
        kinds.money,
    )
    risk_max_gross_pct: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_MAX_GROSS_PCT",
        "100",
        "% of equity, or off",
        "The most that all positions together may be worth, short ones counted as positive.",
        kinds.limit,
    )
    risk_max_position_pct: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_MAX_POSITION_PCT",
        "25",
        "% of equity, or off",
        "The most that the position in one symbol may be worth.",
        kinds.limit,
    )
    risk_on_exposure: str = _setting(
        "ORCHESTRATOR_RISK_ON_EXPOSURE",
        "alert",
        "name",
        "What those two do when they are passed: alert, or halt all trading.",
        kinds.choice("alert", "halt"),
    )
    risk_max_daily_loss_pct: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_MAX_DAILY_LOSS_PCT",
        "3",
        "% of equity at the last close, or off",
        "The most that may be lost in a day before all trading is halted.",
        kinds.limit,
    )
    risk_max_drawdown_pct: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_MAX_DRAWDOWN_PCT",
        "15",
        "% of the highest equity, or off",
        "The most that may be lost since the highest equity before all trading is halted.",
        kinds.limit,
    )
    risk_stop_loss_pct: Decimal | None = _setting(
        "ORCHESTRATOR_RISK_STOP_LOSS_PCT",
        "10",
        "% of its cost, or off",
        "The loss of one position at which an alert is raised.",
        kinds.limit,
    )
    # Logs
    log_level: str = _setting(
        "ORCHESTRATOR_LOG_LEVEL",
        "info",
        "name",
        "The least severe event that is logged.",
        kinds.choice(*LOG_LEVELS),
    )
    log_max_bytes: int = _setting(
        "ORCHESTRATOR_LOG_MAX_BYTES",
        "10000000",
        "bytes",
        "Size at which a log file is rotated.",
        kinds.whole(10_000),
    )
    log_backups: int = _setting(
        "ORCHESTRATOR_LOG_BACKUPS", "5", "files", "How many rotated log files are kept.", kinds.whole(0, 1000)
    )
    night: tuple[time, time] | None = _setting(
        "ORCHESTRATOR_NIGHT",
        "22:00-07:00",
        "local times",
        "When the LEDs are dimmed and the display is dark, or never.",
        kinds.night,
    )
    # Alerts
    alert_command: str | None = _setting(
        "ORCHESTRATOR_ALERT_COMMAND",
        "",
        "command",
        "Run for each alert, with its text on standard input.",
        kinds.command,
    )
    alert_urls: str | None = _setting(
        "ORCHESTRATOR_ALERT_URLS",
        "",
        "addresses",
        "Where alerts go, as apprise writes addresses, separated by blanks; TAG=ADDRESS gives one a name.",
        kinds.text,
        secret=True,
    )
    alert_rules: Path | None = _setting(
        "ORCHESTRATOR_ALERTS",
        "",
        "file",
        "Your own rules for alerts; unset means alerts.toml in the project's root, if there is one.",
        kinds.path,
    )
    heartbeat_url: str | None = _setting(
        "ORCHESTRATOR_HEARTBEAT_URL",
        "",
        "address",
        "Asked for every few minutes while all is well, so that a dead box is noticed elsewhere.",
        kinds.web_address,
        secret=True,
    )
    metrics_file: Path | None = _setting(
        "ORCHESTRATOR_METRICS_FILE",
        "",
        "file",
        "Where metrics are written for node_exporter, as /var/lib/node_exporter/orchestrator.prom.",
        kinds.path,
    )
    # Dashboard
    dashboard_address: str = _setting(
        "ORCHESTRATOR_DASHBOARD_ADDRESS",
        "127.0.0.1:8480",
        "address",
        "Where the dashboard listens; anywhere but on this box itself it needs a token.",
        kinds.listening,
    )
    dashboard_names: str | None = _setting(
        "ORCHESTRATOR_DASHBOARD_NAMES",
        "",
        "host names",
        "Further names that browsers may reach the dashboard by, separated by blanks.",
        kinds.text,
    )
    dashboard_token: str | None = _setting(
        "ORCHESTRATOR_DASHBOARD_TOKEN",
        "",
        "text",
        "What a person must know to act through the dashboard; better a file dashboard_token among the "
        "credentials.",
        kinds.token,
        secret=True,
    )
    # Panel
    panel: str = _setting(
        "ORCHESTRATOR_PANEL",
        "auto",
        "name",
        "Where the LEDs are: gpio, recording, null, or auto (gpio where there is one).",
        kinds.choice(*PANELS),
    )
    led_system_pin: int = _setting(
        "ORCHESTRATOR_LED_SYSTEM", "17", "BCM pin", "The pin of the system LED.", kinds.whole(0, HIGHEST_PIN)
    )
    led_trading_pin: int = _setting(
        "ORCHESTRATOR_LED_TRADING",
        "27",
        "BCM pin",
        "The pin of the trading LED.",
        kinds.whole(0, HIGHEST_PIN),
    )
    led_research_pin: int = _setting(
        "ORCHESTRATOR_LED_RESEARCH",
        "22",
        "BCM pin",
        "The pin of the research LED.",
        kinds.whole(0, HIGHEST_PIN),
    )
    button_pin: int = _setting(
        "ORCHESTRATOR_BUTTON",
        "23",
        "BCM pin",
        "The pin of the button on the box.",
        kinds.whole(0, HIGHEST_PIN),
    )
    display: str = _setting(
        "ORCHESTRATOR_DISPLAY",
        "1:0x3c",
        "I2C bus and address",
        "Where the small OLED display is.",
        kinds.i2c,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings (None: from this process's environment).

        Raises:
            SettingsError: naming every bad variable with its value, and every misspelt one.
        """
        env = os.environ if environ is None else environ
        problems = _misspelt(env)
        values: dict[str, Any] = {}
        for setting in fields(cls):
            try:
                values[setting.name] = _read(setting, env, values.get("state_dir", ROOT / "var"))
            except ValueError as error:
                problems.append(str(error))
        if not problems:
            settings = cls(**values)
            problems = settings._disagreements()
        if problems:
            raise SettingsError("\n".join(problems))
        return settings

    def _disagreements(self) -> list[str]:
        """Return what is wrong between settings that are each right."""
        pins = {
            "ORCHESTRATOR_LED_SYSTEM": self.led_system_pin,
            "ORCHESTRATOR_LED_TRADING": self.led_trading_pin,
            "ORCHESTRATOR_LED_RESEARCH": self.led_research_pin,
            "ORCHESTRATOR_BUTTON": self.button_pin,
        }
        found = []
        if len(set(pins.values())) < len(pins):
            given = ", ".join(f"{name}={pin}" for name, pin in pins.items())
            found.append(f"{given}: two of them share a pin. Give each its own.")
        if self.stop_timeout < self.stop_grace:
            found.append(
                f"ORCHESTRATOR_STOP_TIMEOUT is {self.stop_timeout.total_seconds():g} s, less than "
                f"ORCHESTRATOR_STOP_GRACE with {self.stop_grace.total_seconds():g} s: a task that winds down "
                "would be cut off. Raise the first or lower the second."
            )
        return found

    @property
    def policy_name(self) -> str:
        """The policy that the two flags choose: timetable, phases or unified."""
        if self.use_unified_scheduler:
            return "unified"
        return "phases" if self.use_task_scheduler else "timetable"

    @property
    def offsets(self) -> Offsets:
        """The four offsets of the trading day."""
        return Offsets(
            after_close=self.after_close,
            ready_at_minutes=self.ready_at_minutes,
            prep_after_weekend=self.prep_after_weekend,
            prep_after_night=self.prep_after_night,
        )

    @property
    def state_url(self) -> str:
        """The database of the daemon's state, as a URL."""
        return self.database_url or f"sqlite:///{self.state_dir / 'performance.db'}"

    @property
    def tasks_file(self) -> Path | None:
        """The task file to read; None: none was named and there is no tasks.toml."""
        default = ROOT / "tasks.toml"
        return self.tasks or (default if default.is_file() else None)

    @property
    def alerts_file(self) -> Path | None:
        """The file of alert rules to read; None: none was named and there is no alerts.toml."""
        default = ROOT / "alerts.toml"
        return self.alert_rules or (default if default.is_file() else None)

    @property
    def placeholders(self) -> Mapping[str, str]:
        """What `{root}`, `{state_dir}` and their like stand for in a task's command ("{python}" apart)."""
        return {
            "root": str(ROOT),
            "state_dir": str(self.state_dir),
            "log_dir": str(self.log_dir),
            "data_dir": str(self.data_dir),
            "backup_dir": str(self.backup_dir),
            "source": self.data_source,
            "exchange": self.exchange,
            "broker": self.broker,
            "backups_kept": str(self.backups_kept),
        }


def documented() -> list[Mapping[str, str]]:
    """Return what is known of each variable, in order: variable, default, unit, sentence, field."""
    keys = ("variable", "default", "unit", "sentence")
    return [{"field": f.name} | {key: f.metadata[key] for key in keys} for f in fields(Settings)]


def _read(setting: Field[Any], env: Mapping[str, str], state_dir: Path) -> object:
    """Return one field's value. Raises ValueError with the whole complaint."""
    meta = setting.metadata
    name = meta["variable"]
    given = env.get(name)
    if not given and meta["also"] and env.get(meta["also"]):
        name, given = meta["also"], env[meta["also"]]
    if given is None or (not given.strip() and meta["parse"] is not kinds.flag):
        return _default(meta, state_dir)
    try:
        return meta["parse"](given.strip())
    except ValueError as error:
        shown = "(not shown)" if meta["secret"] else repr(given)
        default = meta["default"] or "unset"
        raise ValueError(
            f"{name}={shown}: expected {error} (default: {default}). {meta['sentence']}"
        ) from None


def _default(meta: Mapping[str, Any], state_dir: Path) -> object:
    text: str = meta["default"]
    if not text:
        return None
    if text.startswith("STATE_DIR/"):
        return state_dir / text.removeprefix("STATE_DIR/")
    return ROOT / text if meta["parse"] is kinds.path else meta["parse"](text)


def _misspelt(env: Mapping[str, str]) -> list[str]:
    """Return a complaint for each variable that looks like one of ours and is none."""
    secret = {f.metadata["variable"]: f.metadata["secret"] for f in fields(Settings)}
    known = [*secret, *OTHER_VARIABLES]
    found = []
    for name in sorted(env):
        ours = name.startswith("ORCHESTRATOR_") or _is_like_a_flag(name)
        if not ours or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]}?" if near else "See .env.example for the names there are."
        shown = "(not shown)" if near and secret.get(near[0]) else repr(env[name])
        found.append(f"{name}={shown}: there is no such setting. {hint}")
    return found


def _is_like_a_flag(name: str) -> bool:
    flags = ("USE_TASK_SCHEDULER", "USE_UNIFIED_SCHEDULER")
    near = difflib.get_close_matches(name, flags, 1, 0.8)
    return name.startswith("USE_") and ("SCHEDUL" in name or bool(near))


# The two flags, read from the environment each time they are asked for, so that a bad value is reported where
# it is used and importing this module never fails.
USE_TASK_SCHEDULER: bool
USE_UNIFIED_SCHEDULER: bool


def _module_flag(name: str) -> bool:
    """Return the flag called `name`. Raises SettingsError for a value other than true and false."""
    for setting in fields(Settings):
        if setting.metadata["variable"] == name and setting.metadata["parse"] is kinds.flag:
            try:
                return bool(_read(setting, os.environ, ROOT))
            except ValueError as error:
                raise SettingsError(str(error)) from None
    raise AttributeError(f"module 'config' has no attribute {name!r}")


if not TYPE_CHECKING:
    __getattr__ = _module_flag
