"""Queue, priorities, dependencies and memory within the fixed phases of the market's day; no budget.

Slots come from the specs and estimates are learned, but nothing is held to a research budget: no fit to PREP,
no reservation ahead, no backfill, no extension.
"""

from __future__ import annotations

from orchestration.decisions import Policy

PHASES = Policy(name="phases", by_mode=False, backfill=False, reserve=False, extend=False)
"""What USE_TASK_SCHEDULER alone selects."""
