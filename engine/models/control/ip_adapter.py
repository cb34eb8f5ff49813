"""IP-Adapter in use: pictures as prompts, through attention of their own beside that to the words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.memory.handle import ModelHandle
from engine.memory.precision import compute_dtype
from engine.memory.work import Given, Work, in_one_piece
from engine.models.assembly import fill, unfilled
from engine.models.control.errors import ControlError, other_base, sound
from engine.models.control.hints import Kept
from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.nets.patches import Attend, Call, Patch, Site
from engine.models.nets.picture_prompts import HEAD_CHANNELS, FullProjection, IPAdapter, Projection, Resampler
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.vision.tower import ImageStates
from engine.models.weights import open_weights
from engine.models.widths import IMAGE_EMBEDDINGS, IMAGE_TOWERS, family_of_tokens
from engine.tensors.rows import Row, Rows

Form: TypeAlias = Literal["plain", "full", "plus"]
Place: TypeAlias = tuple[str, int, int]
"""Part, block, and layer of a cross-attention."""

PLAIN_TOKENS = 4


@dataclass(frozen=True, slots=True, eq=False)
class IPAdapterModel:
    """An adapter with the name of its file. `seen` is the width of what it takes of an image tower."""

    socket: ClassVar[str] = "IPADAPTER"

    name: str
    net: ModelHandle[IPAdapter]
    form: Form
    seen: int
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    @property
    def wants_states(self) -> bool:
        """Whether it looks at all states of a picture instead of its embedding."""
        return self.form != "plain"

    def tokens(self, states: ImageStates) -> Tensor:
        """The tokens `(B, T, D)` of pictures. Raises `ControlError` for another image tower's states."""
        seen = states.penultimate if self.wants_states else states.embeddings
        if seen.shape[-1] != self.seen:
            tower = (IMAGE_TOWERS if self.wants_states else IMAGE_EMBEDDINGS).get(self.seen)
            raise ControlError(
                "these pictures were seen by another image encoder",
                where=f"{self.name}, input clip_vision",
                expected=f"one of width {self.seen}" + (f", {tower}" if tower else ""),
                got=f"{seen.shape[-1]}",
                hint="Load the CLIP vision model that the IP-Adapter was trained with.",
            )

        def tokens(net: IPAdapter, _given: Given) -> Tensor:
            out: Tensor = net.tokens(seen.to(self.net.device, self.net.dtype))
            return out.float().cpu()

        def work() -> Work:
            return in_one_piece("tokens", lambda net, seen: net.tokens(seen), seen.to(self.net.dtype), once=True)

        return self.net.run(work, tokens)


