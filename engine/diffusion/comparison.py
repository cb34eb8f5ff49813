"""Samplings measured: how often each asked the net, how long it took, and what came out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.diffusion.sampling import Evaluation
from engine.tensors.values import Latent

Sampled = Generator[Evaluation, Tensor, Latent]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sampling to be measured: a sampler's name and how many steps it is given."""

    sampler: str
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came of an attempt: the latent, the evaluations it took, and the median seconds of one."""

    attempt: Attempt
    latent: Latent
    evaluations: int
    seconds: float


def measured(
    attempts: Sequence[Attempt], start: Callable[[Attempt], Sampled], clock: Clock = time.perf_counter
) -> Generator[Evaluation, Tensor, list[Measured]]:
    """Run `start` for each of `attempts` one after another, as one sampling of all their steps."""
    total = sum(attempt.steps for attempt in attempts)
    results: list[Measured] = []
    done = 0
    for attempt in attempts:
        sampling = start(attempt)
        times: list[float] = []
        try:
            request = next(sampling)
            while True:
                request.step, request.total = done + min(request.step, attempt.steps - 1), total
                before = clock()
                answer = yield request
                times.append(clock() - before)
                request = sampling.send(answer)
        except StopIteration as stop:
            results.append(Measured(attempt, stop.value, len(times), statistics.median(times) if times else 0.0))
        done += attempt.steps
    return results
