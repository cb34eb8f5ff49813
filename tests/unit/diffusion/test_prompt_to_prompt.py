"""Prompt-to-prompt in the net: the laws of shared attention, against the paper's own way to compute it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.local_blend import LocalBlend, blended
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.budget import CallBudget
from engine.models.nets.patches import Attend, Patch, Site
from engine.models.nets.prompt_to_prompt import PairError, Pairs, Reweighted, SharedAttention, WordAttention
from engine.models.nets.unet_patches import Merged, Tiled
from engine.tensors.rows import Row, Rows
from engine.tensors.values import Conditioning, Latent, Prompt
from tests.oracles import families
from tests.unit.diffusion.nets import CONTEXT, noise, twin, twins

LENGTH, NEVER, ALWAYS = 6, math.inf, 0.0
PLAIN = SharedAttention(torch.eye(LENGTH), torch.zeros(LENGTH), ALWAYS, ALWAYS)
TURNED = replace(PLAIN, shared=torch.eye(LENGTH)[[0, 2, 1, 3, 5, 4]])
REFINED = replace(
    TURNED, own=torch.tensor([0.0, 1, 0, 0, 0, 1]), shared=TURNED.shared * (1 - torch.tensor([0.0, 1, 0, 0, 0, 1]))
)
X = noise(1, 4, 8, 8).repeat(2, 1, 1, 1)
TOKENS = noise(2, LENGTH, CONTEXT, seed=1)


@cache
def sd1() -> Denoiser:
    return twins()[0]


@cache
def sdxl() -> Denoiser:
    net = families.linear_unet((64, 64, 128), (0, 1, 2), CONTEXT, vector=10, kind="projection")
    return twin(net)


def asked(model: Denoiser, *patches: Patch, x: Tensor = X, tokens: Tensor = TOKENS) -> Tensor:
    with model.net.look() as net:
        vector = None if net.config.vector_channels is None else noise(1, 10, seed=3).repeat(len(x), 1)
    return model.with_patches(*patches).denoise(x, 3.0, tokens, vector)


@dataclass(frozen=True, slots=True, eq=False)
class Literally(Patch):
    """The maps as the paper writes them down."""

    like: SharedAttention

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        maps = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
        edited = maps[0] @ self.like.shared + maps[1] * self.like.own if site.kind == "cross" else maps[0]
        return torch.stack([maps[0], edited]) @ v


class Captured(Patch):
    """Keeps the queries and keys that attention is asked with."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Tensor, Tensor]] = []

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        self.seen.append((site.kind, q, k))
        return attend(site, q, k, v)


@pytest.mark.parametrize(("net", "gap"), [(sd1, 0.0), (sdxl, 1e-5)])  # kernels round SDXL's equal rows differently
def test_without_an_edit_nothing_changes(net: Callable[[], Denoiser], gap: float) -> None:
    model, same = net(), TOKENS[:1].repeat(2, 1, 1)
    changed = asked(model, PLAIN, Reweighted(torch.ones(LENGTH)), tokens=same)
    assert (changed - asked(model, tokens=same)).abs().max() <= gap


@pytest.mark.parametrize("net", [sd1, sdxl])
@pytest.mark.parametrize("patch", [TURNED, REFINED])
def test_the_edit_is_the_papers(net: Callable[[], Denoiser], patch: SharedAttention) -> None:
    model = net()
    result = asked(model, patch)
    assert (result - asked(model, Literally(patch))).abs().max() < 1e-5
    assert (result[1] - asked(model)[1]).abs().max() > 1e-3


def test_the_source_is_painted_as_without_its_edit() -> None:
    model = sd1()
    assert torch.equal(asked(model, REFINED)[0], asked(model)[0])


def test_attention_that_is_never_shared_changes_nothing() -> None:
    model = sd1()
    assert torch.equal(asked(model, replace(REFINED, cross=NEVER, among=NEVER)), asked(model))


def test_what_is_edited_is_asked_with_the_queries_and_keys_of_its_source() -> None:
    record = Captured()
    asked(sd1(), TURNED, record)
    assert {kind for kind, _, _ in record.seen} == {"self", "cross"}
    assert all(torch.equal(q[0], q[1]) and torch.equal(k[0], k[1]) for _, q, k in record.seen)


def test_each_share_is_about_its_own_attention() -> None:
    for patch, shared in ((replace(TURNED, cross=NEVER), "self"), (replace(TURNED, among=NEVER), "cross")):
        record = Captured()
        asked(sd1(), patch, record, x=noise(2, 4, 8, 8))
        assert {kind for kind, q, _ in record.seen if torch.equal(q[0], q[1])} == {shared}


def test_attention_on_large_maps_is_left_alone() -> None:
    record = Captured()
    asked(sd1(), replace(TURNED, cross=NEVER, cells=16), record, x=noise(2, 4, 8, 8))
    assert {q.shape[2] for _, q, _ in record.seen if torch.equal(q[0], q[1])} == {16, 4}
    assert 64 in {q.shape[2] for _, q, _ in record.seen}


