"""Samplers by name, one family a file; `evaluate` says what a sampler is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor

from engine.diffusion.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from engine.diffusion.samplers.euler import euler, euler_ancestral
from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.diffusion.samplers.heun import dpm_2, dpm_2_ancestral, heun
from engine.diffusion.samplers.heunpp import heunpp2
from engine.diffusion.samplers.lcm import lcm
from engine.diffusion.samplers.multistep import gradient_estimation, ipndm, lms
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
    under noise of their own.
    """

    socket: ClassVar[str] = "SAMPLER"

    start: Stochastic
    noise: NoiseKind | None = None
    drops_second_last: bool = False
    fresh_inpaint_noise: bool = False


def _deterministic(sampler: Deterministic) -> Stochastic:
    return lambda x, sigmas, _noise: sampler(x, sigmas)


# Elsewhere the names that end in _gpu draw their noise on the device; here all noise comes from the CPU.
SAMPLERS: Mapping[str, SamplerSpec] = {
    "euler": SamplerSpec(_deterministic(euler)),
    "euler_ancestral": SamplerSpec(euler_ancestral, noise="gaussian"),
    "heun": SamplerSpec(_deterministic(heun)),
    "heunpp2": SamplerSpec(_deterministic(heunpp2)),
    "dpm_2": SamplerSpec(_deterministic(dpm_2), drops_second_last=True),
    "dpm_2_ancestral": SamplerSpec(dpm_2_ancestral, noise="gaussian", drops_second_last=True),
    "lms": SamplerSpec(_deterministic(lms)),
    "dpmpp_2s_ancestral": SamplerSpec(dpmpp_2s_ancestral, noise="gaussian"),
    "dpmpp_sde": SamplerSpec(dpmpp_sde, noise="brownian"),
    "dpmpp_sde_gpu": SamplerSpec(dpmpp_sde, noise="brownian"),
    "dpmpp_2m": SamplerSpec(_deterministic(dpmpp_2m)),
    "dpmpp_2m_sde": SamplerSpec(dpmpp_2m_sde, noise="brownian"),
    "dpmpp_2m_sde_gpu": SamplerSpec(dpmpp_2m_sde, noise="brownian"),
    "dpmpp_2m_sde_heun": SamplerSpec(dpmpp_2m_sde_heun, noise="brownian"),
    "dpmpp_2m_sde_heun_gpu": SamplerSpec(dpmpp_2m_sde_heun, noise="brownian"),
    "dpmpp_3m_sde": SamplerSpec(dpmpp_3m_sde, noise="brownian"),
    "dpmpp_3m_sde_gpu": SamplerSpec(dpmpp_3m_sde, noise="brownian"),
    "ddpm": SamplerSpec(euler_ancestral, noise="gaussian"),  # the posterior of DDPM, in sigmas, is this very step
    "lcm": SamplerSpec(lcm, noise="gaussian"),
    "ipndm": SamplerSpec(_deterministic(ipndm)),
    "gradient_estimation": SamplerSpec(_deterministic(gradient_estimation)),
    "ddim": SamplerSpec(_deterministic(euler), fresh_inpaint_noise=True),
    "uni_pc": SamplerSpec(_deterministic(uni_pc), drops_second_last=True),
    "uni_pc_bh2": SamplerSpec(_deterministic(uni_pc_bh2), drops_second_last=True),
}

__all__ = ["SAMPLERS", "Evaluate", "Sampler", "SamplerSpec"]
