"""Hostile weight files: about two hundred ways to run code in whoever unpickles, or to take its memory and time."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


class Call:
    """Pickles as a call of the function called `module` and `name`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def gadget(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle, in instructions of protocol 0, that calls a function with texts (already as instructions)."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + b"".join(arguments) + b"tR."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def gadgets(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Calls that would make the canary, in the words of several protocols."""
    path = str(canary)
    script = f"import os; os.mkdir({path!r})"
    calls = {
        "system": ("os", "system", text(f"mkdir {path}")),
        "posix": ("posix", "system", text(f"mkdir {path}")),
        "mkdir": ("os", "mkdir", text(path)),
        "popen": ("os", "popen", text(f"mkdir {path}")),
        "subprocess": ("subprocess", "getoutput", text(f"mkdir {path}")),
        "eval": ("builtins", "eval", text(f"__import__('os').mkdir({path!r})")),
        "exec": ("builtins", "exec", text(script)),
        "exec2": ("__builtin__", "exec", text(script)),
        "open": ("builtins", "open", text(path), text("w")),
        "runpy": ("runpy", "run_path", text(path)),
        "timeit": ("timeit", "timeit", text(script)),
        "pdb": ("pdb", "run", text(script)),
        "code": ("code", "interact", text(script)),
        "pip": ("pip", "main", text(path)),
        "importlib": ("importlib", "import_module", text("antigravity")),
        "pickle": ("pickle", "loads", text("x")),
        "pathlib": ("pathlib", "Path.mkdir", text(path)),
        "torch": ("torch", "load", text(path)),
        "torch_os": ("torch.serialization", "os.mkdir", text(path)),
        "jit": ("torch.jit", "load", text(path)),
        "hub": ("torch.hub", "load_state_dict_from_url", text("http://127.0.0.1:9/x")),
        "dynamo": ("torch._dynamo.guards", "eval", text(script)),
        "numpy": ("numpy.testing._private.utils", "runstring", text(script), b"}"),
        "getattr": ("builtins", "getattr", text("x"), text("__class__")),
        "storage": ("torch.storage", "_load_from_bytes", b"C\x01x"),
        "operator": ("operator", "attrgetter", text("system")),
        "ctypes": ("ctypes", "string_at", b"K\x00"),
        "exit": ("os", "_exit", b"K\x00"),
        "abort": ("os", "abort", b""),
    }
    for name, (module, function, *arguments) in calls.items():
        plain = gadget(module, function, *arguments)
        yield f"{name}-0", plain
        yield f"{name}-2", b"\x80\x02" + plain
        stack = text(module) + text(function) + b"\x93(" + b"".join(arguments) + b"tR."
        yield f"{name}-4", b"\x80\x04" + stack
        yield f"{name}-nested", b"\x80\x02}" + text("state_dict") + b"}" + text("w") + plain[:-1] + b"ss."
        inst = b"(" + b"".join(arguments) + b"i" + module.encode() + b"\n" + function.encode() + b"\n."
        yield f"{name}-inst", inst


def structures() -> Iterator[tuple[str, bytes]]:
    """Instructions that make no sense, or far too much of something."""
    for protocol in range(6):
        yield f"none-{protocol}", pickle.dumps(None, protocol)
        yield f"list-{protocol}", pickle.dumps([[]] * 3, protocol)
    yield "laughs", b"\x80\x02]q\x00(" + b"".join(b"h\x00" for _ in range(1000)) + b"e."
    yield "doubling", b"\x80\x02](K\x01K\x02e" + b"2(lq\x01h\x01h\x01e" * 40 + b"."
    yield "deep", b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    yield "tuples", b"\x80\x02)" + b"\x85" * 300_000 + b"."
    yield "long text", b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x."
    yield "long bytes", b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."
    yield "long array", b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b"x."
    yield "long number", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."
    yield "negative number", b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x."
    yield "memo", b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b"."
    yield "extension", b"\x80\x02\x82\x01."
    yield "persistent", b"Pstorage\n."
    yield "underflow", b"\x80\x02R."
    yield "endless", b"\x80\x02" + b"(" * 1_000_000
    yield "build", b"\x80\x02ctorch\nTensor\n)\x81}" + text("__class__") + b"K\x01sb."
    yield "setstate", b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__dict__") + b"}sb."


def tensor_call(function: str, *arguments: bytes) -> bytes:
    body = b"ctorch._utils\n" + function.encode() + b"\n(" + b"".join(arguments) + b"tR"
    return b"\x80\x02}" + text("w") + body + b"s."


