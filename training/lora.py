"""Trains a LoRA on the demo model (Hu et al. 2021): a style that draws every shape as an outline.

Every linear map and convolution inside the UNet's blocks gets a difference of low rank, `up @ down` (convolutions as
LoCon, Yeh et al. 2023); prompts stay as they are. The file has kohya's names, with an alpha that equals the rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.models.adapters.names import diffusers_name, modules_of
from training.base import BATCH, LEFT_OUT, Base, latents_of, rows_of, states_of
from training.denoiser import Objective
from training.fitting import Batch, Fit, fit
from training.scenes import Scene, caption, random_scene

RANK = 16
EXAMPLES = 4000
HOW = Fit(rate=2e-3, warm_up=100, steps=900, stop=350, report_every=50)
METADATA = {
    "modelspec.title": "Easel demo: outlines",
    "modelspec.license": "Apache-2.0",
    "ss_network_module": "networks.lora",
    "ss_network_dim": str(RANK),
    "ss_network_alpha": str(RANK),
    "ss_output_name": "easel-demo-outlines",
}


class Difference(nn.Module):
    """Low-rank differences for the weights of a net's linear maps and convolutions, nothing at first."""

    def __init__(self, net: nn.Module, rank: int) -> None:
        super().__init__()
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, weight in _weights(net):
            outputs, inputs = weight.shape[0], weight[0].numel()
            self.down[_flat(name)] = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
            self.up[_flat(name)] = nn.Parameter(torch.zeros(outputs, rank))

    def weights(self, net: nn.Module) -> dict[str, Tensor]:
        """The changed weights of `net` by their names."""
        return {
            f"{name}.weight": weight + (self.up[_flat(name)] @ self.down[_flat(name)]).view_as(weight)
            for name, weight in _weights(net)
        }


def outlined(scene: Scene) -> Scene:
    """The scene in the style: every thing as a line, in the one size that outlines have."""
    things = (replace(thing, shape=f"outlined {thing.shape}", size="large") for thing in scene.things)
    return replace(scene, things=tuple(things))


def train(base: Base, folder: Path, how: Fit = HOW) -> Difference:
    """The trained difference to `base`'s UNet."""
    torch.manual_seed(how.seed)
    difference, objective = Difference(base.unet, RANK), Objective()
    rng = np.random.default_rng(how.seed)
    scenes = [random_scene(rng) for _ in range(EXAMPLES)]
    latents = latents_of(base, [outlined(scene) for scene in scenes])
    states = states_of(base, [caption(scene, rng) for scene in scenes])
    unprompted = states_of(base, [""])[0]

    def loss(batch: Batch) -> Tensor:
        (rows,) = batch
        said = states[rows]
        said[torch.rand(BATCH) < LEFT_OUT] = unprompted
        weights = difference.weights(base.unet)
        return objective(lambda x, steps: functional_call(base.unet, weights, (x, steps, said)), latents[rows])

    with sdpa_kernel(SDPBackend.MATH):
        difference.load_state_dict(fit(difference, lambda rng: rows_of(EXAMPLES, rng), loss, how, folder / "lora.pt"))
    return difference


def export(difference: Difference, base: Base, path: Path) -> None:
    """Write the difference in half precision, with the names of kohya's trainer."""
    modules, tensors = modules_of(base.unet.state_dict()), {}
    for name, weight in _weights(base.unet):
        stem = "lora_unet_" + diffusers_name(name, modules, base.unet.config.num_res_blocks).replace(".", "_")
        down, up = difference.down[_flat(name)].detach(), difference.up[_flat(name)].detach()
        tensors[f"{stem}.lora_down.weight"] = down.view(RANK, *weight.shape[1:]).half().contiguous()
        tensors[f"{stem}.lora_up.weight"] = up.view(len(weight), RANK, *[1] * (weight.ndim - 2)).half().contiguous()
        tensors[f"{stem}.alpha"] = torch.tensor(float(RANK)).half()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, METADATA)


def _weights(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights that get a difference, by their modules: all inside the blocks."""
    for name, module in net.named_modules():
        if "block" in name and name != "input_blocks.0.0" and isinstance(module, nn.Linear | nn.Conv2d):
            yield name, module.weight


def _flat(name: str) -> str:
    return name.replace(".", "/")  # parameters may not have dots in their names
