"""Means and covariances of features, gathered batch by batch, and how far apart two sets of pictures are by them.

Source: Heusel et al. 2017, equation 6 (Fréchet distance of two Gaussians); Chan et al. 1983 for the gathering.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from engine.foundation.errors import EaselError


class StatisticsError(EaselError):
    """Statistics that cannot be gathered, compared or read."""

    code: ClassVar[str] = "bad_statistics"


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """`mean` `(D,)` and `covariance` `(D, D)` (with N - 1) of `count` feature vectors, float64; 0: nobody knows of how
    many.
    """

    socket: ClassVar[str] = "FEATURE_STATISTICS"

    mean: Tensor
    covariance: Tensor
    count: int

    @property
    def width(self) -> int:
        """The width of the features."""
        return len(self.mean)

    def joined(self, other: Statistics) -> Statistics:
        """The statistics of both sets together. Raises `StatisticsError`."""
        _check_widths(self, other, "input statistics")
        if not (self.count and other.count):
            raise StatisticsError(
                "more pictures cannot be added to statistics from a file",
                where="input statistics",
                got="statistics of an unknown number of pictures",
                hint="The file has no count: gather the pictures anew.",
            )
        count = self.count + other.count
        step = other.mean - self.mean
        scatter = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        scatter = scatter + torch.outer(step, step) * (self.count * other.count / count)
        return Statistics(self.mean + step * (other.count / count), scatter / (count - 1), count)


def statistics_of(features: Tensor) -> Statistics:
    """The statistics of feature vectors `(N, D)`; of a single one, the covariance is zero."""
    rows = features.double()
    mean = rows.mean(dim=0)
    apart = rows - mean
    return Statistics(mean, apart.T @ apart / max(1, len(rows) - 1), len(rows))


def frechet_distance(first: Statistics, second: Statistics) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), never below 0.

    With C = A A', the trace of the root of C1 C2 is the sum of the singular values of A1' A2, which stays exact where
    there are fewer pictures than features. Raises `StatisticsError`.
    """
    _check_widths(first, second, "inputs first and second")
    for name, side in (("first", first), ("second", second)):
        if side.count == 1:
            raise StatisticsError(
                "one picture has no spread", where=f"input {name}", expected="at least 2 pictures", got="1"
            )
    shared = torch.linalg.svdvals(_root(first.covariance).T @ _root(second.covariance)).sum()
    apart = (first.mean - second.mean).square().sum()
    return max(0.0, float(apart + first.covariance.trace() + second.covariance.trace() - 2 * shared))


def written(statistics: Statistics) -> bytes:
    """The file of statistics, as pytorch-fid writes it: arrays `mu` and `sigma`."""
    file = io.BytesIO()
    np.savez_compressed(file, mu=statistics.mean.numpy(), sigma=statistics.covariance.numpy())
    return file.getvalue()


def read(data: bytes, where: str) -> Statistics:
    """Statistics from such a file called `where`. Raises `StatisticsError` for any other."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            mean, covariance = (torch.from_numpy(np.array(arrays[name], dtype=np.float64)) for name in ("mu", "sigma"))
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise StatisticsError(
            "this file holds no statistics", where=where, expected="arrays mu and sigma", got=str(error)[:100]
        ) from error
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not bool(covariance.isfinite().all()):
        raise StatisticsError(
            "these arrays are no mean and covariance",
            where=where,
            expected="mu (D,) and sigma (D, D)",
            got=f"{tuple(mean.shape)} and {tuple(covariance.shape)}",
        )
    return Statistics(mean, covariance, 0)


def _root(covariance: Tensor) -> Tensor:
    """A matrix A with A A' = `covariance`."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root


def _check_widths(first: Statistics, second: Statistics, where: str) -> None:
    if first.width != second.width:
        raise StatisticsError(
            "these statistics are of other features",
            where=where,
            expected=f"features of width {first.width}",
            got=f"{second.width}",
            hint="Take both from the same network.",
        )
