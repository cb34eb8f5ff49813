"""Prompts that bring adapters along: which counts when, for whom, and in how many calls of the net."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Answer, Denoiser, LatentFormat
from engine.diffusion.extras import NO_EXTRAS, NetExtras
from engine.diffusion.guidance import ClassifierFreeGuidance, estimates, started
from engine.diffusion.parameterisation import scaled_linear
from engine.models.adapters.applying import FileStack
from engine.models.adapters.hooks import AdapterHook, Hooks, Keyframe, Keyframes
from engine.models.adapters.reading import AdapterError, AdapterFile
from engine.models.checkpoint import load_checkpoint
from engine.models.text.encoder import TextEncoder
from engine.node import NodeContext
from engine.node.context import Note, Warned
from engine.tensors.values import Conditioning, Prompt
from nodes.adapters import load_lora, load_lora_model_only
from nodes.conditioning import encode_a1111_text, encode_text
from nodes.hook_adapters import (
    combine_2,
    combine_4,
    combine_8,
    create_hook_lora,
    create_hook_lora_model_only,
    create_hook_model,
    create_hook_model_only,
    create_keyframe,
    create_keyframes_from_floats,
    create_keyframes_interpolated,
    set_clip_hooks,
    set_keyframes,
)
from nodes.hooks import set_default, set_pair_default, set_pair_properties, set_properties
from tests.oracles import sd1
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs
from tests.unit.nodes.test_behaviour import Folder

CPU = torch.device("cpu")
X = torch.zeros(1, 4, 16, 16)
LEVELS = scaled_linear()
RED, BLUE = AdapterFile("red", {}), AdapterFile("blue", {})


@dataclass(frozen=True)
class Adding:
    """A denoiser whose estimate is the mean of its tokens plus what its hooks weigh: red 10, blue 100."""

    levels: Any = LEVELS
    latents: LatentFormat = field(default_factory=LatentFormat)
    hooked: FileStack = ()
    extras: NetExtras = NO_EXTRAS
    counts_tokens: bool = False
    calls: list[int] = field(default_factory=list)

    def answer(self, x: Tensor, sigma: float, tokens: Tensor, **_: Any) -> Answer:
        self.calls.append(len(x))
        own = sum({"red": 10.0, "blue": 100.0}[file.name] * strength for file, strength in self.hooked)
        return Answer(tokens.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x) + own)


def says(number: float, *hooks: AdapterHook, **options: Any) -> Conditioning:
    return Conditioning((Prompt(torch.full((1, 77, 8), float(number)), hooks=hooks, **options),))


def hook(file: AdapterFile, strength: float = 1.0, *frames: Keyframe) -> AdapterHook:
    return AdapterHook(file, strength, strength, Keyframes().with_frames(*frames))


def values(*sides: Conditioning, sigma: float = 1.0, denoiser: Adding | None = None) -> list[float]:
    return [float(part.mean()) for part in estimates(denoiser or Adding(), X, sigma, sides)]  # type: ignore[arg-type]


def test_each_prompt_is_asked_of_the_net_with_its_own_hooks() -> None:
    assert values(says(1, hook(RED)), says(2)) == [11.0, 2.0]
    assert values(says(1, hook(RED, 0.5), hook(BLUE, -1.0))) == [1 + 5 - 100]


def test_prompts_on_one_side_have_hooks_of_their_own() -> None:
    both = Conditioning((*says(1, hook(RED)).prompts, *says(3).prompts))
    assert values(both) == [(11 + 3) / 2]


def test_prompts_with_the_same_adapters_share_a_call() -> None:
    one, other = hook(RED), hook(RED)
    denoiser = Adding()
    sides = (says(1, one), says(2), says(3, other), says(4, hook(RED, 0.5)), says(5))
    assert values(*sides, denoiser=denoiser) == [11.0, 2.0, 13.0, 9.0, 5.0]
    assert sorted(denoiser.calls) == [1, 2, 2]


def test_a_hook_without_strength_shares_the_call_of_the_base() -> None:
    denoiser = Adding()
    assert values(says(1, hook(RED, 0.0)), says(2), denoiser=denoiser) == [1.0, 2.0]
    assert denoiser.calls == [2]


@pytest.mark.parametrize(("share", "expected"), [(0.1, 5.0), (0.4, 20.0), (0.9, 0.0)])
def test_keyframes_change_the_strength_on_the_way(share: float, expected: float) -> None:
    frames = (Keyframe(0.6, 0.0), Keyframe(0.2, 0.5), Keyframe(0.3, 2.0))
    assert values(says(0, hook(RED, 1.0, *frames)), sigma=LEVELS.sigma_at(share)) == [expected]


def test_of_keyframes_that_start_together_the_last_counts() -> None:
    assert values(says(0, hook(RED, 1.0, Keyframe(0.0, 3.0), Keyframe(0.0, 4.0)))) == [40.0]


def test_hooks_combine_once_each_even_with_other_keyframes() -> None:
    red, blue = Hooks((hook(RED),)), Hooks((hook(BLUE),))
    later = set_keyframes(red, create_keyframe(0.5, 0.0))
    assert combine_2(red, later).hooks == red.hooks
    assert combine_2(None, blue).hooks == blue.hooks
    assert combine_4(red, None, blue, red).hooks == (*red.hooks, *blue.hooks)
    assert combine_8(hooks_C=blue, hooks_H=red).hooks == (*blue.hooks, *red.hooks)
    assert combine_8().hooks == ()
    assert set_keyframes(red) is red


def test_keyframes_follow_curves() -> None:
    def strengths(curve: str) -> list[float]:
        made = create_keyframes_interpolated(0.0, 4.0, interpolation=curve, keyframes_count=5)
        assert [frame.start for frame in made.frames] == [0.0, 0.25, 0.5, 0.75, 1.0]
        return [round(frame.strength, 6) for frame in made.frames]

    assert strengths("linear") == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert strengths("ease_in") == [0.0, 0.25, 1.0, 2.25, 4.0]
    assert strengths("ease_out") == [0.0, 1.75, 3.0, 3.75, 4.0]
    assert strengths("ease_in_out") == [0.0, 0.585786, 2.0, 3.414214, 4.0]


def test_keyframes_come_from_numbers_besides_previous_ones_and_are_told_on_wish() -> None:
    notes: list[Note] = []
    made = create_keyframes_from_floats(
        [0.1, 0.2, 0.3], 0.2, 0.4, True, create_keyframe(7.0, 0.25), NodeContext(report=notes.append)
    )
    assert [(round(frame.start, 9), frame.strength) for frame in made.frames] == [
        (0.2, 0.1),
        (0.25, 7.0),
        (0.3, 0.2),
        (0.4, 0.3),
    ]
    assert notes == [Warned("from 0.200: 0.100; from 0.300: 0.200; from 0.400: 0.300")]
    assert create_keyframes_from_floats(0.5).frames == (Keyframe(0.0, 0.5),)


def test_nodes_that_set_properties_add_hooks() -> None:
    red, blue = Hooks((hook(RED),)), Hooks((hook(BLUE),))
    once = set_properties(says(1), set_cond_area="default", hooks=red)
    twice = set_properties(once, set_cond_area="default", hooks=combine_2(red, blue))
    assert values(once, twice) == [11.0, 111.0]
    pair = set_pair_properties(says(1), says(2), set_cond_area="default", hooks=red)
    assert values(*pair) == [11.0, 12.0]
    masked = set_default(says(1, start=0.0, end=0.5), says(2), hooks=red)
    assert values(masked, sigma=LEVELS.sigma_at(0.9)) == [12.0]
    late = set_pair_default(says(1, end=0.5), says(1, end=0.5), says(2), says(3), hooks=blue)
    assert values(*late, sigma=LEVELS.sigma_at(0.9)) == [102.0, 103.0]


# Tiny models with files, for the nodes that read them


@dataclass(frozen=True)
class Setting:
    """A folder with a checkpoint and two adapters, its context, and what nodes told in it."""

    ctx: NodeContext
    notes: list[Note]
    model: Denoiser
    clip: TextEncoder
    folder: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    unet, text = sd1.unet((32, 64, 64), 1, 128), sd1.text_encoder(128, 2)
    state = sd1.checkpoint_state(unet, sd1.autoencoder((32, 64), 1), text)
    save_file({name: weight.contiguous() for name, weight in state.items()}, path / "tiny.safetensors")
    other = {name: weight + 0.05 if weight.is_floating_point() else weight for name, weight in state.items()}
    save_file({name: weight.contiguous() for name, weight in other.items()}, path / "other.safetensors")
    towers = {
        "text_model." + name.removeprefix("text_model."): weight
        for name, weight in diffusers_modules(text, "q_proj", "fc1").items()
    }
    tensors = kohya(pairs(diffusers_modules(unet, "to_q", "conv1")), "lora_unet_")
    save_file(tensors, path / "model.safetensors")
    save_file(tensors | kohya(pairs(towers), "lora_te_"), path / "both.safetensors")
    extra = {"lora_unet_x.lora_up.weight": torch.ones(2, 1), "lora_unet_x.lora_down.weight": torch.ones(1, 2)}
    save_file(tensors | extra, path / "extra.safetensors")
    save_file(extra, path / "foreign.safetensors")
    return path


@pytest.fixture
def setting(folder: Path) -> Setting:
    notes: list[Note] = []
    checkpoint = load_checkpoint(folder / "tiny.safetensors", CPU)
    assert checkpoint.text_encoder is not None
    model = Denoiser(checkpoint.unet, LEVELS, LatentFormat())
    return Setting(NodeContext(Folder(folder), report=notes.append), notes, model, checkpoint.text_encoder, folder)


def painted(model: Denoiser, conditioning: Conditioning, sigma: float = 1.0) -> Tensor:
    return estimates(model, X, sigma, [conditioning])[0]


def test_model_and_text_encoder_have_strengths_of_their_own(setting: Setting) -> None:
    model, clip = load_lora(setting.model, setting.clip, "both.safetensors", 0.7, -0.4, setting.ctx)
    (own, strength), (text, text_strength) = *model.adapters, *clip.adapters
    assert (strength, text_strength) == (0.7, -0.4)
    assert own.changes
    assert text.changes
    assert not torch.equal(clip.encode("a").prompts[0].tokens, setting.clip.encode("a").prompts[0].tokens)
    assert setting.notes == []


def test_a_strength_of_0_gives_back_what_it_got(setting: Setting) -> None:
    assert load_lora(setting.model, setting.clip, "missing", 0.0, 0.0, setting.ctx) == (setting.model, setting.clip)
    assert load_lora_model_only(setting.model, "missing", 0.0, setting.ctx) is setting.model
    model, clip = load_lora(setting.model, setting.clip, "both.safetensors", 0.0, 1.0, setting.ctx)
    assert model is setting.model
    assert clip is not setting.clip


def test_parts_that_fit_nothing_are_told_by_name(setting: Setting) -> None:
    load_lora(setting.model, setting.clip, "extra.safetensors", ctx=setting.ctx)
    (note,) = setting.notes
    assert isinstance(note, Warned)
    assert note.text.startswith("extra.safetensors: 1 of ")
    assert note.text.endswith("lora_unet_x")


def test_text_parts_are_nothing_to_tell_where_only_the_model_is_changed(setting: Setting) -> None:
    both = load_lora_model_only(setting.model, "both.safetensors", 1.0, setting.ctx)
    alone = load_lora_model_only(setting.model, "model.safetensors", 1.0, setting.ctx)
    assert setting.notes == []
    assert torch.equal(
        painted(both, setting.clip.encode("a")),
        painted(alone, setting.clip.encode("a")),
    )


def test_an_adapter_of_another_model_is_refused(setting: Setting) -> None:
    with pytest.raises(AdapterError, match=r"foreign\.safetensors: nothing in this adapter is for this model"):
        load_lora(setting.model, setting.clip, "foreign.safetensors", ctx=setting.ctx)
    with pytest.raises(AdapterError, match="nothing in this adapter"):
        load_lora_model_only(setting.model, "foreign.safetensors", 1.0, setting.ctx)


def test_a_hook_does_to_one_prompt_what_the_loader_does_to_all(setting: Setting) -> None:
    plain = setting.clip.encode("a red circle")
    hooks = create_hook_lora_model_only("model.safetensors", 0.5, None, setting.ctx)
    hooked = set_properties(plain, set_cond_area="default", hooks=hooks)
    loaded = load_lora_model_only(setting.model, "model.safetensors", 0.5, setting.ctx)
    both = estimates(setting.model, X, 1.0, [hooked, plain])
    assert torch.equal(both[0], painted(loaded, plain))
    assert torch.equal(both[1], painted(setting.model, plain))


def test_hooks_come_on_top_of_loaded_adapters(setting: Setting) -> None:
    plain = setting.clip.encode("a red circle")
    hooks = create_hook_lora("both.safetensors", 0.5, 0.0, None, setting.ctx)
    loaded = load_lora_model_only(setting.model, "model.safetensors", 0.25, setting.ctx)
    twice = load_lora_model_only(loaded, "model.safetensors", 0.5, setting.ctx)
    hooked = set_properties(plain, set_cond_area="default", hooks=hooks)
    assert torch.equal(painted(loaded, hooked), painted(twice, plain))


def test_another_model_as_a_hook_is_that_model(setting: Setting) -> None:
    plain = setting.clip.encode("a red circle")
    hooks = create_hook_model_only("other.safetensors", 1.0, None, setting.ctx)
    other = load_checkpoint(setting.folder / "other.safetensors", CPU)
    expected = painted(Denoiser(other.unet, LEVELS, LatentFormat()), plain)
    hooked = set_properties(plain, set_cond_area="default", hooks=hooks)
    assert torch.allclose(painted(setting.model, hooked), expected, atol=1e-4)
    assert not torch.allclose(painted(setting.model, plain), expected, atol=1e-2)


def test_hooks_without_strength_are_none(setting: Setting) -> None:
    red = Hooks((hook(RED),))
    assert create_hook_lora("missing", 0.0, 0.0, red, setting.ctx) is red
    assert create_hook_model("missing", 0.0, 0.0, None, setting.ctx).hooks == ()
    assert len(create_hook_lora("both.safetensors", prev_hooks=red, ctx=setting.ctx).hooks) == 2


@pytest.mark.parametrize("encode", [encode_text, encode_a1111_text])
def test_a_text_encoder_with_hooks_encodes_with_them_and_passes_them_on(setting: Setting, encode: Any) -> None:
    hooks = create_hook_lora("both.safetensors", 1.0, 0.5, None, setting.ctx)
    _, loaded = load_lora(setting.model, setting.clip, "both.safetensors", 1.0, 0.5, setting.ctx)
    (passed,) = encode("a circle", set_clip_hooks(setting.clip, hooks=hooks)).prompts
    (kept,) = encode("a circle", set_clip_hooks(setting.clip, apply_to_conds=False, hooks=hooks)).prompts
    (expected,) = encode("a circle", loaded).prompts
    assert torch.equal(passed.tokens, expected.tokens)
    assert torch.equal(kept.tokens, expected.tokens)
    assert passed.hooks == hooks.hooks
    assert kept.hooks == ()
    assert set_clip_hooks(setting.clip) is setting.clip


def test_a_scheduled_text_encoder_encodes_once_for_each_keyframe(setting: Setting) -> None:
    frames = create_keyframe(0.0, 0.5, create_keyframe(1.0, 0.0))
    hooks = set_keyframes(create_hook_lora("both.safetensors", 1.0, 0.5, None, setting.ctx), frames)
    once = set_clip_hooks(setting.clip, hooks=hooks).encode("a circle").prompts
    early, late = set_clip_hooks(setting.clip, schedule_clip=True, hooks=hooks).encode("a circle").prompts
    assert (early.start, early.end, late.start, late.end) == (0.0, 0.5, 0.5, 1.0)
    assert torch.equal(early.tokens, once[0].tokens)
    assert torch.equal(late.tokens, setting.clip.encode("a circle").prompts[0].tokens)


def test_a_schedule_keeps_to_the_ranges_that_a_prompt_has(setting: Setting) -> None:
    frames = create_keyframe(0.0, 0.5, create_keyframe(1.0, 0.0))
    hooks = set_keyframes(create_hook_lora("both.safetensors", 1.0, 0.5, None, setting.ctx), frames)
    clip = set_clip_hooks(setting.clip, schedule_clip=True, hooks=hooks)
    prompts = encode_a1111_text("a [circle:star:0.75]", clip, 20).prompts
    assert [round(prompt.start, 1) for prompt in prompts] == [0.0, 0.5, 0.7]


def test_weights_changed_for_prompts_are_kept_for_one_sampling_only(setting: Setting) -> None:
    plain = setting.clip.encode("a")
    hooks = create_hook_lora("model.safetensors", 1.0, 0.0, None, setting.ctx)
    hooked = set_properties(plain, set_cond_area="default", hooks=hooks)
    guider = started(ClassifierFreeGuidance(setting.model, hooked, plain, 4.0))
    guider.denoise(X, 1.0)
    assert guider.denoiser.changed.nbytes > 0
    assert setting.model.changed.nbytes == 0
    unhooked = started(ClassifierFreeGuidance(setting.model, plain, plain, 4.0))
    assert unhooked.denoiser is setting.model
