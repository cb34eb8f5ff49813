"""Nodes with inputs that stand for others, run from prompts as clients write them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageSequence

from engine.app.worker.report import output_of
from engine.compat import prompt_json
from engine.compat.webp import read_texts
from engine.graph.bind import BindError, bind
from engine.graph.build import build
from engine.node.context import Sent
from engine.plugins.packs import load_packs
from engine.runtime import events
from engine.runtime.executor import run
from engine.runtime.result_cache import ResultCache
from engine.store.artifacts import Artifact, ArtifactStore
from engine.store.png_metadata import read_text_chunks

REGISTRY = load_packs(None).registry


@dataclass
class Around:
    """A run's surroundings in one folder."""

    path: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    metadata: Mapping[str, str] = field(default_factory=lambda: {"workflow": '{"nodes": []}', "prompt": "{}"})

    def files(self, kind: str) -> Sequence[str]:
        return [path.name for path in self.path.iterdir()]

    def fingerprint(self, kind: str, name: str) -> str:
        return name

    def file(self, kind: str, name: str) -> Path:
        return self.path / name

    def save(self, data: bytes, prefix: str, suffix: str, place: Any, size: tuple[int, int]) -> Artifact:
        return ArtifactStore({place: self.path}).save(data, prefix, suffix, place, size)


def ran(prompt: dict[str, Any], around: Around, cache: ResultCache | None = None) -> dict[str, events.NodeFinished]:
    """What each node of `prompt`, as `{id: (type, inputs)}`, ended with."""
    nodes = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in prompt.items()}
    graph = bind(build(prompt_json.read(nodes)), REGISTRY.specs, files=around.files).require()
    told: list[events.Event] = []
    cache = ResultCache(10**8) if cache is None else cache
    result = run(graph, REGISTRY, around, cache=cache, sink=told.append)
    assert result.error is None
    return {event.node: event for event in told if isinstance(event, events.NodeFinished)}


def colour(value: int, width: int = 8, height: int = 8) -> tuple[str, dict[str, Any]]:
    return "EmptyImage", {"width": width, "height": height, "batch_size": 1, "color": value}


def test_batches_take_as_many_as_are_wanted(tmp_path: Path) -> None:
    prompt = {
        "a": colour(0xFF0000),
        "b": colour(0x00FF00, 16, 16),
        "c": colour(0x0000FF),
        "batch": ("BatchImagesNode", {f"images.image{n}": [source, 0] for n, source in enumerate("cba")}),
        "save": ("SaveImage", {"images": ["batch", 0], "filename_prefix": "x"}),
    }
    finished = ran(prompt, Around(tmp_path))
    colours = []
    for artifact in finished["save"].artifacts:
        with Pillow.open(artifact.path) as picture:
            colours.append((picture.size, picture.getpixel((0, 0))))
    assert colours == [((8, 8), (0, 0, 255)), ((8, 8), (0, 255, 0)), ((8, 8), (255, 0, 0))]


def test_masks_and_latents_are_batched_too(tmp_path: Path) -> None:
    prompt = {
        "m": ("SolidMask", {"value": 1.0, "width": 8, "height": 8}),
        "masks": ("BatchMasksNode", {"masks.mask0": ["m", 0], "masks.mask1": ["m", 0]}),
        "shown": ("PreviewAny", {"source": ["masks", 0]}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 2}),
        "latents": ("BatchLatentsNode", {"latents.latent0": ["l", 0], "latents.latent1": ["l", 0]}),
        "saved": ("SaveLatent", {"samples": ["latents", 0], "filename_prefix": "x"}),
    }
    finished = ran(prompt, Around(tmp_path))
    assert finished["shown"].texts == ("float32 (2, 8, 8) from 1 to 1",)
    assert finished["saved"].artifacts[0].size > 4 * 4 * 8 * 8 * 4


def test_a_choice_brings_its_inputs(tmp_path: Path) -> None:
    prompt = {
        "a": colour(0xFF0000, 16, 8),
        "like": ("SolidMask", {"value": 1.0, "width": 5, "height": 6}),
        "r": ("ResizeImageMaskNode", {"input": ["a", 0], "resize_type": "match size", "scale_method": "area"}),
        "size": ("GetImageSize", {"image": ["r", 0]}),
        "shown": ("PreviewAny", {"source": ["size", 0]}),
    }
    prompt["r"][1].update({"resize_type.match": ["like", 0], "resize_type.crop": "disabled"})
    assert ran(prompt, Around(tmp_path))["shown"].texts == ("5",)
    prompt["r"][1].update({"resize_type": "scale width", "resize_type.width": 4})
    assert ran(prompt, Around(tmp_path))["shown"].texts == ("4",)


