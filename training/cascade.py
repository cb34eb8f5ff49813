"""Trains the demo cascade: three pixel UNets that paint 16 pixels from words, then 32, then 128 (Saharia et al. 2022).

Each stage sees the captions as the demo model's text encoder reads them. Noise prediction on cosine levels with a
learned variance (Nichol and Dhariwal 2021, section 3.1), one caption in ten left out. Errors weigh as in Hang et al.
2023 (gamma 100) where the picture outweighs the noise, and elsewhere as errors in the picture: flat colours are lost to
small ones under strong noise. Later stages are shown the picture of the stage before, with noise of a random level that
they are told of (Ho et al. 2021, section 4.2), so that they repair what that stage gets wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.diffusion.cascade import CHANNELS, StageSteps, sample_stage, stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.parameterisation import cosine
from engine.diffusion.sampling import drive
from engine.models.cascade import load_stage
from engine.models.nets.pixel_unet import HEAD_CHANNELS, PixelUNet, PixelUNetConfig, ResBlock
from engine.tensors.values import Pixels
from training.base import BATCH, LEFT_OUT, Base, load_base, states_of
from training.checker import check
from training.evaluate import Picture
from training.fitting import Batch, Fit, fit
from training.scenes import SIZE, Scene, caption, random_scene, render
from training.scenes import Pixels as Drawn
from training.text_encoder import WIDTH

EMBEDDING = 192
MOST_NOISE = 500  # the noisiest timestep that a small picture is shown at
MOST_RATIO, MOST_WEIGHT = 100.0, 100.0  # of picture to noise that counts, and that of an error in the noise
METADATA = {"modelspec.license": "Apache-2.0"}
STEPS = StageSteps("smart27", maximum=1.0)
NOISE_LEVEL = 0.2
SCENE_SEED = 80_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the cascade: the side of its pictures in pixels, and how it is trained.

    A later one is shown pictures that are `small` pixels wide. It is trained on crops of side `crop`, the whole picture
    for most. A net has `widths` channels, finest level first, and attention on the levels of `attention`. It is sampled
    with guidance `cfg`.
    """

    name: str
    side: int
    small: int
    crop: int
    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    how: Fit
    cfg: float

    @property
    def config(self) -> PixelUNetConfig:
        """The net's shape: of later stages it is that of the efficient UNet, which also sees the small picture."""
        return PixelUNetConfig(
            in_channels=6 if self.small else 3,
            out_channels=6,
            widths=self.widths,
            blocks=(1,) * len(self.widths),
            attention=self.attention,
            embedding_channels=EMBEDDING,
            encoder_channels=WIDTH,
            word_channels=WIDTH,
            head_channels=math.gcd(HEAD_CHANNELS, self.widths[-1]),  # as the engine takes it to be
            cross_only=self.small > 0,
            levels=self.small > 0,
        )


STAGES = (
    Stage("easel-demo-stage-1", 16, 0, 16, (64, 160), (False, True), Fit(35, decay=0.9995), 3.0),
    Stage("easel-demo-stage-2", 32, 16, 32, (64, 64, 96), (False, False, True), Fit(32, decay=0.9995), 2.0),
    Stage("easel-demo-stage-3", 128, 32, 48, (64, 64, 64), (False, False, False), Fit(56, decay=0.9995), 1.0),
)


