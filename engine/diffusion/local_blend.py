"""Local blending: an edited picture stays its source wherever neither looks at the words that were changed.

Source: Hertz et al. 2022 (prompt-to-prompt), section 3.2, "local editing", on estimates instead of latents: what a
sampler is sent is the source's outside the mask, so that its end is, too, whatever the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.combining import Estimates, Rule
from engine.foundation.bounds import within
from engine.models.nets.prompt_to_prompt import PAIR, WordAttention

REACH = 3  # cells: the window whose largest value counts, as in the published code


@dataclass(frozen=True, slots=True, eq=False)
class LocalBlend(Rule):
    """One more evaluation of the prompt, for what its cells look at, which is added up over the steps.

    `tokens` `(2, T)` are 1 at the words that count in the source's and in the target's prompt. Cells that look at them
    more than `threshold` times as much as the one that does most are edited, in either of the two.
    """

    tokens: Tensor
    threshold: float = 0.3

    def __post_init__(self) -> None:
        within("threshold", self.threshold, 0.0, 1.0)

    @property
    def remembers(self) -> bool:
        """The maps of all steps so far."""
        return True

    def after(self, estimates: Estimates, guided: Tensor) -> Tensor:
        """The result from the combined estimate."""
        record = WordAttention(self.tokens)
        estimates.ask(estimates.prompts[0], estimates.x, (record,))
        looked = torch.stack([torch.stack(record.maps[sample]).mean(dim=0) for sample in range(len(guided))])[:, None]
        total = looked.to(guided) + estimates.memory.get(self, torch.zeros_like(guided))
        estimates.memory[self] = total
        return blended(guided, total[:, :1], self.threshold)


def blended(x: Tensor, looked: Tensor, threshold: float) -> Tensor:
    """`x` `(B, C, h, w)` of pairs, each edited one as its source where neither of `looked` `(B, 1, h, w)` is high."""
    near = F.max_pool2d(looked, REACH, stride=1, padding=REACH // 2)
    high = near > threshold * near.amax(dim=(2, 3), keepdim=True)
    mask = (high[::PAIR] | high[1::PAIR]).to(x)
    result = x.clone()
    result[1::PAIR] = x[::PAIR] + mask * (x[1::PAIR] - x[::PAIR])
    return result
