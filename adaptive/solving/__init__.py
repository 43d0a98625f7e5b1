"""Solvers of a wave: a proven bound, and the best schedule that is found; proven where it is small."""

from __future__ import annotations

from adaptive.solving.solver import solve

__all__ = ["solve"]
