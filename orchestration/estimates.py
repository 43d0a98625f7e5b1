"""How long a task takes and how much memory it needs, learned from its runs. Pure: standard library only.

Durations. ln(minutes) of a task is taken to be logistic (minutes are log-logistic): one mean and one mean
absolute error, both exponential averages, so that two numbers per task are all that is kept. The logistic law
has a closed quantile and survival function and a power-law tail, which is what overdue jobs show: the longer
one has run, the longer it still takes. Its mean absolute deviation is 2 ln 2 times its scale, hence

    ln quantile(p) = location + error / (2 ln 2) * ln(p / (1 - p)).

What is paid for is not the raw error e but FLOOR_ERROR + e / (1 + DAMPING e): a steady task gets a margin
that costs next to nothing and saves its rare misses, a wild one does not get all the time its spread asks
for. The constants were fitted to one set of seeded histories; benchmarks/bench_estimates.py reports on
others.

Memory. The reservation follows a peak up at once and comes down 10 % of the way per run.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, isfinite, log, sqrt

from orchestration.decisions import Prediction
from orchestration.runs import Estimate
from orchestration.types import TaskSpec

MEAN_RATE = 0.06  # weight of a new run in the mean, once there are enough of them
ERROR_RATE = 0.04  # the spread changes more slowly than the level
EARLY_RATE = 0.8  # the second run weighs 0.8 / 2 in the mean, the third 0.8 / 3, until MEAN_RATE is larger
SURPRISE_LIMIT = 4.7  # a run counts for at most this many errors: one freak does not move the level,
LEAST_LIMIT = 1.0  # but always for a factor e, or a task that never varied could not follow a new level
PRIOR_ERROR = 0.1  # the error taken before the second run, worth PRIOR_RUNS runs of evidence
PRIOR_RUNS = 0.5
SPEC_RUNS = 0.2  # the spec's figure counts as this many runs against the learned level
UNKNOWN_ERROR = 0.55  # without history: the high quantile (0.9) is about 2.6 times the spec's figure
FEW_RUNS = 0.5  # the level of n runs is itself uncertain: the error grows by sqrt(1 + FEW_RUNS / n)
FLOOR_ERROR = 0.1
DAMPING = 0.2
BEYOND_BOUND = 1.5  # a run stopped at m minutes would have needed about 1.5 m
LOGISTIC_SCALE = 1 / (2 * log(2))  # scale of a logistic law per unit of mean absolute deviation

SHORTEST_MINUTES = 1 / 60_000  # 1 ms: what a shorter run counts as
LONGEST_MINUTES = 1e7  # 19 years; keeps every figure finite
_LOG_SHORTEST = log(SHORTEST_MINUTES)
_LOG_LONGEST = log(LONGEST_MINUTES)

PEAK_DECAY = 0.1  # share of the way down to a smaller peak per run: about the 0.9 quantile of peaks
PEAK_MARGIN = 1.1  # reserved above the learned peak
SPEC_FADE = 0.7  # per run: how fast a spec's figure that is too large is let go
OUT_OF_MEMORY_GROWTH = 1.2  # reserved above the limit at which it was killed; limit_mb grows by 1.8
FLOOR_DECAY = 0.05  # share of the way from an old kill's limit down to the peaks since, per run
LIMIT_GROWTH = 1.5  # of the kill limit over the reservation
LIMIT_HEADROOM_MB = 64.0  # and at least this much: an interpreter's import more or less must not kill


def after_duration(estimate: Estimate, minutes: float) -> Estimate:
    """Return what is known after a run that completed unstopped in `minutes`.

    Anything below 1 ms counts as 1 ms. A completion ends what `after_lower_bound` had learned.

    Raises:
        ValueError: if `minutes` is negative or not finite; no clock that only goes forward measures that.
    """
    value = log(_checked(minutes, "duration", "minutes"))
    runs = estimate.runs
    if runs == 0:
        return _with_level(estimate, value, PRIOR_ERROR)
    surprise = value - estimate.log_mean
    if runs > 1:
        limit = max(SURPRISE_LIMIT * estimate.log_error, LEAST_LIMIT)
        surprise = max(-limit, min(limit, surprise))
    mean_rate = max(MEAN_RATE, EARLY_RATE / (runs + 1))
    error_rate = max(ERROR_RATE, 1 / (runs + 1))
    level = estimate.log_mean + mean_rate * surprise
    return _with_level(
        estimate, level, estimate.log_error + error_rate * (abs(surprise) - estimate.log_error)
    )


def _with_level(estimate: Estimate, log_mean: float, log_error: float) -> Estimate:
    """Return the estimate after one more completed run."""
    # Spelled out, here and for the peak: every run makes both, and `replace` takes twice as long.
    return Estimate(
        log_mean=log_mean,
        log_error=log_error,
        runs=estimate.runs + 1,
        memory_mb=estimate.memory_mb,
        memory_floor_mb=estimate.memory_floor_mb,
    )


def after_lower_bound(estimate: Estimate, minutes: float) -> Estimate:
    """Return what is known after a run was stopped by its timeout at `minutes`: it needs at least that long.

    Only for timeouts: a run cut at PREP, by the operator or for a duty says what it was given, not what it
    needs, and teaches nothing. Raises ValueError as `after_duration` does.
    """
    bound = _checked(minutes, "duration", "minutes")
    return replace(estimate, at_least_minutes=max(estimate.at_least_minutes, bound))


def predict(spec: TaskSpec, estimate: Estimate, quantile: float = 0.9) -> Prediction:
    """Return the minutes a run of `spec` will take up: the median, and the `quantile`.

    Never more than the timeout (or the spec's own figure, if that is larger): at the timeout it is stopped.
    The timeout does not enter `chance_of_finishing`. Raises ValueError unless 0.5 <= quantile < 1.
    """
    if not 0.5 <= quantile < 1.0:
        raise ValueError(f"quantile is {quantile}: expected at least 0.5 and below 1")
    location, scale = _location_and_scale(spec, estimate)
    longest = _longest(spec)
    high = min(_LOG_LONGEST, location + scale * log(quantile / (1.0 - quantile)))
    return Prediction(min(_median(spec, estimate, location), longest), min(exp(high), longest))


def median_minutes(spec: TaskSpec, estimate: Estimate) -> float:
    """Return the median of `predict` alone, in minutes."""
    return min(_median(spec, estimate, _location_and_scale(spec, estimate)[0]), _longest(spec))


def _median(spec: TaskSpec, estimate: Estimate, location: float) -> float:
    is_learned = estimate.runs > 0 or estimate.at_least_minutes > 0.0
    return exp(location) if is_learned else max(SHORTEST_MINUTES, spec.estimated_minutes)


def quantile_minutes(spec: TaskSpec, estimate: Estimate, p: float) -> float:
    """Return the minutes that a run stays within with probability `p`, capped as `predict` is.

    Raises:
        ValueError: unless 0 < p < 1.
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"p is {p}: expected a probability above 0 and below 1")
    location, scale = _location_and_scale(spec, estimate)
    minutes = location + scale * log(p / (1.0 - p))
    return min(exp(max(_LOG_SHORTEST, min(_LOG_LONGEST, minutes))), _longest(spec))


