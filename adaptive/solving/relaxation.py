"""Linear and mixed integer relaxations of a wave: who does what, the order left out (HiGHS in scipy).

Variables: x[i, j] (task i on agent j), s[i] (the start of each task that has or is a dependency), and T, the
makespan. Every row of `rows` fits into T; s[k] >= s[i] + duration of i where k depends on i. No order of the
tasks is asked for, so every schedule is a solution and the optimum is a bound on every schedule. Times are
scaled by a proven bound, so that the solver's tolerances (1e-7) are relative; TOLERANCE is taken off again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptive.solving.rows import Rows
from adaptive.solving.structure import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-6
INFEASIBLE = 2
"""scipy's status."""
DIVES = 15
DIVIDED, HALF = 1e-6, 0.5


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
        window = self.work.window / self.scale
        found = []
        for task in self.linked:
            row = np.zeros(width)
            row[self._x(task)] = took[task]
            row[self.start_of[task]] = 1.0
            # What is not placed starts and ends at 0, so that a part of a task has a part of the window.
            if self.by_value:
                row[self._x(task)] -= window
            for after in self.work.after[task]:
                found.append(row.copy())
                found[-1][self.start_of[after]] = -1.0
                if self.by_value:  # placed only with what it depends on
                    found[-1][self._x(after)] += window
                    found.append(np.zeros(width))
                    found[-1][self._x(after)] = 1.0
                    found[-1][self._x(task)] = -1.0
            if not self.by_value:
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
        options: dict[str, Any] = {"node_limit": nodes, "mip_rel_gap": 1e-7} if whole else {}
        if whole and math.isfinite(seconds):
            options["time_limit"] = max(0.01, seconds)
        return self._within(*self._limits(longest), options)

    def dive(self, longest: float, relaxed: Relaxed, has_time: Callable[[], bool]) -> Relaxed:
        """Return a relaxation with hardly a task divided: those that nearly one agent does are given to it.

        relaxed: the optimum to begin with. A few tasks are settled at a time, the rest is solved again; what
        does not go with those before is given to no one for values, and is never in the way of a makespan.
        has_time: whether to go on.
        """
        import numpy as np

        lower, upper = self._limits(longest)
        for _ in range(DIVES):
            if not has_time():
                break
            share = relaxed.share.ravel()
            divided = np.flatnonzero((share > DIVIDED) & (share < 1 - DIVIDED))
            if not len(divided):
                break
            most = divided[np.argsort(-share[divided], kind="stable")][: 1 + len(divided) // 4]
            lower[most[:1]] = 1.0
            lower[most[share[most] > HALF]] = 1.0
            found = self._within(lower, upper, {})
            if found is None:
                lower[most], upper[most] = 0.0, 0.0
                found = self._within(lower, upper, {})
            if found is None:
                break
            relaxed = found
        return relaxed

    def _within(self, lower: NDArray[Any], upper: NDArray[Any], options: dict[str, Any]) -> Relaxed | None:
        """Return the optimum within the variables' limits; options: of the search, if tasks are whole."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        cost, integrality = np.zeros(self.last + 1), np.zeros(self.last + 1)
        xs = slice(0, self.count * self.agents)
        if self.by_value:
            cost[xs] = -np.array(self.work.value).ravel() / self.worth
        else:
            cost[self.last] = 1.0
        integrality[xs] = bool(options)
        done = milp(
            cost,
            integrality=integrality,
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(self.matrix, self.lower, self.upper),
            options=options,
        )
        return None if done.status == INFEASIBLE else self._read(done)

    def _read(self, done: Any) -> Relaxed:
        """Return what the solver found; the bound is infinite if it found none."""
        import numpy as np

        reached = done.fun if done.mip_dual_bound is None else done.mip_dual_bound
        bound = -math.inf if reached is None else float(reached)
        share = np.zeros((self.count, self.agents))
        if done.x is not None:
            share = np.array(done.x[: self.count * self.agents]).reshape(self.count, self.agents)
        if self.by_value:
            return Relaxed(share=share, bound=-bound * self.worth * (1 + TOLERANCE))
        return Relaxed(share=share, bound=bound * self.scale * (1 - TOLERANCE))

    def shortest(
        self, known: float, reached: float, has_time: Callable[[], bool]
    ) -> tuple[float, Relaxed | None]:
        """Return a bound on the makespan, and the relaxation at it.

        known: a bound; reached: a makespan, ms. has_time: whether to go on; the bound holds however far it
        came.

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
        while low < high and has_time():
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
