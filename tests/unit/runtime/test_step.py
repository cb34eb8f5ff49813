"""A node that works in steps: each answer is followed by progress, and by a preview if there is one to show."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.node import NodeContext, Sampling, node
from engine.node.context import Note, Preview, Progress
from engine.node.declare import definition_of
from engine.runtime.step import Computed, compute
from engine.tensors.values import LatentPreview

LATENT = LatentPreview(torch.zeros(1, 4, 2, 2), 0.18215, 8)


@dataclass
class Step:
    """A request that has something to show from the second step on."""

    step: int
    total: int = 2

    def compute(self) -> Tensor:
        return torch.ones(1)

    def preview(self) -> LatentPreview | None:
        return LATENT if self.step else None


@node("TwoSteps")
def two_steps(start: int) -> Sampling[int]:
    """Adds up two answers."""
    first = yield Step(0)
    second = yield Step(1)
    return start + int(first + second)


def test_estimates_are_shown_as_they_come() -> None:
    notes: list[Note] = []
    definition = definition_of(two_steps)
    assert definition is not None
    outcome = asyncio.run(compute(definition, [{"start": 5}], lambda _call: NodeContext(report=notes.append)))
    assert outcome == Computed(((7,),))
    assert notes == [Progress(1, 2), Progress(2, 2), notes[-1]]
    assert isinstance(notes[-1], Preview)
    assert notes[-1].content is LATENT
