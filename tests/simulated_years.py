"""A small report.json of a simulated stretch, made by hand: two policies, one week, figures to change."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

KINDS = ("overnight", "weekend", "holiday", "holiday_weekend", "all")
Json = dict[str, Any]


def policy_json(**changes: Any) -> Json:
    """Return one policy's figures, with some of them changed."""
    core = {"overnight": 0.5, "weekend": 0.25, "holiday": None, "holiday_weekend": None, "all": 0.3}
    used = {"overnight": 0.96, "weekend": 0.97, "holiday": None, "holiday_weekend": None, "all": 0.965}
    filler = {kind: None if (all_ := used[kind]) is None else all_ - (core[kind] or 0) for kind in KINDS}
    figures: Json = {
        "utilisation": used,
        "core_utilisation": core,
        "filler_utilisation": filler,
        "research_hours": {
            "overnight": 32.0, "weekend": 56.0, "holiday": 0.0, "holiday_weekend": 0.0, "all": 88.0,
        },
        "late_trading_tasks": 0,
        "late_duties": 0,
        "deadlines": {"met": 30, "missed": 0},
        "memory_conflicts": 0,
        "overlapping_conflicts": 0,
        "intrusions": {"trading_hours": 0.0, "prep_hours": 0.0, "runs": 0},
        "demand": {
            "windows": 5,
            "demanded": 11,
            "finished": 10,
            "share": 10 / 11,
            "hours_demanded": 72.0,
            "hours_finished": 60.0,
            "mean_hours_to_finish": 10.4,
            "time_ratio": 1.04,
            "bound": {
                "finished": 10, "share": 10 / 11, "hours_finished": 60.0, "mean_hours_to_finish": 10.0,
            },
            "missed_though_possible": [],
        },
        "memory": {"promised_peak_mb": 2600.0, "promised_mean_mb": 553.1, "available_least_mb": 2422.8},
        "slots": {"mean_used": 0.8, "share": 0.2, "research_share": 0.26},
        "prediction": {
            "coverage": 0.95,
            "over_estimate": 0.26,
            "runs": 1200,
            "tasks": {"health_check": score_json(), "weekly_report": score_json(runs=2, ratio=None)},
        },
        "waiting_hours": {"CONFLICT": 12.5, "SLOTS": 1.0},
        "idle_hours_with_ready_task": 0.5,
        "starved": [],
        "runs": {"succeeded": 700, "failed": 12, "checkpointed": 3},
        "decisions": 1400,
        "wall_seconds": 1.5,
        "cpu_seconds": 1.4,
        "peak_rss_mb": 46.2,
        "special_days": [
            {"day": "2026-11-27", "what": "half day", "window": "2026-11-30/weekend", "utilisation": 0.99}
        ],
        "timeline": timeline_json(),
    }  # fmt: skip
    return {**figures, **changes}


def score_json(**changes: Any) -> Json:
    """Return how one task was predicted."""
    rivals = {"average_plus_errors": 0.59, "rolling_quantile": 0.65, "conformal": 0.69}
    score = {"runs": 960, "coverage": 0.95, "over_estimate": 0.58, "rivals": rivals, "ratio": 0.99}
    return {**score, **changes}


def run_json(task: str, start: str, end: str, kind: str = "core", outcome: str = "succeeded") -> Json:
    """Return one run of the week of 16 November 2026; start and end as "17T12:00", in New York (UTC-5)."""
    instants = {"start": f"2026-11-{start}:00-05:00", "end": f"2026-11-{end}:00-05:00"}
    return {"task": task, **instants, "kind": kind, "outcome": outcome}


def timeline_json(*runs: Json, **changes: Any) -> Json:
    """Return a week, Monday 16 to Monday 23 November 2026, with the given runs or some of its own."""
    own = (
        run_json("run_nightly_research", "16T16:00", "17T02:00"),
        run_json("optimize_parameters", "17T02:00", "17T05:00", "filler", "checkpointed"),
        run_json("calculate_pnl", "17T15:00", "17T15:20", "duty"),
        run_json("backup_databases", "17T18:00", "17T18:05", "upkeep"),
    )
    week = {
        "from": "2026-11-16T05:00:00+00:00",
        "to": "2026-11-23T05:00:00+00:00",
        "runs": list(runs or own),
        "modes": [
            {"mode": "prep", "start": "2026-11-16T07:00:00+00:00", "end": "2026-11-16T14:30:00+00:00"},
            {"mode": "trading", "start": "2026-11-16T14:30:00+00:00", "end": "2026-11-16T23:00:00+00:00"},
            {"mode": "research", "start": "2026-11-16T23:00:00+00:00", "end": "2026-11-17T09:00:00+00:00"},
        ],
    }
    return {**week, **changes}


def year_json(days: float = 10, workload: str = "stated", **policies: Json) -> Json:
    """Return a whole report: timetable and unified, or the given policies."""
    return {
        "simulated": {
            "from": "2026-11-20T05:00:00+00:00",
            "to": "2026-11-30T05:00:00+00:00",
            "days": days,
            "seed": 1,
            "workload": workload,
            "tasks": 36,
        },
        "policies": deepcopy(policies) or {"timetable": policy_json(), "unified": policy_json()},
        "ablations": {},
    }
