"""The nets of Stable Video Diffusion at full size with random weights, against diffusers'."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.models.assembly import fill
from engine.models.configs import autoencoder_config, unet_config
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.video_autoencoder import VideoDecoder
from engine.models.nets.video_unet import VideoUNet
from tests import manifests
from tests.oracles import video

pytestmark = pytest.mark.slow

FRAMES = 2


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_the_unet_of_1525_million_parameters_equals_diffusers() -> None:
    reference = video.unet()
    state = video.unet_state(reference)
    assert shapes_of(state) == manifests.manifest("svd")
    with torch.device("meta"):
        net = VideoUNet(unet_config(shapes_of(state), ""))
    fill(net, state, None, "reference", exact=True)
    assert round(sum(weight.numel() for weight in net.parameters()) / 1e6, 2) == 1524.62
    x, tokens, told = noise(1, FRAMES, 8, 8, 8), noise(1, 1, 1024), torch.tensor([[6.0, 127.0, 0.02]])
    expected = reference(x, 1.3, tokens, told).sample
    vector = reference.add_time_proj(told.flatten()).reshape(1, 1, -1)
    each = (1, FRAMES)
    own = net(x, torch.full(each, 1.3), tokens[:, None].expand(*each, 1, -1), vector.expand(*each, -1))
    assert expected.std() > 0.05
    assert (own - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_the_video_autoencoder_equals_diffusers() -> None:
    reference = video.autoencoder()
    state = video.autoencoder_state(reference)
    decoder = {name: shape for name, shape in shapes_of(state).items() if name.startswith("decoder.")}
    assert decoder == {f"decoder.{name}": shape for name, shape in manifests.manifest("svd", "vae_decoder").items()}
    with torch.device("meta"):
        net = Autoencoder(autoencoder_config(shapes_of(state), ""), VideoDecoder)
    fill(net, state, None, "reference", exact=True)
    z = noise(FRAMES, 4, 8, 8)
    expected = reference.decode(z, FRAMES).sample
    assert expected.std() > 0.01
    assert (net.decode(z) - expected).abs().max() < 1e-5
