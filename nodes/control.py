"""ControlNets and T2I-Adapters: hints that say where things are to be, and what ControlNets are told besides."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from engine.diffusion.denoiser import Denoiser
from engine.models.control.controlnet import TASKS, ControlModel
from engine.models.control.reading import load_control
from engine.models.text.encoder import TextEncoder
from engine.models.vae import Vae
from engine.node import PLAIN, Choice, Files, NodeContext, Range, Text, node
from engine.tensors.values import Conditioning, Control, Image

CATEGORY = "conditioning/controlnet"

ControlFiles = Annotated[str, Files("controlnet")]
Strength = Annotated[float, Range(0.0, 10.0, step=0.01)]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
Pair = tuple[Conditioning, Conditioning]
POSITIVE_NEGATIVE = ["positive", "negative"]


@node("ControlNetLoader", category="loaders", display_name="Load ControlNet Model")
def load_controlnet(control_net_name: ControlFiles, ctx: NodeContext = PLAIN) -> ControlModel:
    """Load a ControlNet, a union of several, a control-lora or a T2I-Adapter."""
    return load_control(ctx.file("controlnet", control_net_name), ctx.device)


@node("DiffControlNetLoader", category="loaders", display_name="Load ControlNet Model (diff)")
def load_difference(model: Denoiser, control_net_name: ControlFiles, ctx: NodeContext = PLAIN) -> ControlModel:
    """Load a ControlNet whose file holds differences to a model's weights; others are loaded as they are."""
    return load_control(ctx.file("controlnet", control_net_name), ctx.device, model.net.weights())


@node("ControlNetApply", category=CATEGORY, display_name="Apply ControlNet (OLD)", deprecated=True)
def apply_control(
    conditioning: Conditioning, control_net: ControlModel, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Steer a prompt by a hint, and the negative prompts with it if they have no hints of their own."""
    if strength == 0:
        return conditioning
    return _with_control(conditioning, control_net.control(image, strength, 0.0, 1.0, shared=True))


@node(
    "ControlNetApplyAdvanced",
    category=CATEGORY,
    display_name="Apply ControlNet",
    outputs=POSITIVE_NEGATIVE,
)
def apply_control_advanced(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlModel,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    vae: Vae | None = None,  # noqa: ARG001  # for nets that are shown latents; those of these families see pixels
) -> Pair:
    """Steer both sides by a hint, from one share of the sampling to another; several may follow each other."""
    if strength == 0:
        return positive, negative
    control = control_net.control(image, strength, start_percent, end_percent)
    return _with_control(positive, control), _with_control(negative, control)


@node(
    "ControlNetApplySD3",
    category=CATEGORY,
    display_name="Apply Controlnet with VAE",
    outputs=POSITIVE_NEGATIVE,
    deprecated=True,
)
def apply_control_with_vae(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlModel,
    vae: Vae,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Pair:
    """The same as Apply ControlNet, for workflows that ask for it so."""
    return apply_control_advanced(positive, negative, control_net, image, strength, start_percent, end_percent, vae)


@node("SetUnionControlNetType", category=CATEGORY)
def set_union_type(control_net: ControlModel, type: Annotated[str, Choice("auto", *TASKS)]) -> ControlModel:  # noqa: A002
    """Tell a union of ControlNets what kind of hint it gets; with auto it finds out."""
    return control_net.with_task(type)


@node("ControlNetSoftWeights", category=CATEGORY, display_name="ControlNet Soft Weights")
def soft_weights(
    control_net: ControlModel, base_multiplier: Annotated[float, Range(0.0, 1.0, step=0.001)] = 0.825
) -> ControlModel:
    """Let finer levels count less: each by the multiplier to the power of its distance from the middle.

    With 0.825 and no hint on the negative side this is the authors' guess mode ("ControlNet is more important").
    """
    return control_net.with_weights(base_multiplier)


@node("CLIPTextEncodeControlnet", category="_for_testing/conditioning")
def encode_for_control(
    clip: TextEncoder, conditioning: Conditioning, text: Annotated[str, Text(multiline=True, dynamic_prompts=True)]
) -> Conditioning:
    """Let the ControlNets that steer a prompt read another text than the model does."""
    told = clip.encode(text).prompts[0].tokens
    return Conditioning(tuple(replace(prompt, control_tokens=told) for prompt in conditioning.prompts))


def _with_control(conditioning: Conditioning, control: Control) -> Conditioning:
    return Conditioning(tuple(replace(p, controls=(*p.controls, control)) for p in conditioning.prompts))
