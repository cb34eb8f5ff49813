"""The folders of model files and of input pictures, by kind, as the community lays them out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings
from engine.store.confine import LongNameError, annotation, resolve

WEIGHTS = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin"})
VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".ogv"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tiff"})
KINDS: Mapping[str, tuple[str, ...]] = {
    **{
        kind: (kind,)
        for kind in (
            "checkpoints",
            "vae",
            "vae_approx",
            "loras",
            "controlnet",
            "embeddings",
            "upscale_models",
            "latent_upscale_models",
            "clip_vision",
            "gligen",
            "ipadapter",
            "style_models",
            "hypernetworks",
            "configs",
            "photomaker",
            "classifiers",
            "statistics",
            "model_patches",
            "audio_encoders",
            "diffusers",
        )
    },
    "text_encoders": ("text_encoders", "clip"),
    "clip": ("text_encoders", "clip"),
    "diffusion_models": ("diffusion_models", "unet"),
    "unet": ("diffusion_models", "unet"),
}
WHOLE, INDEX = "diffusers", "model_index.json"  # a kind whose models are folders, and the file that each one has
PLACES = frozenset({"input", "latents", "videos", "output", "temp"})
_SUFFIXES: Mapping[str, frozenset[str]] = {
    "configs": frozenset({".yaml", ".yml", ".json"}),
    "input": PICTURES,
    "output": PICTURES,
    "temp": PICTURES,
    "latents": frozenset({".latent"}),
    "statistics": frozenset({".npz"}),
    "videos": VIDEOS,
}
_A1111_KINDS = {"VAE": "vae", "Lora": "loras", "ESRGAN": "upscale_models", "ControlNet": "controlnet"}


class FolderError(EaselError):
    """A file or a folder kind that does not exist, or a list of folders that cannot be read."""

    code: ClassVar[str] = "missing_file"


class Offered(tuple[str, ...]):
    """The names that a place offers, and what else it has: `name in offered` also finds files in subfolders and those
    of another place (`a.png [output]`), which clients send after an upload, but which are too many to be listed.
    """

    has: Callable[[str], bool]

    def __new__(cls, names: Iterable[str], has: Callable[[str], bool]) -> Self:
        """`names` are listed, `has(name)` says whether there is such a file."""
        offered = super().__new__(cls, names)
        offered.has = has
        return offered

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self.has(name))


@dataclass(frozen=True, slots=True)
class Folders:
    """Roots by folder kind; `input` (pictures), `latents`, `videos`, `output` and `temp` are no model folders."""

    roots: Mapping[str, tuple[Path, ...]]

    def list(self, kind: str) -> tuple[str, ...]:
        """Names of the files of a kind, sorted, with forward slashes; later roots add what earlier ones lack."""
        names: set[str] = set()
        for root in self.roots.get(kind, ()):
            if kind == WHOLE:
                names.update(_models(root))
                continue
            suffixes = _suffixes(kind)
            names.update(_top_level(root, suffixes) if kind in PLACES else _tree(root, suffixes))
        if kind in PLACES:
            return Offered(sorted(names), lambda name: self._has(kind, name))
        return tuple(sorted(names))

    def find(self, kind: str, name: str) -> Path:
        """The file called `name` in the first root that has it. Raises `FolderError` or `PathError`.

        Of a model that is a folder (`diffusers`), the index in it.
        """
        asked, name = name, f"{name}/{INDEX}" if kind == WHOLE else name
        if kind in PLACES:
            name, place = annotation(name)
            kind = place or kind
        for root in self.roots.get(kind, ()):
            try:
                path = resolve(root, name, links_may_leave=kind not in PLACES)
            except LongNameError:
                break
            if _is_file(path):
                return path
        known = self.list(kind)
        hint = f"There are: {', '.join(known[:10])}." if known else f"Put files into models/{kind}."
        raise FolderError(f"there is no such file in {kind}", got=asked[:80], hint=hint)

    def _has(self, kind: str, name: str) -> bool:
        try:
            return self.find(kind, name).suffix.lower() in _suffixes(kind)
        except EaselError:
            return False

    def fingerprint(self, kind: str, name: str) -> str:
        """A token that changes with the file, or any file of a folder: path, size, time of change and inode.

        Empty if it does not exist.
        """
        try:
            path = self.find(kind, name)
            parts = [path]
            if kind == WHOLE:
                parts = sorted(Path(folder) / file for folder, files in walk(path.parent) for file in files)
            stats = [(part, part.stat()) for part in parts]
        except (EaselError, OSError):
            return ""
        return "|".join(f"{part}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}" for part, stat in stats)


def folders(settings: Settings) -> Folders:
    """The folders of `settings`: its own first, then those of its extra lists in order."""
    roots: dict[str, list[Path]] = {kind: [settings.models / name for name in names] for kind, names in KINDS.items()}
    for path in settings.extra_model_paths:
        for kind, extra, first in _read_extra(path):
            known = roots.setdefault(kind, [])
            known.insert(0, extra) if first else known.append(extra)
    places = {
        "input": settings.input,
        "latents": settings.input,
        "videos": settings.input,
        "output": settings.output,
        "temp": settings.temp,
    }
    return Folders(
        {kind: tuple(dict.fromkeys(paths)) for kind, paths in roots.items()}
        | {kind: (path,) for kind, path in places.items()}
    )


def _read_extra(path: Path) -> Iterable[tuple[str, Path, bool]]:
    """The community's `extra_model_paths.yaml`: sections with `base_path`, `is_default` and folders by kind.

    A folder list may have several lines. Paths are relative to `base_path`, and that to the file.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FolderError(
            "this list of model folders cannot be read", where=path.name, got=str(error).splitlines()[0]
        ) from error
    if content is None:
        return
    if not isinstance(content, dict) or not all(isinstance(section, dict | None) for section in content.values()):
        raise FolderError("this is no list of model folders", where=path.name, expected="sections of folders by kind")
    for section in content.values():
        yield from _section(dict(section or {}), path)


