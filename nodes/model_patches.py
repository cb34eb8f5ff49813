"""Models whose net works differently: on the way up, in its attention, or in its middle; and guidance by attention."""

from __future__ import annotations

from typing import Annotated

from engine.diffusion.attention_rules import PerturbedAttention, SelfAttention
from engine.diffusion.denoiser import Denoiser
from engine.foundation.bounds import within
from engine.models.adapters.adapter import Adapter
from engine.models.adapters.changes import Itself
from engine.models.nets.unet_patches import FreeU, Merged, Multiplied, Shrunk, Tiled
from engine.models.text.encoder import TextEncoder
from engine.models.text.tower import AttentionFactors
from engine.node import Choice, Fraction, Range, node

UNET_PATCHES = "model_patches/unet"
EXPERIMENTS = "_for_testing/attention_experiments"
TIME_LAYERS = ".time_stack."
METHODS = ("bicubic", "nearest-exact", "bilinear", "area", "bislerp")

Factor = Annotated[float, Range(0.0, 10.0, step=0.01)]
Share = Annotated[float, Range(0.0, 1.0, step=0.001)]
Method = Annotated[str, Choice(*METHODS)]


@node("FreeU", category=UNET_PATCHES)
def freeu(model: Denoiser, b1: Factor = 1.1, b2: Factor = 1.2, s1: Factor = 0.9, s2: Factor = 0.2) -> Denoiser:
    """Amplify the backbone (b) and damp the skips' low frequencies (s) on the way up; 1 changes nothing."""
    return model.with_patches(FreeU((b1, b2), (s1, s2)))


@node("FreeU_V2", category=UNET_PATCHES)
def freeu_v2(model: Denoiser, b1: Factor = 1.3, b2: Factor = 1.4, s1: Factor = 0.9, s2: Factor = 0.2) -> Denoiser:
    """FreeU whose amplification follows the backbone's own strength in each place."""
    return model.with_patches(FreeU((b1, b2), (s1, s2), adaptive=True))


@node("HyperTile", category=UNET_PATCHES)
def hyper_tile(
    model: Denoiser,
    tile_size: Annotated[int, Range(1, 2048)] = 256,
    swap_size: Annotated[int, Range(1, 128)] = 2,
    max_depth: Annotated[int, Range(0, 10)] = 0,
    scale_depth: bool = False,
) -> Denoiser:
    """Compute self-attention within tiles: faster for large pictures."""
    return model.with_patches(Tiled(tile_size, swap_size, max_depth, scale_depth))


@node("TomePatchModel", category=UNET_PATCHES)
def tome_patch_model(model: Denoiser, ratio: Fraction = 0.3) -> Denoiser:
    """Merge similar tokens before self-attention: faster, with less detail."""
    return model.with_patches(Merged(ratio))


@node("PatchModelAddDownscale", category=UNET_PATCHES, display_name="PatchModelAddDownscale (Kohya Deep Shrink)")
def patch_model_add_downscale(
    model: Denoiser,
    block_number: Annotated[int, Range(1, 32)] = 3,
    downscale_factor: Annotated[float, Range(0.1, 9.0, step=0.001)] = 2.0,
    start_percent: Share = 0.0,
    end_percent: Share = 0.35,
    downscale_after_skip: bool = True,
    *,
    downscale_method: Method,
    upscale_method: Method,
) -> Denoiser:
    """Let the net see a smaller picture during the first steps, so that large pictures are laid out as one."""
    within("start_percent", start_percent, 0.0, 1.0)
    within("end_percent", end_percent, 0.0, 1.0)
    low, high = model.levels.sigma_at(end_percent), model.levels.sigma_at(start_percent)
    return model.with_patches(
        Shrunk(block_number, downscale_factor, low, high, downscale_after_skip, downscale_method, upscale_method)
    )


@node("UNetSelfAttentionMultiply", category=EXPERIMENTS)
def unet_self_attention_multiply(
    model: Denoiser, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> Denoiser:
    """Multiply the parts of all attention among cells."""
    return model.with_patches(Multiplied("self", q, k, v, out))


@node("UNetCrossAttentionMultiply", category=EXPERIMENTS)
def unet_cross_attention_multiply(
    model: Denoiser, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> Denoiser:
    """Multiply the parts of all attention to the prompt."""
    return model.with_patches(Multiplied("cross", q, k, v, out))


@node("UNetTemporalAttentionMultiply", category=EXPERIMENTS)
def unet_temporal_attention_multiply(
    model: Denoiser,
    self_structural: Factor = 1.0,
    self_temporal: Factor = 1.0,
    cross_structural: Factor = 1.0,
    cross_temporal: Factor = 1.0,
) -> Denoiser:
    """Multiply what attention gives within frames (structural) and over them (temporal): of a video model."""
    factors = {
        ("self_structural", "attn1", False): self_structural,
        ("self_temporal", "attn1", True): self_temporal,
        ("cross_structural", "attn2", False): cross_structural,
        ("cross_temporal", "attn2", True): cross_temporal,
    }
    names = model.net.weights()
    for (what, layer, over_time), factor in factors.items():
        within(what, factor, 0.0, 10.0)
        ends = tuple(f".{layer}.to_out.0.{leaf}" for leaf in ("weight", "bias"))
        chosen = (name for name in names if name.endswith(ends) and (TIME_LAYERS in name) == over_time)
        model = model.with_adapter(Adapter(what, {name: (Itself(),) for name in chosen}), factor - 1)
    return model


@node("CLIPAttentionMultiply", category=EXPERIMENTS)
def clip_attention_multiply(
    clip: TextEncoder, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> TextEncoder:
    """Multiply the parts of all attention in the text encoder."""
    return clip.with_attention(AttentionFactors(q, k, v, out))


@node("PerturbedAttentionGuidance", category=UNET_PATCHES)
def perturbed_attention_guidance(
    model: Denoiser, scale: Annotated[float, Range(0.0, 100.0, step=0.01, round=0.01)] = 3.0
) -> Denoiser:
    """Lead away from what the net paints with its attention switched off: more structure, one more evaluation."""
    return model.with_rule(PerturbedAttention(scale))


@node("SelfAttentionGuidance", category="_for_testing", display_name="Self-Attention Guidance")
def self_attention_guidance(
    model: Denoiser,
    scale: Annotated[float, Range(-2.0, 5.0, step=0.01)] = 0.5,
    blur_sigma: Annotated[float, Range(0.0, 10.0, step=0.1)] = 2.0,
) -> Denoiser:
    """Lead away from what the net paints if what it looks at is blurred: more detail, two more evaluations."""
    return model.with_rule(SelfAttention(scale, blur_sigma))
