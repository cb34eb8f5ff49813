"""The loop that every part of the demo model is trained with: a time budget, a cosine schedule, averaged weights.

The long runs are measured in minutes of training, not in steps, because the machines they are done on differ widely;
the short ones of the adapters in steps. The state is saved as a run goes, and one that was stopped goes on from there.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, multiprocessing, nn

State: TypeAlias = dict[str, Tensor]
Batch: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """How to train: for how long, peak learning rate, steps of warm-up, the longest memory of the weight average.

    A run takes `minutes`, or exactly `steps` if that is given, which repeats it to the bit on the same machine. It may
    end sooner, after `stop` steps: the average then stands in for the end of the schedule.
    """

    minutes: float = math.inf
    rate: float = 1e-3
    warm_up: int = 200
    decay: float = 0.999
    report_every: int = 200
    seed: int = 0
    steps: int | None = None
    stop: int | None = None

    def done(self, step: int, seconds: float) -> float:
        """How much of the run is over, 1 at its end."""
        return seconds / (self.minutes * 60) if self.steps is None else step / self.steps

    def over(self, step: int, seconds: float) -> bool:
        """Whether nothing is left to do."""
        return self.done(step, seconds) >= 1 or (self.stop is not None and step >= self.stop)


def fit(
    net: nn.Module,
    make: Callable[[Generator], Batch],
    loss: Callable[[Batch], Tensor],
    how: Fit,
    state: Path,
    report: Callable[[State], str] = lambda _average: "",
) -> State:
    """Train `net` on `loss` of batches from `make` and give its averaged weights.

    Batches are made ahead in a process of their own. Every `how.report_every` steps `report` is asked, with the
    averaged weights, for what to print, and the state is saved to `state`; it is read from there at the start if it
    exists.
    """
    torch.manual_seed(how.seed)
    optimiser = torch.optim.AdamW(
        (p for p in net.parameters() if p.requires_grad), betas=(0.9, 0.99), weight_decay=0.01
    )
    average = {name: value.clone() for name, value in net.state_dict().items()}
    step, seconds = 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        average, step, seconds = saved["average"], saved["step"], saved["seconds"]
    with _made_ahead(make, how.seed + step) as next_batch:
        while not how.over(step, seconds):
            start = time.monotonic()
            for group in optimiser.param_groups:
                group["lr"] = how.rate * _schedule(step / how.warm_up, how.done(step, seconds))
            optimiser.zero_grad(set_to_none=True)
            value = loss(next_batch())
            torch.autograd.backward(value)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            step += 1
            _follow(average, net.state_dict(), min(how.decay, step / (step + 50)))
            seconds += time.monotonic() - start
            if step % how.report_every == 0 or how.over(step, seconds):
                sys.stdout.write(f"step {step}, {seconds:.0f} s, loss {value.item():.4f} {report(average)}\n")
                sys.stdout.flush()
                _save(
                    state,
                    {
                        "net": net.state_dict(),
                        "average": average,
                        "optimiser": optimiser.state_dict(),
                        "step": step,
                        "seconds": seconds,
                    },
                )
    return average


def _schedule(warm: float, done: float) -> float:
    return min(1.0, warm + 0.01) * (0.5 * (1 + math.cos(math.pi * min(done, 1.0))) + 0.005)


@torch.no_grad()
def _follow(average: State, weights: State, decay: float) -> None:
    for name, weight in weights.items():
        if weight.is_floating_point():
            average[name].lerp_(weight, 1 - decay)


def _save(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(values, partial)
    partial.replace(path)


@contextmanager
def _made_ahead(make: Callable[[Generator], Batch], seed: int, ahead: int = 12) -> Iterator[Callable[[], Batch]]:
    context = multiprocessing.get_context("fork")
    queue: Any = context.Queue(ahead)
    worker = context.Process(target=_produce, args=(make, seed, queue), daemon=True)
    worker.start()
    try:
        yield queue.get
    finally:
        worker.terminate()
        worker.join()


def _produce(make: Callable[[Generator], Batch], seed: int, queue: Any) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    while True:
        queue.put(make(rng))
