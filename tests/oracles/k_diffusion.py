"""End points of k-diffusion's samplers, for comparison; nothing of the engine takes part.

Run as a module with the folder that holds `k_diffusion` 0.1.1.post1 (the wheel from PyPI, unpacked), it writes
`tests/data/golden/samplers.npz`. The package's own init and `utils` need libraries that the samplers do not, so only
its `sampling` module is loaded, over a stand-in for the one helper that it takes from `utils`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.unit.diffusion.toys import even, exponential, karras, nonlinear, points, seeded

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "samplers.npz"
SCHEDULES: dict[str, Callable[..., list[float]]] = {"karras": karras, "even": even, "exponential": exponential}
STEPS = (5, 12, 40)
ENDS = {"karras": (0.03, 14.6), "even": (0.1, 80.0), "exponential": (0.002, 5.0)}
"""First and last levels for the samplers that see nothing else of a schedule."""

SAMPLERS: dict[str, dict[str, Any]] = {
    "euler": {},
    "euler_ancestral": {},
    "heun": {},
    "dpm_2": {},
    "dpm_2_ancestral": {},
    "lms": {},
    "dpmpp_2s_ancestral": {},
    "dpmpp_sde": {},
    "dpmpp_2m": {},
    "dpmpp_2m_sde": {"solver_type": "midpoint"},
    "dpmpp_2m_sde_heun": {"solver_type": "heun"},
    "dpmpp_3m_sde": {},
}
ANCESTRAL = {"eta": 0.6, "s_noise": 0.8}
SETTINGS: dict[str, dict[str, Any]] = {
    "euler_ancestral": ANCESTRAL,
    "dpmpp_2s_ancestral": ANCESTRAL,
    "dpmpp_sde": {**ANCESTRAL, "r": 0.3},
    "dpmpp_2m_sde": {**ANCESTRAL, "solver_type": "midpoint"},
    "dpmpp_2m_sde_heun": {**ANCESTRAL, "solver_type": "heun"},
    "dpmpp_3m_sde": ANCESTRAL,
    "lms": {"order": 2},
}
ADAPTIVE: dict[str, dict[str, Any]] = {
    "order2": {"order": 2},
    "pid": {"pcoeff": 0.2, "icoeff": 0.7, "dcoeff": 0.1, "rtol": 0.003, "atol": 1e-4, "h_init": 4.0},
    "eta": {"eta": 0.7, "s_noise": 0.9, "rtol": 0.01, "atol": 1e-3},
}


def loaded(folder: Path) -> Any:
    """The module of the samplers, without its package."""
    package, utils, solver = (ModuleType(name) for name in ("k_diffusion", "k_diffusion.utils", "torchdiffeq"))
    package.__path__ = [str(folder / "k_diffusion")]
    package.utils = utils  # type: ignore[attr-defined]
    utils.append_dims = lambda x, count: x[(...,) + (None,) * (count - x.ndim)]  # type: ignore[attr-defined]
    solver.odeint = None  # type: ignore[attr-defined]  # for likelihoods only
    sys.modules |= {module.__name__: module for module in (package, utils, solver)}
    return importlib.import_module("k_diffusion.sampling")


def model(x: Tensor, sigma: Tensor, **_options: object) -> Tensor:
    return nonlinear(x, float(sigma.flatten()[0]))


def run(module: Any, name: str, sigmas: list[float], options: dict[str, Any]) -> Any:
    """The end point of one sampler; `lms` stops before the last, zero, level."""
    function = getattr(module, f"sample_{name.removesuffix('_heun')}")
    x = points(16).reshape(2, 2, 2, 2)
    if "noise_sampler" in inspect.signature(function).parameters:
        options = {**options, "noise_sampler": seeded(x)}
    levels = torch.tensor(sigmas[:-1] if name == "lms" else sigmas)
    return function(model, x, levels, disable=True, **options).flatten().numpy()


def chosen(module: Any, name: str, ends: tuple[float, float], options: dict[str, Any]) -> Any:
    """The end point of a sampler that chooses its own levels between two."""
    x = points(16).reshape(2, 2, 2, 2)
    if "eta" in options:
        options = {**options, "noise_sampler": seeded(x)}
    return getattr(module, f"sample_{name}")(model, x, *ends, disable=True, **options).flatten().numpy()


def everything(module: Any) -> dict[str, Any]:
    """`{sampler}/{schedule}/{steps}` and `settings/{case}`."""
    golden: dict[str, Any] = {}
    for schedule, make in SCHEDULES.items():
        for name, options in SAMPLERS.items():
            for steps in STEPS:
                golden[f"{name}/{schedule}/{steps}"] = run(module, name, make(steps), options)
        for steps in (3, *STEPS):
            golden[f"dpm_fast/{schedule}/{steps}"] = chosen(module, "dpm_fast", ENDS[schedule], {"n": steps})
        golden[f"dpm_adaptive/{schedule}/12"] = chosen(module, "dpm_adaptive", ENDS[schedule], {})
    for name, options in SETTINGS.items():
        golden[f"settings/{name}"] = run(module, name, karras(12), options)
    for case, options in ADAPTIVE.items():
        golden[f"settings/dpm_adaptive_{case}"] = chosen(module, "dpm_adaptive", ENDS["karras"], options)
    return golden


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    np.savez_compressed(GOLDEN, **everything(loaded(Path(sys.argv[1]))))
