"""Patches of the net against diffusers, published formulas, and plain attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0, PAGIdentitySelfAttnProcessor2_0
from diffusers.models.unets import unet_2d_blocks
from diffusers.utils.torch_utils import apply_freeu
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.denoiser import Denoiser
from engine.foundation.bounds import BoundsError
from engine.models.nets.patches import Patch, Site, attention
from engine.models.nets.unet_patches import (
    AttentionRecord,
    FreeU,
    Merged,
    Multiplied,
    Shrunk,
    Tiled,
    Unattended,
    merged_places,
)
from tests.unit.diffusion.nets import CONTEXT, noise, twins

X, TOKENS, TIME = noise(2, 4, 16, 16), noise(2, 5, CONTEXT, seed=1), torch.full((2,), 300.0)
CHANGES: list[Patch] = [
    FreeU((1.1, 1.2), (0.9, 0.2)),
    FreeU((1.3, 1.4), (0.9, 0.2), adaptive=True),
    Tiled(32, 2, 1),
    Merged(0.4),
    Shrunk(2),
    Shrunk(3, 1.7, after_skip=False, shrink="area", grow="bislerp"),
    Multiplied("self", 1.2, 0.9, 1.1, 0.8),
    Multiplied("cross", 1.2, 0.9, 1.1, 0.8),
    Unattended(),
]
IDENTITIES: list[Patch] = [
    FreeU((1.0, 1.0), (1.0, 1.0)),
    FreeU((1.0, 1.0), (1.0, 1.0), adaptive=True),
    Tiled(2048),
    Merged(0.0),
    Shrunk(factor=1.0),
    Shrunk(low=2.0, high=3.0),
    Shrunk(32),
    Multiplied("self"),
    Multiplied("cross"),
    AttentionRecord(),
]


@pytest.fixture(scope="module")
def pair() -> tuple[Denoiser, Any]:
    return twins()


def answer(denoiser: Denoiser, *patches: Patch) -> Tensor:
    with denoiser.net.lease() as net:
        return net(X, TIME, TOKENS, patches=patches, sigma=1.0) if patches else net(X, TIME, TOKENS)


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("patch", CHANGES)
def test_a_patched_call_differs_and_leaves_the_next_one_as_it_was(pair: tuple[Denoiser, Any], patch: Patch) -> None:
    before = answer(pair[0])
    patched = answer(pair[0], patch)
    assert patched.shape == before.shape
    assert gap(patched, before) > 1e-3
    assert torch.equal(answer(pair[0]), before)
    assert torch.equal(answer(pair[0], patch), patched)


@pytest.mark.parametrize("patch", IDENTITIES)
def test_identity_settings_change_no_bit(pair: tuple[Denoiser, Any], patch: Patch) -> None:
    assert torch.equal(answer(pair[0], patch), answer(pair[0]))


@pytest.mark.parametrize("patch", CHANGES)
def test_a_sample_gives_the_same_alone_and_in_a_batch(pair: tuple[Denoiser, Any], patch: Patch) -> None:
    together = answer(pair[0], patch)
    with pair[0].net.lease() as net:
        alone = net(X[1:], TIME[1:], TOKENS[1:], patches=(patch,), sigma=1.0)
    assert gap(alone, together[1:]) < 1e-5


def test_freeu_equals_diffusers_on_the_same_channels(
    pair: tuple[Denoiser, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_channels(_place: int, hidden: Tensor, skip: Tensor, **factors: float) -> tuple[Tensor, Tensor]:
        """diffusers goes by blocks, the paper's code by channels."""
        return apply_freeu({128: 0, 64: 1}.get(hidden.shape[1], 2), hidden, skip, **factors)

    denoiser, oracle = pair
    monkeypatch.setattr(unet_2d_blocks, "apply_freeu", by_channels)
    oracle.enable_freeu(s1=0.9, s2=0.2, b1=1.1, b2=1.2)
    expected = oracle(X, TIME, TOKENS).sample
    oracle.disable_freeu()
    assert gap(answer(denoiser, FreeU((1.1, 1.2), (0.9, 0.2))), expected) < 1e-5