def _section(section: dict[str, Any], path: Path) -> Iterable[tuple[str, Path, bool]]:
    base = path.parent / _expanded(str(section.pop("base_path", "") or ""))
    first = bool(section.pop("is_default", False))
    for name, lines in section.items():
        for line in filter(None, map(str.strip, str(lines or "").splitlines())):
            for kind in _kinds_searching(_A1111_KINDS.get(name, name)):
                yield kind, (base / _expanded(line)).absolute(), first


def _kinds_searching(folder: str) -> Sequence[str]:
    """The kinds whose files may lie in a folder called `folder`: `clip` and `text_encoders` share theirs, for one."""
    return [kind for kind, names in KINDS.items() if folder in names] or [folder]


def _expanded(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder on the way that may not be looked into
        return False


def _suffixes(kind: str) -> frozenset[str]:
    return _SUFFIXES.get(kind, WEIGHTS)


def walk(root: Path) -> Iterable[tuple[str, Sequence[str]]]:
    """Each folder below `root` with the names of its files, hidden folders left out.

    Links are followed, and every folder is entered once: a link that leads back up would multiply without end.
    """
    entered: set[tuple[int, int]] = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        try:
            stat = os.stat(folder)  # noqa: PTH116  # a walk of thousands of folders
        except OSError:
            inner.clear()
            continue
        if (stat.st_dev, stat.st_ino) in entered:
            inner.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield folder, names


def _tree(root: Path, suffixes: frozenset[str]) -> Iterable[str]:
    for folder, names in walk(root):
        for name in names:
            if Path(name).suffix.lower() in suffixes:
                yield (Path(folder) / name).relative_to(root).as_posix()


def _models(root: Path) -> Iterable[str]:
    """The folders below `root` that are models."""
    for folder, names in walk(root):
        if INDEX in names and Path(folder) != root:
            yield Path(folder).relative_to(root).as_posix()


def _top_level(root: Path, suffixes: frozenset[str]) -> Iterable[str]:
    if root.is_dir():
        yield from (item.name for item in root.iterdir() if item.is_file() and item.suffix.lower() in suffixes)
