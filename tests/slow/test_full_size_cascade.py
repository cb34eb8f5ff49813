"""Cascades at full size with random weights, against diffusers and transformers.

Own nets share the reference's tensors except those of attention, which lie in another order.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from engine.models.cascade import stage_of
from engine.models.pixel_names import original_pixel_unet
from engine.models.text.t5 import t5_of

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def randomised(net: Any, dtype: torch.dtype) -> Any:
    """`net`, built on the meta device, with numbers that keep activations finite."""
    net = net.to(dtype).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        norm = isinstance(module, nn.GroupNorm | nn.LayerNorm) or type(module).__name__ == "T5LayerNorm"
        for name, weight in module.named_parameters(recurse=False):
            if norm or name.endswith("bias") or weight.ndim == 1:
                weight.data.fill_(1.0 if norm and name == "weight" else 0.0)
            else:
                weight.data.normal_(0.0, 0.5 / weight[0].numel() ** 0.5, generator=generator)
    return net


def first_stage(base: int, dtype: torch.dtype) -> Any:
    """The shape of DeepFloyd IF's first stages."""
    widths = tuple(base * mult for mult in (1, 2, 3, 4))
    attending = 3 * ("SimpleCrossAttnDownBlock2D",)
    with torch.device("meta"):
        net = UNet2DConditionModel(
            sample_size=64,
            in_channels=3,
            out_channels=6,
            down_block_types=("ResnetDownsampleBlock2D", *attending),
            up_block_types=(*(kind.replace("Down", "Up") for kind in attending), "ResnetUpsampleBlock2D"),
            block_out_channels=widths,
            layers_per_block=3,
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            cross_attention_dim=4 * base,
            attention_head_dim=64,
            encoder_hid_dim=4096,
            addition_embed_type="text",
            cross_attention_norm="group_norm",
            resnet_time_scale_shift="scale_shift",
            act_fn="gelu",
        )
    return randomised(net, dtype)


@torch.inference_mode()
def compared(base: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, int]:
    reference = first_stage(base, dtype)
    inputs = noise(1, 3, 16, 16, dtype=dtype), torch.tensor([501.0]), noise(1, 77, 4096, seed=2, dtype=dtype)
    expected = reference(inputs[0], inputs[1], inputs[2]).sample
    named = original_pixel_unet(reference.state_dict())
    del reference
    stage = stage_of(named, CPU, "reference", dtype)
    with stage.net.lease() as net:
        return net(*inputs), expected, sum(weight.numel() for weight in net.parameters())


def test_the_first_stage_of_372_million_parameters_equals_diffusers() -> None:
    own, expected, count = compared(192, torch.float32)
    assert round(count / 1e6) == 372
    assert expected.std() > 0.05
    assert (own - expected).abs().max() < 1e-5


def test_the_first_stage_of_4305_million_parameters_equals_diffusers_in_bfloat16() -> None:
    own, expected, count = compared(704, torch.bfloat16)
    assert round(count / 1e6) == 4305
    assert expected.std() > 0.05
    error = (own.float() - expected.float()).abs()
    assert error.mean() < 0.01 * expected.float().std()  # of numbers that are rounded to a 256th everywhere
    assert error.max() < 0.1 * expected.float().std()


@torch.inference_mode()
def test_the_t5_encoder_of_4762_million_parameters_equals_transformers_in_bfloat16() -> None:
    shape = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    # the same function as "gated-gelu", which transformers computes in several steps that round to bfloat16 each
    with torch.device("meta"):
        reference = T5EncoderModel(T5Config(vocab_size=32128, feed_forward_proj="gated-gelu_pytorch_tanh", **shape))
    reference = randomised(reference, torch.bfloat16)
    ids, mask = torch.randint(3, 32000, (1, 77), generator=torch.Generator().manual_seed(0)), torch.ones(1, 77).long()
    mask[:, 20:] = 0
    expected = reference(input_ids=ids, attention_mask=mask)[0].float()
    net = t5_of(reference.state_dict(), torch.bfloat16, "reference")
    own = net(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    assert sum(weight.numel() for weight in net.parameters()) == 4_762_310_656
    assert expected[:, :20].std() > 0.1
    assert torch.equal(own[:, :20], expected[:, :20])
