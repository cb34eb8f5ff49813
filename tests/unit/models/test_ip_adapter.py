"""IP-Adapters equal diffusers' attention processors and projections, through files in the original layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.models.control.errors import ControlError
from engine.models.control.ip_adapter import IPAdapterModel, load_ip_adapter
from engine.models.detect import ArchitectureError
from engine.models.vision.tower import ImageEncoder, load_image_encoder
from engine.tensors.values import Area, Conditioning, Image, Mask, Prompt
from nodes.picture_prompts import apply_ip_adapter
from tests.oracles import families, pictures, sd1, vision
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import CONTEXT, noise, prompt, twin, twins

CPU = torch.device("cpu")
SIGMA = 1.5
X = noise(2, 4, 16, 16)
POSITIVE, NEGATIVE = prompt(3), prompt(4)
SEEN = {"plain": 48, "full": 128, "plus": 128}  # of the tiny tower: its projection, and its states
WIDTHS = (32, 64, 64)


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageEncoder, Any]:
    net = vision.tower()
    return load_image_encoder(
        saved(tmp_path_factory.mktemp("tower") / "vision.safetensors", net.state_dict()), CPU
    ), net


def picture(seed: int = 0, count: int = 1) -> Image:
    return Image(torch.rand(count, 28, 28, 3, generator=torch.Generator().manual_seed(seed)))


def seen(encoder: ImageEncoder, form: str, image: Image) -> Tensor:
    """What diffusers is given of pictures: (1, pictures, ...)."""
    states = encoder.encode(image)
    return (states.embeddings if form == "plain" else states.penultimate)[None]


def away(encoder: ImageEncoder, net: Any, form: str) -> Tensor:
    """What diffusers is given for no picture."""
    if form == "plain":
        return torch.zeros(1, 1, 48)
    with torch.no_grad():
        states: Tensor = net(torch.zeros(1, 3, 28, 28), output_hidden_states=True).hidden_states[-2]
    return states[None]


def predicted(unet: Any, denoiser: Denoiser, embeds: Tensor, tokens: Tensor, x: Tensor = X, **more: Any) -> Tensor:
    time = torch.tensor(denoiser.levels.timestep(SIGMA))
    added = {"image_embeds": [embeds.expand(len(x), *embeds.shape[1:])], **more.pop("added", {})}
    with torch.no_grad():
        out = unet(x / (1 + SIGMA**2) ** 0.5, time, tokens.expand(len(x), -1, -1), added_cond_kwargs=added, **more)
    estimate: Tensor = x - SIGMA * out.sample
    return estimate


def adapted(unet: Any, state: dict[str, State], scale: float) -> Any:
    """diffusers' UNet with an adapter."""
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]
    return unet


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("form", ["plain", "plus", "full"])
def test_both_sides_equal_diffusers(tmp_path: Path, tower: Any, form: str, count: int) -> None:
    encoder, net = tower
    denoiser, unet = twins(WIDTHS)
    state = pictures.ip_adapter(unet, form, SEEN[form])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    changed = apply_ip_adapter(denoiser, model, picture(count=count), 0.7, clip_vision=encoder)
    sides = ClassifierFreeGuidance(changed, POSITIVE, NEGATIVE, 3.0).sides(X, SIGMA)
    adapted(unet, state, 0.7)
    expected = predicted(unet, denoiser, seen(encoder, form, picture(count=count)), POSITIVE.prompts[0].tokens)
    assert (sides.positive - expected).abs().max() < 1e-5
    assert sides.negative is not None
    blank = away(encoder, net, form)
    expected = predicted(unet, denoiser, blank.expand(1, count, *blank.shape[2:]), NEGATIVE.prompts[0].tokens)
    assert (sides.negative - expected).abs().max() < 1e-5
    plain = estimates(denoiser, X, SIGMA, [POSITIVE])[0]
    assert (sides.positive - plain).abs().max() > 1e-3


def sdxl() -> Any:
    return families.linear_unet((64, 64, 128), (0, 1, 2), CONTEXT, blocks=2, vector=64 + 6 * 256, kind="sizes")


