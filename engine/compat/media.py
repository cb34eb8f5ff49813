"""Whatever a user may hand over to be run: prompt JSON, workflow JSON, or a media file with either in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from engine.compat import webp
from engine.compat.workflow import is_prompt, is_workflow, read_workflow, to_prompt
from engine.foundation.errors import EaselError
from engine.foundation.json import MAX_BYTES, JsonError, parse_lenient
from engine.graph.spec import NodeSpec
from engine.store import png_metadata, safetensors_header, videos

_TENSORS = (".latent", ".safetensors")


class UnreadableFileError(EaselError):
    """A file that is not there, may not be read, or is too large to be a workflow."""

    code: ClassVar[str] = "unreadable_file"


class NoWorkflowError(EaselError):
    """A file that carries neither a prompt nor a workflow."""

    code: ClassVar[str] = "no_workflow"


def prompt_from_file(path: Path, specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    """The prompt JSON in the file at `path`, converted if it holds the editor's workflow.

    Of a picture, video or latent the prompt is taken if it has one, since that is exactly what ran, else its workflow.
    Raises `NoWorkflowError` if it has neither, and what the readers raise for damaged files.
    """
    try:
        kind = _kind(path)
        if kind == "json":
            return _from_json(_read(path), path, specs)
        return _from_texts(_texts(path, kind), path, kind, specs)
    except OSError as error:
        raise UnreadableFileError(
            "this file cannot be read", where=str(path), got=error.strerror or type(error).__name__
        ) from error


def _kind(path: Path) -> str:
    """What the file is by its first bytes; a latent has none of its own, so there the name counts."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(png_metadata.SIGNATURE):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video"
    if path.suffix.lower() in _TENSORS:
        return "latent"
    if path.suffix.lower() == ".json" or head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return "json"
    return "file"


def _texts(path: Path, kind: str) -> Mapping[str, str]:
    match kind:
        case "PNG":
            return png_metadata.read_text_chunks(path)
        case "WebP":
            return webp.read_texts(path)
        case "video":
            return videos.read_texts(path)
        case "latent":
            return safetensors_header.read_header(path).metadata
    return {}


def _from_texts(texts: Mapping[str, str], path: Path, kind: str, specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    damage: JsonError | None = None
    for key, wanted in (("prompt", is_prompt), ("workflow", is_workflow)):
        if key not in texts:
            continue
        try:
            data = parse_lenient(texts[key], where=f"{path.name}, {key}")
        except JsonError as error:
            damage = damage or error
            continue
        if wanted(data):
            return _prompt(data, specs)
    if damage is not None:
        raise damage
    hint = "It carries the settings of another program, which is not supported." if "parameters" in texts else ""
    raise NoWorkflowError(f"this {kind} carries no workflow", where=path.name, hint=hint)


def _from_json(text: bytes, path: Path, specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    data = parse_lenient(text, where=path.name)
    if not is_workflow(data) and not is_prompt(data):
        hint = "A prompt is an object of nodes with class_type and inputs, a workflow has a list of nodes."
        raise NoWorkflowError("this JSON is neither a prompt nor a workflow", where=path.name, hint=hint)
    return _prompt(data, specs)


def _prompt(data: dict[str, Any], specs: Mapping[str, NodeSpec]) -> dict[str, Any]:
    return to_prompt(read_workflow(data), specs) if is_workflow(data) else data


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableFileError(
            "this file is too large", where=str(path), expected=f"at most {MAX_BYTES} bytes", got=f"{size}"
        )
    return path.read_bytes()
