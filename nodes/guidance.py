"""How the estimates for what to paint and what not are combined."""

from __future__ import annotations

from typing import Annotated

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, Guider
from engine.diffusion.rules import (
    AdaptiveProjection,
    DynamicThreshold,
    EpsilonScaling,
    LengthLimit,
    LinearOverFrames,
    PerpendicularNegative,
    Rescaled,
    StaticThreshold,
    TangentialDamping,
    TemporalRescaling,
    TriangleOverFrames,
    ZeroStar,
)
from engine.node import Cfg, Fraction, Omittable, Range, node
from engine.tensors.values import Conditioning

GUIDANCE = "advanced/guidance"
UNET_PATCHES = "model_patches/unet"
VIDEO = "sampling/video_models"
NegativeScale = Annotated[float, Range(0.0, 100.0, step=0.01)]
Rescaling = Annotated[float, Range(0.01, 100.0, step=0.001)]
LeastCfg = Annotated[float, Range(0.0, 100.0, step=0.5, round=0.01)]
Bound = Annotated[float, Range(0.1, 100.0, step=0.1)]


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(model: Denoiser, multiplier: Fraction = 0.7) -> Denoiser:
    """Bring guided estimates back to the contrast of the positive: less burnt at a high cfg."""
    return model.with_rule(Rescaled(multiplier))


@node("PerpNeg", category="_for_testing", display_name="Perp-Neg (DEPRECATED by PerpNegGuider)", deprecated=True)
def perp_neg(model: Denoiser, empty_conditioning: Conditioning, neg_scale: NegativeScale = 1.0) -> Denoiser:
    """Let the negative prompt take away only what the positive does not ask for."""
    return model.with_rule(PerpendicularNegative(empty_conditioning, neg_scale))


@node("PerpNegGuider", category="_for_testing")
def perp_neg_guider(
    model: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: Cfg = 8.0,
    neg_scale: NegativeScale = 1.0,
) -> Guider:
    """Let the negative prompt take away only what the positive does not ask for."""
    guided = model.with_rule(PerpendicularNegative(empty_conditioning, neg_scale))
    return ClassifierFreeGuidance(guided, positive, negative, cfg)


@node("APG", category="sampling/custom_sampling", display_name="Adaptive Projected Guidance")
def adaptive_projected_guidance(
    model: Denoiser,
    eta: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
    norm_threshold: Annotated[float, Range(0.0, 50.0, step=0.1)] = 5.0,
    momentum: Annotated[float, Range(-5.0, 1.0, step=0.01)] = 0.0,
) -> Denoiser:
    """Limit the step that guidance makes, and how much of it goes along the estimate (`eta`), which saturates."""
    return model.with_rule(AdaptiveProjection(eta, norm_threshold, momentum))


@node("CFGNorm", category=GUIDANCE, outputs=["patched_model"])
def cfg_norm(model: Denoiser, strength: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0) -> Denoiser:
    """Keep guided estimates no stronger in any cell than the positive."""
    return model.with_rule(LengthLimit(strength))


@node("CFGZeroStar", category=GUIDANCE, outputs=["patched_model"])
def cfg_zero_star(model: Denoiser) -> Denoiser:
    """Scale the negative's direction to fit the positive's, for models that still err much (early flow models)."""
    return model.with_rule(ZeroStar())


@node("TCFG", category=GUIDANCE, display_name="Tangential Damping CFG", outputs=["patched_model"])
def tangential_damping(model: Denoiser) -> Denoiser:
    """Take from the negative only what it has in common with the positive."""
    return model.with_rule(TangentialDamping())


@node("Epsilon Scaling", category=UNET_PATCHES)
def epsilon_scaling(model: Denoiser, scaling_factor: Annotated[float, Range(0.5, 1.5, step=0.001)] = 1.005) -> Denoiser:
    """Divide the predicted noise by a factor a little above 1, against the drift of sampling."""
    return model.with_rule(EpsilonScaling(scaling_factor))


@node(
    "TemporalScoreRescaling",
    category=UNET_PATCHES,
    display_name="TSR - Temporal Score Rescaling",
    outputs=["patched_model"],
)
def temporal_score_rescaling(model: Denoiser, tsr_k: Rescaling = 0.95, tsr_sigma: Rescaling = 1.0) -> Denoiser:
    """Sample with more (below 1) or less (above 1) variety; a larger `tsr_sigma` begins earlier."""
    return model.with_rule(TemporalRescaling(tsr_k, tsr_sigma))


@node("VideoLinearCFGGuidance", category=VIDEO)
def video_linear_guidance(model: Denoiser, min_cfg: LeastCfg = 1.0) -> Denoiser:
    """Let the guidance of a video's frames grow from `min_cfg` in the first to the sampler's cfg in the last."""
    return model.with_rule(LinearOverFrames(min_cfg))


@node("VideoTriangleCFGGuidance", category=VIDEO)
def video_triangle_guidance(model: Denoiser, min_cfg: LeastCfg = 1.0) -> Denoiser:
    """Let the guidance of a video's frames grow from `min_cfg` to the sampler's cfg in the middle, and fall again."""
    return model.with_rule(TriangleOverFrames(min_cfg))


@node("EaselStaticThreshold", category=GUIDANCE, display_name="Static Threshold")
def static_threshold(model: Denoiser, bound: Bound = 4.0) -> Denoiser:
    """Cut estimates to a range."""
    return model.with_rule(StaticThreshold(bound))


@node("EaselDynamicThreshold", category=GUIDANCE, display_name="Dynamic Threshold")
def dynamic_threshold(
    model: Denoiser,
    percentile: Annotated[float, Range(0.0, 1.0, step=0.001)] = 0.995,
    bound: Bound = 4.0,
    maximum: Annotated[float, Range(0.1, 1000.0, step=0.1), Omittable()] = 1000.0,
) -> Denoiser:
    """Cut estimates at their own quantile where that is out of range, and scale them back into it.

    They are cut at `maximum` at the latest.
    """
    return model.with_rule(DynamicThreshold(percentile, bound, maximum))