def number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() // 8) + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def storage(numel: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(numel) + b"tQ"


def sizes(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensors() -> Iterator[tuple[str, bytes]]:
    """`data.pkl` of torch archives whose tensors promise what their storages do not hold."""
    ordered = b"ccollections\nOrderedDict\n)R"
    shapes = {
        "huge": (sizes(10**12), sizes(1)),
        "stretched": (sizes(10**6, 10**6), sizes(0, 0)),
        "overflow": (sizes(2**62, 2**62), sizes(1, 1)),
        "negative": (sizes(-5), sizes(1)),
        "backwards": (sizes(4), sizes(-1)),
        "far": (sizes(4), sizes(2**60)),
        "beyond": (sizes(400), sizes(1)),
    }
    for name, (size, stride) in shapes.items():
        for offset in (0, 2**40, -8):
            call = (storage(4), number(offset), size, stride, b"\x89", ordered)
            yield f"{name} at {offset}", tensor_call("_rebuild_tensor_v2", *call)
    for numel in (2**62, -1, 10**10):
        yield (
            f"storage of {numel}",
            tensor_call("_rebuild_tensor_v2", storage(numel), number(0), sizes(4), sizes(1), b"\x89", ordered),
        )
    for key in ("../../etc/passwd", "/etc/passwd", "9", "", "x" * 5000):
        yield (
            f"storage {key[:20]}",
            tensor_call("_rebuild_tensor_v2", storage(4, key), number(0), sizes(4), sizes(1), b"\x89", ordered),
        )
    for function in (
        "_rebuild_sparse_tensor",
        "_rebuild_qtensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_device_tensor_from_numpy",
        "_rebuild_wrapper_subclass",
        "_rebuild_nested_tensor",
    ):
        yield function, tensor_call(function, storage(4), number(0), sizes(4), sizes(1), b"\x89", ordered)
    for value in (10**9, 10**12, 2**62):
        meta = b"ctorch\nfloat32\n" + sizes(value) + sizes(1) + b"\x89"
        yield f"meta {value}", tensor_call("_rebuild_meta_tensor_no_storage", meta)


def archive(pickled: bytes, *, compression: int = zipfile.ZIP_STORED, data: bytes = bytes(16)) -> bytes:
    """A torch archive around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in (("data.pkl", pickled), ("byteorder", b"little"), ("data/0", data), ("version", b"3\n")):
            written.writestr(f"x/{name}", content)
    return file.getvalue()


def legacy(pickled: bytes) -> bytes:
    """The format before archives: four pickles, then storages."""
    start = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    return b"".join(pickle.dumps(part, 2) for part in start) + pickled + pickle.dumps(["0"], 2) + bytes(40)


def tar(pickled: bytes) -> bytes:
    """The format before that."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as written:
        for name, data in (("storages", pickle.dumps(0, 2)), ("tensors", pickle.dumps(0, 2)), ("pickle", pickled)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            written.addfile(info, io.BytesIO(data))
    return file.getvalue()


def sparse() -> Iterator[tuple[str, bytes]]:
    """Sparse tensors, whole and with indices that lead outside, which torch once wrote through."""
    kind = {"check_invariants": False}
    good = torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2,), **kind)
    bad = torch.sparse_coo_tensor([[0, 1_000_000]], [1.0, 2.0], (2,), **kind)
    vast = torch.sparse_coo_tensor([[0]], [1.0], (2**60,), **kind)
    for name, tensor in {"good": good, "bad": bad, "vast": vast}.items():
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save({"w": tensor}, file, _use_new_zipfile_serialization=zipped)
            yield f"sparse {name} {zipped}", file.getvalue()


def hostile(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Every hostile file: a name and its bytes."""
    for name, data in gadgets(canary):
        yield name, data
        if name.endswith("-2"):
            yield f"{name} archived", archive(data)
            yield f"{name} legacy", legacy(data)
            yield f"{name} tar", tar(data)
    for name, data in structures():
        yield name, data
    for name, data in tensors():
        yield name, archive(data)
    yield from sparse()
    promised = tensor_call("_rebuild_tensor_v2", storage(2**28), number(0), sizes(2**28), sizes(1), b"\x89")
    yield "zip bomb", archive(promised, compression=zipfile.ZIP_DEFLATED, data=bytes(2**28))
