"""What prompts hold for models of another family is told, not passed over in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import drive
from engine.node import NodeContext
from engine.node.context import Note, Warned
from engine.tensors.values import Conditioning, Extras, Image, Latent, Mask, Motion, Prompt, Seen, Sigmas
from nodes.custom_sampling import basic_guider, cfg_guider, dual_cfg_guider, sampler_custom
from nodes.families import inpaint_conditioning
from nodes.sampling import ksampler, ksampler_advanced
from tests.oracles.systems import System, noise

EMPTY = Latent(torch.zeros(1, 4, 4, 4), empty=True)
PLAIN = Conditioning((Prompt(noise(1, 77, 128)),))
SIDES: Any = {"positive": PLAIN, "negative": PLAIN}
KNOWN: Any = {"seed": 0, "steps": 1, "sampler_name": "euler", "scheduler": "normal", "latent_image": EMPTY}
PICTURE = torch.rand(1, 4, 16, 16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Denoiser:
    return denoiser_of(System(old=True).loaded(tmp_path_factory.mktemp("system")))


@pytest.fixture
def notes() -> list[Note]:
    return []


@pytest.fixture
def ctx(notes: list[Note]) -> NodeContext:
    return NodeContext(None, report=notes.append)  # type: ignore[arg-type]


def holding(**extras: Any) -> Conditioning:
    return Conditioning((Prompt(PLAIN.prompts[0].tokens, extras=Extras(**extras)),))


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (holding(picture=PICTURE), "a picture beside the latent (for InstructPix2Pix, depth models"),
        (holding(seen=(Seen(noise(1, 48)),)), "pictures to vary (for Stable unCLIP)"),
        (holding(label=3), "a class (for DiT and U-ViT)"),
        (holding(picture=PICTURE, motion=Motion(6, 127, 0.0)), "a motion (for Stable Video Diffusion)"),
    ],
)
def test_what_a_prompt_holds_for_another_family_is_told(
    model: Denoiser, ctx: NodeContext, notes: list[Note], side: Conditioning, words: str
) -> None:
    cfg_guider(model, side, side, ctx=ctx)
    (note,) = notes
    assert isinstance(note, Warned)
    assert note.text.startswith(f"this model does not look at what its prompts hold: {words}")


USES: dict[str, Callable[[Denoiser, Conditioning, NodeContext], object]] = {
    "KSampler": lambda m, side, ctx: drive(ksampler(m, **KNOWN | SIDES | {"positive": side}, ctx=ctx)),
    "KSamplerAdvanced": lambda m, side, ctx: drive(
        ksampler_advanced(
            m, "enable", 0, 1, sampler_name="euler", scheduler="normal", positive=PLAIN, negative=side,
            latent_image=EMPTY, start_at_step=0, end_at_step=1, return_with_leftover_noise="disable", ctx=ctx,
        )
    ),
    "SamplerCustom": lambda m, side, ctx: drive(
        sampler_custom(
            m, positive=side, negative=PLAIN, sampler=SAMPLERS["euler"], sigmas=Sigmas(torch.tensor([1.0, 0.0])),
            latent_image=EMPTY, ctx=ctx,
        )
    ),
    "BasicGuider": basic_guider,
    "CFGGuider": lambda m, side, ctx: cfg_guider(m, PLAIN, side, ctx=ctx),
    "DualCFGGuider": lambda m, side, ctx: dual_cfg_guider(m, PLAIN, side, PLAIN, style="regular", ctx=ctx),
}  # fmt: skip


@pytest.mark.parametrize("name", USES)
def test_every_node_that_brings_prompts_and_model_together_tells(
    model: Denoiser, ctx: NodeContext, notes: list[Note], name: str
) -> None:
    USES[name](model, holding(label=3), ctx)
    assert [note for note in notes if isinstance(note, Warned)] == [
        Warned("this model does not look at what its prompts hold: a class (for DiT and U-ViT)")
    ]


def test_repainting_with_a_plain_model_and_plain_prompts_are_silent(
    model: Denoiser, ctx: NodeContext, notes: list[Note], tmp_path: Path
) -> None:
    vae = System(old=True).loaded(tmp_path).vae
    assert vae is not None
    picture, mask = Image(torch.rand(1, 32, 32, 3)), Mask(torch.ones(1, 32, 32))
    positive, negative, _ = inpaint_conditioning(PLAIN, PLAIN, vae, picture, mask)
    cfg_guider(model, positive, negative, ctx=ctx)
    cfg_guider(model, PLAIN, PLAIN, ctx=ctx)
    assert notes == []


def test_a_model_that_looks_at_them_is_silent(ctx: NodeContext, notes: list[Note], tmp_path: Path) -> None:
    edits = denoiser_of(System(old=True, channels=8).loaded(tmp_path))
    cfg_guider(edits, holding(picture=PICTURE), PLAIN, ctx=ctx)
    assert notes == []
