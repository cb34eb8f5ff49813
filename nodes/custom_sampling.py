"""Sampling from parts: samplers, schedules, sigmas, noise and guiders as values of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from engine.diffusion import sampling, schedules
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance, Guider
from engine.diffusion.samplers import SAMPLERS, SamplerSpec
from engine.diffusion.sampling import MOST_STEPS, checked_sigmas
from engine.foundation.bounds import within
from engine.node import PLAIN, Cfg, Choice, Fraction, NodeContext, Range, Sampling, Seed, Steps, node
from engine.tensors.values import Conditioning, Latent, Sigmas
from nodes.sampling import SamplerName, ScheduleName, warn_of_unused

SCHEDULES = "sampling/custom_sampling/schedulers"
SIGMAS = "sampling/custom_sampling/sigmas"
GUIDERS = "sampling/custom_sampling/guiders"
NOISE = "sampling/custom_sampling/noise"
LOWEST_START = 1e-4  # a flipped schedule starts at 0, where a slope has no meaning
NO_BOUND = 999_999_999.9  # what the community calls the sigma before sampling starts

Sigma = Annotated[float, Range(0.0, 5000.0, step=0.01, round=False)]
Shape = Annotated[float, Range(0.0, 50.0, step=0.01, round=False)]
Rho = Annotated[float, Range(0.0, 100.0, step=0.01, round=False)]


@dataclass(frozen=True, slots=True)
class Noise:
    """Where the initial noise comes from: a seed, or nowhere."""

    socket: ClassVar[str] = "NOISE"

    seed: int
    add: bool = True


@node("KSamplerSelect", category="sampling/custom_sampling/samplers")
def select_sampler(sampler_name: SamplerName) -> SamplerSpec:
    """A sampler by name."""
    return SAMPLERS[sampler_name]


@node("BasicScheduler", category=SCHEDULES)
def basic_schedule(model: Denoiser, scheduler: ScheduleName, steps: Steps = 20, denoise: Fraction = 1.0) -> Sigmas:
    """A schedule by name over the noise levels of a model."""
    return _sigmas(sampling.Steps(steps, schedule=scheduler, denoise=denoise).sigmas(model.levels))


@node("BetaSamplingScheduler", category=SCHEDULES)
def beta_schedule(model: Denoiser, steps: Steps = 20, alpha: Shape = 0.6, beta: Shape = 0.6) -> Sigmas:
    """Timesteps at even quantiles of a Beta distribution."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.beta(model.levels, steps, alpha, beta))


@node("SDTurboScheduler", category=SCHEDULES)
def sd_turbo_schedule(model: Denoiser, steps: Annotated[int, Range(1, 10)] = 1, denoise: Fraction = 1.0) -> Sigmas:
    """The levels that SD-Turbo and SDXL-Turbo were trained on."""
    return _sigmas(schedules.sd_turbo(model.levels, steps, denoise))


@node("KarrasScheduler", category=SCHEDULES)
def karras_schedule(
    steps: Steps = 20, sigma_max: Sigma = 14.614642, sigma_min: Sigma = 0.0291675, rho: Rho = 7.0
) -> Sigmas:
    """Even steps in sigma^(1/rho)."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.karras_between(sigma_max, sigma_min, steps, rho))


@node("ExponentialScheduler", category=SCHEDULES)
def exponential_schedule(steps: Steps = 20, sigma_max: Sigma = 14.614642, sigma_min: Sigma = 0.0291675) -> Sigmas:
    """Even steps in log sigma."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.polyexponential_between(sigma_max, sigma_min, steps))


@node("PolyexponentialScheduler", category=SCHEDULES)
def polyexponential_schedule(
    steps: Steps = 20, sigma_max: Sigma = 14.614642, sigma_min: Sigma = 0.0291675, rho: Rho = 1.0
) -> Sigmas:
    """Steps in log sigma that are even in its root of order rho."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.polyexponential_between(sigma_max, sigma_min, steps, rho))


@node("LaplaceScheduler", category=SCHEDULES)
def laplace_schedule(
    steps: Steps = 20,
    sigma_max: Sigma = 14.614642,
    sigma_min: Sigma = 0.0291675,
    mu: Annotated[float, Range(-10.0, 10.0, step=0.1, round=False)] = 0.0,
    beta: Annotated[float, Range(0.0, 10.0, step=0.1, round=False)] = 0.5,
) -> Sigmas:
    """Log sigma at even quantiles of a Laplace distribution."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.laplace(sigma_max, sigma_min, steps, mu, beta))


@node("VPScheduler", category=SCHEDULES)
def vp_schedule(
    steps: Steps = 20,
    beta_d: Sigma = 19.9,
    beta_min: Sigma = 0.1,
    eps_s: Annotated[float, Range(0.0, 1.0, step=0.0001, round=False)] = 0.001,
) -> Sigmas:
    """Even steps in the time of the variance-preserving process."""
    within("steps", steps, 1, MOST_STEPS)
    return _sigmas(schedules.vp(steps, beta_d, beta_min, eps_s))


