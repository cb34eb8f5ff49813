"""KSampler and KSampler (Advanced)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from engine.diffusion import sampling
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import SCHEDULES
from engine.node import PLAIN, Cfg, Choice, Fraction, NodeContext, Range, Sampling, Seed, Steps, node
from engine.tensors.values import Conditioning, Latent

SamplerName = Annotated[str, Choice(*SAMPLERS)]
ScheduleName = Annotated[str, Choice(*SCHEDULES)]
Step = Annotated[int, Range(0, 10_000)]
Switch = Annotated[str, Choice("enable", "disable")]


@node("KSampler", category="sampling")
def ksampler(
    model: Denoiser,
    seed: Seed,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    *,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Fraction = 1.0,
    ctx: NodeContext = PLAIN,
) -> Sampling[Latent]:
    """Denoise a latent. With `denoise` below 1 part of what is there is kept."""
    warn_of_unused(model, (positive, negative), ctx)
    plan = sampling.Steps(steps, sampler_name, scheduler, denoise)
    return (yield from sampling.sample(model, positive, negative, latent_image, seed=seed, cfg=cfg, steps=plan))


@node("KSamplerAdvanced", category="sampling", display_name="KSampler (Advanced)")
def ksampler_advanced(
    model: Denoiser,
    add_noise: Switch,
    noise_seed: Seed,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    *,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Step = 0,
    end_at_step: Step = 10_000,
    return_with_leftover_noise: Annotated[str, Choice("disable", "enable")],
    ctx: NodeContext = PLAIN,
) -> Sampling[Latent]:
    """Run a part of a schedule, so that several samplers can share one."""
    warn_of_unused(model, (positive, negative), ctx)
    to_zero = return_with_leftover_noise == "disable"
    plan = sampling.Steps(steps, sampler_name, scheduler, start=start_at_step, end=end_at_step, to_zero=to_zero)
    return (
        yield from sampling.sample(
            model,
            positive,
            negative,
            latent_image,
            seed=noise_seed,
            cfg=cfg,
            steps=plan,
            add_noise=add_noise == "enable",
        )
    )


def warn_of_unused(model: Denoiser, sides: Sequence[Conditioning], ctx: NodeContext) -> None:
    """Tell the user of what prompts hold for another model, which would otherwise be passed over in silence."""
    found = {what: None for side in sides for prompt in side.prompts for what in model.extras.unused(prompt)}
    if found:
        ctx.warn(f"this model does not look at what its prompts hold: {', '.join(found)}")
