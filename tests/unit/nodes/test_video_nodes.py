"""Nodes about videos: what they write and read back, what is between frames, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.foundation.errors import EaselError
from engine.node import NodeContext
from engine.tensors.values import Audio, Conditioning, Image, Prompt, Video
from nodes import loaders, video_files
from nodes.animation import interpolate_frames, prompt_travel, save_animated_webp
from nodes.model_saving import save_image_only_checkpoint
from nodes.video import video_conditioning
from tests.oracles.systems import System
from tests.oracles.video import VideoSystem
from tests.unit.nodes.test_merging import Folder


@pytest.fixture
def ctx(tmp_path: Path) -> NodeContext:
    ctx = NodeContext(Folder(tmp_path))  # type: ignore[arg-type]
    ctx.save = lambda *args, **_: Folder(tmp_path).save(*args[:3], "output", (0, 0))  # type: ignore[method-assign,assignment]
    return ctx


@pytest.fixture(scope="module")
def system() -> VideoSystem:
    return VideoSystem()


def ramp(frames: int = 4) -> Image:
    shades = torch.linspace(0.1, 0.9, frames).view(-1, 1, 1, 1)
    return Image(shades.expand(frames, 32, 48, 3).clone())


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (lambda video, ctx: video_files.save_video(video, "a", ctx=ctx), "a.mp4"),
        (lambda video, ctx: video_files.save_video(video, "a", format="webm", ctx=ctx), "a.webm"),
        (lambda video, ctx: video_files.save_webm(video.frames, "a", fps=6.0, ctx=ctx), "a.webm"),
    ],
)
def test_a_saved_video_is_loaded_again(ctx: NodeContext, save: Callable[..., None], name: str) -> None:
    save(video_files.create_video(ramp(), 6.0), ctx)
    images, audio, fps = video_files.video_components(video_files.load_video(name, ctx))
    assert (images.shape, audio, fps) == ((4, 32, 48, 3), None, 6.0)
    assert (images - ramp()).abs().max() < 0.03


def test_sound_goes_through(ctx: NodeContext) -> None:
    wave = 0.3 * torch.sin(torch.arange(8000) * 0.2)[None, None]
    video_files.save_video(Video(ramp(), 4.0, Audio(wave, 8000)), "a", ctx=ctx)
    _, audio, _ = video_files.video_components(video_files.load_video("a.mp4", ctx))
    assert audio is not None
    assert (audio.sample_rate, audio.waveform.shape[:2]) == (8000, (1, 1))
    assert audio.waveform.square().mean().sqrt() == pytest.approx(0.3 / 2**0.5, rel=0.1)


def test_frames_between_are_blends_and_the_given_ones_stay() -> None:
    made = interpolate_frames(ramp(3), 4)
    assert len(made) == 9
    assert torch.allclose(made[::4], ramp(3))
    assert torch.allclose(made[1], torch.lerp(ramp(3)[0], ramp(3)[1], 0.25))


def test_a_loop_comes_back_to_its_first_frame() -> None:
    made = interpolate_frames(ramp(3), 2, loop=True)
    assert len(made) == 6
    assert torch.allclose(made[-1], (ramp(3)[2] + ramp(3)[0]) / 2)


def conditioning(system: VideoSystem, folder: Path, image: Image, frames: int, *, level: float = 0.0) -> Any:
    system.save(folder)
    _, encoder, vae = loaders.load_image_only("svd.safetensors", NodeContext(Folder(folder)))  # type: ignore[arg-type]
    return video_conditioning(encoder, image, vae, 32, 32, frames, 127, 6, level)


def test_a_picture_for_every_frame_is_shown_frame_by_frame(system: VideoSystem, tmp_path: Path) -> None:
    positive, negative, latent = conditioning(system, tmp_path, ramp(3), 3)
    (told,), (kept_from,) = positive.prompts, negative.prompts
    assert told.tokens.shape == (3, 1, 48)
    assert told.extras.picture.shape == (3, 4, 8, 8)
    assert not kept_from.tokens.any()
    assert not kept_from.extras.picture.any()
    assert (latent.samples.shape, latent.downscale) == ((3, 4, 8, 8), 4)


def test_noise_over_the_picture_is_the_same_every_time(system: VideoSystem, tmp_path: Path) -> None:
    one, other, plain = (
        conditioning(system, tmp_path, ramp(1), 2, level=level)[0].prompts[0].extras.picture for level in (0.5, 0.5, 0)
    )
    assert torch.equal(one, other)
    assert (one - plain).abs().max() > 0.05


def test_a_saved_video_checkpoint_is_the_same_file(system: VideoSystem, ctx: NodeContext, tmp_path: Path) -> None:
    system.save(tmp_path)
    save_image_only_checkpoint(*loaders.load_image_only("svd.safetensors", ctx), "saved", ctx)
    after = load_file(tmp_path / "saved.safetensors")
    kept = {name for name in system.state if not name.startswith("conditioner.embedders.3.")}
    assert after.keys() == kept | {"v_pred"}
    assert all(torch.equal(after[name], system.state[name]) for name in kept)
    loaders.load_image_only("saved.safetensors", ctx)


def fault(work: Callable[[], Any]) -> str:
    with pytest.raises(EaselError) as raised:
        work()
    return str(raised.value)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_video_of_less_than_two_frames_is_refused(system: VideoSystem, tmp_path: Path, frames: int) -> None:
    said = fault(lambda: conditioning(system, tmp_path, ramp(1), frames))
    assert f"input video_frames: this number cannot be used: expected 2 to 4096, got {frames}" in said


def test_pictures_that_are_neither_one_nor_one_a_frame_are_refused(system: VideoSystem, tmp_path: Path) -> None:
    said = fault(lambda: conditioning(system, tmp_path, ramp(3), 14))
    assert "input init_image" in said
    assert "expected 1 picture, or one for each of 14 frames, got 3" in said


def test_files_of_another_family_are_told_where_they_belong(
    system: VideoSystem, ctx: NodeContext, tmp_path: Path
) -> None:
    system.save(tmp_path)
    System(old=True).loaded(tmp_path)
    said = fault(lambda: loaders.load_image_only("model.safetensors", ctx))
    assert "no image encoder (CLIP vision): got a checkpoint of SD 1.x" in said
    assert "CheckpointLoaderSimple" in said
    said = fault(lambda: loaders.load_checkpoint_simple("svd.safetensors", ctx))
    assert "no text encoder: got a checkpoint of Stable Video Diffusion" in said
    assert "ImageOnlyCheckpointLoader" in said


def test_a_video_checkpoint_without_image_encoder_says_which_loader_brings_one(
    system: VideoSystem, ctx: NodeContext, tmp_path: Path
) -> None:
    own = {name: weight.clone() for name, weight in system.state.items() if not name.startswith("conditioner.")}
    save_file(own, tmp_path / "bare.safetensors")
    said = fault(lambda: loaders.load_image_only("bare.safetensors", ctx))
    assert "no image encoder (CLIP vision)" in said
    assert "CLIPVisionLoader" in said


def test_nothing_to_blend_write_or_choose_is_told() -> None:
    nothing = Image(torch.zeros(0, 32, 32, 3))
    assert "input images" in fault(lambda: interpolate_frames(ramp(1)))
    assert "expected 2 frames or more, got 1" in fault(lambda: interpolate_frames(ramp(1)))
    assert "input images: there are no frames" in fault(lambda: video_files.create_video(nothing))
    assert "input images: there are no frames" in fault(lambda: save_animated_webp(nothing, method="default"))
    said = fault(lambda: video_files.save_video(Video(ramp(), 8.0), "a", "webm", "h264"))
    assert "inputs format and codec" in said
    assert "expected vp9 or av1, got webm and h264" in said


def text(*tokens: float, pooled: float | None = 0.0, length: int = 2) -> Conditioning:
    rows = torch.tensor(tokens).view(1, 1, -1).repeat(1, length, 1)
    return Conditioning((Prompt(rows, None if pooled is None else torch.full((1, 2), pooled)),))


def test_prompts_are_travelled_through_evenly() -> None:
    (prompt,) = prompt_travel([text(0.0, pooled=1.0), text(4.0, pooled=5.0), text(8.0, pooled=1.0)], 5).prompts
    assert prompt.tokens[:, 0, 0].tolist() == [0, 2, 4, 6, 8]
    assert prompt.pooled is not None
    assert prompt.pooled[:, 0].tolist() == [1, 3, 5, 3, 1]


def test_prompts_of_two_lengths_are_repeated_to_the_same() -> None:
    (prompt,) = prompt_travel([text(0.0, length=2), text(1.0, pooled=None, length=3)], 2).prompts
    assert prompt.tokens.shape == (2, 6, 1)
    assert prompt.tokens[:, :, 0].tolist() == [[0.0] * 6, [1.0] * 6]
    assert prompt.pooled is None


def test_combined_prompts_are_no_step_of_the_way() -> None:
    both = Conditioning(text(0.0).prompts * 2)
    said = fault(lambda: prompt_travel([text(0.0), both], 4))
    assert "input prompts.prompt1" in said
    assert "expected one encoded text, got 2 prompts combined" in said
