"""DiT and PixArt nets equal diffusers' (patched where those differ from the originals), in both layouts of files."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.assembly import fill
from engine.models.nets.dit import DiT
from engine.models.nets.pixart import PixArt
from engine.models.transformer_configs import dit_config, pixart_config, shapes_of, span_of
from engine.models.transformer_names import is_diffusers, original_names, with_places
from tests.oracles import transformers
from tests.oracles.transformers import State

LABELS = torch.tensor([3, 1000])
TIMES = torch.tensor([999.0, 12.0])


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def own_dit(state: State) -> DiT:
    with torch.device("meta"):
        net = DiT(dit_config(shapes_of(state)))
    return fill(net, state, torch.float32, "test", exact=True).requires_grad_(False)


def own_pixart(state: State) -> PixArt:
    with torch.device("meta"):
        net = PixArt(pixart_config(shapes_of(state), state.get("pos_embed")))
    return fill(net, state, torch.float32, "test", exact=True).requires_grad_(False)


def dit_answers(reference: Any, net: DiT, x: Tensor) -> tuple[Tensor, Tensor]:
    expected = reference(x, timestep=TIMES, class_labels=LABELS).sample
    return net(x, TIMES, torch.zeros(2, 1, 0), LABELS), expected


@pytest.mark.parametrize("head", [64, 72])
def test_a_dit_equals_the_reference(head: int) -> None:
    reference = transformers.dit(head=head)
    own, expected = dit_answers(reference, own_dit(transformers.dit_state(reference)), noise(2, 4, 8, 8))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
    assert own.shape == (2, 8, 8, 8)
    assert expected.std() > 0.1


def test_a_dit_in_diffusers_names_is_the_same_net() -> None:
    reference = transformers.dit()
    assert is_diffusers(reference.state_dict())
    renamed = with_places(original_names(reference.state_dict()), 4)
    original = transformers.dit_state(reference)
    assert set(renamed) == set(original)
    assert all(torch.allclose(renamed[name], original[name], atol=1e-6) for name in original)


def test_a_dit_takes_pictures_of_another_size_as_the_reference_does() -> None:
    reference = transformers.dit()
    own, expected = dit_answers(reference, own_dit(transformers.dit_state(reference)), noise(2, 4, 12, 12))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)


def test_a_picture_of_an_odd_size_keeps_it() -> None:
    net = own_dit(transformers.dit_state(transformers.dit()))
    assert net(noise(2, 4, 7, 9), TIMES, torch.zeros(2, 1, 0), LABELS).shape == (2, 8, 7, 9)


@pytest.mark.parametrize("sizes", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (12, 6)])
def test_a_pixart_net_equals_the_reference(sizes: bool, shape: tuple[int, int]) -> None:
    reference = transformers.pixart(sizes=sizes, scale=2.0)
    net = own_pixart(transformers.pixart_state(reference, 5))
    x, words, size = noise(2, 4, *shape), noise(2, 7, 48), torch.tensor([[64.0, 48.0, 64 / 48]]).repeat(2, 1)
    told = {"resolution": size[:, :2], "aspect_ratio": size[:, 2:]}
    expected = reference(x, encoder_hidden_states=words, timestep=TIMES, added_cond_kwargs=told).sample
    own = net(x, TIMES, words, size if sizes else None)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1


def test_words_that_are_left_out_are_words_that_a_mask_hides() -> None:
    reference = transformers.pixart()
    net = own_pixart(transformers.pixart_state(reference))
    x, words = noise(2, 4, 8, 8), noise(2, 7, 48)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]]).repeat(2, 1)
    expected = reference(x, encoder_hidden_states=words, timestep=TIMES, encoder_attention_mask=mask).sample
    torch.testing.assert_close(net(x, TIMES, words[:, :3]), expected, rtol=0, atol=1e-5)


def test_a_pixart_net_in_diffusers_names_is_the_same_net() -> None:
    reference = transformers.pixart(sizes=True)
    renamed, original = original_names(reference.state_dict()), transformers.pixart_state(reference)
    assert set(renamed) == set(original) - {"pos_embed"}
    assert all(torch.equal(renamed[name], original[name]) for name in renamed)


@pytest.mark.parametrize(("side", "scale", "span"), [(16, 1.0, 16.0), (16, 0.5, 32.0), (64, 2.0, 32.0)])
def test_a_table_of_places_says_how_far_it_reaches(side: int, scale: float, span: float) -> None:
    reference = transformers.pixart(side=side, scale=scale, depth=1)
    assert span_of(reference.pos_embed.pos_embed) == span