def chance_of_finishing(spec: TaskSpec, estimate: Estimate, minutes: float, elapsed: float = 0.0) -> float:
    """Return the probability that a run which has taken `elapsed` minutes ends within `minutes` more.

    1 - S(elapsed + minutes) / S(elapsed), with S(t) = 1 / (1 + (t / median) ** (1 / scale)). No time left
    gives 0, more than 19 years 1.
    """
    if not minutes > 0.0:
        return 0.0
    if minutes > LONGEST_MINUTES:
        return 1.0
    location, scale = _location_and_scale(spec, estimate)
    end = (log(max(elapsed, 0.0) + minutes) - location) / scale
    if not elapsed > 0.0:
        return 1.0 - 1.0 / (1.0 + exp(end)) if end < 30.0 else 1.0
    start = (log(elapsed) - location) / scale
    # Far overdue both are huge; their ratio is not.
    survival = exp(start - end) if start > 30.0 else (1.0 + exp(start)) / (1.0 + exp(end))
    return 1.0 - min(1.0, survival)


def after_peak(estimate: Estimate, mb: float) -> Estimate:
    """Return what is known after the tree of a run that ended by itself peaked at `mb`.

    A larger peak is taken at once, a smaller one draws the figure 10 % of the way down; the floor left by an
    out-of-memory kill sinks 5 % of the way, so that a leak that was mended is forgotten in the end. 0 MB
    (it ended before it was sampled) teaches nothing. Raises ValueError if `mb` is negative or not finite.
    """
    if not (isfinite(mb) and mb >= 0):
        raise ValueError(f"memory peak is {mb} MB: expected a finite number that is not negative")
    if mb == 0:
        return estimate
    memory = estimate.memory_mb
    memory = mb if mb >= memory else memory + PEAK_DECAY * (mb - memory)
    floor = estimate.memory_floor_mb
    floor = floor + FLOOR_DECAY * (mb - floor) if mb < floor else floor
    return Estimate(
        log_mean=estimate.log_mean,
        log_error=estimate.log_error,
        runs=estimate.runs,
        memory_mb=memory,
        memory_floor_mb=floor,
        at_least_minutes=estimate.at_least_minutes,
    )