def test_a_switch_runs_one_branch_only_and_keeps_its_type(tmp_path: Path) -> None:
    prompt = {
        "yes": colour(0xFF0000),
        "no": colour(0x0000FF),
        "switch": ("ComfySwitchNode", {"switch": True, "on_false": ["no", 0], "on_true": ["yes", 0]}),
        "save": ("PreviewImage", {"images": ["switch", 0]}),
    }
    finished = ran(prompt, Around(tmp_path))
    assert "yes" in finished
    assert "no" not in finished
    prompt["save"] = ("MaskPreview", {"mask": ["switch", 0]})
    with pytest.raises(BindError, match="input mask: expected MASK, got IMAGE from output 0 of ComfySwitchNode switch"):
        ran(prompt, Around(tmp_path))


def test_shown_texts_come_from_the_cache_as_well(tmp_path: Path) -> None:
    prompt = {
        "a": ("PrimitiveString", {"value": "hello"}),
        "b": ("CustomCombo", {"choice": "of my own", "option1": "of my own"}),
        "join": ("StringConcatenate", {"string_a": ["a", 0], "string_b": ["b", 0], "delimiter": " "}),
        "shown": ("PreviewAny", {"source": ["join", 0]}),
    }
    cache = ResultCache(10**8)
    for cached in (False, True):
        event = ran(prompt, Around(tmp_path), cache)["shown"]
        assert (event.texts, event.cached) == (("hello of my own",), cached)
        assert output_of(event.artifacts, event.texts) == {"text": ["hello of my own"]}


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("SaveAnimatedWEBP", {"fps": 10.0, "lossless": True, "quality": 80, "method": "fastest"}),
        ("SaveAnimatedPNG", {"fps": 10.0, "compress_level": 4}),
    ],
)
def test_an_animation_keeps_its_pictures_pace_and_workflow(kind: str, inputs: dict[str, Any], tmp_path: Path) -> None:
    prompt = {
        "a": colour(0xFF0000),
        "b": colour(0x0000FF),
        "batch": ("ImageBatch", {"image1": ["a", 0], "image2": ["b", 0]}),
        "save": (kind, {"images": ["batch", 0], "filename_prefix": "%width%/moving", **inputs}),
    }
    event = ran(prompt, Around(tmp_path))["save"]
    (artifact,) = event.artifacts
    with Pillow.open(artifact.path) as picture:
        frames = [frame.convert("RGB").getpixel((3, 3)) for frame in ImageSequence.Iterator(picture)]
        durations = picture.info["duration"], picture.info.get("loop")
    assert frames == [(255, 0, 0), (0, 0, 255)]
    assert durations == (100, 0)
    texts = read_texts(artifact.path) if kind.endswith("WEBP") else read_text_chunks(artifact.path)
    assert texts == {"prompt": "{}", "workflow": '{"nodes": []}'}
    shown = output_of(event.artifacts)
    assert shown is not None
    assert shown["animated"] == [True]


def test_one_picture_is_no_animation(tmp_path: Path) -> None:
    save = ("SaveAnimatedWEBP", {"images": ["a", 0], "filename_prefix": "x", "fps": 6.0, "lossless": False})
    save[1].update({"quality": 50, "method": "default"})
    event = ran({"a": colour(0x808080), "save": save}, Around(tmp_path))["save"]
    assert "animated" not in (output_of(event.artifacts) or {})
    with Pillow.open(event.artifacts[0].path) as picture:
        assert np.asarray(picture).mean() == pytest.approx(128, abs=2)


def test_a_result_is_loaded_again(tmp_path: Path) -> None:
    ran({"a": colour(0x00FF00), "save": ("SaveImage", {"images": ["a", 0], "filename_prefix": "x"})}, Around(tmp_path))
    prompt = {
        "load": ("LoadImageOutput", {"image": "x_00001_.png"}),
        "mask": ("ImageColorToMask", {"image": ["load", 0], "color": 0x00FF00}),
        "shown": ("PreviewAny", {"source": ["mask", 0]}),
    }
    assert ran(prompt, Around(tmp_path))["shown"].texts == ("float32 (1, 8, 8) from 1 to 1",)


def test_pictures_are_sent_and_not_kept(tmp_path: Path) -> None:
    nodes = {"a": colour(0x00FF00), "send": ("SaveImageWebsocket", {"images": ["a", 0]})}
    prompt = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    around, cache = Around(tmp_path), ResultCache(10**8)
    for _ in range(2):
        graph = bind(build(prompt_json.read(prompt)), REGISTRY.specs, files=around.files).require()
        told: list[events.Event] = []
        assert run(graph, REGISTRY, around, cache=cache, sink=told.append).done
        notes = [event.note for event in told if isinstance(event, events.NodeNote)]
        (sent,) = (note for note in notes if isinstance(note, Sent))
        assert sent.media_type == "image/png"
        assert Pillow.open(io.BytesIO(sent.picture)).getpixel((0, 0)) == (0, 255, 0)
    assert not list(tmp_path.iterdir())
