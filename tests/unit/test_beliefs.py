"""What runs teach of success and duration."""

from __future__ import annotations

from math import comb, log, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive.beliefs import Beliefs, Posterior
from adaptive.types import Outcome, WaveTask


def a_run(kind: str = "fit", agent: str = "a", *, success: bool = True, ms: float = 1000.0) -> Outcome:
    return Outcome(
        task_id=kind, kind=kind, agent_id=agent, wave=1, started_ms=0.0, ended_ms=ms, success=success
    )


def test_a_posterior_adds_its_runs_to_the_rate_of_its_kind() -> None:
    runs = [a_run(), a_run(), a_run(), a_run(success=False), a_run("load", "b")]

    posterior = Beliefs.from_outcomes(runs).success("fit", "a")

    # overall (4 + 1) / (5 + 2) = 5/7; the kind (3 + 2 * 5/7) / (4 + 2) = 31/42;
    # alpha = 2 * 31/42 + 3 = 94/21, beta = 2 * 11/42 + 1 = 32/21
    assert posterior.alpha == pytest.approx(94 / 21)
    assert posterior.beta == pytest.approx(32 / 21)
    assert posterior.mean == pytest.approx(94 / 126)
    assert posterior.strength == pytest.approx(6.0)


def test_without_history_every_rate_is_as_likely_as_any_other() -> None:
    posterior = Beliefs().success("fit", "a")

    assert (posterior.alpha, posterior.beta) == (1.0, 1.0)
    assert posterior.lower(0.05) == pytest.approx(0.05)  # the uniform law


def test_an_agent_that_never_ran_a_kind_is_expected_to_do_as_the_others_do() -> None:
    beliefs = Beliefs.from_outcomes([a_run(agent="a")] * 6 + [a_run(agent="b", success=False)] * 2)

    # overall 7/10; the kind (6 + 2 * 7/10) / (8 + 2)
    assert beliefs.success("fit", "c").mean == pytest.approx(0.74)


def test_a_kind_that_never_ran_is_expected_to_do_as_all_kinds_do() -> None:
    beliefs = Beliefs.from_outcomes([a_run()] * 6 + [a_run(success=False)] * 2)

    assert beliefs.success("new", "a").mean == pytest.approx(7 / 10)


def test_the_lower_quantile_is_that_of_the_beta_law() -> None:
    assert Posterior(3.0, 1.0).lower(0.05) == pytest.approx(0.05 ** (1 / 3))  # distribution x ** 3
    assert Posterior(1.0, 3.0).lower(0.05) == pytest.approx(1 - 0.95 ** (1 / 3))  # 1 - (1 - x) ** 3


def test_the_lower_quantile_agrees_with_the_binomial_law() -> None:
    x = Posterior(96.0, 6.0).lower(0.05)

    # I_x(a, b) = P(at least a successes in a + b - 1 trials of rate x), DLMF 8.17.5
    assert sum(comb(101, k) * x**k * (1 - x) ** (101 - k) for k in range(96, 102)) == pytest.approx(0.05)


def test_one_success_of_one_is_less_sure_than_95_of_100() -> None:
    tried = [a_run(agent="proven")] * 95 + [a_run(agent="proven", success=False)] * 5
    beliefs = Beliefs.from_outcomes([*tried, a_run(agent="fresh")])

    assert beliefs.success("fit", "fresh").mean > beliefs.success("fit", "proven").mean
    assert beliefs.success("fit", "fresh").lower() < beliefs.success("fit", "proven").lower()


def test_a_duration_is_the_geometric_mean_of_the_first_runs() -> None:
    beliefs = Beliefs.from_outcomes([a_run(ms=1000.0), a_run(ms=4000.0)])

    assert beliefs.duration_ms(WaveTask(task_id="fit"), "a") == pytest.approx(2000.0)


def test_a_failure_teaches_no_duration() -> None:
    beliefs = Beliefs.from_outcomes([a_run(ms=1000.0), a_run(ms=9.0, success=False)])

    assert beliefs.duration_ms(WaveTask(task_id="fit"), "a") == pytest.approx(1000.0)


def test_an_unknown_kind_takes_what_it_states() -> None:
    assert Beliefs().duration_ms(WaveTask(task_id="fit", expected_ms=700.0), "a") == 700.0


