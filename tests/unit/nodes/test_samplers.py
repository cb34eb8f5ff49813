"""Nodes that make samplers: with their defaults they are the samplers by name, and their settings reach them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE, Rules
from engine.diffusion.denoiser import Answer, LatentFormat
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance
from engine.diffusion.parameterisation import NoiseLevels, scaled_linear
from engine.diffusion.predictions import EPSILON, Parameterisation
from engine.diffusion.rules import StaticThreshold
from engine.diffusion.samplers import SAMPLERS, SamplerError, SamplerSpec
from engine.diffusion.sampling import Evaluation, Inpaint, SamplingError, drive, sample_custom
from engine.tensors.values import Conditioning, Latent, Prompt
from nodes import samplers as nodes
from tests.unit.diffusion.toys import finish, karras, nonlinear, points, seeded, softer


@dataclass
class Toy:
    """A model whose guided and negative estimates are two toy denoisers; counts what it is asked for."""

    socket: ClassVar[str] = "MODEL"

    levels: NoiseLevels = field(default_factory=scaled_linear)
    latents: LatentFormat = field(default_factory=lambda: LatentFormat(2, 1.0, 8))
    prediction: Parameterisation = EPSILON
    guidance: Rules = CLASSIFIER_FREE
    differential: float | None = None
    embedded_scale: float | None = None
    learned_variance: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def denoiser(self) -> Any:
        return self

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        self.asked.append("one")
        return nonlinear(x, sigma)

    def denoise_both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        self.asked.append("both")
        return nonlinear(x, sigma), softer(x, sigma)


MODEL: Any = Toy()
SAME: dict[str, SamplerSpec] = {
    "euler_cfg_pp": nodes.sampler_euler_cfg_pp("regular"),
    "euler_ancestral": nodes.sampler_euler_ancestral(),
    "euler_ancestral_cfg_pp": nodes.sampler_euler_ancestral_cfg_pp(),
    "lms": nodes.sampler_lms(),
    "dpmpp_2s_ancestral": nodes.sampler_dpmpp_2s_ancestral(),
    "dpmpp_sde": nodes.sampler_dpmpp_sde(noise_device="gpu"),
    "dpmpp_2m_sde": nodes.sampler_dpmpp_2m_sde("midpoint", noise_device="cpu"),
    "dpmpp_2m_sde_heun": nodes.sampler_dpmpp_2m_sde("heun", noise_device="gpu"),
    "dpmpp_3m_sde": nodes.sampler_dpmpp_3m_sde(noise_device="gpu"),
    "dpm_adaptive": nodes.sampler_dpm_adaptive(),
    "er_sde": nodes.sampler_er_sde("ER-SDE"),
    "seeds_2": nodes.sampler_seeds_2("phi_1"),
    "exp_heun_2_x0_sde": nodes.sampler_seeds_2("phi_2", r=1.0),
    "sa_solver": nodes.sampler_sa_solver(MODEL, use_pece=False, simple_order_2=False),
    "sa_solver_pece": nodes.sampler_sa_solver(MODEL, use_pece=True, simple_order_2=False),
    "lcm": nodes.sampler_lcm_upscale(1.0, upscale_method="area"),
}
SETTINGS: dict[str, tuple[SamplerSpec, SamplerSpec]] = {
    "euler_ancestral without noise": (nodes.sampler_euler_ancestral(eta=0.0), SAMPLERS["euler"]),
    "euler_ancestral_cfg_pp without noise": (
        nodes.sampler_euler_ancestral_cfg_pp(eta=0.0),
        SAMPLERS["euler_cfg_pp"],
    ),
    "lms of order one": (nodes.sampler_lms(1), SAMPLERS["euler"]),
    "dpmpp_2m_sde without noise": (
        nodes.sampler_dpmpp_2m_sde("midpoint", eta=0.0, noise_device="gpu"),
        SAMPLERS["dpmpp_2m"],
    ),
    "seeds_2 without noise": (nodes.sampler_seeds_2("phi_2", eta=0.0, r=1.0), SAMPLERS["exp_heun_2_x0"]),
    "er_sde of one stage without noise": (nodes.sampler_er_sde("ODE", 1), SAMPLERS["euler"]),
    "reverse-time equation without noise": (nodes.sampler_er_sde("Reverse-time SDE", 1, eta=0.0), SAMPLERS["euler"]),
    "sa_solver of order one": (
        nodes.sampler_sa_solver(MODEL, 0.0, 0.0, 1.0, 1.0, 1, 0, use_pece=False, simple_order_2=True),
        SAMPLERS["euler"],
    ),
}


def end(spec: SamplerSpec, steps: int = 9) -> Tensor:
    x = points(32).reshape(1, 2, 4, 4)
    return finish(spec.start(x, karras(steps), seeded(x)), nonlinear, unconditional=softer)


@pytest.mark.parametrize("name", SAME)
def test_a_node_with_its_defaults_gives_the_sampler_of_that_name(name: str) -> None:
    assert SAME[name].noise == SAMPLERS[name].noise
    assert torch.equal(end(SAME[name]), end(SAMPLERS[name]))


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_turn_a_sampler_into_a_plainer_one(case: str) -> None:
    made, expected = SETTINGS[case]
    assert torch.allclose(end(made), end(expected), atol=1e-10)


def test_the_reverse_time_equation_is_the_first_order_sde_solver() -> None:
    """x0 + r^2 (x - x0) with noise of t^2 (1 - r^2): the same mean and noise as an ancestral step."""
    made = nodes.sampler_er_sde("Reverse-time SDE", 1)
    assert torch.allclose(end(made), end(SAMPLERS["euler_ancestral"]), atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_adaptive_takes_noise_only_if_it_is_asked_to(eta: float) -> None:
    spec = nodes.sampler_dpm_adaptive(eta=eta)
    assert spec.noise == ("gaussian" if eta else None)
    assert torch.isfinite(end(spec)).all()


def test_a_second_evaluation_at_the_first_is_refused() -> None:
    with pytest.raises(SamplerError, match="expected more than 0"):
        nodes.sampler_dpmpp_sde(r=0.0, noise_device="gpu")


def run(spec: SamplerSpec, toy: Toy, sigmas: list[float], latent: Latent) -> tuple[Latent, Latent]:
    return drive(sample_custom(toy, spec, sigmas, latent, seed=3))


def test_only_samplers_that_need_both_estimates_have_them_computed() -> None:
    latent = Latent(torch.zeros(1, 2, 4, 4))
    for spec, kind in ((SAMPLERS["euler"], "one"), (SAMPLERS["euler_cfg_pp"], "both")):
        toy = Toy()
        done, denoised = run(spec, toy, karras(4), latent)
        assert toy.asked == [kind] * 4
        assert done.samples.shape == denoised.samples.shape == latent.samples.shape
        assert torch.allclose(done.samples, denoised.samples, atol=1e-5)


def test_a_preview_of_both_estimates_is_the_guided_one() -> None:
    toy = Toy()
    x = torch.ones(1, 2, 4, 4)
    evaluation = Evaluation(toy, x, 1.0, 0, 1, both=True)
    assert evaluation.preview() is None
    assert evaluation.compute().shape == (2, 1, 2, 4, 4)
    preview = evaluation.preview()
    assert preview is not None
    assert torch.equal(preview.scaled, nonlinear(x, 1.0))


def test_kept_regions_are_kept_in_both_estimates() -> None:
    mask, kept = torch.zeros(1, 1, 4, 4), torch.full((1, 2, 4, 4), 0.3)
    inpaint = Inpaint(mask, kept, lambda: torch.zeros(1, 2, 4, 4), EPSILON.signal)
    both = Evaluation(Toy(), torch.ones(1, 2, 4, 4), 1.0, 0, 1, inpaint, both=True).compute()
    assert torch.equal(both, torch.stack([kept, kept]))


@pytest.mark.parametrize("name", ["euler_ancestral", "seeds_2", "sa_solver", "dpmpp_2m_sde"])
def test_samplers_with_noise_refuse_to_go_up(name: str) -> None:
    with pytest.raises(SamplingError, match="a rising row"):
        run(SAMPLERS[name], Toy(), [0.1, 1.0, 10.0], Latent(torch.zeros(1, 2, 4, 4)))


@pytest.mark.parametrize("name", ["res_multistep", "deis", "ipndm_v", "exp_heun_2_x0", "plms", "dpm_fast"])
def test_samplers_without_noise_go_up(name: str) -> None:
    noise, _ = run(SAMPLERS[name], Toy(), karras(12)[-2::-1], Latent(torch.zeros(1, 2, 4, 4)))
    assert torch.isfinite(noise.samples).all()


def test_a_grown_latent_has_the_size_asked_for_and_a_masked_one_is_refused() -> None:
    spec = nodes.sampler_lcm_upscale(1.5, upscale_method="bislerp")
    done, _ = run(spec, Toy(), karras(4), Latent(torch.zeros(1, 2, 4, 8)))
    assert done.samples.shape == (1, 2, 6, 12)
    masked = Latent(torch.zeros(1, 2, 4, 8), noise_mask=torch.ones(1, 32, 64))
    with pytest.raises(SamplingError, match="changes the size"):
        run(spec, Toy(), karras(4), masked)


class Mixing(Toy):
    """Every cell depends on every other, as in a net."""

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        return super().denoise(x + x.mean(), sigma)


@pytest.mark.parametrize("name", ["euler", "ddim", "euler_cfg_pp", "dpmpp_2m_sde"])
def test_a_masked_job_goes_on_the_same_from_any_place_in_its_log(name: str) -> None:
    latent = Latent(torch.full((1, 2, 4, 4), 0.3), noise_mask=(torch.arange(16).view(1, 4, 4) % 2).float())
    sigmas, log = karras(6), list[Tensor]()

    def job(answers: Iterable[Tensor] = (), keep: bool = False) -> Tensor:
        model: Any = Mixing()
        sampling: Any = sample_custom(model, SAMPLERS[name], sigmas, latent, seed=5)
        done, _ = drive(noted(sampling) if keep else sampling, answers)
        return done.samples

    def noted(sampling: Any) -> Any:
        request = next(sampling)
        try:
            while True:
                log.append((yield request))
                request = sampling.send(log[-1])
        except StopIteration as stop:
            return stop.value

    whole = job(keep=True)
    assert all(torch.equal(job(log[:prefix]), whole) for prefix in range(len(log) + 1))


def says(number: float) -> Conditioning:
    return Conditioning((Prompt(torch.full((1, 1, 1), number)),))


def test_guiders_give_the_negative_beside_the_guided_estimate_at_any_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def answers(*given: Any) -> list[Answer]:
        asked.append(len(given[3]))
        return [Answer(side.prompts[0].tokens) for side in given[3]]

    monkeypatch.setattr("engine.diffusion.guidance.answers", answers)
    positive, negative, x = says(5.0), says(1.0), torch.zeros(1)
    for scale, expected in ((1.0, 5.0), (0.5, 3.0)):
        both = ClassifierFreeGuidance(MODEL, positive, negative, scale).denoise_both(x, 1.0)
        assert [float(estimate) for estimate in both] == [expected, 1.0]
    dual = DualGuidance(MODEL, positive, says(3.0), negative, 2.0, 4.0)
    assert [float(estimate) for estimate in dual.denoise_both(x, 1.0)] == [float(dual.denoise(x, 1.0)), 1.0]
    alone = ClassifierFreeGuidance(MODEL, positive, positive, 1.0).denoise_both(x, 1.0)
    assert [float(estimate) for estimate in alone] == [5.0, 5.0]
    assert asked == [2, 2, 3, 3, 1]
    ruled: Any = Toy(guidance=CLASSIFIER_FREE.with_part(StaticThreshold(0.5)))
    cut = ClassifierFreeGuidance(ruled, positive, negative, 2.0).denoise_both(x, 1.0)
    assert [float(estimate) for estimate in cut] == [0.5, 1.0]  # rules hold for the guided estimate only


def test_the_stretch_of_noise_follows_the_models_levels() -> None:
    spec = nodes.sampler_sa_solver(MODEL, 1.0, 0.0, 1.0, use_pece=False, simple_order_2=False)
    assert math.isfinite(float(end(spec).sum()))
    assert not torch.allclose(end(spec), end(SAMPLERS["sa_solver"]))
