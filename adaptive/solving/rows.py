"""What every schedule obeys, as linear rows: no row's load exceeds the time there is.

A row is a set of weights: the weighted durations of the tasks in it, where they run, plus the row's base fit
into the makespan (or the window). Rows are an agent's time; the time of tasks that never overlap (a clique);
the pool's memory over time. The last is stated also with dual feasible functions u of the share s of the
memory a task needs: u(s1) + u(s2) + ... <= 1 wherever s1 + s2 + ... <= 1, so that the sum of u(s) x duration
is no more than the makespan, too (Fekete and Schepers 2001, "New classes of fast lower bounds for bin packing
problems", Math. Programming 91: u_k(s) = s if (k + 1) s is whole, else floor((k + 1) s) / k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptive.solving.structure import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = range(1, 6)
"""k of the dual feasible functions: up to five tasks side by side."""
THRESHOLDS = 4
"""Heads (and tails) that rows of late (early) tasks are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """load[i, j, r]: what task i on agent j adds to row r [ms]; 0 where j cannot run i. base[r]: ms.

    allowed[i, j]: whether agent j can run task i.
    """

    load: NDArray[Any]
    base: NDArray[Any]
    allowed: NDArray[Any]

    def of(self, agents: NDArray[Any]) -> NDArray[Any]:
        """Return each row's load [ms] with task i on agents[i]; UNPLACED adds nothing."""
        import numpy as np

        placed = np.flatnonzero(agents >= 0)
        total: NDArray[Any] = self.base + self.load[placed, agents[placed]].sum(axis=0)
        return total


def rows_of(work: Work, *, limit: float, tails: bool) -> Rows:
    """Return the rows of the work that can exceed the limit [ms], and each agent's time.

    tails: whether all tasks are placed, so that what follows counts.
    """
    import numpy as np

    took = np.array(work.duration)
    allowed = np.isfinite(took)
    took = np.where(allowed, took, 0.0)
    count, agents = took.shape
    parts, bases, whole = [], [], []
    for agent in range(agents):
        for members, base in _ends(work, tails=tails):
            part = np.zeros((count, agents))
            part[members, agent] = took[members, agent]
            parts.append(part)
            bases.append(base)
            whole.append(len(members) == count)
    for weights, base in [*_clique_weights(work, tails=tails), *_memory_weights(work)]:
        parts.append(took * weights[:, None])
        bases.append(base)
    heaviest = [base + part.max(axis=1).sum() for part, base in zip(parts, bases, strict=True)]
    kept = [row for row, most in enumerate(heaviest) if most > limit or (row < len(whole) and whole[row])]
    return Rows(
        load=np.stack([parts[row] for row in kept], axis=2),
        base=np.array([bases[row] for row in kept]),
        allowed=allowed,
    )


def _ends(work: Work, *, tails: bool) -> list[tuple[list[int], float]]:
    """Return groups of tasks with the time that none of them may use: before its heads, after its tails."""
    every = list(range(len(work.tasks)))
    groups = [(every, 0.0)]
    for times in (work.head, work.tail) if tails else (work.head,):
        levels = sorted({time for time in times if time > 0})
        for level in levels[:: max(1, math.ceil(len(levels) / THRESHOLDS))]:
            groups.append(([task for task in every if times[task] >= level], level))
    return groups


def _clique_weights(work: Work, *, tails: bool) -> list[tuple[NDArray[Any], float]]:
    import numpy as np

    found = []
    for clique in work.cliques:
        weights = np.zeros(len(work.tasks))
        weights[list(clique)] = 1.0
        base = min(work.head[task] for task in clique)
        found.append((weights, base + (min(work.tail[task] for task in clique) if tails else 0.0)))
    return found


def _memory_weights(work: Work) -> list[tuple[NDArray[Any], float]]:
    """Return the share of the memory each task needs, and what the dual feasible functions make of it."""
    import numpy as np

    if not 0 < work.memory_mb < math.inf:
        return []
    share = np.array(work.memory) / work.memory_mb
    found = [share]
    for step in STEPS:
        whole = (step + 1) * share
        # What is whole but for rounding is rounded down a whole step: too little only weakens the row.
        floors = np.where(np.abs(whole - np.round(whole)) < 1e-9, np.round(whole) - 1, np.floor(whole))
        found.append(np.where(whole == np.round(whole), share, floors / step))
    return [(weights, 0.0) for weights in found if weights.sum() > 1]
