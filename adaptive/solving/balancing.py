"""Who does what, judged by the rows' loads alone, without an order: local search over all moves and swaps.

Each step looks at every move at once (numpy), so that a hundred tasks take some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from adaptive.solving.rows import Rows
from adaptive.solving.timeline import UNPLACED

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARPNESS = 16
"""The loads' power whose sum is made small: high enough that the largest decides, the others still count."""
STEPS = 120
KICK = 4
"""Tasks moved at random to leave a local optimum."""
ROUNDING = 1e-9


def balanced(rows: Rows, agents: NDArray[Any], aim: float, has_time: Callable[[], bool]) -> NDArray[Any]:
    """Return an assignment whose largest row load is locally least: no move and no swap makes it smaller.

    agents[i]: the agent of task i, to begin with. aim: a bound on the loads [ms], to scale them by. has_time:
    whether to go on; without time it is what was reached by then.
    """
    import numpy as np

    agents = agents.copy()
    load = rows.load / aim
    loads = rows.of(agents) / aim
    for _ in range(STEPS):
        if not has_time():
            break
        score = (loads**SHARPNESS).sum()
        moved = _best_move(load, loads, agents, rows.allowed, score) or _best_swap(
            load, loads, agents, rows.allowed, score
        )
        if moved is None:
            break
        for task, agent in moved:
            loads = loads - load[task, agents[task]] + load[task, agent]
            agents[task] = agent
    return np.asarray(agents)


def kicked(
    rows: Rows, agents: NDArray[Any], aim: float, times: int, seed: int, has_time: Callable[[], bool]
) -> Iterator[NDArray[Any]]:
    """Yield ever better balanced assignments, each from the one before with a few tasks moved at random.

    has_time: whether to go on.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    least = float(rows.of(agents).max())
    for _ in range(times):
        if not has_time():
            return
        start = agents.copy()
        for task in rng.choice(len(agents), size=min(len(agents), KICK), replace=False):
            start[task] = rng.choice(np.flatnonzero(rows.allowed[task]))
        found = balanced(rows, start, aim, has_time)
        largest = float(rows.of(found).max())
        if largest < least * (1 - ROUNDING):
            least, agents = largest, found
            yield found


def _best_move(
    load: NDArray[Any], loads: NDArray[Any], agents: NDArray[Any], allowed: NDArray[Any], score: float
) -> list[tuple[int, int]] | None:
    """Return the move of one task that lowers the score most; None if none does."""
    import numpy as np

    own = load[np.arange(len(agents)), agents]
    scores = ((loads - own)[:, None, :] + load) ** SHARPNESS
    after = np.where(allowed, scores.sum(axis=2), np.inf)
    task, agent = divmod(int(after.argmin()), allowed.shape[1])
    return [(task, agent)] if after[task, agent] < score * (1 - ROUNDING) else None


def _best_swap(
    load: NDArray[Any], loads: NDArray[Any], agents: NDArray[Any], allowed: NDArray[Any], score: float
) -> list[tuple[int, int]] | None:
    """Return the swap of two tasks, one of them in the fullest row, that lowers the score most."""
    import numpy as np

    every = np.arange(len(agents))
    own = load[every, agents]
    ones = np.flatnonzero(own[:, int(loads.argmax())] > 0)
    there = load[ones][:, agents]  # task of ones, other task: the one on the other's agent
    back = load[:, agents[ones]].transpose(1, 0, 2)
    after = ((loads - own[ones][:, None, :] - own[None, :, :] + there + back) ** SHARPNESS).sum(axis=2)
    possible = allowed[ones][:, agents] & allowed[:, agents[ones]].T & (agents[ones][:, None] != agents)
    after = np.where(possible, after, np.inf)
    if after.size == 0 or after.min() >= score * (1 - ROUNDING):
        return None
    one, other = divmod(int(after.argmin()), len(agents))
    return [(int(ones[one]), int(agents[other])), (other, int(agents[ones[one]]))]


def filled(
    rows: Rows, value: NDArray[Any], needs: NDArray[Any], agents: NDArray[Any], window: float
) -> NDArray[Any]:
    """Return an assignment within the window, of a value that no task more and no exchange makes larger.

    agents[i] may be UNPLACED; no row's load may exceed the window to begin with. value[i, j]: as the work's.
    needs[i, k]: whether i depends on k: placed only with it.
    """
    import numpy as np

    agents = agents.copy()
    while np.any(lacking := (agents >= 0) & np.any(needs[:, agents < 0], axis=1)):
        agents = np.where(lacking, UNPLACED, agents)
    for _ in range(STEPS):
        loads = rows.of(agents)
        change = _best_insertion(rows, value, needs, agents, loads, window)
        change = change or _best_exchange(rows, value, needs, agents, loads, window)
        if change is None:
            break
        for task, agent in change:
            agents[task] = agent
    return agents


def _best_insertion(
    rows: Rows,
    value: NDArray[Any],
    needs: NDArray[Any],
    agents: NDArray[Any],
    loads: NDArray[Any],
    window: float,
) -> list[tuple[int, int]] | None:
    """Return the most valuable task more, or the move of a task to where it is worth more."""
    import numpy as np

    every = np.arange(len(agents))
    placed: NDArray[Any] = agents >= 0
    own = np.where(placed[:, None], rows.load[every, agents], 0.0)
    after = (loads - own)[:, None, :] + rows.load
    fits: NDArray[Any] = rows.allowed & (after <= window * (1 + ROUNDING)).all(axis=2)
    fits &= ~np.asarray(needs[:, ~placed].any(axis=1))[:, None]
    gain = np.where(fits, value - np.where(placed, value[every, agents], 0.0)[:, None], -np.inf)
    task, agent = divmod(int(gain.argmax()), value.shape[1])
    return [(task, agent)] if gain[task, agent] > ROUNDING * value.max() else None


def _best_exchange(
    rows: Rows,
    value: NDArray[Any],
    needs: NDArray[Any],
    agents: NDArray[Any],
    loads: NDArray[Any],
    window: float,
) -> list[tuple[int, int]] | None:
    """Return the exchange of a placed task for an unplaced one, on any agent, that gains most."""
    import numpy as np

    placed: NDArray[Any] = agents >= 0
    ins = np.flatnonzero(~placed & ~needs[:, ~placed].any(axis=1))
    outs = np.flatnonzero(placed & ~needs[placed].any(axis=0))
    if not len(ins) or not len(outs):
        return None
    without = loads - rows.load[outs, agents[outs]]
    after = without[:, None, None, :] + rows.load[ins][None]
    fits: NDArray[Any] = rows.allowed[ins] & (after <= window * (1 + ROUNDING)).all(axis=3)
    fits &= ~needs[np.ix_(ins, outs)].T[:, :, None]
    gain = np.where(fits, value[ins][None] - value[outs, agents[outs]][:, None, None], -np.inf)
    if gain.max() <= ROUNDING * value.max():
        return None
    out, task, agent = np.unravel_index(int(gain.argmax()), gain.shape)
    return [(int(outs[out]), UNPLACED), (int(ins[task]), int(agent))]