def after_out_of_memory(estimate: Estimate, limit_mb: float) -> Estimate:
    """Return what is known after a run was killed for memory at `limit_mb`: it needs more than that.

    Raises:
        ValueError: if `limit_mb` is negative or not finite.
    """
    if not (isfinite(limit_mb) and limit_mb >= 0):
        raise ValueError(f"memory limit is {limit_mb} MB: expected a finite number that is not negative")
    return replace(estimate, memory_floor_mb=max(estimate.memory_floor_mb, limit_mb))


def reserve_mb(spec: TaskSpec, estimate: Estimate) -> float:
    """Return the MB to promise to a run: the spec's figure until peaks are known, then theirs plus 10 %.

    Peaks below the spec's figure bring it down by 30 % of the difference per completed run; peaks above it
    count at once. Never below 1.2 times the limit at which it was last killed for memory.
    """
    floor = estimate.memory_floor_mb * OUT_OF_MEMORY_GROWTH
    if estimate.memory_mb <= 0.0:
        return max(spec.memory_mb, floor)
    learned = estimate.memory_mb * PEAK_MARGIN
    if learned < spec.memory_mb and estimate.runs < 60:  # 0.7 ** 60 is nothing
        learned += (spec.memory_mb - learned) * SPEC_FADE**estimate.runs
    return max(learned, floor)


def limit_mb(spec: TaskSpec, estimate: Estimate) -> float:
    """Return the MB at which a run is killed, with room above the reservation: to be wrong is survivable.

    1.5 times the reservation, at least 64 MB above it, and never below what the spec declares.
    """
    reserved = reserve_mb(spec, estimate)
    return max(LIMIT_GROWTH * reserved, reserved + LIMIT_HEADROOM_MB, spec.memory_mb)


def _location_and_scale(spec: TaskSpec, estimate: Estimate) -> tuple[float, float]:
    """Return the two parameters of the logistic law of ln(minutes)."""
    runs = estimate.runs
    stated = log(min(LONGEST_MINUTES, max(SHORTEST_MINUTES, spec.estimated_minutes)))
    if runs == 0:
        location = stated
        error = UNKNOWN_ERROR
    else:
        location = (runs * estimate.log_mean + SPEC_RUNS * stated) / (runs + SPEC_RUNS)
        error = (runs * estimate.log_error + PRIOR_RUNS * PRIOR_ERROR) / (runs + PRIOR_RUNS)
        error *= sqrt(1.0 + FEW_RUNS / runs)
    if estimate.at_least_minutes > 0.0:
        location = max(location, min(log(estimate.at_least_minutes * BEYOND_BOUND), _LOG_LONGEST))
    return location, (FLOOR_ERROR + error / (1.0 + DAMPING * error)) * LOGISTIC_SCALE


def _longest(spec: TaskSpec) -> float:
    """Return the minutes no run of `spec` can exceed; a timeout of 0 means none."""
    if spec.timeout_minutes <= 0.0:
        return LONGEST_MINUTES
    return min(LONGEST_MINUTES, max(SHORTEST_MINUTES, spec.timeout_minutes, spec.estimated_minutes))


def _checked(value: float, noun: str, unit: str) -> float:
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{noun} is {value} {unit}: expected a finite number that is not negative")
    return min(LONGEST_MINUTES, max(SHORTEST_MINUTES, value))
