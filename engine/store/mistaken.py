"""What a file is that was taken for weights: downloads that went wrong leave pages, pointers and archives behind."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Remedy: TypeAlias = tuple[str, str]

_START = 512  # bytes that tell
_AGAIN = "Download it again."
_PAGE = "a web page", "The site sent a page, perhaps to sign in, instead of the file: download the file itself."
_POINTER = "a pointer of Git LFS", "The repository was cloned without its large files: fetch them by `git lfs pull`."
_ARCHIVE = "an archive", "Unpack it, and take the model file that is in it."
_PICTURE = "a picture", "It may be the preview of a model: download the model itself."
_PICKLE = "a file of torch.save", "Rename it so that it ends in .ckpt or .pt."
_GGUF = "a GGUF file", "Quantised files of this kind are not read: download the model as safetensors."
_KINDS: dict[bytes, Remedy] = {
    b"<!doctype": _PAGE,
    b"<html": _PAGE,
    b"<?xml": _PAGE,
    b'{"error': ("an error message", "The site refused the download: sign in or check the address."),
    b"version https://git-lfs": _POINTER,
    b"rar!": _ARCHIVE,
    b"7z\xbc\xaf": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"\x89png": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"gguf": _GGUF,
    b"pk": _PICKLE,  # what torch.save writes is a zip archive
    b"\x80\x02": _PICKLE,
}


def mistaken(path: Path) -> Remedy:
    """What the file at `path` is instead of weights, by its first bytes, and what to do."""
    with path.open("rb") as file:
        start = file.read(_START).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not start:
        return "an empty file", _AGAIN
    found = (kind for begin, kind in _KINDS.items() if start.startswith(begin))
    return next(found, ("something else", "The file is damaged or of another kind: download it again."))
