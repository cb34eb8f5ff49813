"""Model files by kind, without a word of where the server keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.server.routes.models import ROUTES
from tests.unit.server.serving import one


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("checkpoints/a.safetensors", "checkpoints/deep/b.ckpt", "clip/t.safetensors", "embeddings/e.x.pt"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def get(base: Path, url: str) -> tuple[int, Any]:
    status, _, body = one(base, ROUTES, "GET", url)
    assert str(base) not in body.decode()
    return status, json.loads(body)


def test_kinds_are_listed_once_under_their_new_names(base: Path) -> None:
    kinds = get(base, "/models")[1]
    assert {"checkpoints", "loras", "vae", "text_encoders", "diffusion_models", "embeddings"} <= set(kinds)
    assert not {"clip", "unet", "configs", "input", "output", "temp", "latents"} & set(kinds)


def test_files_of_a_kind_are_listed_old_names_included(base: Path) -> None:
    assert get(base, "/models/checkpoints") == (200, ["a.safetensors", "deep/b.ckpt"])
    assert get(base, "/models/clip") == get(base, "/models/text_encoders") == (200, ["t.safetensors"])
    assert get(base, "/models/loras") == (200, [])
    assert get(base, "/embeddings") == (200, ["e.x"])


def test_details_tell_size_times_and_which_folder(base: Path) -> None:
    status, found = get(base, "/experiment/models/text_encoders")
    stat = (base / "models/clip/t.safetensors").stat()
    assert status == 200
    assert found == [
        {"name": "t.safetensors", "pathIndex": 1, "modified": stat.st_mtime, "created": stat.st_ctime, "size": 5}
    ]


def test_a_link_to_nowhere_is_left_out_of_the_details(base: Path) -> None:
    (base / "models/checkpoints/gone.ckpt").symlink_to(base / "nowhere")
    assert [entry["name"] for entry in get(base, "/experiment/models/checkpoints")[1]] == [
        "a.safetensors",
        "deep/b.ckpt",
    ]


def test_folders_are_told_as_seen_from_the_base_only(base: Path) -> None:
    assert {"name": "text_encoders", "folders": ["models/text_encoders", "models/clip"]} in get(
        base, "/experiment/models"
    )[1]
    paths = get(base, "/internal/folder_paths")[1]
    assert paths["checkpoints"] == ["models/checkpoints"]
    assert paths["input"] == ["input"]


@pytest.mark.parametrize("prefix", ["/models", "/experiment/models"])
@pytest.mark.parametrize("kind", ["nothing", "input", "output", "%2e%2e", "..%2Fmodels", "x" * 3000])
def test_an_unknown_kind_is_missing(base: Path, prefix: str, kind: str) -> None:
    assert get(base, f"{prefix}/{kind}")[0] == 404


@pytest.mark.parametrize(
    ("url", "expected"),
    [("/extensions", []), ("/i18n", {}), ("/global_subgraphs", {})],
)
def test_what_easel_has_nothing_for_is_empty(base: Path, url: str, expected: Any) -> None:
    assert get(base, url) == (200, expected)


def test_there_are_no_global_subgraphs(base: Path) -> None:
    assert get(base, "/global_subgraphs/x")[0] == 404