@dataclass(frozen=True, slots=True, eq=False)
class PicturePrompt(Patch):
    """Pictures as tokens `(1, T, D)` for what to paint and, `negative`, for what not; while sigma is in `low..high`.

    What their attention gives is added with `strength`, times a `mask` `(B, H, W)` in 0..1. With `keys` the keys are
    multiplied instead of what comes of them too. `places` leaves out all other layers.
    """

    model: IPAdapterModel
    positive: Tensor
    negative: Tensor
    strength: float = 1.0
    low: float = 0.0
    high: float = math.inf
    mask: Tensor | None = None
    keys: bool = False
    places: frozenset[Place] | None = None
    kept: Kept = field(default_factory=Kept, repr=False)

    def begun(self, call: Call) -> Patch:
        """What is added in one call; keys and values are computed once for all."""
        if not isinstance(call.net, UNet) or not self.low <= call.sigma <= self.high:
            return Patch()
        numbers = layer_numbers(call.net.config)
        handle = self.model.net
        with handle.look() as net:
            _check(self.model.name, net, numbers, call.net.config, self.model.width)
        device, dtype = call.x.device, call.x.dtype
        both = torch.stack([self._whole(t) for t in (self.positive, self.negative)]).to(handle.dtype)

        def projected(net: IPAdapter, both: Tensor) -> tuple[Tensor, ...]:
            layers = (net.layer(number) for number in numbers.values())
            return tuple(t for layer in layers for t in (layer.to_k_ip(both), layer.to_v_ip(both)))

        def placed(net: IPAdapter, _given: Given) -> tuple[Tensor, ...]:
            return tuple(t.to(device, dtype) for t in projected(net, both.to(handle.device)))

        def found_anew() -> tuple[Tensor, ...]:
            return handle.run(lambda: in_one_piece("projected", projected, both, once=True), placed)

        found = self.kept.get((str(device), dtype), None, found_anew)
        which = torch.tensor([int(row.negative) for row in call.rows], device=device)
        pairs = {
            place: (found[2 * number], found[2 * number + 1])
            for number, place in enumerate(numbers)
            if self.places is None or place in self.places
        }
        return Looking(pairs, which, self.strength, self.keys, call.rows, self.mask)

    def _whole(self, tokens: Tensor) -> Tensor:
        """The tokens of all pictures in a row, as many for either side."""
        count = max(self.positive.shape[0] * self.positive.shape[1], self.negative.shape[0] * self.negative.shape[1])
        row = tokens.flatten(0, 1)
        return row.repeat(-(-count // len(row)), 1)[:count]


@dataclass(frozen=True, slots=True, eq=False)
class Looking(Patch):
    """Keys and values `(2, T, C)` by layer, and which of the two each row takes."""

    pairs: dict[Place, tuple[Tensor, Tensor]]
    which: Tensor
    strength: float
    keys: bool
    rows: Rows
    mask: Tensor | None

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)` to the words and the pictures."""
        out = attend(site, q, k, v)
        pair = self.pairs.get((site.part, site.block, site.layer)) if site.kind == "cross" else None
        if pair is None:
            return out
        own_k, own_v = (_split(t[self.which], q.shape[1]) for t in pair)
        own = F.scaled_dot_product_attention(q, own_k * self.strength if self.keys else own_k, own_v) * self.strength
        if self.mask is not None and site.cells is not None:
            own = own * self._weights(self.mask, site.cells, site.canvas).to(own)
        return out + own

    def _weights(self, mask: Tensor, cells: tuple[int, int], part: tuple[int, int]) -> Tensor:
        """The mask `(B, 1, N, 1)` in the cells of a layer, cut to what each row is about."""
        found = [self._cut(mask, row, part) for row in self.rows]
        weights = F.interpolate(torch.stack(found)[:, None], size=cells, mode="area")
        return weights.flatten(2)[..., None]

    def _cut(self, mask: Tensor, row: Row, part: tuple[int, int]) -> Tensor:
        own = mask[row.sample % len(mask)].float()[None, None]
        whole = F.interpolate(own, size=row.canvas, mode="bilinear")[0, 0]
        return whole[row.top : row.top + part[0], row.left : row.left + part[1]]


def _split(t: Tensor, heads: int) -> Tensor:
    return t.reshape(*t.shape[:2], heads, -1).transpose(1, 2)


def layer_numbers(config: UNetConfig) -> dict[Place, int]:
    """The number in the files of each cross-attention: down, up, then the middle, self-attention counted too."""
    places: list[Place] = []
    for part, blocks in (("input", _down(config)), ("output", _up(config)), ("middle", [(0, config.middle_depth)])):
        places += [(part, block, layer) for block, depth in blocks for layer in range(depth)]
    return {place: 2 * number + 1 for number, place in enumerate(places)}


def style_places(config: UNetConfig) -> frozenset[Place]:
    """Where a picture gives its style only, on SDXL (Wang et al. 2024, InstantStyle): up_blocks.0.attentions.1."""
    block, depth = _up(config)[min(1, config.num_res_blocks)]
    return frozenset(("output", block, layer) for layer in range(depth))


def layout_places(config: UNetConfig) -> frozenset[Place]:
    """Where a picture gives its layout only, on SDXL (the same paper): down_blocks.2.attentions.1."""
    block, depth = _down(config)[-1]
    return frozenset(("input", block, layer) for layer in range(depth))


def _down(config: UNetConfig) -> list[tuple[int, int]]:
    """Blocks of the way down, and how many layers each has."""
    a_level = config.num_res_blocks + 1
    return [
        (1 + level * a_level + block, depth)
        for level, depth in enumerate(config.transformer_depth)
        for block in range(config.num_res_blocks)
    ]


def _up(config: UNetConfig) -> list[tuple[int, int]]:
    depths = [depth for depth in reversed(config.transformer_depth) for _ in range(config.num_res_blocks + 1)]
    return list(enumerate(depths))


def load_ip_adapter(path: Path, device: torch.device, *, dtype: torch.dtype | None = None) -> IPAdapterModel:
    """Load an IP-Adapter in its plain, plus or full form.

    Raises `ArchitectureError` for a file of another kind or with parts missing, and what `open_weights` raises.
    """
    weights = open_weights(path)
    shapes = weights.shapes
    layers = {
        name.split(".")[1]: (shape[1], shape[0]) for name, shape in shapes.items() if name.endswith(".to_k_ip.weight")
    }
    if not layers or not any(name.startswith("image_proj.") for name in shapes):
        raise wrong_kind(path, detect(shapes), "an IP-Adapter, plain or plus")
    with unfilled():
        form, projection = _projection(shapes, path.name)
        net = IPAdapter(projection, layers)
    own = {name: weights[name] for name in weights if name.startswith(("image_proj.", "ip_adapter."))}
    dtype = dtype or compute_dtype(device)
    entering = {
        "plain": "image_proj.proj.weight",
        "plus": "image_proj.proj_in.weight",
        "full": "image_proj.proj.0.weight",
    }[form]
    seen = shapes[entering]
    width = next(iter(layers.values()))[0]
    sound(fill(net, own, dtype, path.name, exact=True), "IP-Adapter", path.name)
    return IPAdapterModel(path.name, ModelHandle(net, device), form, seen[1], width)


def _projection(shapes: Shapes, where: str) -> tuple[Form, nn.Module]:
    own = {name.removeprefix("image_proj."): shape for name, shape in shapes.items() if name.startswith("image_proj.")}
    try:
        if "latents" in own:
            _, queries, hidden = own["latents"]
            layers = len({name.split(".")[1] for name in own if name.startswith("layers.")})
            inner, feed_forward = own["layers.0.0.to_q.weight"][0], own["layers.0.1.1.weight"][0]
            if inner % HEAD_CHANNELS:
                raise KeyError(f"a resampler with heads of {HEAD_CHANNELS} channels")
            width = own["proj_out.weight"][0]
            channels = own["proj_in.weight"][1]
            return "plus", Resampler(channels, hidden, width, queries, layers, inner, feed_forward)
        if "proj.3.weight" in own and "norm.weight" not in own:
            return "full", FullProjection(own["proj.0.weight"][1], own["proj.3.weight"][0])
        total, channels = own["proj.weight"]
        width = own["norm.weight"][0]
        return "plain", Projection(channels, total // width, width)
    except KeyError as error:
        raise ArchitectureError(
            "this IP-Adapter is incomplete, or of a form that is not known",
            where=where,
            expected=str(error.args[0]),
            hint="Plain, plus and full forms can be used; those for face identities cannot.",
        ) from error


def _check(name: str, net: IPAdapter, numbers: dict[Place, int], config: UNetConfig, width: int) -> None:
    if width != config.context_channels:
        raise other_base(name, "IP-Adapter", config, family_of_tokens(width))
    wanted = {str(number) for number in numbers.values()}
    if wanted != set(net.ip_adapter.keys()):
        raise other_base(
            name, "IP-Adapter", config, f"{len(net.ip_adapter)} layers of attention instead of {len(wanted)}"
        )
    for (part, block, _), number in numbers.items():
        channels = _channels(config, part, block)
        got = net.layer(number).to_k_ip.weight.shape[0]
        if got != channels:
            raise other_base(name, "IP-Adapter", config, f"layer {number} of {got} channels instead of {channels}")


def _channels(config: UNetConfig, part: str, block: int) -> int:
    a_level = config.num_res_blocks + 1
    mults: Sequence[int] = config.channel_mult
    level = {"input": (block - 1) // a_level, "output": len(mults) - 1 - block // a_level}.get(part, len(mults) - 1)
    return mults[level] * config.model_channels
