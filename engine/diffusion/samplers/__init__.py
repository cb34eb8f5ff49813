"""Samplers by name, one family a file; `evaluate` says what a sampler is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor

from engine.diffusion.samplers.cfgpp import (
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral_cfg_pp,
    euler_ancestral_cfg_pp,
    euler_cfg_pp,
    gradient_estimation_cfg_pp,
)
from engine.diffusion.samplers.deis import deis
from engine.diffusion.samplers.dpm_solver import dpm_adaptive, dpm_fast
from engine.diffusion.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from engine.diffusion.samplers.er_sde import er_sde
from engine.diffusion.samplers.euler import euler, euler_ancestral
from engine.diffusion.samplers.evaluate import Evaluate, Sampler, SamplerError
from engine.diffusion.samplers.heun import dpm_2, dpm_2_ancestral, heun
from engine.diffusion.samplers.heunpp import heunpp2
from engine.diffusion.samplers.lcm import lcm
from engine.diffusion.samplers.multistep import gradient_estimation, ipndm, ipndm_v, lms, plms
from engine.diffusion.samplers.res import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from engine.diffusion.samplers.sa_solver import sa_solver, sa_solver_pece
from engine.diffusion.samplers.seeds import exp_heun_2_x0, exp_heun_2_x0_sde, seeds_2, seeds_3
from engine.diffusion.samplers.uni_pc import uni_pc, uni_pc_bh2
from engine.tensors.noise import NoiseSource

NoiseKind: TypeAlias = Literal["gaussian", "brownian"]
Deterministic: TypeAlias = Callable[[Tensor, list[float]], Sampler]
Stochastic: TypeAlias = Callable[[Tensor, list[float], NoiseSource], Sampler]


@dataclass(frozen=True, slots=True)
class SamplerSpec:
    """A sampler and what whoever drives it must know.

    `noise` is the kind of fresh noise a stochastic one takes, None for a deterministic one. `drops_second_last` asks
    for one more level, of which the one before the last is then left out. `fresh_inpaint_noise` keeps kept regions
    under noise of their own. `resizes` says that the result has another size.
    """

    socket: ClassVar[str] = "SAMPLER"

    start: Stochastic
    noise: NoiseKind | None = None
    drops_second_last: bool = False
    fresh_inpaint_noise: bool = False
    resizes: bool = False


def deterministic(sampler: Deterministic) -> SamplerSpec:
    """A sampler that takes no noise."""
    return SamplerSpec(lambda x, sigmas, _noise: sampler(x, sigmas))


# Names and order are the community's. Those that end in _gpu elsewhere draw their noise on the device; here all noise
# comes from the CPU. PLMS, at the end, is Easel's own addition.
SAMPLERS: Mapping[str, SamplerSpec] = {
    "euler": deterministic(euler),
    "euler_cfg_pp": deterministic(euler_cfg_pp),
    "euler_ancestral": SamplerSpec(euler_ancestral, noise="gaussian"),
    "euler_ancestral_cfg_pp": SamplerSpec(euler_ancestral_cfg_pp, noise="gaussian"),
    "heun": deterministic(heun),
    "heunpp2": deterministic(heunpp2),
    "exp_heun_2_x0": deterministic(exp_heun_2_x0),
    "exp_heun_2_x0_sde": SamplerSpec(exp_heun_2_x0_sde, noise="gaussian"),
    "dpm_2": replace(deterministic(dpm_2), drops_second_last=True),
    "dpm_2_ancestral": SamplerSpec(dpm_2_ancestral, noise="gaussian", drops_second_last=True),
    "lms": deterministic(lms),
    "dpm_fast": deterministic(dpm_fast),
    "dpm_adaptive": deterministic(dpm_adaptive),
    "dpmpp_2s_ancestral": SamplerSpec(dpmpp_2s_ancestral, noise="gaussian"),
    "dpmpp_2s_ancestral_cfg_pp": SamplerSpec(dpmpp_2s_ancestral_cfg_pp, noise="gaussian"),
    "dpmpp_sde": SamplerSpec(dpmpp_sde, noise="brownian"),
    "dpmpp_sde_gpu": SamplerSpec(dpmpp_sde, noise="brownian"),
    "dpmpp_2m": deterministic(dpmpp_2m),
    "dpmpp_2m_cfg_pp": deterministic(dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": SamplerSpec(dpmpp_2m_sde, noise="brownian"),
    "dpmpp_2m_sde_gpu": SamplerSpec(dpmpp_2m_sde, noise="brownian"),
    "dpmpp_2m_sde_heun": SamplerSpec(dpmpp_2m_sde_heun, noise="brownian"),
    "dpmpp_2m_sde_heun_gpu": SamplerSpec(dpmpp_2m_sde_heun, noise="brownian"),
    "dpmpp_3m_sde": SamplerSpec(dpmpp_3m_sde, noise="brownian"),
    "dpmpp_3m_sde_gpu": SamplerSpec(dpmpp_3m_sde, noise="brownian"),
    "ddpm": SamplerSpec(euler_ancestral, noise="gaussian"),  # the posterior of DDPM, in sigmas, is this very step
    "lcm": SamplerSpec(lcm, noise="gaussian"),
    "ipndm": deterministic(ipndm),
    "ipndm_v": deterministic(ipndm_v),
    "deis": deterministic(deis),
    "res_multistep": deterministic(res_multistep),
    "res_multistep_cfg_pp": deterministic(res_multistep_cfg_pp),
    "res_multistep_ancestral": SamplerSpec(res_multistep_ancestral, noise="gaussian"),
    "res_multistep_ancestral_cfg_pp": SamplerSpec(res_multistep_ancestral_cfg_pp, noise="gaussian"),
    "gradient_estimation": deterministic(gradient_estimation),
    "gradient_estimation_cfg_pp": deterministic(gradient_estimation_cfg_pp),
    "er_sde": SamplerSpec(er_sde, noise="gaussian"),
    "seeds_2": SamplerSpec(seeds_2, noise="gaussian"),
    "seeds_3": SamplerSpec(seeds_3, noise="gaussian"),
    "sa_solver": SamplerSpec(sa_solver, noise="gaussian"),
    "sa_solver_pece": SamplerSpec(sa_solver_pece, noise="gaussian"),
    "ddim": replace(deterministic(euler), fresh_inpaint_noise=True),
    "uni_pc": replace(deterministic(uni_pc), drops_second_last=True),
    "uni_pc_bh2": replace(deterministic(uni_pc_bh2), drops_second_last=True),
    "plms": deterministic(plms),
}

__all__ = ["SAMPLERS", "Evaluate", "Sampler", "SamplerError", "SamplerSpec", "deterministic"]