def test_adaptive_freeu_amplifies_by_the_share_of_the_mean() -> None:
    x, skip = noise(2, 8, 4, 4), noise(2, 8, 4, 4, seed=1)
    own, _ = FreeU((1.5, 1.0), (1.0, 1.0), adaptive=True).joined(Site((), 1.0, (4, 4), 2), x, skip)
    for row in range(2):
        mean = x[row].mean(0)
        share = (mean - mean.min()) / (mean.max() - mean.min())
        assert gap(own[row, :4], x[row, :4] * (1 + 0.5 * share)) < 1e-6
    assert torch.equal(own[:, 4:], x[:, 4:])


def test_adaptive_freeu_of_a_flat_map_is_finite() -> None:
    own, _ = FreeU((2.0, 1.0), (1.0, 1.0), adaptive=True).joined(
        Site((), 1.0, (4, 4), 2), *[torch.ones(1, 8, 4, 4)] * 2
    )
    assert torch.equal(own, torch.ones(1, 8, 4, 4))


def test_self_attention_without_attending_equals_diffusers(pair: tuple[Denoiser, Any]) -> None:
    denoiser, oracle = pair
    name = "mid_block.attentions.0.transformer_blocks.0.attn1"
    oracle.get_submodule(name).set_processor(PAGIdentitySelfAttnProcessor2_0())
    expected = oracle(torch.cat([X, X]), torch.cat([TIME, TIME]), torch.cat([TOKENS, TOKENS])).sample.chunk(2)[1]
    oracle.get_submodule(name).set_processor(AttnProcessor2_0())
    assert gap(answer(denoiser, Unattended()), expected) < 1e-5


@pytest.mark.parametrize(("kind", "name"), [("self", "attn1"), ("cross", "attn2")])
def test_multiplying_attention_equals_multiplying_its_weights(kind: Any, name: str) -> None:
    denoiser, oracle = twins()
    factors = {"to_q": 1.2, "to_k": 0.8, "to_v": 1.1, "to_out.0": 0.7}
    for part, weight in oracle.named_parameters():
        for end, factor in factors.items():
            if part.endswith(f"{name}.{end}.weight"):
                weight.mul_(factor)
    expected = oracle(X, TIME, TOKENS).sample
    assert gap(answer(denoiser, Multiplied(kind, *factors.values())), expected) < 1e-5


def site(height: int, width: int, tokens: Tensor, *patches: Patch) -> Site:
    return Site(patches, 1.0, (height, width), 8, cells=(height, width), tokens=tokens)


def test_tiled_attention_is_attention_within_each_tile() -> None:
    q, k, v = (noise(2, 3, 8 * 12, 4, seed=seed) for seed in range(3))
    own = attention(site(8, 12, q[:, 0], Tiled(32, 1)), q, k, v).unflatten(2, (8, 12))
    for row in (0, 4):
        for column in (0, 4, 8):
            part = (t.unflatten(2, (8, 12))[:, :, row : row + 4, column : column + 4].flatten(2, 3) for t in (q, k, v))
            expected = F.scaled_dot_product_attention(*part).unflatten(2, (4, 4))
            assert gap(own[:, :, row : row + 4, column : column + 4], expected) < 1e-6


def test_tiles_change_with_sigma_and_layer_but_not_from_run_to_run() -> None:
    q = noise(1, 1, 32 * 32, 4)
    places = [Site((Tiled(64, 2),), sigma, (32, 32), 8, cells=(32, 32)) for sigma in (0.1, 0.5, 1.0, 2.0, 5.0, 9.0)]
    results = [attention(place, q, q, q) for place in places]
    assert any(not torch.equal(results[0], other) for other in results[1:])
    assert all(torch.equal(attention(place, q, q, q), own) for place, own in zip(places, results, strict=True))


