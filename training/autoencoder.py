"""Trains the demo's autoencoder: pictures of 64 x 64 pixels to 16 x 16 latents of 4 channels, with sharp edges.

Most of a scene is flat, so the first phase learns on 32 x 32 crops at the edges of the shapes, four times cheaper; the
second on whole pictures, whose group norms see other statistics. Then the latents are shifted and scaled to zero mean
and unit variance under the family's scale factor, by folding that into the 1x1 convolutions. The last phase goes on
with the decoder alone, on latents with a little noise, so that it forgives the small errors of a sampler.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from training.fitting import Batch, Fit, State, fit
from training.scenes import RADII, SIZE, Scene, random_scene, render

CONFIG = AutoencoderConfig(channels=32, channel_mult=(1, 2, 2), num_res_blocks=1)
SCALE_FACTOR = 0.18215
CROP = 32
LATENT_NOISE = 0.1
KL_WEIGHT = 2e-4


def train(folder: Path, minutes: float) -> Autoencoder:
    """The trained autoencoder; a third of the minutes goes to each phase, whose states are kept in `folder`."""
    net = Autoencoder(CONFIG)
    for name, make in (("crops", _crops), ("pictures", _pictures)):
        state = folder / f"autoencoder-{name}.pt"
        net.load_state_dict(fit(net, make, lambda batch: _loss(net, batch[0]), Fit(minutes / 3), state, _report))
    normalise(net, pictures(np.random.default_rng(3), 512))
    polish(net, folder, minutes / 3)
    return net.eval()


def polish(net: Autoencoder, folder: Path, minutes: float) -> None:
    """Train the decoder on, with the encoder frozen and `LATENT_NOISE` (in units of the latents' spread) added."""
    net.encoder.requires_grad_(False)
    net.quant_conv.requires_grad_(False)
    state = folder / "autoencoder-decoder.pt"
    how = Fit(minutes, rate=5e-4)
    net.load_state_dict(fit(net, _pictures, lambda batch: _decoder_loss(net, batch[0]), how, state, _report))


@torch.no_grad()
def normalise(net: Autoencoder, x: Tensor) -> None:
    """Fold a shift and scale into `net`, so that latents of `x` times the scale factor have mean 0 and variance 1."""
    latents = torch.cat([net.encode(part)[0] for part in torch.split(x, 64)])
    channels = latents.shape[1]
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * SCALE_FACTOR
    before, after = net.quant_conv, net.post_quant_conv
    assert before.bias is not None
    assert after.bias is not None
    before.weight[:channels] /= spread.view(-1, 1, 1, 1)
    before.bias[:channels] = (before.bias[:channels] - mean) / spread
    before.bias[channels:] -= 2 * spread.log()
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= spread.view(1, -1, 1, 1)


def pictures(rng: Generator, count: int) -> Tensor:
    """Rendered scenes `(count, 3, SIZE, SIZE)` in -1..1."""
    return torch.from_numpy(np.stack([_channels_first(random_scene(rng)) for _ in range(count)]))


def _pictures(rng: Generator) -> Batch:
    return (pictures(rng, 16),)


def _crops(rng: Generator) -> Batch:
    return (torch.from_numpy(np.stack([_crop(rng) for _ in range(48)])),)


def _crop(rng: Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    scene = random_scene(rng)
    thing = scene.things[rng.integers(len(scene.things))]
    angle, distance = rng.uniform(0, 2 * np.pi), RADII[thing.size] * rng.uniform(0, 1.2)
    left, top = (
        int(np.clip(centre * SIZE + offset - CROP / 2, 0, SIZE - CROP)) // 4 * 4
        for centre, offset in ((thing.x, distance * np.cos(angle)), (thing.y, distance * np.sin(angle)))
    )
    return _channels_first(scene)[:, top : top + CROP, left : left + CROP]


def _channels_first(scene: Scene) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return render(scene).transpose(2, 0, 1) * 2 - 1


def _loss(net: Autoencoder, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        mean, logvar = net.encode(x)
        out = net.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
    mean, logvar = mean.float(), logvar.float()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return _difference(out.float() - x) + KL_WEIGHT * divergence


def _decoder_loss(net: Autoencoder, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            z = net.encode(x)[0]
        noise = LATENT_NOISE * torch.rand(len(z), 1, 1, 1) * torch.randn_like(z) / SCALE_FACTOR
        out = net.decode(z + noise)
    return _difference(out.float() - x)


def _difference(error: Tensor) -> Tensor:
    """Absolute and squared error, and that of the gradients: the last keeps edges sharp."""
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 4 * error.square().mean() + 0.5 * edges


@torch.no_grad()
def _report(average: State) -> str:
    net = Autoencoder(CONFIG)
    net.load_state_dict(average)
    x = pictures(np.random.default_rng(123), 64)
    squared = ((net(x).clamp(-1, 1) - x) / 2).square().mean((1, 2, 3))
    return f"PSNR {float((-10 * torch.log10(squared)).mean()):.2f} dB"
