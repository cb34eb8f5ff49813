"""Samplers with settings of their own, as values for the nodes that sample from parts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.samplers import (
    SAMPLERS,
    SamplerError,
    SamplerSpec,
    brownian,
    cfg_pp,
    deterministic,
    gaussian,
    on_both_paths,
)
from engine.diffusion.samplers.cfgpp import euler_ancestral_cfg_pp, euler_cfg_pp_alternative
from engine.diffusion.samplers.dpm_solver import Control, dpm_adaptive
from engine.diffusion.samplers.dpmpp import (
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from engine.diffusion.samplers.er_sde import er_sde, paper_scale, power_scale
from engine.diffusion.samplers.euler import euler_ancestral
from engine.diffusion.samplers.lcm import lcm_upscale
from engine.diffusion.samplers.multistep import lms
from engine.diffusion.samplers.paths import ratio_of
from engine.diffusion.samplers.sa_solver import Interval, Orders, sa_solver
from engine.diffusion.samplers.seeds import seeds_2
from engine.node import Choice, Range, node
from engine.tensors.resample import LATENT_METHODS

CATEGORY = "sampling/custom_sampling/samplers"

Amount = Annotated[float, Range(0.0, 100.0, step=0.01, round=False)]
Share = Annotated[float, Range(0.0, 1.0, step=0.001)]
Device = Annotated[str, Choice("gpu", "cpu")]  # kept for workflows that name it: all noise comes from the CPU


@node("SamplerEulerAncestral", category=CATEGORY)
def sampler_euler_ancestral(eta: Amount = 1.0, s_noise: Amount = 1.0) -> SamplerSpec:
    """Euler with fresh noise: `eta` is the share of it, `s_noise` scales it."""
    return on_both_paths(euler_ancestral, eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category=CATEGORY, display_name="SamplerEulerAncestralCFG++")
def sampler_euler_ancestral_cfg_pp(
    eta: Annotated[float, Range(0.0, 1.0, step=0.01, round=False)] = 1.0,
    s_noise: Annotated[float, Range(0.0, 10.0, step=0.01, round=False)] = 1.0,
) -> SamplerSpec:
    """Euler ancestral with CFG++."""
    return gaussian(partial(euler_ancestral_cfg_pp, eta=eta, s_noise=s_noise))


@node("SamplerEulerCFGpp", category="_for_testing", display_name="SamplerEulerCFG++")
def sampler_euler_cfg_pp(version: Annotated[str, Choice("regular", "alternative")]) -> SamplerSpec:
    """Euler with CFG++, or a form of it that goes beyond the guided estimate."""
    return SAMPLERS["euler_cfg_pp"] if version == "regular" else cfg_pp(euler_cfg_pp_alternative)


@node("SamplerLMS", category=CATEGORY)
def sampler_lms(order: Annotated[int, Range(1, 100)] = 4) -> SamplerSpec:
    """Linear multistep of an order."""
    return deterministic(partial(lms, order=order))


@node("SamplerDPMPP_2S_Ancestral", category=CATEGORY)
def sampler_dpmpp_2s_ancestral(eta: Amount = 1.0, s_noise: Amount = 1.0) -> SamplerSpec:
    """DPM-Solver++(2S) with fresh noise."""
    return on_both_paths(dpmpp_2s_ancestral, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=CATEGORY)
def sampler_dpmpp_sde(
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    r: Amount = 0.5,
    *,
    noise_device: Device,  # noqa: ARG001
) -> SamplerSpec:
    """DPM-Solver++ of the stochastic equation, its second evaluation the share `r` of the step away."""
    if r == 0:
        raise SamplerError(
            "the second evaluation would be the first again", where="input r", got="0", expected="more than 0"
        )
    return brownian(partial(dpmpp_sde, eta=eta, s_noise=s_noise, r=r))


@node("SamplerDPMPP_2M_SDE", category=CATEGORY)
def sampler_dpmpp_2m_sde(
    solver_type: Annotated[str, Choice("midpoint", "heun")],
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    *,
    noise_device: Device,  # noqa: ARG001
) -> SamplerSpec:
    """SDE-DPM-Solver++(2M)."""
    sampler = dpmpp_2m_sde if solver_type == "midpoint" else dpmpp_2m_sde_heun
    return brownian(partial(sampler, eta=eta, s_noise=s_noise))


@node("SamplerDPMPP_3M_SDE", category=CATEGORY)
def sampler_dpmpp_3m_sde(
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    *,
    noise_device: Device,  # noqa: ARG001
) -> SamplerSpec:
    """SDE-DPM-Solver++ with three estimates."""
    return brownian(partial(dpmpp_3m_sde, eta=eta, s_noise=s_noise))


@node("SamplerDPMAdaptative", category=CATEGORY)
def sampler_dpm_adaptive(
    order: Annotated[int, Range(2, 3)] = 3,
    rtol: Amount = 0.05,
    atol: Amount = 0.0078,
    h_init: Amount = 0.05,
    pcoeff: Amount = 0.0,
    icoeff: Amount = 1.0,
    dcoeff: Amount = 0.0,
    accept_safety: Amount = 0.81,
    eta: Amount = 0.0,
    s_noise: Amount = 1.0,
) -> SamplerSpec:
    """DPM-Solver that chooses its steps by tolerances."""
    control = Control(order, rtol, atol, h_init, pcoeff, icoeff, dcoeff, accept_safety)
    if eta == 0:
        return deterministic(partial(dpm_adaptive, control=control))
    return gaussian(partial(dpm_adaptive, control=control, eta=eta, s_noise=s_noise))


@node("SamplerER_SDE", category=CATEGORY)
def sampler_er_sde(
    solver_type: Annotated[str, Choice("ER-SDE", "Reverse-time SDE", "ODE")],
    max_stage: Annotated[int, Range(1, 3)] = 3,
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
) -> SamplerSpec:
    """ER-SDE: with the paper's noise, the reverse-time equation with `eta` of its noise, or none."""
    eta = 0.0 if solver_type == "ODE" else eta
    scale = paper_scale if solver_type == "ER-SDE" else power_scale(1 + eta)
    if solver_type != "ER-SDE" and eta == 0:
        s_noise = 0.0
    return gaussian(partial(er_sde, scale=scale, stages=max_stage, s_noise=s_noise))


