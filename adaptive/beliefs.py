"""What is believed of tasks and agents: how likely a run succeeds and how long it takes. Learned run by run.

Success. A run of a kind on an agent is a Bernoulli trial whose rate has a Beta posterior. Its prior is the
kind's own record, and the kind's is the record of everything, so that a pair that was seen once does not look
better than one that was seen a hundred times (Gelman et al., Bayesian Data Analysis, 3rd ed., 2.4 for the
Beta-Binomial update, 5.3 for the hierarchy; the rates of the two upper levels are plugged in, which is
empirical Bayes: a pair's own runs are a part of its prior too, worth at most `prior_strength` runs).

    overall = (S + 1) / (N + 2)                          Laplace's rule; S successes in N runs of all kinds
    rate(kind) = (S_kind + m overall) / (N_kind + m)     m = prior_strength
    alpha = m rate(kind) + S_pair        beta = m (1 - rate(kind)) + (N_pair - S_pair)

Duration. ln(ms) of a successful run = level of its kind - ln(speed of its agent) + noise: a two-way additive
model fitted by stochastic approximation (each surprise moves both a little). An agent learns its speed only
as far as other agents run the same kinds: alone it says nothing of who is fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, isfinite, log, pi, sqrt
from typing import TYPE_CHECKING, Any

from adaptive.coordination import TASK_ON_AGENT, recorded_runs
from adaptive.types import Outcome, WaveTask

if TYPE_CHECKING:
    from adaptive.history import Inputs

LEVEL_RATE = (
    0.1  # weight of a new run in a kind's level, once there are enough: it follows growth over a year
)
ERROR_RATE = 0.08  # the spread changes more slowly than the level
SPEED_RATE = 0.02  # least weight of a run in its agent's speed
SPEED_PRIOR_RUNS = 4.0  # an agent is taken to be average with this many runs of evidence
SURPRISE_LIMIT = 4.0  # a run counts for at most this many mean errors: one freak moves no level,
LEAST_LIMIT = 1.0  # but always for a factor e, or a steady kind could not follow a new level
UNKNOWN_ERROR = 0.25  # mean absolute error of ln(ms) before the second run: about 1.3 times either way
NORMAL_DEVIATION = sqrt(pi / 2)  # standard deviation of a normal law per unit of mean absolute deviation
SHORTEST_MS = 1.0  # what a shorter run counts as; its logarithm stays finite


@dataclass(frozen=True, slots=True)
class Posterior:
    """A Beta law of a success rate. alpha, beta: pseudo-counts of successes and failures, both above 0."""

    alpha: float
    beta: float

    @property
    def mean(self) -> float:
        """The probability that the next run succeeds: alpha / (alpha + beta)."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def strength(self) -> float:
        """How many runs it is worth, the prior's included."""
        return self.alpha + self.beta

    def lower(self, p: float = 0.05) -> float:
        """Return the rate that the true one lies below with probability `p`.

        The inverse of the regularised incomplete beta function I_x(alpha, beta) (DLMF 8.17), by scipy.

        Raises:
            ValueError: unless 0 < p < 1.
        """
        if not 0.0 < p < 1.0:
            raise ValueError(f"p is {p}: expected a probability above 0 and below 1")
        from scipy.special import betaincinv

        return float(betaincinv(self.alpha, self.beta, p))


@dataclass(slots=True)
class _Record:
    """Successes among runs; fractions are evidence that is not taken in full."""

    successes: float = 0.0
    runs: float = 0.0

    def add(self, successes: float, runs: float) -> None:
        self.successes += successes
        self.runs += runs


@dataclass(slots=True)
class _Level:
    """ln(ms) of one kind on an average agent. error: its mean absolute error. runs_by_agent: successes."""

    log_ms: float
    error: float = UNKNOWN_ERROR
    runs_by_agent: dict[str, int] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        return sum(self.runs_by_agent.values())

    def share_of_others(self, agent: str) -> float:
        """Return which part of its runs (0 to 1) was made by other agents than `agent`."""
        return 1.0 - self.runs_by_agent.get(agent, 0) / self.runs


@dataclass(slots=True)
class _Speed:
    """ln(speed) of one agent, and the runs' worth of evidence behind it."""

    log_speed: float = 0.0
    evidence: float = 0.0


