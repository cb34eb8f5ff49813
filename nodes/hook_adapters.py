"""Hooks that bring a LoRA, or another model, along with a prompt; their keyframes; and text encoders with hooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from engine.models.adapters.hooks import AdapterHook, Hooks, Keyframe, Keyframes
from engine.models.adapters.models import read_model
from engine.models.adapters.reading import AdapterFile, read_adapter
from engine.models.text.encoder import TextEncoder, TextHooks
from engine.node import PLAIN, Choice, Files, NodeContext, Range, Socket, node

CREATE = "advanced/hooks/create"
COMBINE = "advanced/hooks/combine"
SCHEDULING = "advanced/hooks/scheduling"

Strength = Annotated[float, Range(-20.0, 20.0, step=0.01)]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
Positive = Annotated[float, Range(0.0, 10.0, step=0.001)]
Adapters = Annotated[str, Files("loras")]
Checkpoints = Annotated[str, Files("checkpoints")]
Floats = Annotated[Any, Socket("FLOATS")]

_CURVES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "ease_in": lambda share: share * share,
    "ease_out": lambda share: 1 - (1 - share) ** 2,
    "ease_in_out": lambda share: (1 - math.cos(math.pi * share)) / 2,
}


@node("CreateHookLora", category=CREATE, display_name="Create Hook LoRA")
def create_hook_lora(
    lora_name: Adapters,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    prev_hooks: Hooks | None = None,
    ctx: NodeContext = PLAIN,
) -> Hooks:
    """A LoRA for the prompts that get this hook; SetClipHooks has it change the text encoder too."""
    path = ctx.file("loras", lora_name)
    return _after(prev_hooks, read_adapter, path, strength_model, strength_clip)


@node("CreateHookLoraModelOnly", category=CREATE, display_name="Create Hook LoRA (MO)")
def create_hook_lora_model_only(
    lora_name: Adapters,
    strength_model: Strength = 1.0,
    prev_hooks: Hooks | None = None,
    ctx: NodeContext = PLAIN,
) -> Hooks:
    """The same, without a change of the text encoder."""
    return create_hook_lora(lora_name, strength_model, 0.0, prev_hooks, ctx)


@node("CreateHookModelAsLora", category=CREATE, display_name="Create Hook Model as LoRA")
def create_hook_model(
    ckpt_name: Checkpoints,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    prev_hooks: Hooks | None = None,
    ctx: NodeContext = PLAIN,
) -> Hooks:
    """Another checkpoint for the prompts that get this hook: strength 1 is that one, between 0 and 1 a mixture."""
    path = ctx.file("checkpoints", ckpt_name)
    return _after(prev_hooks, read_model, path, strength_model, strength_clip)


@node("CreateHookModelAsLoraModelOnly", category=CREATE, display_name="Create Hook Model as LoRA (MO)")
def create_hook_model_only(
    ckpt_name: Checkpoints,
    strength_model: Strength = 1.0,
    prev_hooks: Hooks | None = None,
    ctx: NodeContext = PLAIN,
) -> Hooks:
    """The same, without a change of the text encoder."""
    return create_hook_model(ckpt_name, strength_model, 0.0, prev_hooks, ctx)


@node("SetClipHooks", category="advanced/hooks/clip", display_name="Set CLIP Hooks")
def set_clip_hooks(
    clip: TextEncoder, apply_to_conds: bool = True, schedule_clip: bool = False, hooks: Hooks | None = None
) -> TextEncoder:
    """Encode prompts with the hooks' LoRAs, which the prompts take along with `apply_to_conds`.

    With `schedule_clip` the hooks' keyframes count for the text encoder too: a prompt is encoded once for each.
    """
    return clip if hooks is None else clip.with_hooks(TextHooks(hooks, apply_to_conds, schedule_clip))


@node("CombineHooks2", category=COMBINE, display_name="Combine Hooks [2]")
def combine_2(
    hooks_A: Hooks | None = None,  # noqa: N803  # the names of saved workflows
    hooks_B: Hooks | None = None,  # noqa: N803
) -> Hooks:
    """Both hooks at once; one that is in several counts once."""
    return _joined((hooks_A, hooks_B))


@node("CombineHooks4", category=COMBINE, display_name="Combine Hooks [4]")
def combine_4(
    hooks_A: Hooks | None = None,  # noqa: N803
    hooks_B: Hooks | None = None,  # noqa: N803
    hooks_C: Hooks | None = None,  # noqa: N803
    hooks_D: Hooks | None = None,  # noqa: N803
) -> Hooks:
    """Up to four hooks at once; one that is in several counts once."""
    return _joined((hooks_A, hooks_B, hooks_C, hooks_D))


@node("CombineHooks8", category=COMBINE, display_name="Combine Hooks [8]")
def combine_8(
    hooks_A: Hooks | None = None,  # noqa: N803
    hooks_B: Hooks | None = None,  # noqa: N803
    hooks_C: Hooks | None = None,  # noqa: N803
    hooks_D: Hooks | None = None,  # noqa: N803
    hooks_E: Hooks | None = None,  # noqa: N803
    hooks_F: Hooks | None = None,  # noqa: N803
    hooks_G: Hooks | None = None,  # noqa: N803
    hooks_H: Hooks | None = None,  # noqa: N803
) -> Hooks:
    """Up to eight hooks at once; one that is in several counts once."""
    return _joined((hooks_A, hooks_B, hooks_C, hooks_D, hooks_E, hooks_F, hooks_G, hooks_H))


@node("SetHookKeyframes", category=SCHEDULING, display_name="Set Hook Keyframes")
def set_keyframes(hooks: Hooks, hook_kf: Keyframes | None = None) -> Hooks:
    """Let the strength of hooks change on the way through the sampling."""
    return hooks if hook_kf is None else hooks.with_keyframes(hook_kf)


@node("CreateHookKeyframe", category=SCHEDULING, display_name="Create Hook Keyframe", outputs=["HOOK_KF"])
def create_keyframe(
    strength_mult: Strength = 1.0, start_percent: Percent = 0.0, prev_hook_kf: Keyframes | None = None
) -> Keyframes:
    """From a share of the sampling on, hooks have their strength times a number."""
    return (prev_hook_kf or Keyframes()).with_frames(Keyframe(start_percent, strength_mult))


@node(
    "CreateHookKeyframesInterpolated",
    category=SCHEDULING,
    display_name="Create Hook Keyframes Interp.",
    outputs=["HOOK_KF"],
)
def create_keyframes_interpolated(
    strength_start: Positive = 1.0,
    strength_end: Positive = 1.0,
    *,
    interpolation: Annotated[str, Choice(*_CURVES)],
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    keyframes_count: Annotated[int, Range(2, 100)] = 5,
    print_keyframes: bool = False,
    prev_hook_kf: Keyframes | None = None,
    ctx: NodeContext = PLAIN,
) -> Keyframes:
    """Keyframes at even distances, their strengths along a curve from the first to the last."""
    shares = [number / (keyframes_count - 1) for number in range(keyframes_count)]
    way = strength_end - strength_start
    strengths = [strength_start + way * _CURVES[interpolation](share) for share in shares]
    return _spread(strengths, start_percent, end_percent, prev_hook_kf, print_keyframes, ctx)


@node(
    "CreateHookKeyframesFromFloats",
    category=SCHEDULING,
    display_name="Create Hook Keyframes From Floats",
    outputs=["HOOK_KF"],
)
def create_keyframes_from_floats(
    floats_strength: Floats,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    print_keyframes: bool = False,
    prev_hook_kf: Keyframes | None = None,
    ctx: NodeContext = PLAIN,
) -> Keyframes:
    """Keyframes at even distances with the strengths of a list of numbers."""
    given = floats_strength if isinstance(floats_strength, Iterable) else [floats_strength]
    strengths = [float(number) for number in given]
    return _spread(strengths, start_percent, end_percent, prev_hook_kf, print_keyframes, ctx)


def _after(
    previous: Hooks | None,
    read: Callable[[Path], AdapterFile],
    path: Path,
    strength_model: float,
    strength_clip: float,
) -> Hooks:
    """The hooks before and one of the file's adapter, which is not read where it would change nothing."""
    before = previous or Hooks()
    if strength_model == 0 and strength_clip == 0:
        return before
    return before.joined(Hooks((AdapterHook(read(path), strength_model, strength_clip),)))


def _joined(groups: Iterable[Hooks | None]) -> Hooks:
    result = Hooks()
    for group in groups:
        result = result.joined(group or Hooks())
    return result


def _spread(
    strengths: Sequence[float],
    start: float,
    end: float,
    previous: Keyframes | None,
    shown: bool,
    ctx: NodeContext,
) -> Keyframes:
    """Keyframes at even distances from `start` to `end`, besides the previous ones; told to the user if `shown`."""
    step = (end - start) / max(1, len(strengths) - 1)
    frames = [Keyframe(start + step * number, strength) for number, strength in enumerate(strengths)]
    if shown:
        ctx.warn("; ".join(f"from {frame.start:.3f}: {frame.strength:.3f}" for frame in frames))
    return (previous or Keyframes()).with_frames(*frames)
