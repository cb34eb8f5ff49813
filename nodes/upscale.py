"""Pictures enlarged by a net."""

from __future__ import annotations

from typing import Annotated

from engine.models.upscale import UpscaleModel
from engine.models.upscalers import load_upscaler
from engine.node import PLAIN, Files, NodeContext, node
from engine.tensors.values import Image


@node("UpscaleModelLoader", category="loaders", display_name="Load Upscale Model")
def load_upscale_model(model_name: Annotated[str, Files("upscale_models")], ctx: NodeContext = PLAIN) -> UpscaleModel:
    """Load an upscaler: ESRGAN, Real-ESRGAN, compact or SwinIR; others if spandrel is installed."""
    return load_upscaler(ctx.file("upscale_models", model_name), ctx.device)


@node("ImageUpscaleWithModel", category="image/upscaling", display_name="Upscale Image (using Model)")
def upscale_with_model(upscale_model: UpscaleModel, image: Image, ctx: NodeContext = PLAIN) -> Image:
    """Enlarge pictures by a net, in tiles as large as memory allows."""
    return upscale_model.upscale(image, ctx.progress)
