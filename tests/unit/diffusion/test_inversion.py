"""Inversion against diffusers, and null-text inversion against its definition."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMInverseScheduler
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.inversion import Fit, InversionError, Slope, Stride, in_turn, invert, null_text, share_of
from engine.diffusion.parameterisation import LogClock, NoiseLevels, continuous, scaled_linear
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.samplers.evaluate import SamplerError
from engine.diffusion.samplers.inversion import ddim_inversion
from engine.diffusion.sampling import drive, sample_custom
from engine.tensors.values import Conditioning, Latent, Prompt
from tests.unit.diffusion.nets import CONTEXT, noise, prompt, twins
from tests.unit.diffusion.toys import finish, gaussian, gaussian_flow, nonlinear

STEPS = 20
RISING = [0.0, *(scaled_linear().sigmas[place] for place in (99, 299, 499, 699, 899))]


def oracle(steps: int) -> tuple[DDIMInverseScheduler, list[float]]:
    """The scheduler in float64, and the sigmas that it visits."""
    scheduler = DDIMInverseScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True
    )
    levels = scaled_linear()
    scheduler.alphas_cumprod = 1 / (1 + torch.tensor(levels.sigmas, dtype=torch.float64) ** 2)
    scheduler.initial_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    return scheduler, [0.0, *(levels.sigmas[int(t)] for t in scheduler.timesteps)]


def test_the_way_up_is_diffusers_on_a_formula() -> None:
    scheduler, sigmas = oracle(STEPS)
    start = torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = start
    for time, sigma in zip(scheduler.timesteps, sigmas[1:], strict=True):
        seen = x * math.sqrt(1 + sigma**2)
        epsilon = (seen - nonlinear(seen, sigma)) / sigma
        x = scheduler.step(epsilon, int(time), x).prev_sample
    own = finish(ddim_inversion(start, sigmas), nonlinear) / math.sqrt(1 + sigmas[-1] ** 2)
    assert (own - x).abs().max() < 1e-10


def test_the_way_up_is_diffusers_with_a_net() -> None:
    model, net = twins()
    scheduler, sigmas = oracle(STEPS)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.float()
    x, tokens = noise(1, 4, 8, 8), prompt(2)
    latent = Latent(model.latents.unscaled(x))
    with torch.no_grad():
        for time in scheduler.timesteps:
            x = scheduler.step(net(x, time, tokens.prompts[0].tokens).sample, int(time), x).prev_sample
    found, way = drive(invert(model, tokens, latent, sigmas))
    own = model.latents.scaled(found.samples) / math.sqrt(1 + sigmas[-1] ** 2)
    assert (own - x).abs().max() < 1e-5 * x.abs().max()
    assert len(way) == STEPS + 1


def test_more_steps_come_nearer_to_the_flow_and_corrections_come_back() -> None:
    start = torch.linspace(-1, 1, 9, dtype=torch.float64)
    errors, returns = [], []
    for steps in (50, 100, 200):
        sigmas = torch.linspace(0, 5, steps + 1, dtype=torch.float64).tolist()
        end = finish(ddim_inversion(start, sigmas), gaussian)
        errors.append((end - gaussian_flow(start, 0.0, 5.0)).abs().max())
        exact = finish(ddim_inversion(start, sigmas, corrections=20), gaussian)
        back = finish(SAMPLERS["euler"].start(exact, sigmas[::-1], None), gaussian)  # type: ignore[arg-type]
        returns.append((back - start).abs().max())
    assert errors[0] > 1.7 * errors[1] > 1.7 * 1.8 * errors[2]
    assert max(returns) < 1e-6


def test_flow_models_are_shown_latents_as_they_are() -> None:
    requests = ddim_inversion(torch.ones(1), [0.0, 0.5], mixes=True)
    assert float(next(requests).x) == 1.0
    assert float(next(ddim_inversion(torch.ones(1), [0.0, 0.5])).x) == pytest.approx(math.sqrt(1.25))


def test_a_falling_row_is_refused() -> None:
    with pytest.raises(SamplerError, match=r"input sigmas.*expected a rising row, got 1 before 0.5"):
        finish(ddim_inversion(torch.ones(1), [1.0, 0.5]), gaussian)


@pytest.mark.parametrize("levels", [scaled_linear(), continuous(0.01, 50.0, LogClock())])
def test_shares_are_the_inverse_of_sigmas(levels: NoiseLevels) -> None:
    for sigma in (0.1, 1.0, 9.0):
        assert levels.sigma_at(share_of(levels, sigma)) == pytest.approx(sigma, rel=1e-9)


def test_prompts_count_one_after_the_other_each_at_its_sigma() -> None:
    levels, sigmas = scaled_linear(), [14.6, 5.0, 1.0, 0.03, 0.0]
    found = in_turn([Prompt(noise(1, 5, 4)) for _ in sigmas[1:]], sigmas, levels)
    for place, sigma in enumerate(sigmas[:-1]):
        counting = [levels.sigma_at(p.end) <= sigma <= levels.sigma_at(p.start) for p in found.prompts]
        assert counting == [number == place for number in range(4)]
    assert (found.prompts[0].start, found.prompts[-1].end) == (0.0, 1.0)


def test_slopes_are_those_of_the_whole_graph_and_the_weights_have_none() -> None:
    model, net = twins()
    tokens, x, high, low = noise(1, 5, CONTEXT, seed=5), noise(1, 4, 8, 8) * 5, 5.0, 3.0
    stride = Stride(x, noise(1, 4, 8, 8, seed=2), noise(1, 4, 8, 8, seed=3), 7.5, high, low, 0.5)
    answer = Slope(model, Prompt(tokens), stride, 0, 1).compute()
    leaf = tokens.clone().requires_grad_()
    time = model.levels.timestep(high)
    negative = x - high * net(x / math.sqrt(1 + high**2), time, leaf).sample
    guided = negative + 7.5 * (stride.shown - negative)
    error = (0.5 * (guided + (x - guided) * low / high - stride.target)) ** 2
    error.sum().backward()
    assert leaf.grad is not None
    assert (answer[:-1] - leaf.grad.flatten()).abs().max() < 1e-4 * leaf.grad.abs().max()
    assert float(answer[-1]) == pytest.approx(float(error.detach().mean()), rel=1e-4)
    assert all(weight.grad is None and not weight.requires_grad for weight in model.net.weights().values())


def painted(model: Denoiser, noise: Latent, positive: Conditioning, negative: Conditioning) -> Tensor:
    guider = ClassifierFreeGuidance(model, positive, negative, 7.5)
    result, _ = drive(sample_custom(guider, SAMPLERS["ddim"], RISING[::-1], noise, seed=0, add_noise=False))
    return result.samples


def test_fitted_prompts_lead_back_to_the_picture_where_guidance_leads_away() -> None:
    model, latent = twins()[0], Latent(noise(1, 4, 8, 8))
    positive, negative = prompt(1), prompt(2)
    found, fitted = drive(null_text(model, (positive, negative), latent, RISING, 7.5, Fit(rate=0.1, most=8)))
    errors = [
        float((painted(model, found, positive, side) - latent.samples).square().mean()) for side in (negative, fitted)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert len(fitted.prompts) == 5


def test_no_iterations_leave_the_prompt_as_it_was() -> None:
    model, latent, negative = twins()[0], Latent(noise(1, 4, 8, 8)), prompt(2)
    _, fitted = drive(null_text(model, (prompt(1), negative), latent, RISING, 7.5, Fit(most=0)))
    assert all(torch.equal(one.tokens, negative.prompts[0].tokens) for one in fitted.prompts)


def test_a_fit_is_replayed_from_its_log_bit_for_bit_and_counts_up() -> None:
    model, latent = twins()[0], Latent(noise(1, 4, 8, 8))

    def start() -> object:
        return null_text(model, (prompt(1), prompt(2)), latent, RISING[:3], 3.0, Fit(most=2))

    log: list[Tensor] = []
    numbers: list[tuple[int, int]] = []
    running = start()
    try:
        request = next(running)  # type: ignore[call-overload]
        while True:
            numbers.append((request.step, request.total))
            log.append(request.compute())
            request = running.send(log[-1])  # type: ignore[attr-defined]
    except StopIteration as stop:
        whole = stop.value
    replayed = drive(start(), log[:5])  # type: ignore[arg-type]
    pairs = zip(whole[1].prompts, replayed[1].prompts, strict=True)
    assert all(torch.equal(a.tokens, b.tokens) for a, b in pairs)
    assert numbers == sorted(numbers)
    assert {total for _, total in numbers} == {6}
    assert numbers[-1][0] == 5


def test_what_cannot_be_inverted_is_told() -> None:
    model, one = twins()[0], prompt(1)
    latent = Latent(noise(1, 4, 8, 8))
    cases = [
        (lambda: invert(model, one, replace(latent, empty=True), RISING), r"latent_image.*got a blank canvas"),
        (lambda: invert(model, one, replace(latent, noise_mask=torch.ones(1, 8, 8)), RISING), r"noise mask"),
        (lambda: null_text(model, (one, Conditioning(one.prompts * 2)), latent, RISING, 2.0, Fit()), r"got 2 prompts"),
        (lambda: null_text(model, (one, one), Latent(noise(2, 4, 8, 8)), RISING, 2.0, Fit()), r"got a batch of 2"),
        (
            lambda: null_text(replace(model, embedded_scale=1.0), (one, one), latent, RISING, 2.0, Fit()),
            r"input model.*guides itself",
        ),
    ]
    for start, message in cases:
        with pytest.raises(InversionError, match=message):
            drive(start())  # type: ignore[arg-type]
