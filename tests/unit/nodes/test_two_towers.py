"""Mixtures, LoRAs by hooks and whole models by hooks change both text towers of SDXL."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.adapters.applying import changed_weight, steps_of
from engine.models.text.encoder import TextEncoder
from engine.node import NodeContext
from engine.tensors.values import Conditioning
from nodes import merging, model_saving
from nodes.adapters import load_lora
from nodes.conditioning import encode_text
from nodes.hook_adapters import create_hook_lora, create_hook_model, create_keyframe, set_clip_hooks, set_keyframes
from nodes.loaders import load_checkpoint_simple
from tests.oracles.sdxl import Base
from tests.oracles.systems import PROMPT, noise
from tests.unit.nodes.test_merging import Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, state = tmp_path_factory.mktemp("sdxl"), Base().state
    generator = torch.Generator().manual_seed(7)
    for name, size in (("a", 0.0), ("b", 0.02)):
        changed = {n: w + size * torch.randn(w.shape, generator=generator) for n, w in state.items() if "ids" not in n}
        save_file({n: w.contiguous() for n, w in changed.items()}, path / f"{name}.safetensors")
    lora: dict[str, Tensor] = {}
    for number, width in ((1, 64), (2, 128)):
        stem = f"lora_te{number}_text_model_encoder_layers_1_mlp_fc1"
        lora |= {f"{stem}.lora_up.weight": noise(4 * width, 2), f"{stem}.lora_down.weight": noise(2, width) / 8}
    save_file(lora, path / "lora.safetensors")
    return path


@pytest.fixture(scope="module")
def ctx(folder: Path) -> NodeContext:
    ctx = NodeContext(Folder(folder))  # type: ignore[arg-type]
    ctx.save = lambda *args, **_: Folder(folder).save(*args, "output", (0, 0))  # type: ignore[method-assign,assignment]
    return ctx


@pytest.fixture(scope="module")
def clips(ctx: NodeContext) -> list[TextEncoder]:
    return [load_checkpoint_simple(f"{name}.safetensors", ctx)[1] for name in "ab"]


def weights(clip: TextEncoder) -> list[dict[str, Tensor]]:
    """The weights in effect in each tower."""
    steps = [steps_of(tower.adapters) for tower in clip.towers]
    return [
        {name: changed_weight(weight, own.get(name, ())) for name, weight in tower.net.weights().items()}
        for own, tower in zip(steps, clip.towers, strict=True)
    ]


def encoded(clip: TextEncoder) -> Conditioning:
    return encode_text(PROMPT, clip)


def alike(one: Conditioning, other: Conditioning) -> bool:
    a, b = one.prompts[0], other.prompts[0]
    assert a.pooled is not None
    assert b.pooled is not None
    return torch.equal(a.tokens, b.tokens) and torch.equal(a.pooled, b.pooled)


def test_each_tower_is_mixed_with_its_like(clips: list[TextEncoder]) -> None:
    one, other = clips
    cases = (
        (merging.merge_encoders(one, other, 0.25), (0.25, 0.75)),
        (merging.add_encoders(one, other), (1.0, 1.0)),
        (merging.subtract_encoders(one, other, 0.5), (0.5, -0.5)),
    )
    for mixed, (own, share) in cases:
        for got, ours, theirs in zip(weights(mixed), weights(one), weights(other), strict=True):
            assert max(float((got[n] - own * ours[n] - share * theirs[n]).abs().max()) for n in got) < 1e-5


def test_a_hooked_lora_changes_both_as_a_loaded_one(clips: list[TextEncoder], ctx: NodeContext) -> None:
    model = load_checkpoint_simple("a.safetensors", ctx)[0]
    hooked = set_clip_hooks(clips[0], hooks=create_hook_lora("lora.safetensors", 0.0, 0.5, None, ctx))
    loaded = load_lora(model, clips[0], "lora.safetensors", 0.0, 0.5, ctx)[1]
    plain, told = encoded(clips[0]), encoded(hooked)
    assert alike(told, encoded(loaded))
    gap = (told.prompts[0].tokens - plain.prompts[0].tokens).abs()
    assert min(float(gap[..., :64].max()), float(gap[..., 64:].max())) > 1e-3
    assert alike(encoded(clips[0]), plain)


def test_keyframes_count_in_both(clips: list[TextEncoder], ctx: NodeContext) -> None:
    hooks = create_hook_lora("lora.safetensors", 0.0, 1.0, None, ctx)
    hooks = set_keyframes(hooks, create_keyframe(0.5, 0.5, create_keyframe(0.0, 0.0)))
    early, late = encoded(set_clip_hooks(clips[0], True, True, hooks)).prompts
    model = load_checkpoint_simple("a.safetensors", ctx)[0]
    half = encoded(load_lora(model, clips[0], "lora.safetensors", 0.0, 0.5, ctx)[1])
    assert torch.equal(early.tokens, encoded(clips[0]).prompts[0].tokens)
    assert alike(Conditioning((late,)), half)


def test_a_whole_model_by_a_hook_leads_both_to_it(clips: list[TextEncoder], ctx: NodeContext) -> None:
    hooks = create_hook_model("b.safetensors", 1.0, 1.0, None, ctx)
    told = encoded(set_clip_hooks(clips[0], hooks=hooks)).prompts[0]
    expected = encoded(clips[1]).prompts[0]
    assert (told.tokens - expected.tokens).abs().max() < 1e-5
    assert (told.pooled - expected.pooled).abs().max() < 1e-5  # type: ignore[operator]


def test_the_difference_of_both_is_saved_as_a_lora_for_both(
    clips: list[TextEncoder], ctx: NodeContext, folder: Path
) -> None:
    difference = merging.subtract_encoders(clips[1], clips[0])
    model_saving.save_lora("d", 8, lora_type="full_diff", text_encoder_diff=difference, ctx=ctx)
    model = load_checkpoint_simple("a.safetensors", ctx)[0]
    clip = load_lora(model, clips[0], "d.safetensors", 0.0, 1.0, ctx)[1]
    for got, expected in zip(weights(clip), weights(clips[1]), strict=True):
        assert max(float((got[name] - expected[name]).abs().max()) for name in got) < 2e-4
