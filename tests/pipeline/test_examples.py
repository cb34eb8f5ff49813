"""Every example workflow is laid out well, names the files it needs, and runs to its end with tiny nets, in silence."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.app import documents
from engine.app.surroundings import surroundings
from engine.compat import prompt_json
from engine.compat.media import prompt_from_file
from engine.foundation.settings import Settings, settings_under
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.spec import ChoiceWidget
from engine.node.context import Sent, Warned
from engine.plugins.packs import load_packs
from engine.runtime.checks import checked
from engine.runtime.events import Event, NodeBlocked, NodeNote
from engine.runtime.executor import run
from engine.runtime.result_cache import ResultCache
from engine.store.videos import read_video
from tests.oracles import examples

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
DEMO = "easel-demo"  # how the names of the files that are there begin
PLACES = ("input", "output", "latents", "videos", "temp")
REGISTRY = load_packs(None).registry
MODELS = {"clip": "text_encoders", "unet": "diffusion_models"}
LARGE, SMALL = 256, 32  # pixels: longer sides become so short, and tiles twice that
FEW = {"tile_size": 2 * SMALL, "step": 1, "scales": "1, 4", "iterations": 1}
SMALL_CASCADE = {"schedule": "trailing", "scale": 2.0}  # a schedule that leaves the number of steps open
RESULTS: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "examples.json").read_text("utf-8"))
"""What each example leaves when it runs so: files by their prefix, with how many there are and their size."""


@dataclass(frozen=True)
class Box:
    """A rectangle on the canvas."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Whether both share some of the canvas."""
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not (beside or self.y + self.height <= other.y or other.y + other.height <= self.y)

    def holds(self, other: Box) -> bool:
        """Whether the other lies within."""
        across = self.x <= other.x and other.x + other.width <= self.x + self.width
        return across and self.y <= other.y and other.y + other.height <= self.y + self.height


