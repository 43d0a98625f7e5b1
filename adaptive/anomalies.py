"""What in executed waves is no longer noise: durations, delays, loads, successes that chance hardly explains.

Every detector asks for two things: that it can hardly be chance (by a test that is exact or robust for few
runs), and that it is large enough to matter. Of fewer than a handful of runs nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp
from statistics import fmean, median

from adaptive import surprise
from adaptive.anomaly import (
    CHANCE,
    LEAST_BIAS,
    LEAST_RUNS,
    Anomaly,
    AnomalyType,
    severity_of,
    waves_of,
)
from adaptive.measures import Span, executed_spans, timed_spans
from adaptive.timing_anomalies import drifting, log_factor, misjudged
from adaptive.types import Executed, ScheduledTask

LOAD_FACTOR = 1.75
"""An agent's busy time over the mean agent's; the scheduler rebalances above 1.25."""
LEAST_EXCESS = 1.25
"""Its share of the busy time over its share of the plan: a plan may favour an agent on purpose,"""
MOST_SHARE = 0.8
"""but not with nearly everything while others are idle."""
LEAST_DROP = 0.1
CONFIDENCE_RUNS = 10.0
"""Runs that a mean confidence counts for against the earlier waves' record: it is an estimate itself."""


def anomalies(waves: Executed, agents: Sequence[str] = ()) -> list[Anomaly]:
    """Return what is out of the ordinary, by kind and then by wave or agent.

    agents: those that might have worked; one that executed nothing is only known from here.
    """
    ordered = {wave: tuple(waves[wave]) for wave in sorted(waves)}
    everything = [task for tasks in ordered.values() for task in tasks]
    return [
        *misjudged(ordered, everything),
        *drifting(ordered, everything),
        *_loaded(ordered, agents),
        *_slow(ordered, everything),
        *_failing_waves(ordered),
        *_failing_agents(ordered, everything),
    ]


def _loaded(waves: Executed, agents: Sequence[str]) -> Iterator[Anomaly]:
    """Agents with far more to do than the others, wave by wave, and enough runs for some to be given away:
    either more than the plan gave them, or nearly all there was."""
    known = {span.task.agent_id for tasks in waves.values() for span in executed_spans(tasks)}.union(agents)
    for wave, tasks in waves.items():
        spans = executed_spans(tasks)
        total, planned_total = sum(s.actual_ms for s in spans), sum(s.planned_ms for s in spans)
        for agent in sorted({span.task.agent_id for span in spans}):
            own = [span for span in spans if span.task.agent_id == agent]
            share = sum(span.actual_ms for span in own) / total if total else 0.0
            planned = sum(span.planned_ms for span in own) / planned_total if planned_total else 0.0
            load = share * len(known)
            is_unplanned = share > min(LEAST_EXCESS * planned, MOST_SHARE)
            if load > LOAD_FACTOR and is_unplanned and len(own) >= LEAST_RUNS:
                yield Anomaly(
                    kind=AnomalyType.AGENT_OVERLOAD,
                    severity=severity_of(load, 2.5, 3.5),
                    description=f"Wave {wave}: {agent} was busy {load:.2f} times as long as the mean agent.",
                    recommendation=f"Rebalance: give some of {agent}'s tasks to the other agents.",
                    waves=(wave,),
                    agents=(agent,),
                )


def _slow(waves: Executed, everything: Sequence[ScheduledTask]) -> Iterator[Anomaly]:
    """Agents whose runs take longer than planned while the others' do not, over all waves."""
    timed = timed_spans(everything)
    agents = sorted({span.task.agent_id for span in timed})
    for agent in agents:
        factor = _slowness(agent, timed, CHANCE / len(agents))
        if factor is not None:
            yield Anomaly(
                kind=AnomalyType.AGENT_OVERLOAD,
                severity=severity_of(factor, 1.75, 2.5),
                description=f"Runs on {agent} exceed the plan {factor:.2g} times as far as on the others.",
                recommendation=f"See what else runs where {agent} does; plan less for it meanwhile.",
                waves=waves_of(agent, waves),
                agents=(agent,),
            )


def _slowness(agent: str, timed: Sequence[Span], chance: float) -> float | None:
    """Return how much longer an agent's runs take than planned, relative to the others'; None if that may be
    chance (the median test of Mood 1950, by Fisher's exact law) or is small."""
    own = [log_factor(span) for span in timed if span.task.agent_id == agent]
    others = [log_factor(span) for span in timed if span.task.agent_id != agent]
    if min(len(own), len(others)) < LEAST_RUNS:
        return None
    centre = median(own + others)
    shorter, others_shorter = sum(e <= centre for e in own), sum(e <= centre for e in others)
    factor = exp(median(own) - median(others))
    is_chance = surprise.fisher_lower(shorter, len(own), others_shorter, len(others)) >= chance
    return None if is_chance or factor < LEAST_BIAS else factor


def _failing_waves(waves: Executed) -> Iterator[Anomaly]:
    """Waves with fewer successes than their confidences and the waves before them let expect."""
    successes, failures = 0, 0
    for wave, tasks in waves.items():
        spans = executed_spans(tasks)
        good = sum(span.succeeded for span in spans)
        if len(spans) >= LEAST_RUNS:
            foretold = CONFIDENCE_RUNS * fmean(span.task.confidence for span in spans)
            alpha, beta = foretold + successes + 0.5, CONFIDENCE_RUNS - foretold + failures + 0.5
            drop = alpha / (alpha + beta) - good / len(spans)
            if drop > LEAST_DROP and surprise.at_most(good, len(spans), alpha, beta) < CHANCE:
                yield _success_drop(
                    drop,
                    f"Wave {wave}: {good} of {len(spans)} tasks succeeded",
                    (wave,),
                    tuple(sorted({span.task.agent_id for span in spans if not span.succeeded})),
                )
        successes, failures = successes + good, failures + len(spans) - good


def _failing_agents(waves: Executed, everything: Sequence[ScheduledTask]) -> Iterator[Anomaly]:
    """Agents on which far less succeeds than on the others, over all waves (Fisher's exact test)."""
    spans = executed_spans(everything)
    agents = sorted({span.task.agent_id for span in spans})
    for agent in agents:
        own = [span.succeeded for span in spans if span.task.agent_id == agent]
        others = [span.succeeded for span in spans if span.task.agent_id != agent]
        if min(len(own), len(others)) < LEAST_RUNS:
            continue
        drop = fmean(others) - fmean(own)
        chance = surprise.fisher_lower(sum(own), len(own), sum(others), len(others))
        if drop > LEAST_DROP and chance < CHANCE / len(agents):
            said = f"On {agent} {sum(own)} of {len(own)} tasks succeeded, {fmean(others):.0%} on the others"
            yield _success_drop(drop, said, waves_of(agent, waves), (agent,))


def _success_drop(drop: float, said: str, waves: tuple[int, ...], agents: tuple[str, ...]) -> Anomaly:
    return Anomaly(
        kind=AnomalyType.SUCCESS_DROP,
        severity=severity_of(drop, 0.2, 0.4),
        description=f"{said}, {drop:.0%} less than was to be expected.",
        recommendation="Look at the failures' logs before these tasks are run again.",
        waves=waves,
        agents=agents,
    )
