"""The nets of Stable Video Diffusion: their tensors are the published ones, and they compute as diffusers' do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.configs import autoencoder_config, unet_config
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.unet import UNetConfig
from engine.models.nets.video_autoencoder import VideoDecoder
from engine.models.nets.video_unet import VideoUNet
from engine.models.parts import unet_of, vae_of
from tests import manifests
from tests.oracles import video

CPU = torch.device("cpu")
PUBLISHED = UNetConfig(
    in_channels=8, context_channels=1024, num_heads=None, head_channels=64, linear_projection=True,
    vector_channels=768, video=True,
)  # fmt: skip
FRAMES = 3


def shapes_of(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in net.state_dict().items()}


def inputs(videos: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    return {
        "sample": torch.randn(videos, FRAMES, 8, 6, 8, generator=generator),
        "tokens": torch.randn(videos, 1, 96, generator=generator),
        "vector": torch.tensor([[6.0, 127.0, 0.02], [11.0, 40.0, 0.1]])[:videos],
    }


def test_the_published_unet_is_built_from_its_tensors() -> None:
    shapes = manifests.manifest("svd")
    assert unet_config(shapes, "") == PUBLISHED
    with torch.device("meta"):
        assert shapes_of(VideoUNet(PUBLISHED)) == shapes


def test_the_published_decoder_is_built_from_its_tensors() -> None:
    encoder = {name: shape for name, shape in manifests.manifest("sd1", "vae").items() if name.startswith("encoder.")}
    decoder = {f"decoder.{name}": shape for name, shape in manifests.manifest("svd", "vae_decoder").items()}
    config = autoencoder_config(encoder | decoder, "")
    assert config == AutoencoderConfig(quant=False, post_quant=False, video=True)
    with torch.device("meta"):
        assert shapes_of(Autoencoder(config, VideoDecoder)) == encoder | decoder


@pytest.fixture(scope="module")
def reference() -> Any:
    return video.unet((64, 64, 128), 1, 96)


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_video_unet_computes_as_diffusers_does(reference: Any, layout: str) -> None:
    given = inputs()
    state = video.unet_state(reference) if layout == "original" else dict(reference.state_dict())
    own = unet_of(state, torch.device("cpu"), "svd").eval()
    with torch.no_grad():
        expected = reference(given["sample"], 1.3, given["tokens"], given["vector"]).sample
        vector = reference.add_time_proj(given["vector"].flatten()).reshape(2, -1)
        each = (2, FRAMES)
        tokens = given["tokens"][:, None].expand(*each, 1, 96)
        made = own(given["sample"], torch.full(each, 1.3), tokens, vector[:, None].expand(*each, -1))
    assert expected.std() > 0.1
    assert (made - expected).abs().max() < 1e-5


def test_the_videos_of_a_batch_do_not_see_each_other(reference: Any) -> None:
    own, given = unet_of(video.unet_state(reference), torch.device("cpu"), "svd").eval(), inputs()

    def made(part: slice) -> torch.Tensor:
        x = given["sample"][part]
        each = x.shape[:2]
        tokens = given["tokens"][part, None].expand(*each, 1, 96)
        with torch.no_grad():
            return own(x, torch.full(each, 1.3), tokens, torch.zeros(*each, 768))

    both = made(slice(0, 2))
    assert (both[1:] - made(slice(1, 2))).abs().max() < 1e-5
    assert (both[0] - both[1]).abs().max() > 0.1


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_video_autoencoder_computes_as_diffusers_does(layout: str) -> None:
    reference = video.autoencoder((32, 64))
    state = video.autoencoder_state(reference) if layout == "original" else dict(reference.state_dict())
    vae = vae_of(state, CPU, "svd", torch.float32)
    z = torch.randn(FRAMES, 4, 6, 8, generator=torch.Generator().manual_seed(4))
    pixels = torch.rand(1, 3, 12, 16) * 2 - 1
    with torch.no_grad(), vae.net.lease() as net:
        expected = reference.decode(z, FRAMES).sample
        assert (net.decode(z) - expected).abs().max() < 1e-5
        assert (net.encode(pixels)[0] - reference.encode(pixels).latent_dist.mode()).abs().max() < 1e-5
    assert expected.std() > 0.1
