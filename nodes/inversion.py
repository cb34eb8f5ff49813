"""Pictures of one's own led back to noise, from where they can be painted again, edited."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.inversion import Fit, invert, null_text
from engine.diffusion.samplers.inversion import MOST_CORRECTIONS
from engine.diffusion.sampling import Steps as Plan
from engine.node import Cfg, Range, Sampling, Steps, node
from engine.tensors.values import Conditioning, Latent, Sigmas
from nodes.sampling import ScheduleName

CATEGORY = "sampling/inversion"

Corrections = Annotated[int, Range(0, MOST_CORRECTIONS)]


@node("DDIMInversion", category=CATEGORY, display_name="DDIM Inversion", outputs=["noise", "sigmas"])
def ddim_inversion(
    model: Denoiser,
    positive: Conditioning,
    latent_image: Latent,
    steps: Steps = 50,
    *,
    scheduler: ScheduleName,
    corrections: Corrections = 0,
) -> Sampling[tuple[Latent, Sigmas]]:
    """Find the noise that paints a picture, for a prompt that describes it.

    Sample from it with the same sigmas, `euler` or `ddim`, no noise added and a cfg of 1, and the picture comes back;
    each correction costs as many steps again and brings it back more exactly.
    """
    sigmas = Plan(steps, "ddim", scheduler).sigmas(model.levels)
    noise, _ = yield from invert(model, positive, latent_image, sigmas[::-1], corrections)
    return noise, Sigmas(torch.tensor(sigmas, dtype=torch.float64))


@node(
    "NullTextInversion", category=CATEGORY, display_name="Null-Text Inversion", outputs=["noise", "negative", "sigmas"]
)
def null_text_inversion(
    model: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    steps: Steps = 50,
    cfg: Cfg = 7.5,
    iterations: Annotated[int, Range(0, 1000)] = 10,
    rate: Annotated[float, Range(0.0, 1.0, step=0.001, round=False)] = 0.01,
    tolerance: Annotated[float, Range(0.0, 1.0, step=1e-6, round=False)] = 1e-5,
    *,
    scheduler: ScheduleName,
    corrections: Corrections = 0,
) -> Sampling[tuple[Latent, Conditioning, Sigmas]]:
    """Find the noise that paints a picture, and a negative prompt for each step with which it does so with guidance.

    Each step's prompt is fitted by up to `iterations` steps of Adam; `negative` is where the first one begins. Sample
    with the same sigmas and cfg, `euler` or `ddim`, and no noise added; then change the prompt.
    """
    sigmas = Plan(steps, "ddim", scheduler).sigmas(model.levels)
    fit, prompts = Fit(rate, iterations, tolerance), (positive, negative)
    noise, fitted = yield from null_text(model, prompts, latent_image, sigmas[::-1], cfg, fit, corrections)
    return noise, fitted, Sigmas(torch.tensor(sigmas, dtype=torch.float64))
