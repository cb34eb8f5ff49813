"""No name leads out of its folder: every parameter of a route and every node input that names a file."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import FormData
from yarl import URL

import engine.server
from engine.foundation.errors import EaselError
from engine.foundation.settings import Settings, settings_under
from engine.store.artifacts import ArtifactStore
from engine.store.folders import folders
from tests.unit.server.hostile_paths import names
from tests.unit.server.serving import png
from tests.unit.server.world import World, serve

CANARY = b"canary-7f3a91c2"
ENCODED = ("%2f", "%5c", "%252f", "%c0", "%00", "%0a", "%2e")

# method, address with the name in place of {}; names in a path are written as one part of it
IN_ADDRESS = (
    ("GET", "/view?filename={}"),
    ("GET", "/view?filename={}&type=input"),
    ("GET", "/view?filename={}&type=temp&preview=webp"),
    ("GET", "/view?filename=canary.png&subfolder={}"),
    ("GET", "/view?filename=canary.png&type={}"),
    ("GET", "/view_metadata/checkpoints?filename={}"),
    ("GET", "/view_metadata/checkpoints?filename={}.safetensors"),
    ("GET", "/view_metadata/{}?filename=canary.safetensors"),
    ("GET", "/userdata/{}"),
    ("POST", "/userdata/{}"),
    ("DELETE", "/userdata/{}"),
    ("GET", "/userdata?dir={}"),
    ("GET", "/v2/userdata?path={}"),
    ("POST", "/userdata/{}/move/there"),
    ("POST", "/userdata/here/move/{}"),
    ("GET", "/models/{}"),
    ("GET", "/experiment/models/{}"),
    ("GET", "/api/v1/models/{}"),
    ("GET", "/internal/files/{}"),
    ("GET", "/history/{}"),
    ("GET", "/api/jobs/{}"),
    ("GET", "/api/v1/jobs/{}"),
    ("GET", "/api/v1/jobs/{}/files/0"),
    ("GET", "/api/v1/jobs/x/files/{}"),
    ("GET", "/assets/{}"),
    ("GET", "/settings/{}"),
    ("GET", "/object_info/{}"),
)
IN_FORM = ("filename", "subfolder", "type", "original_ref.filename", "original_ref.subfolder", "original_ref.type")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Folders with links that lead out, beside files that nobody may see or change."""
    inner = tmp_path / "inner"
    settings = settings_under(inner)
    for folder in (
        settings.input,
        settings.output,
        settings.temp,
        settings.user / "default",
        settings.models / "checkpoints",
    ):
        folder.mkdir(parents=True)
        (folder / "link").symlink_to(tmp_path)
        (folder / "chain").symlink_to(folder / "link")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "dangling").symlink_to(tmp_path / "new.png")
    for folder in (tmp_path, inner):
        for name in ("canary", "canary.png", "canary.safetensors", "here"):
            (folder / name).write_bytes(CANARY)
    return inner


def outside(base: Path) -> dict[str, bytes]:
    """Every file that is in none of the folders, with its bytes."""
    inside = {settings_under(base).input, settings_under(base).output, settings_under(base).temp, base / "user"}
    found = {}
    for folder, inner, files in os.walk(base.parent):
        inner[:] = [name for name in inner if Path(folder, name) not in inside]
        found |= {f"{folder}/{name}": Path(folder, name).read_bytes() for name in files if Path(folder, name).is_file()}
    return found


def escaping(name: str) -> bool:
    """Whether a name is to be refused wherever it stands for a file: the others are odd, but name something inside."""
    return name.startswith(("../", "/", "~", "..\\", "C:")) or "\0" in name or "/../" in name


def test_no_name_in_an_address_leads_out(base: Path) -> None:
    before, payloads = outside(base), names(str(base.parent))
    assert len(payloads) >= 500

    async def work(world: World) -> list[Any]:
        wrong: list[Any] = []
        for method, place in IN_ADDRESS:
            for name in payloads:
                for written in {
                    quote(name, safe=""),
                    name if any(part in name for part in ENCODED) else quote(name, safe=""),
                }:
                    url = URL(str(world.client.make_url("")).rstrip("/") + place.format(written), encoded=True)
                    async with world.client.session.request(
                        method, url, data=b"x" if method == "POST" else None
                    ) as answer:
                        body = await answer.read()
                    must_fail = "filename={}" in place or place.startswith("/userdata/{}")
                    refused = 400 <= answer.status < 500 or not (must_fail and escaping(name))
                    if CANARY in body or answer.status >= 500 or not refused:
                        wrong.append((answer.status, method, place, name[:60], body[:80]))
        return wrong

    assert serve(base, work) == []
    assert outside(base) == before


