"""Modes and research budgets from the calendar: every gate, reservation, backfill and extension."""

from __future__ import annotations

from orchestration.decisions import Policy

UNIFIED = Policy(name="unified")
"""What USE_UNIFIED_SCHEDULER selects: the defaults of `Policy` are this policy."""
