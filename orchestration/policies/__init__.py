"""What each flag setting decides: a policy is a value that `decide` is given. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from orchestration.decisions import Policy, Rules
from orchestration.errors import SettingsError
from orchestration.policies.phases import PHASES
from orchestration.policies.timetable import TIMETABLE
from orchestration.policies.unified import UNIFIED
from orchestration.types import TaskSpec

POLICIES = MappingProxyType({policy.name: policy for policy in (TIMETABLE, PHASES, UNIFIED)})
"""By name: "timetable" (neither flag), "phases" (USE_TASK_SCHEDULER), "unified" (USE_UNIFIED_SCHEDULER)."""


def policy_for(name: str, rules: Rules | None = None) -> Policy:
    """Return the policy called `name`, with the box's own `rules` if they are given.

    Raises:
        SettingsError: if there is no such policy; the message lists those there are.
    """
    policy = POLICIES.get(name)
    if policy is None:
        raise SettingsError(f"no policy is called {name!r}: expected one of {', '.join(POLICIES)}")
    return policy if rules is None else replace(policy, rules=rules)


def specs_under(policy: Policy, specs: Mapping[str, TaskSpec]) -> Mapping[str, TaskSpec]:
    """Return `specs` as `policy` runs them: the fixed timetable never tries a task again."""
    if policy.timetable is None:
        return specs
    named = policy.timetable
    return {name: spec.but(max_attempts=1) if name in named else spec for name, spec in specs.items()}
