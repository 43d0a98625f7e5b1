"""From a decided start to a process: argv, environment, log, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from orchestration import estimates, launchers
from orchestration.decisions import StartRun
from orchestration.ports import Launch
from orchestration.registry import expand_argv
from orchestration.runs import Estimate
from orchestration.slots import iso
from orchestration.types import TaskCategory, TaskSpec

FOR_EVERY_JOB: Mapping[str, str] = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""pyarrow, which pandas loads, sets 1 GB of address space aside with its own allocator, and RLIMIT_DATA
counts that: 1,175 MB of the 1,200 that four times a job's 300 allow, against 151 with the system's. A task's
own `env` wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """What every run is started with.

    root: the project's directory, a run's default cwd. log_dir: where run logs go.
    values: for "{python}", "{state_dir}" and the like in argv. environ: the daemon's own, from which an
    allow-list is passed on. secret_folders: where named secrets are read from; secrets: those that are
    settings, for names that no folder has. exported: settings that jobs rely on. prefixes: the launcher of
    each pool other than local.
    """

    root: Path
    log_dir: Path
    values: Mapping[str, str]
    environ: Mapping[str, str]
    secret_folders: Sequence[Path] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    exported: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log_limit_bytes: int = 10_000_000


def log_path(settings: LaunchSettings, spec: TaskSpec, run_id: str) -> Path:
    """Where a run's output goes: a recurring task appends to one file, any other run has its own."""
    folder = settings.log_dir / "runs"
    if spec.every is not None:
        return folder / f"{spec.name}.log"
    return folder / spec.name / f"{run_id}.log"


def launch_for(start: StartRun, spec: TaskSpec, estimate: Estimate, settings: LaunchSettings) -> Launch:
    """Return everything the run's process needs. Raises SpawnError for a missing secret."""
    secrets = launchers.read_secrets(sorted(spec.secrets), settings.secret_folders, settings.secrets)
    extra = {**FOR_EVERY_JOB, **settings.exported, **spec.env, "ORCHESTRATOR_TASK": spec.name}
    extra["ORCHESTRATOR_DEADLINE"] = deadline_text(start.deadline or start.stop_at)
    env = launchers.child_environment(settings.environ, extra, launchers.ALLOWED, secrets)
    env.update(launchers.thread_env(spec.cpus) if spec.is_research else {})
    argv = expand_argv(spec.argv, settings.values)
    log = log_path(settings, spec, start.key.run_id)
    return Launch(
        run_id=start.key.run_id,
        task=spec.name,
        argv=launchers.apply_launcher(settings.prefixes.get(spec.pool, ()), argv),
        env=env,
        cwd=spec.cwd or str(settings.root),
        memory_mb=max(estimates.limit_mb(spec, estimate), start.memory_mb),
        cpus=spec.cpus,
        low_priority=not spec.is_duty and spec.category is not TaskCategory.TRADING,
        log=str(log),
        log_limit_bytes=settings.log_limit_bytes,
        duty=spec.reconciled_by is not None,
    )


def deadline_text(instant: datetime | None) -> str:
    """Return ORCHESTRATOR_DEADLINE's value: UTC, or empty when there is none."""
    return "" if instant is None else iso(instant.replace(microsecond=0))
