"""A checkpoint as large as one likes that takes next to nothing of the disk: its tensors lie in a hole of the file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.memory.device import SimulatedDevice
from engine.memory.handle import ModelHandle
from engine.memory.room import ROOM, Room
from engine.memory.work import in_one_piece
from engine.models.assembly import fill
from engine.models.weights import open_weights

SIDE = 4096
LAYER = 4 * SIDE * SIDE
ENDS = 8
X = torch.linspace(-1, 1, ENDS)[None]


class Deep(nn.Module):
    """A small layer, so many large ones beside what goes through, and a small one."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.first = nn.Linear(ENDS, SIDE, bias=False)
        self.large = nn.ModuleList(nn.Linear(SIDE, SIDE, bias=False) for _ in range(layers))
        self.last = nn.Linear(SIDE, ENDS, bias=False)

    def forward(self, x: Tensor, through: int) -> Tensor:
        h = self.first(x)
        for layer in self.large[:through]:
            h = h + layer(h)
        answer: Tensor = self.last(h)
        return answer


def written(path: Path, layers: int) -> Tensor:
    """Write the file; the answer for `X`, to which large layers of zeros add nothing."""
    ends = torch.randn(2, ENDS, SIDE, generator=torch.Generator().manual_seed(0))
    shapes = {"first.weight": (SIDE, ENDS), **{f"large.{n}.weight": (SIDE, SIDE) for n in range(layers)}}
    shapes["last.weight"] = (ENDS, SIDE)
    header, end = {}, 0
    for name, shape in shapes.items():
        nbytes = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (end, end + nbytes)}
        end += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + ends[0].t().contiguous().numpy().tobytes())
        file.seek(8 + len(text) + end - ends[1].nbytes)
        file.write(ends[1].numpy().tobytes())
    with torch.inference_mode():
        return X @ ends[0] @ ends[1].t()


def loaded(path: Path, layers: int) -> ModelHandle[Deep]:
    """The net of the file, by the way of every net."""
    with torch.device("meta"):
        net = Deep(layers)
    return ModelHandle(fill(net, open_weights(path), torch.float32, path.name), torch.device("cpu"))


def streamed(handle: ModelHandle[Deep], through: int, budget: int) -> Tensor:
    """The answer for `X` on a device of `budget` bytes."""
    there = Room(SimulatedDevice(budget))
    token = ROOM.set(there)
    try:
        answer = handle.run(
            lambda: in_one_piece("all", lambda net, x: net(x, through), X), lambda net, _given: net(X, through)
        )
    finally:
        ROOM.reset(token)
        there.clear()
    assert there.hooked == 1
    assert there.out_of_memory == 0
    return answer


def own_bytes() -> int:
    """What the process has of the machine's memory for itself: pages of files are not among it."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
