"""The values that travel over links, with their layouts.

image `(B, H, W, C)` float32 in 0..1 · mask `(B, H, W)` float32 in 0..1, 1 = repaint · latent `(B, C, h, w)` ·
conditioning tokens `(B, T, D)` · sigmas `(steps + 1,)` descending, ending in 0.
Node authors annotate with the aliases `Image` and `Mask`; the node floor maps each to its socket type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NewType

from torch import Tensor

Image = NewType("Image", Tensor)
Mask = NewType("Mask", Tensor)
Sigmas = NewType("Sigmas", Tensor)


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """Latent pictures as the autoencoder gives them (not yet multiplied by the scale factor).

    `samples` is `(B, C, h, w)`. `noise_mask` `(B or 1, H, W)` in 0..1 at any size says what to repaint (1) and what to
    keep (0). `batch_index` names the place of each sample in the batch it was cut from, so that its noise can be
    redrawn. `empty=True` marks a blank canvas of `h*downscale` by `w*downscale` pixels: a sampler may re-shape it to
    the channels and the down-scale factor of its model.
    """

    samples: Tensor
    noise_mask: Tensor | None = None
    batch_index: tuple[int, ...] | None = None
    empty: bool = False
    downscale: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Pictures as nets on pixels see them: `samples` `(B, 3, H, W)` in -1..1.

    `noise_mask` and `empty` as of latents; a net on pixels takes them as latents whose cells are pixels.
    """

    socket: ClassVar[str] = "PIXELS"

    samples: Tensor
    noise_mask: Tensor | None = None
    empty: bool = False

    @property
    def latent(self) -> Latent:
        """The same as a latent."""
        return Latent(self.samples, self.noise_mask, empty=self.empty, downscale=1)


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Sound: `waveform` `(B, C, N)` in -1..1, `sample_rate` numbers a second."""

    socket: ClassVar[str] = "AUDIO"

    waveform: Tensor
    sample_rate: int


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Frames `(F, H, W, 3)`, `fps` of them a second, and what is heard with them."""

    socket: ClassVar[str] = "VIDEO"

    frames: Image
    fps: float
    audio: Audio | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LatentPreview:
    """A latent on the way to the result, and what must be known of its family to show it.

    `scaled` `(B, C, h, w)` is what the net works on, the autoencoder's latent times `scale_factor`; a cell stands for
    `downscale` pixels along a side. These numbers tell the family. Of families that are not published, `to_rgb`
    `(C + 1, 3)` maps a scaled cell to its colour in 0..1; its last row is added.
    """

    scaled: Tensor
    scale_factor: float
    downscale: int
    to_rgb: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the picture: its size and the place of its upper left corner, in pixels or fractions of the picture.

    Of a video it is those of its frames that lie in the share `length` of them from the share `z` on.
    """

    height: float
    width: float
    y: float
    x: float
    unit: Literal["pixels", "fractions"] = "pixels"
    z: float = 0.0
    length: float = 1.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What SDXL is told of a picture, in pixels: how large it was, where it was cut, how large it is to be."""

    height: int
    width: int
    crop_top: int
    crop_left: int
    target_height: int
    target_width: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture as an image tower sees it, for unCLIP: `embedding` `(1, D)`, its weight, and its noise in 0..1."""

    embedding: Tensor
    strength: float = 1.0
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What a video net is told of a video: frames a second, how much moves (`bucket`, 1..255 in training), and how much
    noise was added to the picture that it begins with (a deviation; pictures are in -1..1).
    """

    fps: int
    bucket: int
    augmentation: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What a prompt holds for the nets of single families; the others leave it alone.

    `sizes` and `score` (aesthetic, about 0..10) are SDXL's and its refiner's, `seen` unCLIP's. `picture` `(B, C, h, w)`
    goes into the net beside the noisy latent: latents as the autoencoder gives them (inpainting, with `repaint`
    `(B, H, W)`, 1 = paint anew; edits), a depth map of one channel in any range, or for the x4 upscaler and the
    stages of cascades a small picture in -1..1 with its `noise` in 0..1; for a video the latent of the still that is
    to move, which goes with `motion`. `label` is the number of a class, for nets that paint classes; None: no class.
    """

    sizes: Sizes | None = None
    score: float | None = None
    seen: tuple[Seen, ...] = ()
    picture: Tensor | None = None
    repaint: Tensor | None = None
    noise: float = 0.0
    label: int | None = None
    motion: Motion | None = None


NO_EXTRAS = Extras()


class Hook:
    """A change of the nets for the sake of one prompt; `engine.models.adapters.hooks` has what there is."""

    __slots__ = ()


class Control:
    """What steers a net besides the words of one prompt, as long as `start` and `end` say; `engine.models.control` has
    what there is. Prompts with the same controls, by identity, share calls of the net.

    A `shared` one steers the prompts of the negative side, too, if none there has one of its `kind`.
    """

    __slots__ = ()

    kind: ClassVar[str] = ""

    start: float  # as of prompts
    end: float
    shared: bool


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One encoded prompt: `tokens` `(B, T, D)`, `pooled` `(B, P)` or None, and where and when it counts.

    It counts with the weight `strength` inside `area` (None: everywhere), times `mask_strength * mask`, the mask
    `(1 or B, H, W)` of any size; `mask_bounds` leaves out what lies around the mask. `start` and `end` are fractions of
    the sampling, 0 its start. A default prompt counts by what the weights of those in `yields_to` leave of 1. `hooks`
    change the net that is asked for this prompt, and `controls` steer it; ControlNets among them read `control_tokens`
    `(B, T', D)` instead, if there are any.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    strength: float = 1.0
    area: Area | None = None
    mask: Tensor | None = None
    mask_strength: float = 1.0
    mask_bounds: bool = False
    start: float = 0.0
    end: float = 1.0
    yields_to: tuple[Prompt, ...] = ()
    hooks: tuple[Hook, ...] = ()
    extras: Extras = NO_EXTRAS
    controls: tuple[Control, ...] = ()
    control_tokens: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """What a denoiser is asked to paint: one or more prompts, whose estimates are averaged by weight."""

    prompts: tuple[Prompt, ...]