def test_an_agent_twice_as_fast_is_learned_as_that() -> None:
    runs = [a_run(agent="a", ms=1000.0), a_run(agent="b", ms=2000.0)] * 100
    beliefs = Beliefs.from_outcomes(runs)

    assert beliefs.speed("a") / beliefs.speed("b") == pytest.approx(2.0, rel=0.05)
    assert beliefs.duration_ms(WaveTask(task_id="fit"), "a") == pytest.approx(1000.0, rel=0.05)
    assert beliefs.duration_ms(WaveTask(task_id="fit"), "b") == pytest.approx(2000.0, rel=0.05)


def test_a_fast_agent_is_foretold_to_be_fast_at_what_it_never_ran() -> None:
    compared = [a_run(agent="a", ms=1000.0), a_run(agent="b", ms=2000.0)] * 100
    beliefs = Beliefs.from_outcomes(compared + [a_run("load", "b", ms=800.0)] * 3)

    assert beliefs.duration_ms(WaveTask(task_id="load"), "a") == pytest.approx(400.0, rel=0.05)


def test_two_runs_are_little_evidence_of_speed() -> None:
    beliefs = Beliefs.from_outcomes([a_run(agent="a", ms=1000.0), a_run(agent="b", ms=2000.0)])

    # one comparison against the prior's four: at most a fifth of ln 2
    assert 1.0 > beliefs.speed("b") >= 2.0 ** (-1 / 5)
    assert beliefs.speed_evidence("b") == pytest.approx(1 / 5)


def test_an_agent_that_works_alone_has_no_speed_of_its_own() -> None:
    beliefs = Beliefs.from_outcomes([a_run(ms=ms) for ms in (1000.0, 3000.0, 500.0, 8000.0)])

    assert beliefs.speed("a") == 1.0


def test_a_single_freak_does_not_move_the_expected_duration() -> None:
    beliefs = Beliefs.from_outcomes([a_run()] * 30 + [a_run(ms=3_600_000.0)])

    assert beliefs.duration_ms(WaveTask(task_id="fit"), "a") < 1200.0


def test_a_kind_that_has_grown_is_followed() -> None:
    beliefs = Beliefs.from_outcomes([a_run()] * 100 + [a_run(ms=2000.0)] * 60)

    assert beliefs.duration_ms(WaveTask(task_id="fit"), "a") == pytest.approx(2000.0, rel=0.01)


def test_the_spread_is_the_standard_deviation_of_log_normal_durations() -> None:
    rng = Random(5)
    beliefs = Beliefs.from_outcomes(a_run(ms=rng.lognormvariate(log(1000.0), 0.3)) for _ in range(3000))

    assert beliefs.duration_spread("fit") == pytest.approx(0.3, rel=0.3)


def test_a_duration_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="ended_ms of 'fit' is nan: expected a finite time"):
        Beliefs().learn(a_run(ms=nan))


def test_a_prior_without_strength_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"prior_strength is 0\.0"):
        Beliefs(prior_strength=0.0)


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), st.booleans()), max_size=12))
def test_the_order_of_runs_does_not_matter_to_success(runs: list[tuple[str, str, bool]]) -> None:
    outcomes = [a_run(kind, agent, success=success) for kind, agent, success in runs]

    forward, backward = Beliefs.from_outcomes(outcomes), Beliefs.from_outcomes(reversed(outcomes))

    for kind in "xy":
        expected = backward.success(kind, "a")
        assert forward.success(kind, "a").alpha == pytest.approx(expected.alpha)
        assert forward.success(kind, "a").beta == pytest.approx(expected.beta)


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), st.booleans()), max_size=12))
def test_a_success_never_lowers_a_belief_and_a_failure_never_raises_it(
    runs: list[tuple[str, str, bool]],
) -> None:
    outcomes = [a_run(kind, agent, success=success) for kind, agent, success in runs]
    before = Beliefs.from_outcomes(outcomes).success("x", "a").mean

    better = Beliefs.from_outcomes([*outcomes, a_run("x", "a")]).success("x", "a").mean
    worse = Beliefs.from_outcomes([*outcomes, a_run("x", "a", success=False)]).success("x", "a").mean

    assert 0.0 < worse < before < better < 1.0