def test_the_most_similar_tokens_are_merged_with_their_nearest_takers() -> None:
    """Algorithm of the paper, token by token: a taker in each square, and the best pairs of all others with one."""
    tokens, count, length = noise(2, 6 * 7, 5), 9, 42 - 9
    for sample, places in zip(tokens, merged_places(tokens, (6, 7), count).tolist(), strict=True):
        likeness = F.cosine_similarity(sample[:, None], sample[None], dim=-1)
        ends = range(length - 9, length)
        corners = torch.randint(4, (3, 3), generator=torch.Generator().manual_seed(0))
        takers = [
            (2 * i + int(corners[i, j]) // 2) * 7 + 2 * j + int(corners[i, j]) % 2 for i in range(3) for j in range(3)
        ]
        takers.sort()
        assert [places[taker] for taker in takers] == list(ends)
        givers = [token for token in range(42) if token not in takers]
        nearest = {giver: max(takers, key=lambda taker: float(likeness[giver, taker])) for giver in givers}
        best = sorted(givers, key=lambda giver: -float(likeness[giver, nearest[giver]]))[:count]
        assert {giver: places[giver] for giver in givers if places[giver] >= length - 9} == {
            giver: places[nearest[giver]] for giver in best
        }
        assert sorted(set(places)) == list(range(length))


def test_merging_keeps_what_tokens_had_in_common() -> None:
    """Where tokens of each square are equal, so are their queries: merging changes nothing."""
    q = noise(1, 2, 16, 4).unflatten(2, (4, 4)).repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(2, 3)
    k, v = noise(1, 2, 64, 4, seed=1), noise(1, 2, 64, 4, seed=2)
    own = attention(site(8, 8, q[:, 0], Merged(0.75)), q, k, v)
    assert gap(own, F.scaled_dot_product_attention(q, k, v)) < 1e-6


def test_merging_is_the_mean_of_the_merged_queries() -> None:
    q, k, v = (noise(1, 1, 36, 4, seed=seed) for seed in range(3))
    own = attention(site(6, 6, q[:, 0], Merged(0.5)), q, k, v)
    places = merged_places(q[:, 0], (6, 6), 18)[0]
    for place in range(18):
        group = places == place
        expected = F.scaled_dot_product_attention(q[:, :, group].mean(2, keepdim=True), k, v)
        assert gap(own[:, :, group], expected.expand(-1, -1, int(group.sum()), -1)) < 1e-6


def test_more_cannot_be_merged_than_there_are_tokens_to_give() -> None:
    assert int(merged_places(noise(1, 25, 4), (5, 5), 25).max()) == 3
    assert attention(site(5, 5, noise(1, 25, 4), Merged(1.0)), *[noise(1, 2, 25, 4)] * 3).isfinite().all()


@pytest.mark.parametrize("after_skip", [True, False])
def test_a_shrunk_net_sees_smaller_maps_from_its_block_on(pair: tuple[Denoiser, Any], after_skip: bool) -> None:
    class Sizes(Patch):
        __slots__ = ("seen",)

        def __init__(self) -> None:
            self.seen: list[int] = []

        def passed(self, site: Site, x: Tensor) -> Tensor:
            self.seen.append(x.shape[-1])
            return x

    sizes = Sizes()
    answer(pair[0], Shrunk(1, after_skip=after_skip), sizes)
    assert sizes.seen == [16, 8, 4, 4, 2, 2]


def test_the_record_is_the_attention_of_the_middle(pair: tuple[Denoiser, Any]) -> None:
    record = AttentionRecord()
    answer(pair[0], record, Tiled(32, 1, 5))
    (kept,) = record.maps
    assert kept.shape == (2, 4, 4)
    assert torch.allclose(kept.sum((1, 2)), torch.full((2,), 16.0), atol=1e-4)


def test_patches_go_together(pair: tuple[Denoiser, Any]) -> None:
    both = answer(pair[0], Multiplied("self", v=0.5), FreeU((1.1, 1.2), (0.9, 0.2)), Merged(0.3), Tiled(32, 1, 3))
    assert both.isfinite().all()
    assert gap(answer(pair[0], Multiplied("self", v=0.5), Multiplied("self", v=2.0)), answer(pair[0])) < 1e-5


def test_tokens_are_merged_within_tiles_too(pair: tuple[Denoiser, Any]) -> None:
    assert gap(answer(pair[0], Tiled(32, 1), Merged(0.5)), answer(pair[0], Tiled(32, 1))) > 1e-3


@pytest.mark.parametrize("patch", [*CHANGES, *IDENTITIES])
def test_nets_in_half_precision_can_be_patched(patch: Patch) -> None:
    denoiser, _ = twins(dtype=torch.bfloat16)
    out = denoiser.with_patches(patch).denoise(X, 1.0, TOKENS)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_numbers_that_make_no_sense_are_refused(wrong: float) -> None:
    for make in (
        lambda: FreeU((1.0, wrong), (1.0, 1.0)),
        lambda: FreeU((1.0, 1.0), (wrong, 1.0)),
        lambda: Merged(wrong),
        lambda: Multiplied("self", k=wrong),
        lambda: Shrunk(factor=wrong),
        lambda: Tiled(wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(BoundsError, match="input "):
            make()
