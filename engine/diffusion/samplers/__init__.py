"""Samplers by name, one family a file; `evaluate` says what a sampler is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor

from engine.diffusion.samplers.cfgpp import (
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral_cfg_pp,
    euler_ancestral_cfg_pp,
    euler_cfg_pp,
    gradient_estimation_cfg_pp,
)
from engine.diffusion.samplers.ddpm import ddpm_learned
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
from engine.diffusion.samplers.paths import MIXED, Stochastic, by_ratio
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


@dataclass(frozen=True, slots=True)
class SamplerSpec:
    """A sampler and what whoever drives it must know.

    `noise` is the kind of fresh noise a stochastic one takes, None for a deterministic one. `drops_second_last` asks
    for one more level, of which the one before the last is then left out. `fresh_inpaint_noise` keeps kept regions
    under noise of their own. `resizes` says that the result has another size. `mixed` is its form for models that mix
    picture and noise, `learned` that for models that learned a variance; None where that is no other.
    """

    socket: ClassVar[str] = "SAMPLER"

    start: Stochastic
    mixed: Stochastic | None = None
    noise: NoiseKind | None = None
    drops_second_last: bool = False
    fresh_inpaint_noise: bool = False
    resizes: bool = False
    learned: Stochastic | None = None

    def begun(
        self, x: Tensor, sigmas: list[float], noise: NoiseSource, *, mixes: bool = False, learned: bool = False
    ) -> Sampler:
        """The sampler at work; the model `mixes` picture and noise, or has `learned` a variance."""
        if mixes and self.mixed is not None:
            return self.mixed(x, sigmas, noise)
        if learned and self.learned is not None:
            return self.learned(x, sigmas, noise)
        return self.start(x, sigmas, noise)


def deterministic(sampler: Deterministic) -> SamplerSpec:
    """A sampler that takes no noise."""
    return SamplerSpec(lambda x, sigmas, _noise: sampler(x, sigmas))


def cfg_pp(sampler: Deterministic) -> SamplerSpec:
    """A sampler that takes no noise but noises the guided estimate again."""
    spec = deterministic(sampler)
    return replace(spec, mixed=by_ratio(spec.start))


def gaussian(start: Stochastic) -> SamplerSpec:
    """A sampler that takes independent noise for each step."""
    return SamplerSpec(start, by_ratio(start), "gaussian")


def brownian(start: Stochastic) -> SamplerSpec:
    """A sampler that takes the increments of one Brownian path."""
    return SamplerSpec(start, by_ratio(start), "brownian")


def on_both_paths(sampler: Callable[..., Sampler], **settings: float) -> SamplerSpec:
    """A sampler of `settings` that takes independent noise and knows both ways from picture to noise."""
    return SamplerSpec(partial(sampler, **settings), partial(sampler, **settings, path=MIXED), "gaussian")


# Names and order are the community's. Those that end in _gpu elsewhere draw their noise on the device; here all noise
# comes from the CPU. PLMS, at the end, is Easel's own addition.
SAMPLERS: Mapping[str, SamplerSpec] = {
    "euler": deterministic(euler),
    "euler_cfg_pp": cfg_pp(euler_cfg_pp),
    "euler_ancestral": on_both_paths(euler_ancestral),
    "euler_ancestral_cfg_pp": gaussian(euler_ancestral_cfg_pp),
    "heun": deterministic(heun),
    "heunpp2": deterministic(heunpp2),
    "exp_heun_2_x0": deterministic(exp_heun_2_x0),
    "exp_heun_2_x0_sde": gaussian(exp_heun_2_x0_sde),
    "dpm_2": replace(deterministic(dpm_2), drops_second_last=True),
    "dpm_2_ancestral": replace(on_both_paths(dpm_2_ancestral), drops_second_last=True),
    "lms": deterministic(lms),
    "dpm_fast": deterministic(dpm_fast),
    "dpm_adaptive": deterministic(dpm_adaptive),
    "dpmpp_2s_ancestral": on_both_paths(dpmpp_2s_ancestral),
    "dpmpp_2s_ancestral_cfg_pp": gaussian(dpmpp_2s_ancestral_cfg_pp),
    "dpmpp_sde": brownian(dpmpp_sde),
    "dpmpp_sde_gpu": brownian(dpmpp_sde),
    "dpmpp_2m": deterministic(dpmpp_2m),
    "dpmpp_2m_cfg_pp": cfg_pp(dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": brownian(dpmpp_2m_sde),
    "dpmpp_2m_sde_gpu": brownian(dpmpp_2m_sde),
    "dpmpp_2m_sde_heun": brownian(dpmpp_2m_sde_heun),
    "dpmpp_2m_sde_heun_gpu": brownian(dpmpp_2m_sde_heun),
    "dpmpp_3m_sde": brownian(dpmpp_3m_sde),
    "dpmpp_3m_sde_gpu": brownian(dpmpp_3m_sde),
    "ddpm": replace(gaussian(euler_ancestral), learned=ddpm_learned),  # DDPM's posterior, in sigmas, is this step
    "lcm": gaussian(lcm),
    "ipndm": deterministic(ipndm),
    "ipndm_v": deterministic(ipndm_v),
    "deis": deterministic(deis),
    "res_multistep": deterministic(res_multistep),
    "res_multistep_cfg_pp": cfg_pp(res_multistep_cfg_pp),
    "res_multistep_ancestral": gaussian(res_multistep_ancestral),
    "res_multistep_ancestral_cfg_pp": gaussian(res_multistep_ancestral_cfg_pp),
    "gradient_estimation": deterministic(gradient_estimation),
    "gradient_estimation_cfg_pp": cfg_pp(gradient_estimation_cfg_pp),
    "er_sde": gaussian(er_sde),
    "seeds_2": gaussian(seeds_2),
    "seeds_3": gaussian(seeds_3),
    "sa_solver": gaussian(sa_solver),
    "sa_solver_pece": gaussian(sa_solver_pece),
    "ddim": replace(deterministic(euler), fresh_inpaint_noise=True),
    "uni_pc": replace(deterministic(uni_pc), drops_second_last=True),
    "uni_pc_bh2": replace(deterministic(uni_pc_bh2), drops_second_last=True),
    "plms": deterministic(plms),
}

__all__ = [
    "SAMPLERS",
    "Evaluate",
    "Sampler",
    "SamplerError",
    "SamplerSpec",
    "brownian",
    "cfg_pp",
    "deterministic",
    "gaussian",
    "on_both_paths",
]