def test_what_is_not_to_be_painted_is_never_edited() -> None:
    model, rows = sd1(), Rows([Row(0, (8, 8), negative=True), Row(1, (8, 8), negative=True)])
    result = model.with_patches(REFINED).denoise(X, 3.0, TOKENS, rows=rows)
    assert torch.equal(result, asked(model))


def test_tokens_that_are_repeated_are_edited_alike() -> None:
    model = sd1()
    gap = asked(model, REFINED, tokens=TOKENS.repeat(1, 2, 1)) - asked(model, REFINED)
    assert gap.abs().max() < 1e-5


@pytest.mark.parametrize("other", [Tiled(32, 1, 3), Merged(0.4)])
def test_other_patches_go_along(other: Patch) -> None:
    same = TOKENS[:1].repeat(2, 1, 1)
    for patches in ((PLAIN, other), (other, PLAIN)):
        result = asked(sd1(), *patches, tokens=same)
        assert torch.allclose(result, asked(sd1(), other, tokens=same), atol=1e-6)


def test_a_weight_of_one_changes_nothing_and_others_scale_the_tokens_share() -> None:
    model, factors = sd1(), torch.ones(LENGTH)
    assert torch.equal(asked(model, Reweighted(factors)), asked(model))
    factors[2] = 0.0
    gap = asked(model, Reweighted(factors)) - asked(model)
    assert gap[1].abs().max() > 1e-3
    assert torch.equal(gap[0], torch.zeros_like(gap[0]))


def test_weights_hold_whatever_order_they_come_in() -> None:
    weights = Reweighted(torch.tensor([1.0, 2, 1, 0.5, 1, 1]))
    assert torch.equal(asked(sd1(), TURNED, weights), asked(sd1(), weights, TURNED))


def test_pairs_go_into_one_call_however_small_the_budget() -> None:
    model = sd1()
    x, tokens = noise(4, 4, 8, 8), TOKENS.repeat(2, 1, 1)
    alone = replace(model.with_patches(TURNED), budget=CallBudget(1, 1, together=2))
    assert torch.allclose(alone.denoise(x, 3.0, tokens), asked(model, TURNED, x=x, tokens=tokens), atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_that_is_no_row_of_pairs_is_refused(count: int) -> None:
    with pytest.raises(PairError, match=rf"inputs model and latent_image.*got a batch of {count}"):
        asked(sd1(), PLAIN, x=noise(count, 4, 8, 8), tokens=TOKENS[:1].repeat(count, 1, 1))


def test_pairs_are_found_among_the_rows_of_several_prompts() -> None:
    rows = [
        Row(sample, (8, 8), top, negative=negative)
        for top, negative in ((0, False), (4, False), (0, True))
        for sample in (0, 1)
    ]
    found = Pairs.among(rows)
    assert found.edited == (1, 3)
    assert found.sources == (0, 0, 2, 2, 4, 5)


def test_looks_at_words_are_means_of_the_maps() -> None:
    record, captured = WordAttention(torch.eye(LENGTH)[[2, 4]]), Captured()
    asked(sd1(), record, captured)
    maps = [torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) for kind, q, k in captured.seen if kind == "cross"]
    fine = [number for number, found in enumerate(maps) if found.shape[2] == 64]
    for row, token in ((0, 2), (1, 4)):
        assert len(record.maps[row]) == len(maps)
        for number in fine:
            expected = maps[number][row, :, :, token].mean(dim=0).reshape(8, 8)
            assert torch.allclose(record.maps[row][number], expected, atol=1e-6)


def test_blending_keeps_the_source_where_nobody_looks() -> None:
    x, looked = noise(2, 4, 8, 8), torch.zeros(2, 1, 8, 8)
    looked[0, 0, 1, 1], looked[1, 0, 5, 5] = 1.0, 2.0
    result = blended(x, looked, 0.3)
    kept = (result[1] == x[0]).all(dim=0)
    assert not kept[0:3, 0:3].any()
    assert not kept[4:7, 4:7].any()
    assert int(kept.sum()) == 64 - 18
    assert torch.equal(result[0], x[0])


def test_a_blend_of_everything_changes_nothing_and_its_run_can_be_replayed() -> None:
    model, prompts = sd1(), Conditioning((Prompt(TOKENS),))
    latent = Latent(torch.zeros(2, 4, 8, 8), batch_index=(0, 0))

    def run(model: Denoiser, log: list[Tensor] | None = None) -> Tensor:
        sampling = sample(model, prompts, prompts, latent, seed=1, cfg=2.0, steps=Steps(3))
        return drive(sampling, log or []).samples

    edited = model.with_patches(TURNED)
    whole = run(edited.with_rule(LocalBlend(torch.ones(2, LENGTH), 0.0)))
    assert torch.allclose(whole, run(edited), atol=1e-5)
    some = edited.with_rule(LocalBlend(torch.eye(LENGTH)[[1, 2]], 0.9))
    log: list[Tensor] = []
    sampling = sample(some, prompts, prompts, latent, seed=1, cfg=2.0, steps=Steps(3))
    request = next(sampling)
    for _ in range(2):
        log.append(request.compute())
        request = sampling.send(log[-1])
    assert torch.equal(run(some, log), run(some))
