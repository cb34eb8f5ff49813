"""The nets of the families after SD1 at full size with random weights, against diffusers and transformers.

Own nets share the reference's tensors, so one copy of the weights is in memory: about 10 GiB for SDXL's UNet.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill
from engine.models.configs import autoencoder_config, unet_config
from engine.models.depth import dpt_config
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.dpt import DptHybrid
from engine.models.nets.unet import UNet
from engine.models.parts import text_encoder_of
from engine.models.text.open_clip import text_tower
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_H, SDXL_G, SDXL_L
from engine.models.vision.tower import image_encoder_of, prepared
from engine.tensors.values import Image
from tests import manifests
from tests.oracles import dpt, families, sd1, systems, vision

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FOUR, XL, REFINER = (320, 640, 1280, 1280), (320, 640, 1280), (384, 768, 1536, 1536)


@pytest.fixture(autouse=True)
def _freed() -> Iterator[None]:
    yield
    gc.collect()


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def sd2(**more: Any) -> Any:
    return families.linear_unet(FOUR, (1, 1, 1, 0), 1024, blocks=2, **more)


UNETS: dict[str, Any] = {
    "sd2": sd2,
    "sd2-inpainting": lambda: sd2(channels=9),
    "sd2-depth": lambda: sd2(channels=5),
    "sd21-unclip-h": lambda: sd2(vector=2048, kind="projection"),
    "sd21-unclip-l": lambda: sd2(vector=1536, kind="projection"),
    "sdxl-base": lambda: families.linear_unet(XL, (0, 2, 10), 2048, blocks=2, vector=2816, kind="sizes"),
    "sdxl-refiner": lambda: families.linear_unet(REFINER, (0, 4, 4, 0), 1280, blocks=2, vector=2560, kind="sizes"),
    "sd-x4-upscaler": lambda: families.linear_unet(
        (256, 512, 512, 1024), (0, 1, 1, 1), 1024, blocks=2, channels=7, num_class_embeds=1000,
        only_cross_attention=(True, True, True, False), attention_head_dim=8,
    ),
    "lcm": lambda: systems.full_sd1_unet(time_cond_proj_dim=256),
    "sd1-inpainting": lambda: systems.full_sd1_unet(9),
    "instruct-pix2pix": lambda: systems.full_sd1_unet(8),
}  # fmt: skip
MILLIONS = {
    "sd2": 865.91,
    "sd21-unclip-h": 870.17,
    "sd21-unclip-l": 869.52,
    "sdxl-base": 2567.46,
    "sdxl-refiner": 2259.53,
    "sd-x4-upscaler": 473.40,
}  # of parameters, of the nets that there is a manifest of


def added(reference: Any, name: str) -> tuple[dict[str, Any], list[Tensor], dict[str, Tensor]]:
    """What a reference and our net take besides latents, time and tokens."""
    if name.startswith("sdxl"):
        sizes = torch.tensor([[1024.0, 768, 0, 16, 1024, 768][: 6 if name == "sdxl-base" else 5]])
        pooled = noise(1, 1280)
        waves = reference.add_time_proj(sizes.flatten()).reshape(1, -1)
        return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}, [torch.cat([pooled, waves], 1)], {}
    if name.startswith("sd21"):
        vector = noise(1, 2048 if name.endswith("h") else 1536)
        return {"class_labels": vector}, [vector], {}
    if name == "sd-x4-upscaler":
        return {"class_labels": torch.tensor([20])}, [torch.tensor([20])], {}
    if name == "lcm":
        from diffusers import LatentConsistencyModelPipeline

        scale = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([6.5]), 256)  # type: ignore[arg-type]
        return {"timestep_cond": scale}, [], {"guidance": torch.tensor([7.5])}
    return {}, [], {}


@torch.inference_mode()
@pytest.mark.parametrize("name", UNETS)
def test_a_unet_equals_diffusers(name: str) -> None:
    reference = UNETS[name]()
    state = families.unet_state(reference)
    if name == "lcm":
        state["time_cond_proj.weight"] = state.pop("time_embed.cond_proj.weight")
    config = unet_config(shapes_of(state), "")
    if name in MILLIONS:
        assert shapes_of(state) == manifests.manifest(name)
    with torch.device("meta"):
        net = UNet(config)
    fill(net, state, None, "reference", exact=True)
    x, context = noise(1, config.in_channels, 8, 8), noise(1, 77, config.context_channels)
    more, own_more, own_options = added(reference, name)
    expected = reference(x, torch.tensor([801.0]), context, **more).sample
    own = net(x, torch.tensor([801.0]), context, *own_more, **own_options)
    if name in MILLIONS:
        assert round(sum(weight.numel() for weight in net.parameters()) / 1e6, 2) == MILLIONS[name]
    assert expected.std() > 0.05
    assert (own - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_the_autoencoder_of_the_x4_upscaler_equals_diffusers() -> None:
    reference = sd1.autoencoder((128, 256, 512))
    state = sd1.autoencoder_state(reference)
    assert shapes_of(state) == manifests.manifest("sd-x4-upscaler", "vae")
    with torch.device("meta"):
        net = Autoencoder(autoencoder_config(shapes_of(state), ""))
    fill(net, state, None, "reference", exact=True)
    samples = noise(1, 4, 16, 16)
    expected = reference.decode(samples).sample
    assert expected.std() > 0.01
    assert (net.decode(samples) - expected).abs().max() < 1e-5


TOWERS = {
    "SD2's ViT-H": (1024, 24, "gelu", 1024, CLIP_H),
    "SDXL's ViT-L": (768, 12, "quick_gelu", None, SDXL_L),
    "SDXL's bigG": (1280, 32, "gelu", 1280, SDXL_G),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", TOWERS)
def test_a_text_tower_equals_transformers(name: str) -> None:
    width, layers, activation, projection, recipe = TOWERS[name]
    reference = families.tower(width, layers, activation=activation, projection=projection)
    weights = text_tower(families.open_clip_state(reference))
    encoder = text_encoder_of([(weights, recipe)], CPU, {}.get, "reference")
    text = "an astronaut rides a horse on the moon"
    out = reference(families.ids(ClipTokenizer.load().encode(text), recipe.padding), output_hidden_states=True)
    expected = out.hidden_states[-2]
    if recipe.normed:
        expected = reference.text_model.final_layer_norm(expected)
    assert encoder is not None
    prompt = encoder.encode(text).prompts[0]
    assert expected.std() > 0.05
    assert (prompt.tokens - expected).abs().max() < 1e-5
    if projection is not None:
        assert prompt.pooled is not None
        assert (prompt.pooled - out.text_embeds).abs().max() < 1e-5


IMAGE_TOWERS: dict[str, dict[str, Any]] = {
    "ViT-L": {"width": 1024, "layers": 24, "projection": 768},
    "ViT-H": {"width": 1280, "layers": 32, "projection": 1024, "hidden_act": "gelu"},
}


@torch.inference_mode()
@pytest.mark.parametrize("name", IMAGE_TOWERS)
def test_an_image_tower_equals_transformers(name: str) -> None:
    reference = vision.tower(**IMAGE_TOWERS[name], side=224, patch=14, num_attention_heads=16)
    encoder = image_encoder_of(vision.open_clip_state(reference), CPU, "reference")
    picture = Image(torch.rand(1, 224, 224, 3, generator=torch.Generator().manual_seed(1)))
    expected = reference(prepared(picture, 224)).image_embeds
    assert encoder.side == 224
    assert expected.std() > 0.05
    assert (encoder.encode(picture).embeddings - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_the_depth_net_of_123_million_parameters_equals_transformers() -> None:
    reference = dpt.net((256, 512, 1024), (3, 4, 9), stem=64, width=768, layers=12, features=256, side=384)
    state = dpt.state(reference)
    with torch.device("meta"):
        net = DptHybrid(dpt_config(shapes_of(state)))
    handle = ModelHandle(fill(net, state, None, "reference", exact=True), CPU)
    x = noise(1, 3, 384, 384)
    expected = reference(x).predicted_depth
    with handle.lease() as own:
        gap = (own(x) - expected).abs().max()
    assert expected.std() > 0.01
    assert gap < 1e-5 * float(expected.abs().max())
