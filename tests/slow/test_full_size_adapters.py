"""What is added to checkpoints, at full size with random weights, against diffusers and transformers.

Own nets share the reference's tensors where both name them alike, so that about 6 GiB are in memory at most.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, BertModel

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import estimates
from engine.models.assembly import fill
from engine.models.control.gligen import load_gligen
from engine.models.control.ip_adapter import load_ip_adapter
from engine.models.control.reading import controlnet_config, load_control
from engine.models.nets.control import ControlNet
from engine.models.nets.unet import timestep_embedding
from engine.models.text.bert import load_bert
from engine.models.vision.tower import load_image_encoder
from engine.tensors.values import Conditioning, Image, Prompt
from nodes.control import apply_control_advanced
from nodes.gligen import apply_box
from nodes.picture_prompts import apply_ip_adapter
from tests import manifests
from tests.oracles import control, families, pictures, sd1, vision
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import denoiser_from, noise

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SIGMA, TIME = 1.5, 801.0
X, TOKENS = noise(1, 4, 8, 8), noise(1, 77, 768, seed=1)
HINT = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
PROMPT = Conditioning((Prompt(TOKENS),))


@pytest.fixture(autouse=True)
def _freed() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def sd1_pair() -> tuple[Denoiser, Any]:
    """SD1's UNet as a denoiser and as diffusers has it, over the same tensors."""
    oracle = sd1.unet()
    return denoiser_from(sd1.unet_state(oracle)), oracle


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def assert_same(own: Tensor, expected: Tensor, without: Tensor | None = None) -> None:
    assert expected.std() > 0.05
    assert (own - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))
    if without is not None:
        assert (own - without).abs().max() > 1e-3


def predicted(denoiser: Denoiser, oracle: Any, **more: Any) -> Tensor:
    """The estimate of diffusers' UNet."""
    time = torch.tensor(denoiser.levels.timestep(SIGMA))
    with torch.no_grad():
        out: Tensor = oracle(X / (1 + SIGMA**2) ** 0.5, time, TOKENS, **more).sample
    return X - SIGMA * out


XL = (320, 640, 1280)
CONTROLNETS: dict[str, Any] = {
    "controlnet-sd1": (sd1.unet, 361.28),
    "controlnet-sd2": (lambda: families.hollow_unet((*XL, 1280), (1, 1, 1, 0), 1024, blocks=2), 364.23),
    "controlnet-sdxl": (
        lambda: families.hollow_unet(XL, (0, 2, 10), 2048, blocks=2, vector=2816, kind="sizes"),
        1251.01,
    ),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", CONTROLNETS)
def test_a_controlnet_equals_diffusers(name: str) -> None:
    made, millions = CONTROLNETS[name]
    reference = control.controlnet(made(), hint=control.HINT)
    state = control.controlnet_state(reference)
    shapes = {key: tuple(weight.shape) for key, weight in state.items()}
    if name == "controlnet-sd1":
        assert shapes == manifests.manifest(name)
    config = controlnet_config(shapes, name)
    with torch.device("meta"):
        net = ControlNet(config)
    fill(net, state, None, name, exact=True)
    context, told, vector = noise(1, 77, config.unet.context_channels), {}, None
    if name == "controlnet-sdxl":
        sizes, pooled = torch.tensor([[1024.0, 768, 0, 16, 1024, 768]]), noise(1, 1280)
        told = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
        vector = torch.cat([pooled, timestep_embedding(sizes.flatten(), 256).reshape(1, -1)], dim=1)
    expected = reference(X, torch.tensor([TIME]), context, HINT, **told)
    own = net(X, torch.tensor([TIME]), context, vector, net.embedded(HINT))
    assert round(sum(weight.numel() for weight in net.parameters()) / 1e6, 2) == millions
    for one, other in zip(own, [*expected.down_block_res_samples, expected.mid_block_res_sample], strict=True):
        assert_same(one, other)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter"])
def test_a_t2i_adapter_equals_diffusers(tmp_path: Path, sd1_pair: tuple[Denoiser, Any], kind: str) -> None:
    denoiser, oracle = sd1_pair
    net = control.adapter((320, 640, 1280, 1280), kind)
    model = load_control(saved(tmp_path / "t2i.safetensors", control.adapter_state(net)), CPU)
    steered, _ = apply_control_advanced(PROMPT, PROMPT, model, Image(HINT.movedim(1, -1)))
    expected = predicted(denoiser, oracle, down_intrablock_additional_residuals=net(HINT))
    own, without = (estimates(denoiser, X, SIGMA, [side])[0] for side in (steered, PROMPT))
    assert_same(own, expected, without)


@torch.inference_mode()
@pytest.mark.parametrize("form", ["plain", "plus"])
def test_an_ip_adapter_equals_diffusers(tmp_path: Path, sd1_pair: tuple[Denoiser, Any], form: str) -> None:
    denoiser, oracle = sd1_pair
    tower = vision.tower(1280, 2, projection=1024, num_attention_heads=16)  # as wide as the one in use, not as deep
    encoder = load_image_encoder(saved(tmp_path / "vision.safetensors", tower.state_dict()), CPU)
    shown = Image(HINT.movedim(1, -1))
    seen = encoder.encode(shown).embeddings if form == "plain" else encoder.encode(shown).penultimate
    state = pictures.ip_adapter(oracle, form, seen.shape[-1])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    changed = apply_ip_adapter(denoiser, model, shown, 0.7, clip_vision=encoder)
    own, without = (estimates(each, X, SIGMA, [PROMPT])[0] for each in (changed, denoiser))
    oracle._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    for processor in oracle.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7]
    expected = predicted(denoiser, oracle, added_cond_kwargs={"image_embeds": [seen[None]]})
    assert_same(own, expected, without)