def forms(name: str) -> Iterator[tuple[str, FormData]]:
    for field in IN_FORM:
        form = FormData(quote_fields=False)
        values: dict[str, Any] = {"filename": "a.png", "subfolder": "", "type": "input"}
        original = {"filename": "canary.png", "subfolder": "", "type": "input"}
        where, _, inner = field.rpartition(".")
        (original if where else values)[inner] = name
        file = values.pop("filename")
        printable = "".join(
            letter for letter in file if letter >= " " and letter != "\x7f"
        )  # the client sends no others
        form.add_field("image", png(), filename=printable, content_type="image/png")
        for key, value in (values | {"original_ref": json.dumps(original)}).items():
            form.add_field(key, value)
        yield ("/upload/mask" if where else "/upload/image"), form


# aiohttp warns of such a header and goes on without it
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionParam")
def test_no_name_in_a_form_leads_out(base: Path) -> None:
    before, payloads = outside(base), names(str(base.parent))

    async def work(world: World) -> list[Any]:
        wrong: list[Any] = []
        for name in payloads:
            for path, form in forms(name):
                async with world.client.post(path, data=form) as answer:
                    body = await answer.read()
                if CANARY in body or answer.status >= 500:
                    wrong.append((answer.status, path, name[:60], body[:80]))
        return wrong

    assert serve(base, work) == []
    assert outside(base) == before


def inputs(settings: Settings) -> dict[str, Callable[[str], object]]:
    """What nodes do with an input that names a file, by the node's name."""
    found = folders(settings)
    store = ArtifactStore({"output": settings.output, "temp": settings.temp})
    return {
        "LoadImage": lambda name: found.find("input", name).read_bytes(),
        "LoadLatent": lambda name: found.find("latents", name).read_bytes(),
        "SaveImage": lambda name: store.save(b"x", name, ".png", "output"),
        "PreviewImage": lambda name: store.save(b"x", name, ".png", "temp"),
    }


@pytest.mark.parametrize("node", ["LoadImage", "LoadLatent", "SaveImage", "PreviewImage"])
def test_no_name_in_a_node_input_leads_out(base: Path, node: str) -> None:
    before, opened = outside(base), []
    for name in names(str(base.parent)):
        try:
            result = inputs(settings_under(base))[node](name)
        except EaselError:
            continue
        assert not escaping(name), name
        opened.append((name, result))
    assert [name for name, result in opened if result == CANARY] == []
    assert outside(base) == before


@pytest.mark.parametrize("kind", ["checkpoints", "vae", "embeddings", "loras"])
def test_no_name_of_a_model_climbs_out(base: Path, kind: str) -> None:
    # links in model folders may lead elsewhere: only the owner of the machine can make one there
    found = folders(settings_under(base))
    for name in names(str(base.parent)):
        if not name.startswith(("link/", "chain/")):
            with pytest.raises(EaselError):
                found.find(kind, name)


_FORBIDDEN = {"open", "read_bytes", "read_text", "write_bytes", "write_text", "joinpath", "unlink", "mkdir", "fdopen"}
_ALLOWED = {
    ("routes/files.py", "mkdir"),  # the folder for uploads on their way, whose name comes from the settings
    ("routes/history.py", "join"), ("routes/queue.py", "join"), ("routes/nodes.py", "join"),
}  # fmt: skip


def test_the_server_touches_files_through_the_store_alone() -> None:
    root = Path(engine.server.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in _FORBIDDEN:
                    found.add((path.relative_to(root).as_posix(), name))
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _plain(node.right):
                found.add((path.relative_to(root).as_posix(), f"/ {ast.unparse(node.right)}"))
            elif isinstance(node, ast.Import | ast.ImportFrom):
                modules = [name.name for name in node.names] if isinstance(node, ast.Import) else [str(node.module)]
                found |= {
                    (path.relative_to(root).as_posix(), name) for name in modules if name in ("os", "shutil", "os.path")
                }
    assert found - _ALLOWED == set()


def _plain(node: ast.expr) -> bool:
    """A name or number that is written in the source, so that nothing of a request is in it."""
    return isinstance(node, ast.Constant)
