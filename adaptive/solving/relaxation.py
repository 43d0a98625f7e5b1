"""Linear and mixed integer relaxations of a wave: who does what, the order left out (HiGHS in scipy).

Variables: x[i, j] (task i on agent j), s[i] (the start of each task that has or is a dependency), and T, the
makespan. Every row of `rows` fits into T; s[k] >= s[i] + duration of i where k depends on i. No order of the
tasks is asked for, so every schedule is a solution and the optimum is a bound on every schedule. Times are
scaled by a proven bound, so that the solver's tolerances (1e-7) are relative; TOLERANCE is taken off again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptive.solving.rows import Rows
from adaptive.solving.structure import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """share[i, j]: how much of task i agent j does. bound: ms or value, proven."""

    share: NDArray[Any]
    bound: float


class Relaxation:
    """The relaxation of one wave; solved again and again with less allowed."""

    def __init__(self, work: Work, rows: Rows, *, by_value: bool, scale: float) -> None:
        """scale: ms that count as 1: a makespan's bound, or the window."""
        self.work, self.rows, self.by_value, self.scale = work, rows, by_value, scale
        self.count, self.agents = rows.allowed.shape
        self.linked = [task for task in work.order if work.before[task] or work.after[task]]
        self.start_of = {task: self.count * self.agents + n for n, task in enumerate(self.linked)}
        self.last = self.count * self.agents + len(self.linked)
        self.worth = max((max(row, default=0.0) for row in work.value), default=0.0) or 1.0
        self._matrix()

    def _x(self, task: int) -> slice:
        return slice(task * self.agents, (task + 1) * self.agents)

    def _matrix(self) -> None:
        import numpy as np
        from scipy.sparse import csr_array

        width = self.last + 1
        once = np.zeros((self.count, width))
        for task in range(self.count):
            once[task, self._x(task)] = 1.0
        load = np.zeros((len(self.rows.base), width))
        load[:, : self.count * self.agents] = (
            self.rows.load.reshape(self.count * self.agents, -1).T / self.scale
        )
        load[:, self.last] = -1.0
        order = self._order(width)
        self.matrix = csr_array(np.vstack([once, load, order]))
        self.upper = np.concatenate([np.ones(self.count), -self.rows.base / self.scale, np.zeros(len(order))])
        self.lower = np.full(len(self.upper), -math.inf)
        self.lower[: self.count] = 0.0 if self.by_value else 1.0

    def _order(self, width: int) -> NDArray[Any]:
        """Return the rows of dependencies, each at most 0."""
        import numpy as np

        took = np.where(self.rows.allowed, np.array(self.work.duration), 0.0) / self.scale
        found = []
        for task in self.linked:
            row = np.zeros(width)
            row[self._x(task)] = took[task]
            row[self.start_of[task]] = 1.0
            for after in self.work.after[task]:
                found.append(row.copy())
                found[-1][self.start_of[after]] = -1.0
                if self.by_value:  # placed only with what it depends on
                    found.append(np.zeros(width))
                    found[-1][self._x(after)] = 1.0
                    found[-1][self._x(task)] = -1.0
            row[self.last] = -1.0
            found.append(row)
        return np.array(found).reshape(len(found), width)

    def _limits(self, longest: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the variables' lower and upper limits. longest: ms that a task's path may take."""
        import numpy as np

        work = self.work
        took = np.array(work.duration) + np.array(work.head)[:, None]
        if not self.by_value:
            took = took + np.array(work.tail)[:, None]
        lower, upper = np.zeros(self.last + 1), np.full(self.last + 1, math.inf)
        # A path's length may differ in the last digit from a sum made in another order.
        upper[: self.count * self.agents] = (took <= longest * (1 + 1e-9)).ravel()
        if self.by_value:
            lower[self.last] = upper[self.last] = longest / self.scale
        return lower, upper

    def solve(
        self, longest: float, *, whole: bool = False, nodes: int = 0, seconds: float = math.inf
    ) -> Relaxed | None:
        """Return the optimum, or None if there is none with tasks of at most this length.

        longest: ms; for values the window. whole: tasks are not divided, for at most so many nodes of the
        search and so many seconds; the bound holds however far it came.
        """
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        cost, integrality = np.zeros(self.last + 1), np.zeros(self.last + 1)
        xs = slice(0, self.count * self.agents)
        if self.by_value:
            cost[xs] = -np.array(self.work.value).ravel() / self.worth
        else:
            cost[self.last] = 1.0
        options: dict[str, Any] = {}
        if whole:
            integrality[xs] = 1
            options = {"node_limit": nodes, "mip_rel_gap": 1e-7}
            if math.isfinite(seconds):
                options["time_limit"] = max(0.01, seconds)
        lower, upper = self._limits(longest)
        done = milp(
            cost,
            integrality=integrality,
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(self.matrix, self.lower, self.upper),
            options=options,
        )
        if done.status == 2:
            return None
        return self._read(done, whole=whole)

    def _read(self, done: Any, *, whole: bool) -> Relaxed:
        """Return what the solver found: no bound but the trivial one if it found none."""
        import numpy as np

        reached = done.mip_dual_bound if whole else done.fun
        trivial = -math.inf if not self.by_value else -float(sum(max(row) for row in self.work.value))
        bound = trivial if reached is None or not math.isfinite(reached) else float(reached)
        has_x = done.x is not None
        share = (
            np.array(done.x[: self.count * self.agents]).reshape(self.count, self.agents)
            if has_x
            else np.zeros((self.count, self.agents))
        )
        if self.by_value:
            return Relaxed(share=share, bound=-bound * self.worth * (1 + TOLERANCE))
        return Relaxed(share=share, bound=bound * self.scale * (1 - TOLERANCE))

    def shortest(self, known: float, reached: float) -> tuple[float, Relaxed | None]:
        """Return a bound on the makespan, and the relaxation at it. known: a bound; reached: a makespan, ms.

        A schedule of makespan C has no task whose path is longer than C. So where the relaxation without
        such tasks is above C, C is impossible: the least C that passes is found by bisection (Lenstra,
        Shmoys and Tardos 1990, "Approximation algorithms for scheduling unrelated parallel machines").
        """
        best = self.solve(reached)
        if best is None:
            return known, None
        bound = max(known, best.bound)
        lengths = sorted({path for path in self._paths() if bound < path < reached})
        low, high = 0, len(lengths)
        while low < high:
            middle = (low + high) // 2
            found = self.solve(lengths[middle])
            least = math.inf if found is None else found.bound
            if found is not None and least <= lengths[middle]:
                high, best = middle, found
                bound = max(bound, least)
            else:  # up to the next length nothing more is allowed, so there the same optimum holds
                low = middle + 1
                bound = max(bound, min(least, [*lengths, reached][low]))
        return bound, best

    def _paths(self) -> list[float]:
        work = self.work
        return [
            work.head[task] + took + work.tail[task]
            for task, row in enumerate(work.duration)
            for took in row
            if math.isfinite(took)
        ]
