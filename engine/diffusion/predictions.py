"""What a net was trained to predict, and how its answer becomes the denoised estimate.

Each parameterisation is a frozen value with a few parts: how noisy latents `x` look to the net (`entering`), the
denoised estimate from the net's answer (`denoised`), and how a picture is mixed with noise: its factor in `x` is
`signal`, 1 where noise is added to it (`x = picture + sigma * noise`, Karras et al. 2022) and `1 - sigma` where the two
are mixed (flow matching); the noise's is `spread`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from engine.foundation.bounds import within

LCM_SIGMA_DATA = 0.5
LCM_TIME_SCALE = 10.0


class Parameterisation(Protocol):
    """What a net predicts. `time` is the timestep that the net is told together with `sigma`.

    `mixes` says that picture and noise are mixed, so that `signal` is not always 1.
    """

    mixes: ClassVar[bool]

    def entering(self, x: Tensor, sigma: float) -> Tensor:
        """Noisy latents `(B, C, h, w)` as the net was trained to see them."""
        ...

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:
        """The denoised estimate from noisy latents `x` and the net's answer, both `(B, C, h, w)`."""
        ...

    def signal(self, sigma: float) -> float:
        """The factor of the picture in noisy latents."""
        ...

    def spread(self, sigma: float, top: bool) -> float:
        """The factor of fresh noise; `top` says that sigma is the largest level that the net knows."""
        ...


class _Added:
    """Noise is added to a picture of variance 1; the net sees both at a variance of 1 together.

    At the top level the first latents have the picture's variance too, as the net saw it in training.
    """

    __slots__ = ()

    mixes: ClassVar[bool] = False

    def entering(self, x: Tensor, sigma: float) -> Tensor:
        return x / math.sqrt(1 + sigma * sigma)

    def signal(self, sigma: float) -> float:  # noqa: ARG002 - one signature for all
        return 1.0

    def spread(self, sigma: float, top: bool) -> float:
        return math.sqrt(1 + sigma * sigma) if top else sigma


@dataclass(frozen=True, slots=True)
class Epsilon(_Added):
    """The net predicts the noise (Ho et al. 2020)."""

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        return x - sigma * predicted


@dataclass(frozen=True, slots=True)
class Velocity(_Added):
    """The net predicts v, a mixture of noise and picture (Salimans and Ho 2022, appendix D)."""

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        return x / (1 + sigma * sigma) - predicted * (sigma / math.sqrt(1 + sigma * sigma))


@dataclass(frozen=True, slots=True)
class Picture(_Added):
    """The net predicts the picture (x0)."""

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        return predicted


@dataclass(frozen=True, slots=True)
class ImageToImage(Picture):
    """The net maps a picture to a picture in one step and sees it as it is."""

    def entering(self, x: Tensor, sigma: float) -> Tensor:  # noqa: ARG002
        return x


@dataclass(frozen=True, slots=True)
class Consistency(_Added):
    """The net predicts the noise, and a latent consistency model uses it: near time 0 the input itself counts.

    Source: Luo et al. 2023, section 4.1, with the published scalings.
    """

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:
        scaled = time * LCM_TIME_SCALE
        total = scaled * scaled + LCM_SIGMA_DATA * LCM_SIGMA_DATA
        own, estimated = LCM_SIGMA_DATA * LCM_SIGMA_DATA / total, scaled / math.sqrt(total)
        return own * self.entering(x, sigma) + estimated * (x - sigma * predicted)


@dataclass(frozen=True, slots=True)
class Preconditioned(_Added):
    """The EDM net, for pictures of standard deviation `sigma_data` (Karras et al. 2022, table 1, last column)."""

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        within("sigma_data", self.sigma_data, 1e-6)

    def entering(self, x: Tensor, sigma: float) -> Tensor:
        return x / math.hypot(sigma, self.sigma_data)

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        total = math.hypot(sigma, self.sigma_data)
        return x * (self.sigma_data / total) ** 2 + predicted * (sigma * self.sigma_data / total)


@dataclass(frozen=True, slots=True)
class Flow:
    """The net predicts noise minus picture along `x = (1 - sigma) * picture + sigma * noise`.

    Source: Liu et al. 2022 (rectified flow), Lipman et al. 2022; sigma is the time, 0..1.
    """

    mixes: ClassVar[bool] = True

    def entering(self, x: Tensor, sigma: float) -> Tensor:  # noqa: ARG002
        return x

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        return x - sigma * predicted

    def signal(self, sigma: float) -> float:
        return max(0.0, 1.0 - sigma)

    def spread(self, sigma: float, top: bool) -> float:  # noqa: ARG002
        return sigma


@dataclass(frozen=True, slots=True)
class AddedFlow:
    """A flow net behind latents to which noise is added: sigma is the ratio `t / (1 - t)` of its time t.

    Dividing `picture + sigma * noise` by `1 + sigma` gives the mixture that the net knows (as in NVIDIA's Cosmos).
    """

    mixes: ClassVar[bool] = False

    def entering(self, x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma)

    def denoised(self, x: Tensor, predicted: Tensor, sigma: float, time: float) -> Tensor:  # noqa: ARG002
        return (x - sigma * predicted) / (1 + sigma)

    def signal(self, sigma: float) -> float:  # noqa: ARG002
        return 1.0

    def spread(self, sigma: float, top: bool) -> float:  # noqa: ARG002
        return sigma


EPSILON, VELOCITY, PICTURE, FLOW = Epsilon(), Velocity(), Picture(), Flow()