@node("SamplerSEEDS2", category=CATEGORY)
def sampler_seeds_2(
    solver_type: Annotated[str, Choice("phi_1", "phi_2")],
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    r: Annotated[float, Range(0.01, 1.0, step=0.01, round=False)] = 0.5,
) -> SamplerSpec:
    """SEEDS-2. With `r` 1 and phi_2 it is exp_heun_2_x0_sde, and with `eta` 0 as well exp_heun_2_x0."""
    phi_2 = solver_type == "phi_2"
    return gaussian(partial(seeds_2, eta=eta, s_noise=s_noise, r=r, phi_2=phi_2))


@node("SamplerSASolver", category=CATEGORY)
def sampler_sa_solver(
    model: Denoiser,
    eta: Annotated[float, Range(0.0, 10.0, step=0.01, round=False)] = 1.0,
    sde_start_percent: Share = 0.2,
    sde_end_percent: Share = 0.8,
    s_noise: Amount = 1.0,
    predictor_order: Annotated[int, Range(1, 6)] = 3,
    corrector_order: Annotated[int, Range(0, 6)] = 4,
    *,
    use_pece: bool,
    simple_order_2: bool,
) -> SamplerSpec:
    """SA-Solver, with noise between two shares of the sampling."""
    low, high = (model.levels.sigma_at(share) for share in (sde_end_percent, sde_start_percent))
    if model.prediction.mixes:
        low, high = ratio_of(low), ratio_of(high)
    interval = Interval(low, high, eta)
    orders = Orders(predictor_order, corrector_order, again=use_pece, simple=simple_order_2)
    return gaussian(partial(sa_solver, interval=interval, orders=orders, s_noise=s_noise))


@node("SamplerLCMUpscale", category=CATEGORY)
def sampler_lcm_upscale(
    scale_ratio: Annotated[float, Range(0.1, 20.0, step=0.01)] = 1.0,
    scale_steps: Annotated[int, Range(-1, 1000, step=1)] = -1,
    *,
    upscale_method: Annotated[str, Choice("bislerp", *(name for name in LATENT_METHODS if name != "bislerp"))],
) -> SamplerSpec:
    """LCM that grows the latent to `scale_ratio` times its size in the first `scale_steps` steps (-1: about half)."""
    count = None if scale_steps < 0 else scale_steps
    sampler = partial(lcm_upscale, ratio=scale_ratio, method=upscale_method, count=count)
    return replace(gaussian(sampler), resizes=True)
