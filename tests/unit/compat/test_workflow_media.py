"""A prompt is found in JSON files of both kinds, in pictures and in latents; anything else is a clear error."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.compat.media import NoWorkflowError, UnreadableFileError, prompt_from_file
from engine.foundation.errors import EaselError
from engine.foundation.json import JsonError
from engine.graph.document import DocumentError
from engine.graph.spec import InputSpec, IntWidget, NodeSpec
from engine.store.png_metadata import PictureError
from engine.store.videos import Clip, encode_video

SPECS = {"A": NodeSpec("A", inputs=(InputSpec("n", "INT", widget=IntWidget()),))}
WORKFLOW = json.dumps({"nodes": [{"id": 1, "type": "A", "widgets_values": [5]}], "links": []})
PROMPT = json.dumps({"1": {"class_type": "A", "inputs": {"n": 6}}})
CONVERTED, READY = {"1": {"class_type": "A", "inputs": {"n": 5}}}, {"1": {"class_type": "A", "inputs": {"n": 6}}}


def png(**texts: str) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [chunk(b"tEXt", key.encode() + b"\0" + text.encode()) for key, text in texts.items()]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def webp(order: str = "<", prefix: bytes = b"Exif\0\0", **texts: str) -> bytes:
    """A WebP file of an odd unknown chunk and an EXIF chunk with one ASCII tag for each text."""
    entries, data, place = b"", b"", 8 + 2 + 12 * len(texts) + 4
    for number, (key, text) in enumerate(texts.items()):
        value = f"{key}:{text}".encode() + b"\0"
        entries += struct.pack(f"{order}HHII", 0x0110 - number, 2, len(value), place + len(data))
        data += value
    tiff = (
        (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(texts)) + entries + b"\0" * 4 + data
    )
    exif = prefix + tiff
    chunks = b"XXXX" + struct.pack("<I", 3) + b"abc\0" + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def latent(**texts: str) -> bytes:
    header = json.dumps({"__metadata__": texts}).encode()
    return struct.pack("<Q", len(header)) + header


def video(codec: str, **texts: str) -> bytes:
    return encode_video(Clip([np.zeros((64, 64, 3), np.uint8)] * 2, 8.0), texts, codec)


def found(tmp_path: Path, name: str, content: bytes | str) -> Any:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return prompt_from_file(path, SPECS)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", WORKFLOW, CONVERTED),
        ("a.json", PROMPT, READY),
        ("a.json", f"\ufeff\n {PROMPT}", READY),
        ("download", f" {WORKFLOW}", CONVERTED),
        ("a.png", png(prompt=PROMPT, workflow=WORKFLOW), READY),
        ("a.mp4", video("h264", prompt=PROMPT, workflow=WORKFLOW), READY),
        ("a.mp4", video("h264", workflow=WORKFLOW), CONVERTED),
        ("a.webm", video("vp9", prompt=PROMPT, workflow=WORKFLOW), READY),
        ("a.webm", video("vp9", workflow=WORKFLOW), CONVERTED),
        ("a.png", png(workflow=WORKFLOW), CONVERTED),
        ("a.png", png(prompt="{damaged", workflow=WORKFLOW), CONVERTED),
        ("a.png", png(prompt="{}", workflow=WORKFLOW), CONVERTED),
        ("renamed.jpg", png(prompt=PROMPT), READY),
        ("a.webp", webp(prompt=PROMPT, workflow=WORKFLOW), READY),
        ("a.webp", webp(">", b"", Workflow=WORKFLOW), CONVERTED),
        ("a.latent", latent(prompt=PROMPT), READY),
        ("a.safetensors", latent(workflow=WORKFLOW), CONVERTED),
    ],
)
def test_the_prompt_of_a_file_is_found(tmp_path, name, content, expected):
    assert found(tmp_path, name, content) == expected


def test_numbers_that_json_does_not_have_become_null(tmp_path):
    prompt = '{"1": {"class_type": "A", "inputs": {"n": 6, "x": NaN}, "is_changed": [NaN]}}'
    assert found(tmp_path, "a.png", png(prompt=prompt))["1"]["inputs"] == {"n": 6, "x": None}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", png(), "a.png: this PNG carries no workflow"),
        ("a.webp", webp(), "a.webp: this WebP carries no workflow"),
        ("a.latent", latent(), "a.latent: this latent carries no workflow"),
        ("a.jpg", b"\xff\xd8\xff", "a.jpg: this file carries no workflow"),
        ("a.png", b"", "a.png: this file carries no workflow"),
    ],
)
def test_a_file_without_a_workflow_says_so(tmp_path, name, content, message):
    with pytest.raises(NoWorkflowError) as caught:
        found(tmp_path, name, content)
    assert (str(caught.value), caught.value.code) == (message, "no_workflow")


def test_a_picture_of_another_program_is_named_as_such(tmp_path):
    with pytest.raises(NoWorkflowError, match="settings of another program"):
        found(tmp_path, "a.png", png(parameters="a cat\nSteps: 20"))


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.json", "{", JsonError),
        ("a.json", "", JsonError),
        ("a.json", "[" * 100_000, JsonError),
        ("a.json", "[]", NoWorkflowError),
        ("a.json", '{"nodes": [1]}', DocumentError),
        ("a.png", png(prompt="{damaged"), JsonError),
        ("a.png", png(workflow='{"nodes": [1]}'), DocumentError),
        ("a.png", png(prompt=PROMPT)[:60], PictureError),
        ("a.webp", webp(prompt=PROMPT)[:50], PictureError),
        ("a.webp", webp().replace(b"II*", b"XX*"), PictureError),
    ],
)
def test_a_damaged_file_is_a_typed_error(tmp_path, name, content, error):
    with pytest.raises(error):
        found(tmp_path, name, content)


def test_a_file_that_is_not_there_or_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(UnreadableFileError, match="No such file"):
        prompt_from_file(tmp_path / "gone.json", SPECS)
    with pytest.raises(UnreadableFileError, match="directory"):
        prompt_from_file(tmp_path, SPECS)


@pytest.mark.parametrize("whole", [png(prompt=PROMPT), webp(prompt=PROMPT), latent(prompt=PROMPT)])
def test_a_file_cut_anywhere_gives_its_prompt_or_a_typed_error(tmp_path, whole):
    for length in range(len(whole)):
        try:
            assert found(tmp_path, "a.latent", whole[:length]) == READY
        except EaselError:
            continue
