"""What an evaluation shows of itself: its estimate, as the net sees it, with what tells the family of the latent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE
from engine.diffusion.denoiser import LatentFormat
from engine.diffusion.sampling import Evaluation

MAP = torch.rand(5, 3)


class Halves:
    """A guider that answers with half of what it is given."""

    denoiser: Any = SimpleNamespace(latents=LatentFormat(4, 0.5, 4, MAP), guidance=CLASSIFIER_FREE)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        return x / 2


def test_there_is_nothing_to_show_before_it_is_computed() -> None:
    assert Evaluation(Halves(), torch.ones(1, 4, 2, 2), 1.0, 0, 1).preview() is None


def test_the_estimate_is_shown_as_the_net_sees_it() -> None:
    evaluation = Evaluation(Halves(), torch.ones(1, 4, 2, 2), 1.0, 0, 1)
    estimate = evaluation.compute()
    preview = evaluation.preview()
    assert preview is not None
    assert preview.scaled is estimate
    assert (preview.scale_factor, preview.downscale) == (0.5, 4)
    assert preview.to_rgb is MAP


def test_formats_are_equal_whatever_their_map() -> None:
    assert LatentFormat() == LatentFormat(to_rgb=MAP)
    assert hash(LatentFormat()) == hash(LatentFormat(to_rgb=MAP))