class Objective:
    """The weighted error of a guess at the noise, plus what the guess at the variance lacks of the posterior's (bits).

    The second part trains the variance alone: it takes the guess at the noise as given.
    """

    def __init__(self) -> None:
        signal = 1 / (1 + torch.tensor(cosine().sigmas, dtype=torch.float64) ** 2)
        before = torch.cat([torch.ones(1, dtype=torch.float64), signal[:-1]])
        betas = 1 - signal / before
        posterior = betas * (1 - before) / (1 - signal)
        posterior[0] = posterior[1]  # without noise the logarithm has no bound
        ratio = signal / (1 - signal)
        self.signal = signal.float()
        self._weights = (ratio.clamp(1.0, MOST_RATIO) / ratio).clamp(max=MOST_WEIGHT).float()
        self._most, self._least = betas.log().float(), posterior.log().float()
        self._mean = (before.sqrt() * betas / (1 - signal) / ratio.sqrt()).float()  # its error for one of the noise

    def noised(self, pictures: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """`pictures` `(B, C, h, w)` at timesteps `(B,)`."""
        share = self.signal[steps].view(-1, 1, 1, 1)
        return share.sqrt() * pictures + (1 - share).sqrt() * noise

    def __call__(self, answer: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """`answer` `(B, 2C, h, w)`: the noise, and where between its bounds (-1..1) the log variance lies."""
        guess, place = answer.float().chunk(2, dim=1)
        error = (guess - noise).square()
        most, least, factor = (table[steps].view(-1, 1, 1, 1) for table in (self._most, self._least, self._mean))
        log = least + (place + 1) / 2 * (most - least)
        lack = (log - least + (least - log).exp() + factor.square() * error.detach() * (-log).exp() - 1) / 2
        return (error.mean((1, 2, 3)) * self._weights[steps]).mean() + lack.mean() / math.log(2)


def train(base: Base, stage: Stage, folder: Path) -> PixelUNet:
    """The trained net of a stage, with averaged weights."""
    torch.manual_seed(stage.how.seed)
    net, objective = PixelUNet(stage.config), Objective()
    pass_through(net)
    unprompted = states_of(base, [""])[0]

    def make(rng: Generator) -> Batch:
        scenes = [random_scene(rng) for _ in range(BATCH)]
        with torch.autocast("cpu", torch.bfloat16):
            states = states_of(base, [caption(scene, rng) for scene in scenes])
        return (states, *shown(stage, scenes, rng))

    def loss(batch: Batch) -> Tensor:
        states, pictures, *small = batch
        states[torch.rand(BATCH) < LEFT_OUT] = unprompted
        steps, noise = torch.randint(1000, (BATCH,)), torch.randn_like(pictures)
        levels = torch.randint(MOST_NOISE, (BATCH,)) if small else None
        behind = [objective.noised(part, levels, torch.randn_like(part)) for part in small if levels is not None]
        x = torch.cat([objective.noised(pictures, steps, noise), *behind], dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            answer = net(x, steps.float(), states.float(), None if levels is None else levels.float())
        return objective(answer, noise, steps)

    net.load_state_dict(fit(net, make, loss, stage.how, folder / f"{stage.name}.pt"))
    return net.eval()


@torch.no_grad()
def pass_through(net: PixelUNet) -> None:
    """Let a new net begin by answering with what it sees, which is right under strong noise.

    Norms over two channels lose the mean colour, but not if one holds the negative of the other; and
    GELU(x) - GELU(-x) = x. So each channel that comes in goes along the outermost skip beside its negative.
    """
    first, last, out = net.input_blocks.get_submodule("0.0"), net.output_blocks[-1].get_submodule("0"), net.out[2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, ResBlock)
    assert isinstance(last.skip_connection, nn.Conv2d)
    assert isinstance(out, nn.Conv2d)
    entering, width = net.config.in_channels, net.config.widths[0]
    skip, residue = last.skip_connection, last.out_layers[3]
    assert isinstance(residue, nn.Conv2d)
    for whole in (*out.parameters(), *residue.parameters()):
        nn.init.zeros_(whole)
    for part in (*first.parameters(), *skip.parameters()):
        nn.init.zeros_(part[: 2 * entering])
    for channel in range(entering):
        for place, sign in ((2 * channel, 1.0), (2 * channel + 1, -1.0)):
            first.weight[place, channel, 1, 1] = sign
            skip.weight[place, width + place, 0, 0] = 1.0
            if channel < CHANNELS:
                out.weight[channel, place, 1, 1] = sign


def shown(stage: Stage, scenes: Sequence[Scene], rng: Generator) -> tuple[Tensor, ...]:
    """Pictures `(B, 3, crop, crop)` in -1..1, and for a later stage the small ones, enlarged as in sampling."""
    pictures = [_pictures(scenes, stage.side)]
    if stage.small:
        large = F.interpolate(_pictures(scenes, stage.small), size=stage.side, mode="bilinear", align_corners=True)
        pictures.append(large)
    places = [_place(scene, stage, rng) for scene in scenes]
    return tuple(torch.stack([_cut(*pair, stage.crop) for pair in zip(part, places, strict=True)]) for part in pictures)


def export(net: PixelUNet, stage: Stage, path: Path) -> None:
    """Write the net in half precision, with the names of the original files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, path, {"modelspec.title": f"Easel demo: {stage.side} pixels", **METADATA})


def draw(model: Path, files: Sequence[Path], count: int) -> list[Picture]:
    """Draw `count` held-out scenes with the stages in `files`, and check them at the side that the checker reads.

    The text encoder is that of the demo `model`.
    """
    base, rng, pictures = load_base(model), np.random.default_rng(SCENE_SEED), []
    stages = [stage_denoiser(load_stage(path, torch.device("cpu"))) for path in files]
    for seed in range(count):
        scene = random_scene(rng, testing=True)
        pixels = _reduced(paint(base, stages, caption(scene), seed)[-1])
        pictures.append(Picture(caption(scene), seed, pixels, check(pixels, scene)))
    return pictures


def paint(base: Base, stages: Sequence[Denoiser], prompt: str, seed: int) -> list[Pixels]:
    """What each stage paints for a prompt, -1..1: `(1, 3, side, side)`."""
    sides = (base.encoder.encode(prompt), base.encoder.encode(""))
    painted: list[Pixels] = []
    for place, (stage, loaded) in enumerate(zip(STAGES, stages, strict=True)):
        canvas = Pixels(torch.zeros(1, 3, stage.side, stage.side), empty=True)
        small = painted[-1] if painted else None
        sampling = sample_stage(
            loaded, *sides, canvas, seed=seed + place, cfg=stage.cfg, steps=STEPS, small=small, noise_level=NOISE_LEVEL
        )
        painted.append(drive(sampling))
    return painted


def _reduced(pixels: Pixels) -> Drawn:
    """A picture in 0..1 `(SIZE, SIZE, 3)`: each pixel the mean of those that it stands for."""
    small: Drawn = F.adaptive_avg_pool2d(pixels.samples, SIZE)[0].movedim(0, -1).div(2).add(0.5).clamp(0, 1).numpy()
    return small


def _pictures(scenes: Sequence[Scene], side: int) -> Tensor:
    pictures = np.stack([render(scene, side) for scene in scenes])
    return torch.from_numpy(pictures).movedim(-1, 1) * 2 - 1


def _place(scene: Scene, stage: Stage, rng: Generator) -> tuple[int, int]:
    """Top and left of a crop with one of the scene's things in it or beside it: what is flat is soon learned."""
    thing = scene.things[rng.integers(len(scene.things))]
    centre = np.asarray([thing.y, thing.x]) * stage.side + rng.uniform(-0.6, 0.6, 2) * stage.crop
    top, left = np.clip(np.round(centre - stage.crop / 2), 0, stage.side - stage.crop)
    return int(top), int(left)


def _cut(picture: Tensor, place: tuple[int, int], side: int) -> Tensor:
    top, left = place
    return picture[:, top : top + side, left : left + side]
