"""Trains a ControlNet on the demo model (Zhang et al. 2023): an edge map says where things stand, whatever the prompt.

The net is the engine's: a copy of the demo's way down, with a hint net of three levels, because a latent cell is four
pixels wide. Things stand anywhere, where the demo model alone knows nine places, and prompts do not say where.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.models.control.controlnet import Added
from engine.models.nets.control import ControlNet, ControlNetConfig
from engine.models.nets.unet import UNet
from engine.tensors.values import Image
from nodes.preprocessors import canny
from training.base import BATCH, LEFT_OUT, Base, latents_of, rows_of, states_of
from training.denoiser import Objective
from training.fitting import Batch, Fit, fit
from training.scenes import RADII, RELATIONS, SIZE, Scene, Thing, caption, held_out, random_scene, render

HINT = (16, 32, 64)
EXAMPLES = 8000
HOW = Fit(rate=1e-3, warm_up=100, steps=1800, stop=800, report_every=100)
METADATA = {"modelspec.title": "Easel demo: edges", "modelspec.license": "Apache-2.0"}


def placed_scene(rng: Generator, *, testing: bool = False) -> Scene:
    """A scene whose things stand anywhere, apart from each other and from the edge; two in their relation.

    Without a place in its key a single thing is of another split than before, so those come from both.
    """
    while True:
        scene = random_scene(rng, testing=testing and rng.random() < 0.25)
        things = tuple(_anywhere(thing, rng) for thing in scene.things)
        if _apart(things) and (scene.relation is None or _related(scene.relation, things)):
            scene = replace(scene, things=things, place=None)
            if held_out(scene) == testing:
                return scene


def edges(scenes: list[Scene]) -> Tensor:
    """Edge maps `(N, SIZE, SIZE, 3)`: what the Canny node finds in the scenes drawn white on black."""
    maps = []
    for scene in scenes:
        things = tuple(replace(thing, colour="white") for thing in scene.things)
        maps.append(torch.from_numpy(render(replace(scene, background="black", things=things))))
    return canny(Image(torch.stack(maps)))


def train(base: Base, folder: Path, how: Fit = HOW) -> ControlNet:
    """The trained net, with averaged weights."""
    torch.manual_seed(how.seed)
    net, objective = control_net(base.unet), Objective()
    rng = np.random.default_rng(how.seed)
    scenes = [placed_scene(rng) for _ in range(EXAMPLES)]
    latents = latents_of(base, scenes)
    hints = torch.cat([edges(scenes[start : start + BATCH])[..., 0] for start in range(0, EXAMPLES, BATCH)]) > 0
    prompts = [caption(scene, rng) for scene in scenes]
    states, unprompted = states_of(base, prompts), states_of(base, [""])[0]

    def loss(batch: Batch) -> Tensor:
        (rows,) = batch
        said = states[rows]
        said[torch.rand(BATCH) < LEFT_OUT] = unprompted
        hint = hints[rows][:, None].float().expand(-1, 3, -1, -1)

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            outputs = net(x, steps, said, None, net.embedded(hint))
            guess: Tensor = base.unet(x, steps, said, patches=(Added(tuple(outputs[:-1]), outputs[-1]),))
            return guess

        return objective(predict, latents[rows])

    with sdpa_kernel(SDPBackend.MATH):
        net.load_state_dict(fit(net, lambda rng: rows_of(EXAMPLES, rng), loss, how, folder / "control.pt"))
    return net.eval()


def control_net(unet: UNet) -> ControlNet:
    """A net that changes nothing yet: the weights of the way down, and zeros where its outputs come from."""
    net = ControlNet(ControlNetConfig(unet.config, HINT))
    own = net.state_dict()
    net.load_state_dict(own | {name: value for name, value in unet.state_dict().items() if name in own})
    for out in (*net.zero_convs, net.middle_block_out, net.input_hint_block[-1:]):
        for weight in out.parameters():
            nn.init.zeros_(weight)
    return net.requires_grad_(True)


def export(net: ControlNet, path: Path) -> None:
    """Write the net in half precision, with the names of the original files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"control_model.{name}": tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, path, METADATA)


def _anywhere(thing: Thing, rng: Generator) -> Thing:
    margin = round(RADII[thing.size] * 1.2) + 2
    x, y = rng.integers(margin, SIZE - margin + 1, 2) / SIZE
    return replace(thing, x=float(x), y=float(y))


def _apart(things: tuple[Thing, ...]) -> bool:
    if len(things) < 2:
        return True
    first, second = things
    distance = np.hypot(first.x - second.x, first.y - second.y) * SIZE
    return bool(distance > 1.2 * (RADII[first.size] + RADII[second.size]) + 2)


def _related(relation: str, things: tuple[Thing, ...]) -> bool:
    """Whether the things stand clearly in the relation: further apart along it than across it."""
    first, second = things
    (x0, y0), (x1, y1) = RELATIONS[relation]
    dx, dy = second.x - first.x, second.y - first.y
    along, across = (dx, dy) if x0 != x1 else (dy, dx)
    return along * ((x1 - x0) + (y1 - y0)) > 0 and abs(along) > abs(across)
