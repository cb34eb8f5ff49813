"""Weights of multistep methods on uneven steps: integrals of Lagrange polynomials against a density."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
PLACES, SHARES = np.polynomial.legendre.leggauss(48)  # exact in float64 for the widest steps of schedules


def weights(nodes: Sequence[float], start: float, end: float, density: Callable[[Numbers], Numbers]) -> list[float]:
    """For each node, the integral of `density` times the polynomial that is 1 there and 0 at the others.

    By quadrature, because the closed forms cancel where steps are short.
    """
    half = (end - start) / 2
    points = start + half * (PLACES + 1)
    measure = half * SHARES * density(points)
    return [float(np.dot(measure, _polynomial(nodes, which, points))) for which in range(len(nodes))]


def _polynomial(nodes: Sequence[float], which: int, points: Numbers) -> Numbers:
    result = np.ones_like(points)
    for place, node in enumerate(nodes):
        if place != which:
            result *= (points - node) / (nodes[which] - node)
    return result
