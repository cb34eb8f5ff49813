"""Stable Diffusion 1.x at full size with random weights, against diffusers and transformers.

Own nets share the reference's tensors, so one copy of the weights is in memory: about 4 GB for the UNet.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill
from engine.models.configs import autoencoder_config, unet_config
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet
from engine.models.text.encoder import TextEncoder
from engine.models.text.tokenizer import END, START, ClipTokenizer
from engine.models.text.tower import load_tower
from engine.models.vae import Vae
from tests.oracles import sd1

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_the_unet_of_860_million_parameters_equals_diffusers() -> None:
    reference = sd1.unet()
    state = sd1.unet_state(reference)
    with torch.device("meta"):
        net = UNet(unet_config(shapes_of(state), ""))
    fill(net, state, None, "reference", exact=True)
    x, context, steps = noise(2, 4, 8, 8), noise(2, 77, 768), torch.tensor([7.0, 801.0])
    expected = reference(x, steps, context).sample
    assert sum(weight.numel() for weight in net.parameters()) == 859_520_964
    assert expected.std() > 0.05
    assert (net(x, steps, context) - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_the_autoencoder_of_84_million_parameters_equals_diffusers() -> None:
    reference = sd1.autoencoder()
    state = sd1.autoencoder_state(reference)
    with torch.device("meta"):
        net = Autoencoder(autoencoder_config(shapes_of(state), ""))
    vae = Vae(ModelHandle(fill(net, state, None, "reference", exact=True), CPU), 8, 4)
    samples, pixels = noise(1, 4, 8, 8), noise(1, 64, 72, 3).sigmoid()
    expected = (reference.decode(samples).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    mean = reference.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert sum(weight.numel() for weight in net.parameters()) == 83_653_863
    assert expected.std() > 0.01
    assert (vae.decode(samples) - expected).abs().max() < 1e-5
    assert (vae.encode(pixels) - mean).abs().max() < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("layer", [-1, -2])
def test_the_text_encoder_of_123_million_parameters_equals_transformers(layer: int) -> None:
    reference = sd1.text_encoder()
    tower = load_tower(sd1.text_encoder_state(reference), None, "reference")
    encoder = TextEncoder(ModelHandle(tower, CPU), ClipTokenizer.load(), {}.get).with_last_layer(layer)
    ids = [START, *encoder.tokenizer.encode("an astronaut rides a horse on the moon")]
    padded = torch.tensor([ids + [END] * (77 - len(ids))])
    hidden = reference(padded, output_hidden_states=True).hidden_states[layer]
    expected = reference.final_layer_norm(hidden)
    assert sum(weight.numel() for weight in tower.parameters()) == 123_060_480
    assert (encoder.encode("an astronaut rides a horse on the moon").prompts[0].tokens - expected).abs().max() < 1e-5
