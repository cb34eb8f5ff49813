"""`/view` and uploads over HTTP: the contract's statuses, and nothing that a hostile file or name can win."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from PIL import Image

from engine.server.routes.files import MAX_FIELD_BYTES, MAX_PARTS, ROUTES
from tests.unit.server.serving import TRAVERSALS, Client, form, huge_png, one, png, safetensors, served

ACTIVE = ["svg", "html", "xhtml", "js", "mjs", "css", "xml", "pdf", "mhtml", "txt", "json", "ico", "swf", "tiff", "x"]
HOSTILE = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/><script>alert(1)</script>'


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("input", "output", "temp", "output/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "output" / "x.png").write_bytes(png(colour=(200, 100, 50, 7)))
    (tmp_path / "output" / "sub" / "y.png").write_bytes(png())
    (tmp_path / "input" / "z.png").write_bytes(png())
    return tmp_path


def view(base: Path, **query: str) -> tuple[int, dict[str, str], bytes]:
    return one(base, ROUTES, "GET", f"/view?{urlencode(query)}")


def upload(base: Path, data: bytes, filename: str, url: str = "/upload/image", **texts: str) -> tuple[int, Any]:
    status, _, body = one(base, ROUTES, "POST", url, data=form(data, filename, **texts))
    return status, json.loads(body)


def files(base: Path) -> set[str]:
    return {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"filename": "x.png"}, 200),
        ({"filename": "z.png", "type": "input"}, 200),
        ({"filename": "z.png [input]"}, 200),
        ({"filename": "x.png [output]", "type": "input"}, 200),
        ({"filename": "y.png", "subfolder": "sub"}, 200),
        ({"filename": "y.png", "subfolder": "sub/"}, 200),
        ({"filename": "sub/y.png", "type": ""}, 200),
        ({}, 404),
        ({"filename": "none.png"}, 404),
        ({"filename": "sub"}, 404),
        ({"filename": "x.png", "type": "temp"}, 404),
        ({"filename": "n" * 300}, 404),
        ({"filename": ""}, 400),
        ({"filename": " [output]"}, 400),
        ({"filename": "/x.png"}, 400),
        ({"filename": "../secret.txt"}, 400),
        ({"filename": "x.png", "type": "models"}, 400),
        ({"filename": "x.png", "subfolder": ".."}, 403),
        ({"filename": "secret.txt", "subfolder": "sub/../.."}, 403),
        ({"filename": "passwd", "subfolder": "/etc"}, 403),
    ],
)
def test_view_answers_with_the_statuses_of_the_contract(base: Path, query: dict[str, str], status: int) -> None:
    assert view(base, **query)[0] == status


def test_an_original_goes_out_as_it_is_with_its_name_and_type(base: Path) -> None:
    status, headers, body = view(base, filename="x.png")
    assert body == (base / "output" / "x.png").read_bytes()
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"] == 'inline; filename="x.png"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert status == 200


@pytest.mark.parametrize("suffix", ACTIVE)
def test_what_could_be_active_is_uploaded_and_never_shown(base: Path, suffix: str) -> None:
    assert upload(base, HOSTILE, f"evil.{suffix}")[0] == 200
    for name in (f"evil.{suffix}", f"evil.{suffix} [input]"):
        status, headers, body = view(base, filename=name, type="input")
        assert (status, body) == (200, HOSTILE)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment;")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_script_that_calls_itself_a_picture_is_sent_as_a_picture_only(base: Path) -> None:
    upload(base, HOSTILE, "evil.svg.png")
    status, headers, _ = view(base, filename="evil.svg.png", type="input")
    assert (status, headers["Content-Type"], headers["X-Content-Type-Options"]) == (200, "image/png", "nosniff")
    assert view(base, filename="evil.svg.png", type="input", preview="webp")[0] == 400


def test_a_compressed_file_beside_a_picture_is_not_sent_for_it(base: Path) -> None:
    for suffix in ("gz", "br"):
        upload(base, b"something else", f"x.png.{suffix}", type="output")
    status, headers, body = one(base, ROUTES, "GET", "/view?filename=x.png", headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in headers
    assert (status, body) == (200, (base / "output" / "x.png").read_bytes())


@pytest.mark.parametrize("payload", TRAVERSALS)
def test_no_parameter_of_view_leads_out(base: Path, payload: str) -> None:
    async def work(client: Client) -> list[int]:
        statuses = []
        for written in (quote(payload, safe=""), quote(quote(payload, safe=""), safe="")):
            for query in (
                f"filename={written}",
                f"filename=secret.txt&subfolder={written}",
                f"filename=x.png&type={written}",
            ):
                async with client.get(f"/view?{query}") as answer:
                    assert b"secret\n" not in await answer.read()
                    assert str(base) not in await answer.text()
                    statuses.append(answer.status)
        return statuses

    assert set(served(base, ROUTES, work)) <= {400, 403, 404}


def test_a_link_out_of_the_folder_is_as_if_it_were_not_there(base: Path) -> None:
    (base / "output" / "link.png").symlink_to(base / "secret.txt")
    (base / "output" / "out").symlink_to(base)
    (base / "output" / "loop").symlink_to(base / "output" / "loop")
    assert view(base, filename="link.png")[0] == 404
    assert view(base, filename="out/secret.txt")[0] == 404
    assert view(base, filename="loop")[0] == 404
    assert view(base, filename="secret.txt", subfolder="out")[0] == 403
    assert view(base, filename="x.png", subfolder="loop")[0] == 403


@pytest.mark.parametrize(
    ("query", "media_type", "mode"),
    [
        ({"preview": "webp;50"}, "image/webp", "RGBA"),
        ({"preview": "jpeg;50"}, "image/jpeg", "RGB"),
        ({"channel": "rgb"}, "image/png", "RGB"),
        ({"channel": "a"}, "image/png", "RGBA"),
        ({"channel": "rgba"}, "image/png", "RGBA"),
    ],
)
def test_a_picture_is_re_encoded_as_asked(base: Path, query: dict[str, str], media_type: str, mode: str) -> None:
    status, headers, body = view(base, filename="x.png", **query)
    assert (status, headers["Content-Type"]) == (200, media_type)
    assert headers["Content-Disposition"] == 'inline; filename="x.png"'
    assert Image.open(io.BytesIO(body)).mode == mode


@pytest.mark.parametrize(
    "more", [{}, {"preview": "webp;90"}, {"preview": "jpeg"}, {"channel": "rgb"}, {"channel": "a"}]
)
def test_a_huge_picture_is_refused_without_decoding_it(base: Path, more: dict[str, str]) -> None:
    (base / "output" / "huge.png").write_bytes(huge_png())

    async def work(client: Client) -> tuple[int, str, float]:
        begin = time.process_time()
        async with client.get("/view", params={"filename": "huge.png", **more}) as answer:
            return answer.status, await answer.text(), time.process_time() - begin

    status, text, seconds = served(base, ROUTES, work)
    assert status == 413
    assert "too large to show" in text
    assert seconds < 0.2


def test_a_range_of_a_film_is_sent(base: Path) -> None:
    (base / "output" / "film.mp4").write_bytes(bytes(range(100)))
    status, headers, body = one(base, ROUTES, "GET", "/view?filename=film.mp4", headers={"Range": "bytes=10-19"})
    assert (status, headers["Content-Type"], body) == (206, "video/mp4", bytes(range(10, 20)))


def test_an_upload_tells_its_place_and_makes_way_for_others(base: Path) -> None:
    assert upload(base, b"a", "ä b.png", subfolder="in/side") == (
        200,
        {"name": "ä b.png", "subfolder": "in/side", "type": "input"},
    )
    assert upload(base, b"b", "ä b.png", subfolder="in/side")[1]["name"] == "ä b (1).png"
    assert upload(base, b"a", "ä b.png", subfolder="in/side")[1]["name"] == "ä b.png"
    assert upload(base, b"c", "ä b.png", subfolder="in/side", overwrite="1")[1]["name"] == "ä b.png"
    assert (base / "input/in/side/ä b.png").read_bytes() == b"c"
    assert upload(base, b"t", "t.png", type="temp")[1]["type"] == "temp"
    assert view(base, filename="t.png", type="temp")[2] == b"t"


@pytest.mark.parametrize("payload", [name for name in TRAVERSALS if name.isprintable()])
def test_no_upload_leads_out(base: Path, payload: str) -> None:
    before = files(base)
    for status, body in (
        upload(base, b"evil", payload, overwrite="true"),
        upload(base, b"evil", "secret.txt", subfolder=payload, overwrite="true"),
        upload(base, b"evil", "x.png", type=payload),
    ):
        assert status == 400
        assert str(base) not in json.dumps(body)
    assert files(base) == before


def test_racing_uploads_over_http_keep_every_content(base: Path) -> None:
    contents = [bytes([number % 10]) * 3000 for number in range(40)]

    async def work(client: Client) -> list[str]:
        async def put(data: bytes) -> str:
            async with client.post("/upload/image", data=form(data, "r.png")) as answer:
                return str((await answer.json())["name"])

        return list(await asyncio.gather(*map(put, contents)))

    names = served(base, ROUTES, work)
    assert [(base / "input" / name).read_bytes() for name in names] == contents
    assert len(set(names)) == 10


def test_an_upload_at_the_limit_is_taken_and_one_above_it_is_not(base: Path) -> None:
    before = files(base)
    for size, expected in ((5000, 200), (5001, 413), (4_000_000, 413)):
        body = form(bytes(size), "big.bin", type="output")
        assert one(base, ROUTES, "POST", "/upload/image", data=body, max_upload_bytes=5000)[0] == expected
    assert files(base) - before == {"output/big.bin"}


def raw(base: Path, body: bytes, content_type: str = "multipart/form-data; boundary=b") -> int:
    headers = {"Content-Type": content_type}
    return one(base, ROUTES, "POST", "/upload/image", data=body, headers=headers)[0]


def part(name: str, data: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


FILE = part("image", b"x", '; filename="x.png"')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"--b--\r\n",
        b"--b\r\n",
        b"--b\r\nContent-Disposition",
        FILE,
        FILE[:-10],
        part("image", b"no name") + b"--b--\r\n",
        part("image", b"x", '; filename=""') + b"--b--\r\n",
        part("other", b"x", '; filename="x.png"') + b"--b--\r\n",
        part("image", b"x", "; filename*=nonsense''x%ff.png") + b"--b--\r\n",
        part("image", b"x", "; filename*=utf-8''%ff.png") + b"--b--\r\n",
        part("image", b"x", '; filename="@.png"').replace(b"@", b"\xff") + b"--b--\r\n",
        part("type", b"\xff") + FILE + b"--b--\r\n",
        part("type", b"x" * (MAX_FIELD_BYTES + 1)) + FILE + b"--b--\r\n",
        part("n", b"") * MAX_PARTS + FILE + b"--b--\r\n",
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n",
        b"--b\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--b--\r\n",
        part("image", b"x", '; filename="x.png"\r\nContent-Transfer-Encoding: odd') + b"--b--\r\n",
        part("_charset_", b"x" * 99) + FILE + b"--b--\r\n",
        b"--b\r\n" + b"A: b\r\n" * 500 + b"\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"A: " + b"b" * 20_000 + b"\r\n\r\nx\r\n--b--\r\n",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader", "ignore::aiohttp.BadContentDispositionParam")
def test_a_broken_form_is_refused_and_leaves_nothing(base: Path, body: bytes) -> None:
    before = files(base)
    assert raw(base, body) == 400
    assert files(base) == before


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart", "text/plain", "x"])
def test_a_body_that_is_no_form_is_refused(base: Path, content_type: str) -> None:
    assert raw(base, FILE + b"--b--\r\n", content_type) == 400


def test_a_mask_is_stored_as_a_png_on_the_picture_it_refers_to(base: Path) -> None:
    reference = json.dumps({"filename": "z.png", "type": "input", "subfolder": ""})
    mask = png(colour=(0, 0, 0, 33))
    status, body = upload(base, mask, "m.png", "/upload/mask", original_ref=reference, subfolder="clipspace")
    assert (status, body) == (200, {"name": "m.png", "subfolder": "clipspace", "type": "input"})
    assert Image.open(base / "input/clipspace/m.png").getpixel((0, 0)) == (200, 100, 50, 33)


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        (None, 400),
        ("{", 400),
        ("null", 400),
        ("[]", 400),
        ('{"filename": 5}', 400),
        ('{"filename": "x.png", "subfolder": [1]}', 400),
        ('{"filename": "../secret.txt"}', 400),
        ('{"filename": "secret.txt", "subfolder": ".."}', 400),
        ('{"filename": "x.png", "type": "models"}', 400),
        ('{"filename": "none.png"}', 404),
        ('{"filename": "huge.png"}', 413),
        ('{"filename": "x.png", "type": null, "subfolder": null}', 200),
        ('{"filename": "x.png [output]"}', 200),
    ],
)
def test_a_reference_to_a_picture_is_read_strictly(base: Path, reference: str | None, status: int) -> None:
    (base / "output" / "huge.png").write_bytes(huge_png())
    texts = {} if reference is None else {"original_ref": reference}
    assert upload(base, png(), "m.png", "/upload/mask", **texts)[0] == status


@pytest.mark.parametrize(("data", "status"), [(b"text", 400), (huge_png(), 413), (png(size=(9, 9)), 400)])
def test_a_mask_that_does_not_fit_is_refused(base: Path, data: bytes, status: int) -> None:
    before = files(base)
    assert upload(base, data, "m.png", "/upload/mask", original_ref='{"filename": "x.png"}')[0] == status
    assert files(base) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("checkpoints?filename=a.safetensors", 200),
        ("checkpoints?filename=bare.safetensors", 404),
        ("checkpoints?filename=odd.safetensors", 404),
        ("checkpoints?filename=damaged.safetensors", 404),
        ("checkpoints?filename=none.safetensors", 404),
        ("checkpoints?filename=a.ckpt", 404),
        ("checkpoints", 404),
        ("nothing?filename=a.safetensors", 404),
        ("output?filename=a.safetensors", 404),
        ("checkpoints?filename=..%2Fa.safetensors", 400),
        (f"checkpoints?filename={'x' * 400}.safetensors", 404),
    ],
)
def test_metadata_is_told_or_missing(base: Path, path: str, status: int) -> None:
    folder = base / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "a.safetensors").write_bytes(safetensors({"title": "x"}))
    (folder / "bare.safetensors").write_bytes(safetensors(None))
    (folder / "odd.safetensors").write_bytes(safetensors("text"))
    (folder / "damaged.safetensors").write_bytes(b"xxxxxxxxxxxx")
    found, _, body = one(base, ROUTES, "GET", f"/view_metadata/{path}")
    assert found == status
    assert status != 200 or json.loads(body) == {"title": "x"}


def test_a_folder_lists_its_visible_files_the_newest_first(base: Path) -> None:
    (base / "output" / ".hidden").touch()
    (base / "output" / "link.png").symlink_to(base / "secret.txt")
    (base / "output" / "new.txt").touch()
    assert json.loads(one(base, ROUTES, "GET", "/internal/files/output")[2]) == ["new.txt", "x.png"]
    assert one(base, ROUTES, "GET", "/internal/files/models")[0] == 400
