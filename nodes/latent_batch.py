"""Batches of latents: joined, cut, repeated and laid out anew, each sample with its mask and its own noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from engine.node import Choice, Grow, Range, node
from engine.tensors.latents import cell_mask, joined, places, row_masks, sized
from engine.tensors.values import Latent

BATCH = "latent/batch"


@node("LatentBatch", category=BATCH)
def batch_latents(samples1: Latent, samples2: Latent) -> Latent:
    """Both in one batch, the second in the size of the first. Each sample keeps its place and so its noise."""
    second = sized(samples2.samples, samples1.samples, "input samples2")
    mask = cell_mask(replace(samples2, samples=second))
    return joined([samples1, replace(samples2, samples=second, noise_mask=mask)])


@node("BatchLatentsNode", category="latent", display_name="Batch Latents")
def batch_many_latents(latents: Annotated[list[Latent], Grow("latent", 2, 50)]) -> Latent:
    """All in one batch, the others in the size of the first. Each sample keeps its place and so its noise."""
    parts = [latents[0]]
    for number, latent in enumerate(latents[1:], start=1):
        samples = sized(latent.samples, latents[0].samples, f"input latents.latent{number}")
        parts.append(replace(latent, samples=samples, noise_mask=cell_mask(replace(latent, samples=samples))))
    return joined(parts)


@node("LatentFromBatch", category=BATCH, display_name="Latent From Batch")
def latent_from_batch(
    samples: Latent, batch_index: Annotated[int, Range(0, 63)] = 0, length: Annotated[int, Range(1, 64)] = 1
) -> Latent:
    """Some of a batch, with the noise they would have had in it; beyond its end, what is left of it or its last one."""
    start = min(batch_index, len(samples.samples) - 1)
    return _part(samples, slice(start, start + length))


@node("RepeatLatentBatch", category=BATCH, display_name="Repeat Latent Batch")
def repeat_latents(samples: Latent, amount: Annotated[int, Range(1, 64)] = 1) -> Latent:
    """The batch over and over, each time with other noise."""
    index = samples.batch_index
    if index is not None:
        offset = max(index) - min(index) + 1
        index = tuple(place + turn * offset for turn in range(amount) for place in index)
    mask = row_masks(samples)
    return replace(
        samples,
        samples=samples.samples.repeat(amount, 1, 1, 1),
        noise_mask=None if mask is None else mask.repeat(amount, 1, 1),
        batch_index=index,
    )


@node("RebatchLatents", category=BATCH, display_name="Rebatch Latents")
def rebatch_latents(latents: list[Latent], batch_size: Annotated[int, Range(1, 4096)] = 1) -> list[Latent]:
    """A list of latents in batches of `batch_size`; those of another size begin a batch of their own."""
    groups: list[list[Latent]] = []
    place = 0
    for latent in latents:
        for row in range(len(latent.samples)):
            single = _part(latent, slice(row, row + 1))
            if latent.batch_index is None:  # places count on over the list, so that no two samples share noise
                single = replace(single, batch_index=(place + row,))
            if not groups or len(groups[-1]) == batch_size or not _alike(groups[-1][0], single):
                groups.append([])
            groups[-1].append(single)
        place += len(latent.samples)
    return [joined(group) for group in groups]


@node("LatentBatchSeedBehavior", category="latent/advanced")
def set_batch_noise(samples: Latent, seed_behavior: Annotated[str, Choice("random", "fixed")] = "fixed") -> Latent:
    """Whether each sample of a batch gets noise of its own, or all that of the first."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    return replace(samples, batch_index=places(samples)[:1] * len(samples.samples))


def _part(latent: Latent, rows: slice) -> Latent:
    mask = row_masks(latent)
    return replace(
        latent,
        samples=latent.samples[rows],
        noise_mask=None if mask is None else mask[rows],
        batch_index=places(latent)[rows],
    )


def _alike(first: Latent, second: Latent) -> bool:
    return first.samples.shape[1:] == second.samples.shape[1:] and first.downscale == second.downscale
