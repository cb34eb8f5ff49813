"""How long it takes from a checkpoint's file to the first step, and how much memory: SD1.5 and SDXL in half precision.

Files of the published shapes are written with random weights into the folder for temporary files, and deleted. A
process of its own, which has imported everything, reads the file once into memory (what loading is measured by: it is
the least that a loader without a mapping does) and once through a mapping into a small buffer, which is the quickest
way past all bytes; then it loads it, encodes a prompt and takes one step of 64 x 64 pixels; and encodes and steps once
more. Layers read and
widen weights while they work, so loading is all that comes before the second step, less what the second step takes: the
widening, which every step does, is in neither. Seconds are of the clock, and in brackets of the processor (all threads,
the system's share too), which others that work on the machine disturb less.

The process does all of that several times, and compares each with its own reads. A row has the medians, of the ratios
too; the ratio to the mapped read of the first time stands beside them, as then the process also prepares its kernels
for the shapes of the net, which it does once whatever it loads.

Cold means that the file's pages were dropped from the page cache (`posix_fadvise` with `DONTNEED`); a virtual machine's
host may still have them. Memory is what the process has, the last time, beyond what it had before: its own (anonymous)
pages and pages that are mapped to the file, which the system may take back at any time, are told apart; the peaks are
of samples every two milliseconds, and the sum is of one sample, too. The same tensors in a `.ckpt` file are unpacked by
a process of its own, which counts with this one.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import psutil
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from bench.adapters import SDXL as SDXL_UNET
from engine.diffusion.denoiser import denoiser_of
from engine.memory.handle import ModelHandle
from engine.models.adapters.applying import ChangedWeights
from engine.models.checkpoint import Checkpoint, load_checkpoint, no_embeddings
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.saving import Named, encoder_weights, header_of, unet_weights, vae_weights
from engine.models.text.encoder import TextEncoder
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_L, SDXL_G, SDXL_L, Recipe
from engine.models.weights import open_weights

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
BLOCK = 2**23  # numbers of random weights, which tensors have by turns
READ = 2**23  # bytes at a time
SPARE = 2 * 2**30  # bytes that stay free on the disk
TIME_LIMIT, MEMORY_LIMIT = 1.2, 1.1  # of reading the bytes once, and of their number
SIDE = 8  # latent cells
ROUNDS = 4  # of which the first one counts apart
TIMED = ("read", "mapped read", "load", "prompt + step", "again")
READS = (TIMED.index("read"), TIMED.index("mapped read"))
MEMORY = "memory"  # a state of the file, in which nothing else is measured

Times: TypeAlias = tuple[float, float]
"""Seconds of the clock, and of the processor."""

Result = TypeVar("Result")


def measure() -> Iterator[str]:
    """Seconds and bytes for each file, cold and warm."""
    yield f"loading: half precision, CPU, {torch.get_num_threads()} threads; seconds of the clock (of the processor)"
    yield f"limits: time x {TIME_LIMIT:g} of reading the file once into memory, memory x {MEMORY_LIMIT:g} of the file"
    yield f"{'':12}{'GB':>5}" + "".join(f"{title:>16}" for title in (*TIMED, "loading"))
    titles = ("x read", "x mapped", "the first time", "own GB", "of the file GB", "x file")
    yield f"{'':17}" + "".join(f"{title:>16}" for title in titles)
    for name, make in (("SD1.5", _sd1), ("SDXL", _sdxl)):
        with tempfile.TemporaryDirectory(prefix="easel-loading-") as folder:
            path = Path(folder) / f"{name}.safetensors"
            named = list(make())
            size = sum(part.nbytes for part in named)
            if shutil.disk_usage(folder).free < 3 * size + SPARE:  # the file, as a pickle, and that unpacked
                yield f"{name:8}left out: {size / 1e9:.1f} GB do not fit on the disk of {folder}"
                continue
            _write(path, named)
            for state in ("cold", "warm"):
                yield from _rows(f"{name}, {state}", size, _measured(path, state))
            pickle = path.with_suffix(".ckpt")
            torch.save(dict(open_weights(path)), pickle)
            yield f"{f'{name}, .ckpt':65}" + _memory(size, _measured(pickle, MEMORY))


def _rows(name: str, size: int, found: dict[str, Any]) -> Iterator[str]:
    rounds = [[*times, _loading(times)] for times in found["rounds"]]
    yield f"{name:12}{size / 1e9:5.1f}" + "".join(f"{_median(times):>16}" for times in zip(*rounds[1:], strict=True))
    by_read, by_mapped = ([_ratio(times[-1], times[place]) for times in rounds] for place in READS)
    columns = (by_read[1:], by_mapped[1:], by_mapped[:1])
    yield f"{'':17}" + "".join(f"{_median(ratios):>16}" for ratios in columns) + _memory(size, found)


def _memory(size: int, found: dict[str, Any]) -> str:
    parts = (("own", 1e9), ("of the file", 1e9), ("both", size))
    return "".join(f"{f'{found[part] / scale:.2f}':>16}" for part, scale in parts)


def _loading(times: list[Times]) -> Times:
    """What is left of loading and the first step when the second one is taken off."""
    (load, load_cpu), (first, first_cpu), (again, again_cpu) = times[-3:]
    return load + first - again, load_cpu + first_cpu - again_cpu


def _ratio(times: Times, others: Times) -> Times:
    return times[0] / others[0], times[1] / others[1]


def _median(times: Sequence[Times]) -> str:
    clock, processor = (statistics.median(column) for column in zip(*times, strict=True))
    return f"{clock:.2f} ({processor:.2f})"


def _measured(path: Path, state: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.loading", str(path), state]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _child(path: Path, state: str) -> dict[str, Any]:
    """What one process measures; everything that is needed once, whatever is loaded, comes first."""
    ClipTokenizer.load().encode("a")
    _small_step()
    prepare = _drop if state == "cold" else _read
    if state == MEMORY:  # what opens pickles is there for good after the first one
        with tempfile.TemporaryDirectory() as folder:
            torch.save({"a": torch.zeros(1)}, Path(folder) / "a.ckpt")
            open_weights(Path(folder) / "a.ckpt")
    rounds = [_round(path, prepare) for _ in range(ROUNDS if state != MEMORY else 0)]
    gc.collect()
    prepare(path)
    with _Memory() as memory:
        _step_of(load_checkpoint(path, CPU))()
    return {"rounds": rounds} | memory.peaks()


def _round(path: Path, prepare: Callable[[Path], None]) -> tuple[Times, ...]:
    """The times of `TIMED`; what the round before has loaded is gone."""
    gc.collect()
    prepare(path)
    read = _seconds(lambda: _hold(path))
    prepare(path)
    mapped = _seconds(lambda: _read_mapped(path))
    prepare(path)
    step, load = _timed(lambda: _step_of(load_checkpoint(path, CPU)))
    return read, mapped, load, _seconds(step), _seconds(step)


def _step_of(checkpoint: Checkpoint) -> Callable[[], None]:
    """Encodes a prompt and takes a step."""
    assert checkpoint.text_encoder is not None
    clip, model = checkpoint.text_encoder, denoiser_of(checkpoint)

    def step() -> None:
        tokens = clip.encode("a horse on the moon").prompts[0]
        x = torch.zeros(1, 4, SIDE, SIDE)
        prompt = tokens if model.extras.vector != "none" else None
        vector = None if prompt is None else model.extras.vector_for(prompt, x, 8, negative=False)
        model.denoise(x, 1.0, tokens.tokens, vector)

    return step


def _small_step() -> None:
    """One of a net of no size, so that what happens once in a process has happened."""
    net = UNet(
        UNetConfig(model_channels=32, channel_mult=(1,), transformer_depth=(1,), context_channels=8, num_heads=1)
    )
    with torch.inference_mode():
        net(torch.zeros(1, 4, SIDE, SIDE), torch.ones(1), torch.zeros(1, 7, 8))


def _hold(path: Path) -> None:
    path.read_bytes()


def _read(path: Path) -> None:
    buffer = bytearray(READ)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _read_mapped(path: Path) -> None:
    buffer = memoryview(bytearray(READ))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for start in range(0, len(mapped), READ):
            piece = min(READ, len(mapped) - start)
            buffer[:piece] = memoryview(mapped)[start : start + piece]


def _drop(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


class _Memory:
    """Samples the pages of this process, and of those that it started, while it is entered."""

    def __enter__(self) -> _Memory:
        self._done = threading.Event()
        self._base = _pages()
        self._most = [0, 0, 0]
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            own, mapped = (now - base for now, base in zip(_pages(), self._base, strict=True))
            self._most = [max(pair) for pair in zip(self._most, (own, mapped, own + mapped), strict=True)]

    def peaks(self) -> dict[str, Any]:
        return dict(zip(("own", "of the file", "both"), map(float, self._most), strict=True))


def _pages() -> tuple[int, int]:
    """Bytes of anonymous pages and of pages of files that this process and its children have in memory (Linux)."""
    own = files = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(OSError, KeyError):  # one that ended meanwhile
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            values = dict(line.split(":", 1) for line in lines)
            own += int(values["RssAnon"].split()[0]) * 1024
            files += int(values["RssFile"].split()[0]) * 1024
    return own, files


def _timed(work: Callable[[], Result]) -> tuple[Result, Times]:
    started, used = time.monotonic(), time.process_time()
    result = work()
    return result, (time.monotonic() - started, time.process_time() - used)


def _seconds(work: Callable[[], None]) -> Times:
    return _timed(work)[1]


def _sd1() -> Iterator[Named]:
    return _named(UNetConfig(), _tower(768, 12, CLIP_L))


def _sdxl() -> Iterator[Named]:
    second = _tower(1280, 32, SDXL_G, projection=1280)
    return _named(SDXL_UNET, _tower(768, 12, SDXL_L, second=second))


def _named(unet: UNetConfig, encoder: TextEncoder) -> Iterator[Named]:
    """The tensors of a checkpoint, without memory."""
    with torch.device("meta"):
        net, vae = UNet(unet).half(), Autoencoder(AutoencoderConfig()).half()
    yield from unet_weights(ModelHandle(net, CPU), ())
    yield from vae_weights(ModelHandle(vae, CPU))
    yield from encoder_weights(encoder)


def _tower(
    width: int, layers: int, recipe: Recipe, *, projection: int | None = None, second: TextEncoder | None = None
) -> TextEncoder:
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=projection or width,
    )
    with torch.device("meta"):
        net: Any = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).half()
    return TextEncoder(
        ModelHandle(net, CPU), ClipTokenizer.load(), no_embeddings, recipe=recipe, second=second,
        changed=ChangedWeights(),
    )  # fmt: skip


def _write(path: Path, named: list[Named]) -> None:
    """Random weights, of a spread that keeps activations finite."""
    block = torch.randn(BLOCK, generator=torch.Generator().manual_seed(1))
    with path.open("wb") as file:
        file.write(header_of(named, {}))
        for part in named:
            shape = part.shape
            spread = 0.5 / max(1, torch.Size(shape[1:]).numel()) ** 0.5 if len(shape) > 1 else 0.1
            data = (block * spread + (1.0 if len(shape) == 1 and part.name.endswith("weight") else 0.0)).half()
            left = part.nbytes
            while left:
                piece = data.view(torch.uint8).numpy()[: min(left, data.nbytes)]
                file.write(piece.data)
                left -= len(piece)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    json.dump(_child(Path(sys.argv[1]), sys.argv[2]), sys.stdout)
