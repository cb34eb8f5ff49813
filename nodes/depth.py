"""Depth from pictures."""

from __future__ import annotations

from typing import Annotated

from engine.models.depth import DepthEstimator, load_depth_estimator
from engine.node import PLAIN, Files, NodeContext, node
from engine.tensors.values import Image


@node("DepthModelLoader", category="loaders", display_name="Load Depth Model")
def load_depth_model(ckpt_name: Annotated[str, Files("checkpoints")], ctx: NodeContext = PLAIN) -> DepthEstimator:
    """Load the depth net (MiDaS DPT-hybrid) that is part of SD2-depth's checkpoint, or one in a file of its own."""
    return load_depth_estimator(ctx.file("checkpoints", ckpt_name), ctx.device)


@node("DepthEstimate", category="image/preprocessors", display_name="Estimate Depth")
def estimate_depth(depth_model: DepthEstimator, image: Image) -> Image:
    """How near things are, white is nearest, each picture brought to 0..1; about 384 pixels a side."""
    depth = depth_model.estimate(image)
    low, high = depth.amin(dim=(1, 2), keepdim=True), depth.amax(dim=(1, 2), keepdim=True)
    return Image(((depth - low) / (high - low).clamp(min=1e-6))[..., None].expand(-1, -1, -1, 3).contiguous())