@node("SplitSigmas", category=SIGMAS, outputs=["high_sigmas", "low_sigmas"])
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Range(0, 10_000)] = 0) -> tuple[Sigmas, Sigmas]:
    """The part before a step and the part from it on; both hold the sigma between them."""
    return Sigmas(sigmas[: step + 1]), Sigmas(sigmas[step:])


@node("SplitSigmasDenoise", category=SIGMAS, outputs=["high_sigmas", "low_sigmas"])
def split_sigmas_by_share(sigmas: Sigmas, denoise: Fraction = 1.0) -> tuple[Sigmas, Sigmas]:
    """Split so that the second part has the share `denoise` of the steps."""
    step = len(sigmas) - 1 - round((len(sigmas) - 1) * denoise)
    return Sigmas(sigmas[: step + 1]), Sigmas(sigmas[step:])


@node("FlipSigmas", category=SIGMAS)
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """The other way round: from the picture to noise."""
    flipped = sigmas.flip(0).clone()
    if len(flipped) and flipped[0] == 0:
        flipped[0] = LOWEST_START
    return Sigmas(flipped)


@node("SetFirstSigma", category=SIGMAS)
def set_first_sigma(
    sigmas: Sigmas, sigma: Annotated[float, Range(0.0, 20_000.0, step=0.001, round=False)] = 136.0
) -> Sigmas:
    """Another sigma to start from."""
    return Sigmas(torch.cat([sigmas.new_tensor([sigma]), sigmas[1:]]))


@node("SamplingPercentToSigma", category=SIGMAS, outputs=["sigma_value"])
def sigma_of_percent(
    model: Denoiser,
    sampling_percent: Annotated[float, Range(0.0, 1.0, step=0.0001)] = 0.0,
    return_actual_sigma: bool = False,
) -> float:
    """Sigma after a share of the sampling; at the ends, the trained ones if `return_actual_sigma`, else no bound."""
    if return_actual_sigma and sampling_percent in (0.0, 1.0):
        return model.levels.sigma_max if sampling_percent == 0.0 else model.levels.sigma_min
    return min(model.levels.sigma_at(sampling_percent), NO_BOUND)


@node("RandomNoise", category=NOISE)
def random_noise(noise_seed: Seed) -> Noise:
    """Noise from a seed."""
    return Noise(noise_seed)


@node("DisableNoise", category=NOISE)
def no_noise() -> Noise:
    """No noise: the latent has its own."""
    return Noise(0, add=False)


@node("BasicGuider", category=GUIDERS)
def basic_guider(model: Denoiser, conditioning: Conditioning, ctx: NodeContext = PLAIN) -> Guider:
    """One conditioning, no negative."""
    warn_of_unused(model, (conditioning,), ctx)
    return ClassifierFreeGuidance(model, conditioning, conditioning, 1.0)


@node("CFGGuider", category=GUIDERS)
def cfg_guider(
    model: Denoiser, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0, ctx: NodeContext = PLAIN
) -> Guider:
    """Classifier-free guidance."""
    warn_of_unused(model, (positive, negative), ctx)
    return ClassifierFreeGuidance(model, positive, negative, cfg)


@node("DualCFGGuider", category=GUIDERS)
def dual_cfg_guider(
    model: Denoiser,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Cfg = 8.0,
    cfg_cond2_negative: Cfg = 8.0,
    *,
    style: Annotated[str, Choice("regular", "nested")],
    ctx: NodeContext = PLAIN,
) -> Guider:
    """Two prompts, each with a scale: from the negative to the second, and from there to the first."""
    warn_of_unused(model, (cond1, cond2, negative), ctx)
    return DualGuidance(model, cond1, cond2, negative, cfg_conds, cfg_cond2_negative, nested=style == "nested")


@node("SamplerCustom", category="sampling/custom_sampling", outputs=["output", "denoised_output"])
def sampler_custom(
    model: Denoiser,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: Cfg = 8.0,
    *,
    positive: Conditioning,
    negative: Conditioning,
    sampler: SamplerSpec,
    sigmas: Sigmas,
    latent_image: Latent,
    ctx: NodeContext = PLAIN,
) -> Sampling[tuple[Latent, Latent]]:
    """KSampler with a sampler and sigmas of your own; also gives the last denoised estimate."""
    warn_of_unused(model, (positive, negative), ctx)
    guider = ClassifierFreeGuidance(model, positive, negative, cfg)
    values = checked_sigmas(sigmas)
    return (
        yield from sampling.sample_custom(guider, sampler, values, latent_image, seed=noise_seed, add_noise=add_noise)
    )


@node("SamplerCustomAdvanced", category="sampling/custom_sampling", outputs=["output", "denoised_output"])
def sampler_custom_advanced(
    noise: Noise, guider: Guider, sampler: SamplerSpec, sigmas: Sigmas, latent_image: Latent
) -> Sampling[tuple[Latent, Latent]]:
    """Sampling with every part chosen."""
    values = checked_sigmas(sigmas)
    return (
        yield from sampling.sample_custom(guider, sampler, values, latent_image, seed=noise.seed, add_noise=noise.add)
    )


def _sigmas(values: list[float]) -> Sigmas:
    return Sigmas(torch.tensor(values, dtype=torch.float64))
