"""Whole runs of Stable Video Diffusion through its file in the original layout, against diffusers' own pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.budget import CallBudget
from engine.memory.precision import PRECISIONS, Precisions
from engine.models.vae import Vae
from engine.models.vision.tower import ImageEncoder
from engine.node import NodeContext
from engine.tensors.values import Conditioning, Image, Latent
from nodes.animation import prompt_travel
from nodes.guidance import video_linear_guidance
from nodes.loaders import load_image_only, load_image_only_folder
from nodes.model_patches import freeu_v2, unet_temporal_attention_multiply
from nodes.video import video_conditioning
from tests.oracles.systems import System
from tests.oracles.video import VideoSystem
from tests.pipeline.test_memory import MIB, room

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # diffusers' own

SEED, STEPS, FRAMES, SIDE = 5, 20, 4, 32
FPS, BUCKET, AUGMENTATION = 7, 90, 0.1

Parts = tuple[Denoiser, ImageEncoder, Vae]
Sides = tuple[Conditioning, Conditioning, Latent]


@pytest.fixture(scope="module")
def system() -> VideoSystem:
    return VideoSystem()


@pytest.fixture(scope="module")
def place(system: VideoSystem, tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    """A run that finds the system as a file, and as a folder."""
    folder = tmp_path_factory.mktemp("svd")
    system.save(folder)
    system.save_folder(folder / "svd")
    services = SimpleNamespace(device=torch.device("cpu"), file=lambda _kind, name: folder / name)
    return NodeContext(services)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def parts(place: NodeContext) -> Parts:
    return load_image_only("svd.safetensors", place)


def still() -> Tensor:
    return torch.randint(0, 256, (1, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(9)) / 255


def told(parts: Parts) -> Sides:
    _, encoder, vae = parts
    return video_conditioning(encoder, Image(still()), vae, SIDE, SIDE, FRAMES, BUCKET, FPS, AUGMENTATION)


def sampled(model: Denoiser, sides: Sides, steps: int = 1) -> Tensor:
    steps_ = Steps(steps, "euler", "karras")
    return drive(sample(model, *sides, seed=SEED, cfg=3.0, steps=steps_)).samples


def calls(model: Denoiser, work: Callable[[], Tensor]) -> tuple[Tensor, list[tuple[int, ...]]]:
    """What `work` gives, and how many videos of how many frames each call of the net had."""
    seen: list[tuple[int, ...]] = []
    with model.net.look() as net:
        hook = net.register_forward_pre_hook(lambda _net, given: seen.append(tuple(given[0].shape[:2])))
    try:
        return work(), seen
    finally:
        hook.remove()


def test_a_whole_run_makes_the_video_that_diffusers_makes(system: VideoSystem, parts: Parts) -> None:
    noise = torch.randn(1, FRAMES, 4, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(SEED))
    made = system.pipeline(STEPS)(
        still().movedim(-1, 1), height=SIDE, width=SIDE, num_frames=FRAMES, num_inference_steps=STEPS, fps=FPS,
        motion_bucket_id=BUCKET, noise_aug_strength=AUGMENTATION, min_guidance_scale=1.0, max_guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0), latents=noise, output_type="pt",
    )  # fmt: skip
    expected = made.frames[0].movedim(1, -1)
    own = parts[2].decode(sampled(video_linear_guidance(parts[0], 1.0), told(parts), STEPS))
    assert expected.std() > 0.05
    assert (expected[0] - expected[-1]).abs().max() > 0.05
    assert (own - expected).abs().max() < 1e-4


def test_a_folder_in_diffusers_form_makes_the_same_video(parts: Parts, place: NodeContext) -> None:
    other = load_image_only_folder("svd/model_index.json", place)
    assert (other[0].levels, other[0].prediction, other[2].together) == (parts[0].levels, parts[0].prediction, 14)
    own = other[2].decode(sampled(other[0], told(other), 2))
    assert (own - parts[2].decode(sampled(parts[0], told(parts), 2))).abs().max() < 1e-5


@pytest.mark.parametrize("budget", [CallBudget(most=1), CallBudget(available=1)])
def test_a_call_never_holds_a_part_of_a_video(parts: Parts, budget: CallBudget) -> None:
    model, sides = parts[0], told(parts)
    whole, together = calls(model, lambda: sampled(model, sides))
    parted, apart = calls(model, lambda: sampled(replace(model, budget=budget), sides))
    assert (together, apart) == ([(2, FRAMES)], [(1, FRAMES)] * 2)
    assert (whole - parted).abs().max() < 1e-4


@pytest.mark.parametrize("limit", [24 * MIB, 4 * MIB])
def test_a_device_with_little_memory_is_given_whole_videos(parts: Parts, limit: int) -> None:
    model, sides = parts[0], told(parts)
    expected = sampled(model, sides)
    with room(limit):
        got, (trace, *seen) = calls(model, lambda: sampled(model, sides))
    assert (trace, seen) == ((1, FRAMES), [(1, FRAMES)] * 2)
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_patches_see_every_frame_as_a_row(parts: Parts) -> None:
    model, sides = parts[0], told(parts)
    plain = sampled(model, sides)
    halves = sampled(replace(freeu_v2(model), budget=CallBudget(most=1)), sides)
    assert (sampled(freeu_v2(model), sides) - halves).abs().max() < 1e-4
    assert (plain - halves).abs().max() > 1e-3


LAYERS = {
    "self_structural": "transformer_blocks.0.attn1",
    "self_temporal": "time_stack.0.attn1",
    "cross_structural": "transformer_blocks.0.attn2",
    "cross_temporal": "time_stack.0.attn2",
}


@pytest.mark.parametrize("name", LAYERS)
def test_attention_within_frames_or_over_them_is_multiplied(parts: Parts, name: str) -> None:
    model, sides = parts[0], told(parts)
    seen: dict[str, Tensor] = {}

    def attended(model: Denoiser) -> dict[str, Tensor]:
        with model.net.look() as net:
            first = net.input_blocks[1][1]
            hooks = [
                first.get_submodule(layer).to_out.register_forward_hook(
                    lambda _net, _given, out, own=own: seen.setdefault(own, out.clone())
                )
                for own, layer in LAYERS.items()
            ]
        sampled(model, sides)
        for hook in hooks:
            hook.remove()
        found = dict(seen)
        seen.clear()
        return found

    plain = attended(model)
    changed = attended(unet_temporal_attention_multiply(model, **{name: 3.0}))
    assert torch.allclose(changed[name], 3 * plain[name], atol=1e-5)
    assert torch.equal(attended(unet_temporal_attention_multiply(model))[name], plain[name])


def test_frames_are_decoded_in_even_parts_of_at_most_fourteen(system: VideoSystem, parts: Parts) -> None:
    z = torch.randn(16, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = torch.cat([system.vae.decode(half, 8).sample for half in z.split(8)]).movedim(1, -1)
    assert (parts[2].decode(z) - (expected / 2 + 0.5).clamp(0, 1)).abs().max() < 1e-5


def test_every_picture_of_a_travel_is_painted_from_its_own_prompt(tmp_path: Path) -> None:
    own = System(old=True).loaded(tmp_path)
    assert own.text_encoder is not None
    first, last = own.text_encoder.encode("a red circle"), own.text_encoder.encode("a blue star")
    nothing, model, steps = own.text_encoder.encode(""), denoiser_of(own), Steps(2)
    same = Latent(torch.zeros(2, 4, 4, 4), empty=True, batch_index=(0, 0))  # the same noise for both

    def painted(prompt: Conditioning, latent: Latent) -> Tensor:
        return drive(sample(model, prompt, nothing, latent, seed=SEED, cfg=4.0, steps=steps)).samples

    made = painted(prompt_travel([first, last], 2), same)
    alone = torch.cat([painted(prompt, same)[:1] for prompt in (first, last)])
    assert (made - alone).abs().max() < 1e-4
    assert (alone[0] - alone[1]).abs().max() > 0.1


def test_the_frames_layers_may_be_ordered_by_channels_last(parts: Parts, place: NodeContext) -> None:
    token = PRECISIONS.set(Precisions(channels_last=True))
    try:
        other = load_image_only("svd.safetensors", place)
    finally:
        PRECISIONS.reset(token)
    weights = [weight for weight in other[0].net.weights().values() if weight.ndim == 4 and weight.shape[-1] == 3]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert (sampled(other[0], told(other)) - sampled(parts[0], told(parts))).abs().max() < 1e-4