@pytest.mark.parametrize(
    ("kind", "scale"),
    [
        ("linear", 0.8),
        ("style transfer", {"up": {"block_0": [0.0, 0.8, 0.0]}}),
        ("composition", {"down": {"block_2": [0.0, 0.8]}}),
        ("style and composition", {"down": {"block_2": [0.0, 0.8]}, "up": {"block_0": [0.0, 0.8, 0.0]}}),
    ],
)
@pytest.mark.parametrize("form", ["plain", "plus"])
def test_sdxl_and_its_layers_for_style_and_composition_equal_diffusers(
    tmp_path: Path, tower: Any, kind: str, scale: Any, form: str
) -> None:
    encoder, _ = tower
    unet = sdxl()
    denoiser = twin(unet)
    state = pictures.ip_adapter(unet, form, SEEN[form])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    changed = apply_ip_adapter(denoiser, model, picture(), 0.8, kind, clip_vision=encoder)
    pooled = noise(2, 64, seed=3)
    waves = torch.cat([torch.ones(2, 128), torch.zeros(2, 128)], dim=1).repeat(1, 6)
    tokens = POSITIVE.prompts[0].tokens
    own = changed.denoise(X, SIGMA, tokens.expand(2, -1, -1), torch.cat([pooled, waves], dim=1))
    adapted(unet, state, 0.0)
    _scale(unet, scale)
    added = {"text_embeds": pooled, "time_ids": torch.zeros(2, 6)}
    expected = predicted(unet, denoiser, seen(encoder, form, picture()), tokens, added=added)
    assert (own - expected).abs().max() < 1e-5


def _scale(unet: Any, scale: Any) -> None:
    """What set_ip_adapter_scale of diffusers' pipelines does, see its documentation on InstantStyle."""
    for name, processor in unet.attn_processors.items():
        if hasattr(processor, "scale"):
            side, block, _, number = name.split(".")[0].removesuffix("_blocks"), *name.split(".")[1:4]
            if isinstance(scale, float):
                processor.scale = [scale]
            elif f"block_{block}" in scale.get(side, {}):
                processor.scale = [scale[side][f"block_{block}"][int(number)]]


def test_it_acts_from_its_start_to_its_end(tmp_path: Path, tower: Any) -> None:
    denoiser, unet = twins(WIDTHS)
    model = loaded(tmp_path, unet)
    part = apply_ip_adapter(denoiser, model, picture(), 1.0, start_at=0.2, end_at=0.6, clip_vision=tower[0])
    whole = apply_ip_adapter(denoiser, model, picture(), 1.0, clip_vision=tower[0])
    for share, acts in ((0.1, False), (0.3, True), (0.7, False)):
        sigma = denoiser.levels.sigma_at(share)
        own, all_on, off = (estimates(each, X, sigma, [POSITIVE])[0] for each in (part, whole, denoiser))
        assert torch.equal(own, all_on if acts else off)


def loaded(folder: Path, unet: Any, form: str = "plain") -> IPAdapterModel:
    state = pictures.ip_adapter(unet, form, SEEN[form])
    return load_ip_adapter(saved(folder / "ip.safetensors", pictures.flat(state)), CPU)


def test_a_mask_of_ones_is_none_one_of_zeros_leaves_the_model_and_areas_see_their_part(
    tmp_path: Path, tower: Any
) -> None:
    denoiser, unet = twins(WIDTHS)
    model = loaded(tmp_path, unet)

    def masked(mask: Tensor | None, side: Conditioning = POSITIVE) -> Tensor:
        given = None if mask is None else Mask(mask)
        changed = apply_ip_adapter(denoiser, model, picture(), 1.0, attn_mask=given, clip_vision=tower[0])
        return estimates(changed, X, SIGMA, [side])[0]

    assert torch.allclose(masked(torch.ones(1, 64, 64)), masked(None), atol=1e-5)
    assert torch.allclose(masked(torch.zeros(1, 64, 64)), estimates(denoiser, X, SIGMA, [POSITIVE])[0], atol=1e-5)
    half = torch.zeros(1, 16, 16)
    half[..., 8:] = 1
    right = Conditioning((Prompt(POSITIVE.prompts[0].tokens, area=Area(128, 64, 0, 64)),))
    assert torch.allclose(masked(half, right), masked(None, right), atol=1e-5)
    assert (masked(half) - masked(None)).abs().max() > 1e-3


def test_a_grey_mask_equals_diffusers(tmp_path: Path, tower: Any) -> None:
    encoder, _ = tower
    denoiser, unet = twins(WIDTHS)
    state = pictures.ip_adapter(unet, "plain", SEEN["plain"])
    model = load_ip_adapter(saved(tmp_path / "ip.safetensors", pictures.flat(state)), CPU)
    mask = torch.full((1, 16, 16), 0.6)  # of others, edges differ by how they are resized
    changed = apply_ip_adapter(denoiser, model, picture(), 1.0, attn_mask=Mask(mask), clip_vision=encoder)
    own = estimates(changed, X, SIGMA, [POSITIVE])[0]
    adapted(unet, state, 1.0)
    kwargs = {"cross_attention_kwargs": {"ip_adapter_masks": [mask[None]]}}
    expected = predicted(unet, denoiser, seen(encoder, "plain", picture()), POSITIVE.prompts[0].tokens, **kwargs)
    assert (own - expected).abs().max() < 1e-5