class Beliefs:
    """Posteriors of success per (kind, agent) and expected durations. Outcomes are learned in their order.

    prior_strength: how many runs a kind's rate counts for with an agent that has not run it; above 0.
    """

    def __init__(self, prior_strength: float = 2.0) -> None:
        if not (isfinite(prior_strength) and prior_strength > 0.0):
            raise ValueError(f"prior_strength is {prior_strength}: expected a number of runs above 0")
        self.prior_strength = prior_strength
        self._overall = _Record()
        self._kinds: dict[str, _Record] = {}
        self._pairs: dict[tuple[str, str], _Record] = {}
        self._agents: dict[str, _Record] = {}  # told of an agent as a whole, without the kinds
        self._levels: dict[str, _Level] = {}
        self._speeds: dict[str, _Speed] = {}

    @classmethod
    def from_outcomes(cls, outcomes: Iterable[Outcome]) -> Beliefs:
        """Return what these runs teach, oldest first."""
        beliefs = cls()
        for outcome in outcomes:
            beliefs.learn(outcome)
        return beliefs

    @classmethod
    def from_inputs(cls, inputs: Inputs) -> Beliefs:
        """Return what a summary of earlier waves teaches.

        agent_performance: an agent's success_rate counts as that many of its `tasks`, for every kind, since
        it does not say of which. The patterns are learned as `learn_pattern` does.
        """
        beliefs = cls()
        for agent, performance in inputs.summary["agent_performance"].items():
            beliefs._told_of_agent(agent, float(performance["success_rate"]), float(performance["tasks"]))
        for pattern in inputs.patterns:
            beliefs.learn_pattern(pattern)
        return beliefs

    def _told_of_agent(self, agent: str, rate: float, runs: float) -> None:
        self._agents.setdefault(agent, _Record()).add(rate * runs, runs)
        self._overall.add(rate * runs, runs)

    def learn_pattern(self, pattern: Mapping[str, Any]) -> None:
        """Take in a coordination pattern, which makes its assignments likelier.

        Each (task, agent) of it counts as a number of runs at the pattern's success_rate. One of ours
        (`task_on_agent`) tells how many runs it rests on, and they count like recorded ones, at most 50; any
        other is a recommendation, worth `confidence` x prior_strength runs.
        """
        is_ours = pattern["pattern_type"] == TASK_ON_AGENT
        told = float(pattern["confidence"]) * self.prior_strength
        runs = recorded_runs(pattern) if is_ours else told
        for agent, kinds in pattern["agent_assignments"].items():
            for kind in kinds:
                self._count(kind, agent, float(pattern["success_rate"]) * runs, runs)

    def learn(self, outcome: Outcome) -> None:
        """Take one run in: its success always; its duration if it succeeded, as a failure cuts it short."""
        self._count(outcome.kind, outcome.agent_id, float(outcome.success), 1.0)
        if outcome.success:
            self._learn_duration(outcome.kind, outcome.agent_id, log(max(SHORTEST_MS, outcome.duration_ms)))

    def _count(self, kind: str, agent: str, successes: float, runs: float) -> None:
        self._pairs.setdefault((kind, agent), _Record()).add(successes, runs)
        self._kinds.setdefault(kind, _Record()).add(successes, runs)
        self._overall.add(successes, runs)

    def _learn_duration(self, kind: str, agent: str, log_ms: float) -> None:
        speed = self._speeds.setdefault(agent, _Speed())
        level = self._levels.get(kind)
        if level is None:
            self._levels[kind] = _Level(log_ms + speed.log_speed, runs_by_agent={agent: 1})
            return
        surprise = _bounded(log_ms + speed.log_speed - level.log_ms, level)
        others = level.share_of_others(agent)
        level.runs_by_agent[agent] = level.runs_by_agent.get(agent, 0) + 1
        level.log_ms += max(LEVEL_RATE, 1.0 / level.runs) * surprise
        level.error += max(ERROR_RATE, 1.0 / level.runs) * (abs(surprise) - level.error)
        speed.evidence += others
        speed.log_speed -= others * max(SPEED_RATE, 1.0 / (speed.evidence + SPEED_PRIOR_RUNS)) * surprise

    def success(self, kind: str, agent: str) -> Posterior:
        """Return the posterior of the success rate of `kind` on `agent`; both may be unknown yet."""
        mean, weight = self._rate(kind), self.prior_strength
        pair, told = self._pairs.get((kind, agent), _Record()), self._agents.get(agent, _Record())
        successes, runs = pair.successes + told.successes, pair.runs + told.runs
        return Posterior(weight * mean + successes, weight * (1.0 - mean) + runs - successes)

    def _rate(self, kind: str) -> float:
        overall = (self._overall.successes + 1.0) / (self._overall.runs + 2.0)
        record = self._kinds.get(kind, _Record())
        return (record.successes + self.prior_strength * overall) / (record.runs + self.prior_strength)

    def posteriors(self) -> dict[tuple[str, str], Posterior]:
        """Return the posterior of every (kind, agent) that was ever run together."""
        return {pair: self.success(*pair) for pair in self._pairs}

    def duration_ms(self, task: WaveTask, agent: str) -> float:
        """Return how long `task` takes on `agent` in the median: its kind's level, else its expected_ms,
        divided by the agent's speed."""
        level = self._levels.get(task.learns_as)
        average = exp(level.log_ms) if level else max(SHORTEST_MS, task.expected_ms)
        return average / self.speed(agent)

    def duration_spread(self, kind: str) -> float:
        """Return the standard deviation of ln(ms) around the expected one (0.1: about 10 % either way).

        The learned mean absolute error times sqrt(pi / 2), which holds if durations are log-normal.
        """
        level = self._levels.get(kind)
        return NORMAL_DEVIATION * (level.error if level else UNKNOWN_ERROR)

    def speed(self, agent: str) -> float:
        """Return how fast an agent is: 1 = average or unknown, 2 = twice as fast."""
        speed = self._speeds.get(agent)
        return exp(speed.log_speed) if speed else 1.0

    def speed_evidence(self, agent: str) -> float:
        """Return how sure its speed is, 0 to 1: the weight of its runs against the prior's."""
        evidence = self._speeds[agent].evidence if agent in self._speeds else 0.0
        return evidence / (evidence + SPEED_PRIOR_RUNS)


def _bounded(surprise: float, level: _Level) -> float:
    """Return a surprise no larger than the level's usual error allows; the second run counts in full."""
    if level.runs < 2:
        return surprise
    limit = max(SURPRISE_LIMIT * level.error, LEAST_LIMIT)
    return max(-limit, min(limit, surprise))
