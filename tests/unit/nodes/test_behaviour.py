"""What the built-in nodes do, called as the functions they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from engine.memory.handle import ModelHandle
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.vae import Vae
from engine.node import NodeContext
from engine.node.context import Place
from engine.store.artifacts import Artifact, ArtifactStore
from engine.tensors.values import Image, Latent, Mask
from nodes.image import invert_image, load_image, load_image_mask, save_image, scale_image, scale_image_by
from nodes.latent import (
    empty_latent,
    load_latent,
    save_latent,
    set_noise_mask,
    upscale_latent,
    upscale_latent_by,
    vae_decode,
    vae_encode,
    vae_encode_for_inpaint,
)
from nodes.latent_tiled import vae_decode_tiled, vae_encode_tiled

CPU = torch.device("cpu")


@dataclass
class Folder:
    """A run's surroundings in one folder."""

    path: Path
    device: torch.device = field(default_factory=lambda: CPU)
    metadata: Mapping[str, str] = field(default_factory=lambda: {"prompt": "{}", "workflow": '{"nodes": []}'})

    def file(self, kind: str, name: str) -> Path:
        return self.path / name

    def save(self, data: bytes, prefix: str, suffix: str, place: Place, size: tuple[int, int]) -> Artifact:
        return ArtifactStore({place: self.path}).save(data, prefix, suffix, place, size)


@pytest.fixture
def ctx(tmp_path: Path) -> NodeContext:
    return NodeContext(Folder(tmp_path))


@pytest.fixture(scope="module")
def vae() -> Vae:
    torch.manual_seed(0)
    config = AutoencoderConfig(channels=32, channel_mult=(1, 1), num_res_blocks=1)
    return Vae(ModelHandle(Autoencoder(config), CPU), config.downscale, config.latent_channels)


def picture(height: int, width: int) -> Image:
    return Image(torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(0)))


def test_an_empty_latent_is_blank_and_says_so() -> None:
    latent = empty_latent(64, 32, 3)
    assert latent.samples.shape == (3, 4, 4, 8)
    assert latent.empty
    assert not latent.samples.any()


def test_encoding_crops_about_the_centre_and_decoding_gives_the_size_back(vae: Vae) -> None:
    latent = vae_encode(picture(17, 20), vae)
    assert latent.samples.shape == (1, 4, 8, 10)
    assert torch.equal(latent.samples, vae.encode(picture(17, 20)[:, :16]))
    assert vae_decode(latent, vae).shape == (1, 16, 20, 3)


def test_one_tile_is_the_whole_picture(vae: Vae) -> None:
    image = picture(32, 48)
    latent = vae_encode_tiled(image, vae, 64)
    assert torch.allclose(latent.samples, vae.encode(image), atol=1e-6)
    assert latent.downscale == vae.downscale
    assert torch.allclose(vae_decode_tiled(latent, vae, 64), vae.decode(latent.samples), atol=1e-6)


def test_tiles_give_the_size_of_the_whole_and_nearly_its_picture(vae: Vae) -> None:
    image = picture(97, 130)
    latent = vae_encode_tiled(image, vae, 64, 32)
    assert latent.samples.shape == vae.encode(image).shape
    decoded = vae_decode_tiled(latent, vae, 64, 32)
    assert decoded.shape == (1, 96, 130, 3)
    assert (decoded - vae.decode(latent.samples)).abs().mean() < 0.05  # attention and norms see a tile only


def test_encoding_for_inpainting_hides_the_masked_part_and_grows_the_mask(vae: Vae) -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, 8, 8] = 1
    hidden = picture(16, 16).clone()
    hidden[:, 8, 8] = 0.5
    latent = vae_encode_for_inpaint(picture(16, 16), vae, Mask(mask), grow_mask_by=3)
    assert torch.allclose(latent.samples, vae.encode(hidden), atol=1e-5)
    assert latent.noise_mask is not None
    assert latent.noise_mask.sum() == 9
    ungrown = vae_encode_for_inpaint(picture(16, 16), vae, Mask(mask), grow_mask_by=0)
    assert ungrown.noise_mask is not None
    assert ungrown.noise_mask.sum() == 1