class Words:
    """A text encoder of one phrase."""

    def encode(self, _text: str) -> Conditioning:
        return Conditioning((Prompt(TOKENS, noise(1, 768, seed=4)),))


@torch.inference_mode()
def test_boxes_of_gligen_equal_diffusers(tmp_path: Path) -> None:
    with torch.device("meta"):
        hollow = UNet2DConditionModel(cross_attention_dim=768, attention_type="gated")
    oracle = sd1.randomised(hollow)
    for name, weight in oracle.state_dict().items():
        if "alpha_" in name:
            weight.fill_(0.7)
    state, layers = control.gligen_states(oracle)
    denoiser = denoiser_from(state)
    model = load_gligen(saved(tmp_path / "gligen.safetensors", layers), CPU)
    words: Any = Words()
    boxed = apply_box(PROMPT, words, model, "a cat", 32, 16, 8, 16)
    given = {
        "boxes": torch.zeros(1, 30, 4),
        "positive_embeddings": torch.zeros(1, 30, 768),
        "masks": torch.zeros(1, 30),
    }
    given["boxes"][:, 0] = torch.tensor([8 / 64, 16 / 64, 40 / 64, 32 / 64])
    given["positive_embeddings"][:, 0], given["masks"][:, 0] = noise(1, 768, seed=4), 1
    expected = predicted(denoiser, oracle, cross_attention_kwargs={"gligen": given})
    own, without = (estimates(denoiser, X, SIGMA, [side])[0] for side in (boxed, PROMPT))
    assert_same(own, expected, without)


@torch.inference_mode()
def test_taiyis_bert_of_102_million_parameters_equals_transformers() -> None:
    with torch.device("meta"):
        reference = BertModel(BertConfig(vocab_size=21128), add_pooling_layer=False)
    reference = sd1.randomised(reference)
    reference.embeddings.token_type_ids.zero_()
    net = load_bert(reference.state_dict(), None, "reference").eval()
    ids = torch.randint(0, 21128, (1, 77), generator=torch.Generator().manual_seed(0))
    assert round(sum(weight.numel() for weight in net.parameters()) / 1e6) == 102
    assert_same(net(ids).last_hidden_state, reference(ids).last_hidden_state)