def test_averaged_pictures_are_one_and_a_negative_picture_is_seen(tmp_path: Path, tower: Any) -> None:
    denoiser, unet = twins(WIDTHS)
    model = loaded(tmp_path, unet)
    twice = Image(picture().repeat(2, 1, 1, 1))

    def side(picture_: Image, negative: Image | None = None, how: str = "concat") -> tuple[Tensor, Tensor]:
        changed = apply_ip_adapter(
            denoiser, model, picture_, 1.0, combine_embeds=how, image_negative=negative, clip_vision=tower[0]
        )
        sides = ClassifierFreeGuidance(changed, POSITIVE, NEGATIVE, 2.0).sides(X, SIGMA)
        assert sides.negative is not None
        return sides.positive, sides.negative

    one, average = side(picture()), side(twice, how="average")
    assert torch.allclose(one[0], average[0], atol=1e-5)
    assert torch.allclose(one[0], side(twice)[0], atol=1e-5)
    assert (one[1] - side(picture(), picture(5))[1]).abs().max() > 1e-3
    scaled = apply_ip_adapter(denoiser, model, picture(), 2.0, embeds_scaling="K+V", clip_vision=tower[0])
    assert (estimates(scaled, X, SIGMA, [POSITIVE])[0] - one[0]).abs().max() > 1e-3
    assert apply_ip_adapter(denoiser, model, picture(), 0.0) is denoiser


def test_what_does_not_go_together_is_refused_with_what_to_do(tmp_path: Path, tower: Any) -> None:
    denoiser, unet = twins(WIDTHS)
    model = loaded(tmp_path, unet)
    assert model.nbytes > 0
    with pytest.raises(ControlError, match=r"input clip_vision: an image encoder is missing.* CLIPVisionLoader"):
        apply_ip_adapter(denoiser, model, picture())
    narrow = vision.tower(projection=32)
    other = load_image_encoder(saved(tmp_path / "v.safetensors", narrow.state_dict()), CPU)
    with pytest.raises(ControlError, match=r"ip\.safetensors, input clip_vision: .* expected one of width 48, got 32"):
        apply_ip_adapter(denoiser, model, picture(), clip_vision=other)
    short = twins((32, 64))
    own = loaded(tmp_path, short[1])
    with pytest.raises(ControlError, match="only SDXL has layers"):
        apply_ip_adapter(short[0], own, picture(), 1.0, "style transfer", clip_vision=tower[0])
    for widths, context, words in (
        ((32, 64, 64), 48, "got one for tokens of width 48"),
        ((32, 64, 64, 64), CONTEXT, r"got one for \d+ layers of attention instead of"),
        ((32, 96, 64), CONTEXT, "got one for layer 3 of 96 channels instead of 64"),
    ):
        foreign = loaded(tmp_path, sd1.unet(widths, 1, context))
        with pytest.raises(ControlError, match=rf"this IP-Adapter is for another base .*{words}"):
            estimates(apply_ip_adapter(denoiser, foreign, picture(), clip_vision=tower[0]), X, SIGMA, [POSITIVE])


def test_other_files_are_refused(tmp_path: Path) -> None:
    unet = twins(WIDTHS)[1]
    state = pictures.flat(pictures.ip_adapter(unet, "plus", 128))
    with pytest.raises(
        ArchitectureError, match=r"incomplete, or of a form that is not known: expected proj_out\.weight"
    ):
        load_ip_adapter(saved(tmp_path / "a.safetensors", {k: v for k, v in state.items() if "proj_out" not in k}), CPU)
    face = {k: v for k, v in state.items() if "image_proj" not in k} | {"image_proj.proj.2.weight": torch.ones(4, 4)}
    with pytest.raises(ArchitectureError, match="face identities cannot"):
        load_ip_adapter(saved(tmp_path / "face.safetensors", face), CPU)
    with pytest.raises(ArchitectureError, match="expected an IP-Adapter, plain or plus, got a UNet"):
        load_ip_adapter(saved(tmp_path / "unet.safetensors", sd1.unet_state(unet)), CPU)


def test_pickles_with_two_dicts_are_the_same_file(tmp_path: Path) -> None:
    unet = twins(WIDTHS)[1]
    state = pictures.ip_adapter(unet, "plain", 48)
    torch.save(state, tmp_path / "ip-adapter_sd15.bin")
    model = load_ip_adapter(tmp_path / "ip-adapter_sd15.bin", CPU)
    assert (model.form, model.seen, model.width) == ("plain", 48, CONTEXT)