def test_a_noise_mask_is_attached() -> None:
    latent = set_noise_mask(empty_latent(64, 64), Mask(torch.ones(64, 64)))
    assert latent.noise_mask is not None
    assert latent.noise_mask.shape == (1, 64, 64)


@pytest.mark.parametrize(("width", "height", "size"), [(128, 64, (8, 16)), (128, 0, (8, 16)), (0, 0, (4, 8))])
def test_a_latent_is_resized_in_pixels_and_zero_keeps_proportions(
    width: int, height: int, size: tuple[int, int]
) -> None:
    latent = Latent(torch.rand(1, 4, 4, 8))
    assert upscale_latent(latent, "bislerp", width, height, crop="disabled").samples.shape[-2:] == size


def test_a_latent_is_resized_by_a_factor() -> None:
    assert upscale_latent_by(Latent(torch.rand(2, 4, 4, 6)), "bilinear", 1.5).samples.shape == (2, 4, 6, 9)


def test_a_saved_latent_comes_back_bit_for_bit(ctx: NodeContext, tmp_path: Path) -> None:
    latent = Latent(torch.randn(2, 4, 8, 8), downscale=4)
    save_latent(latent, "some/name", ctx)
    (path,) = tmp_path.rglob("*.latent")
    again = load_latent(path.relative_to(tmp_path).as_posix(), ctx)
    assert torch.equal(again.samples, latent.samples)
    assert again.downscale == 4


def test_a_saved_picture_carries_its_prompt_and_workflow(ctx: NodeContext, tmp_path: Path) -> None:
    save_image(picture(4, 6), "out", ctx)
    with Pillow.open(tmp_path / "out_00001_.png") as saved:
        assert (saved.size, saved.mode) == ((6, 4), "RGB")
        assert saved.info == {"prompt": "{}", "workflow": '{"nodes": []}'}
        assert np.array_equal(np.asarray(saved), (picture(4, 6)[0].numpy() * 255).astype(np.uint8))


def test_transparency_becomes_the_mask(ctx: NodeContext, tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    Pillow.fromarray(pixels).save(tmp_path / "x.png")
    image, mask = load_image("x.png", ctx)
    assert image[0, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert mask[0].tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert torch.equal(load_image_mask("x.png", "alpha", ctx), mask)
    assert load_image_mask("x.png", "red", ctx)[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_every_frame_of_an_animation_is_loaded(ctx: NodeContext, tmp_path: Path) -> None:
    frames = [Pillow.new("RGB", (4, 4), colour) for colour in ("red", "blue", "white")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    image, _ = load_image("x.gif", ctx)
    assert image.shape == (3, 4, 4, 3)
    assert image[1, 0, 0].tolist() == pytest.approx([0.0, 0.0, 1.0], abs=0.01)


@pytest.mark.parametrize(("mode", "value"), [("L", 128), ("I;16", 128 * 257), ("P", 1), ("LA", (128, 255))])
def test_pictures_of_every_mode_load(ctx: NodeContext, tmp_path: Path, mode: str, value: int | tuple[int, int]) -> None:
    Pillow.new(mode, (3, 2), value).save(tmp_path / "x.png")
    image, mask = load_image("x.png", ctx)
    assert image.shape == (1, 2, 3, 3)
    assert not mask.any()
    if mode != "P":
        assert image.mean() == pytest.approx(128 / 255, abs=0.005)


def test_pictures_are_resized_and_inverted() -> None:
    image = picture(4, 8)
    assert scale_image(image, "bilinear", 16, 0, crop="disabled").shape == (1, 8, 16, 3)
    assert scale_image_by(image, "lanczos", 2.0).shape == (1, 8, 16, 3)
    assert torch.equal(invert_image(invert_image(image)), 1 - (1 - image))