def workflow(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return content


def levels(name: str) -> Iterator[dict[str, Any]]:
    content = workflow(name)
    yield content
    yield from content.get("definitions", {}).get("subgraphs", [])


def note(name: str) -> str:
    (text,) = (node["widgets_values"][0] for node in workflow(name)["nodes"] if node["type"] == "MarkdownNote")
    return str(text)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Folders with every file that the examples name."""
    base = tmp_path_factory.mktemp("examples")
    examples.write_all(base / "models")
    for path in (ROOT / "models").glob(f"*/{DEMO}*"):
        (base / "models" / path.parent.name).mkdir(exist_ok=True)
        (base / "models" / path.parent.name / path.name).hardlink_to(path)
    (base / "input").mkdir()
    for path in (ROOT / "input").glob("example*.png"):
        with Image.open(path) as picture:
            picture.resize((SMALL, SMALL)).save(base / "input" / path.name)
    for name in ("example.latent", "example.mp4"):
        (base / "input" / name).write_bytes((ROOT / "input" / name).read_bytes())
    return replace(settings_under(base), custom_nodes=False, device="cpu")


@pytest.fixture(scope="session")
def cache() -> ResultCache:
    """What one example loaded, the next one need not load again."""
    return ResultCache(2**29)


def named_files(name: str, prompt: dict[str, Any]) -> set[tuple[str, str]]:
    """Folder and name of every model file that a prompt's widgets and texts name, but those that are there."""
    found = set()
    for node in prompt.values():
        for item in REGISTRY.specs[node["class_type"]].inputs:
            value, widget = node["inputs"].get(item.name), item.widget
            if isinstance(widget, ChoiceWidget) and widget.files and widget.files not in PLACES:
                if value == "taesd":
                    found |= {("vae_approx", f"taesd_{half}.safetensors") for half in ("encoder", "decoder")}
                elif not value.startswith(DEMO) and value != "pixel_space":
                    found.add((MODELS.get(widget.files, widget.files), value))
            elif isinstance(value, str):
                words = [word for word in re.findall(r"embedding:([\w-]+)", value) if not word.startswith(DEMO)]
                found |= {("embeddings", f"{word}.safetensors") for word in words}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_does_and_which_files_it_needs(name: str, settings: Settings) -> None:
    title, _, text = note(name).partition("\n\n")
    assert re.fullmatch(r"# .{3,40}", title)
    assert len(text) > 60
    nodes = [node for level in levels(name) for node in level["nodes"]]
    listed = {(model["directory"], model["name"]) for node in nodes for model in node["properties"].get("models", [])}
    prompt = prompt_from_file(FOLDER / f"{name}.json", REGISTRY.specs)
    muted = {
        (model["directory"], model["name"])
        for node in nodes if node["mode"] != 0
        for model in node["properties"].get("models", [])
    }  # fmt: skip
    assert listed - muted == named_files(name, dict(prompt))
    for folder, file in listed:
        assert f"`models/{folder}/{file}`" in text
        assert (settings.models / folder / file).exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_reads_from_left_to_right_and_nothing_lies_over_another(name: str) -> None:
    for level in levels(name):
        boxes = {node["id"]: Box(*node["pos"], *node["size"]) for node in level["nodes"]}
        ordered = list(boxes.values())
        assert not [(a, b) for i, a in enumerate(ordered) for b in ordered[:i] if a.overlaps(b)]
        for link in level["links"]:
            source, target = (link["origin_id"], link["target_id"]) if isinstance(link, dict) else (link[1], link[3])
            if source in boxes and target in boxes:
                assert boxes[source].x <= boxes[target].x, (source, target)
        groups = [Box(*group["bounding"]) for group in level["groups"]]
        assert not [(a, b) for i, a in enumerate(groups) for b in groups[:i] if a.overlaps(b)]
        assert not [(g, b) for g in groups for b in ordered if g.overlaps(b) and not g.holds(b)]


def shrunk(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt with few steps and small sides, all else as it is."""
    return {
        name: node | {"inputs": {key: smaller(node, key, value) for key, value in node["inputs"].items()}}
        for name, node in prompt.items()
    }


def smaller(node: dict[str, Any], key: str, value: Any) -> Any:
    """A value of an input, or less of it."""
    kind, steps = node["class_type"], node["inputs"].get("steps")
    if isinstance(value, list):
        return value
    if kind.startswith("Cascade") and key in SMALL_CASCADE:
        return SMALL_CASCADE[key]
    if key in ("width", "height", "target_width", "target_height"):
        return SMALL if value > LARGE else value
    if key in ("start_at_step", "end_at_step"):
        return min(2, round(value * 2 / steps)) if isinstance(steps, int) else value
    if key in ("steps", "reference_steps"):
        return {int: 2, str: "1, 2"}.get(type(value), value)
    if key == "prompts":
        return "\n".join(value.splitlines()[:2])
    if kind == "EaselNumbers" and key == "values":
        return ", ".join(value.split(", ")[:2])
    return FEW.get(key, value)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_to_its_end(name: str, settings: Settings, cache: ResultCache, tmp_path: Path) -> None:
    own = replace(settings, output=tmp_path / "output", temp=tmp_path / "temp")
    around = surroundings(own)
    whole = documents.read(FOLDER / f"{name}.json", REGISTRY.specs)
    documents.typed(whole, REGISTRY.specs, around.folders)
    document = prompt_json.read(shrunk(dict(whole.prompt)))
    graph = bind(build(document), REGISTRY.specs, files=around.folders.list).require()
    events: list[Event] = []
    result = run(checked(graph, REGISTRY), REGISTRY, around, cache=cache, sink=events.append)
    assert result.error is None
    notes = [event.note for event in events if isinstance(event, NodeNote)]
    assert not [event for event in events if isinstance(event, NodeBlocked)]
    assert not [item for item in notes if isinstance(item, Warned)]
    assert left(tmp_path, sum(isinstance(item, Sent) for item in notes)) == RESULTS[name]


def left(folder: Path, sent: int) -> dict[str, str]:
    """How many files of each prefix there are and how large, and how many pictures were sent."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(folder.rglob("*.*")):
        prefix = re.sub(r"_\d+_$", "", path.stem) + path.suffix
        size = ""
        if path.suffix in (".png", ".webp"):
            with Image.open(path) as picture:
                frames = getattr(picture, "n_frames", 1)
                size = f"{picture.width} x {picture.height}" + (f", {frames} frames" if frames > 1 else "")
        elif path.suffix in (".mp4", ".webm"):
            frames = read_video(path).frames
            size = f"{frames[0].shape[1]} x {frames[0].shape[0]}, {len(frames)} frames"
        found[f"{path.parent.name}/{prefix}", size] += 1
    files = {prefix: f"{count} of {size}" if size else str(count) for (prefix, size), count in found.items()}
    return files | ({"sent": str(sent)} if sent else {})
