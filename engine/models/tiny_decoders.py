"""The tiny decoders of a server: found in the folders by the family of a latent, loaded once, read again if changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.models.detect import ArchitectureError
from engine.models.latent_rgb import LatentFamily, family_of
from engine.models.nets.tiny_autoencoder import TinyDecoder
from engine.models.tiny_autoencoder import load_tiny_decoder
from engine.store.folders import Folders
from engine.tensors.values import LatentPreview

KIND = "vae_approx"

Decoder = ModelHandle[TinyDecoder]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What came of reading a file; no decoder if it is damaged or of another family."""

    fingerprint: str
    decoder: Decoder | None


class Decoders:
    """Decoders by file name, in the folders of `vae_approx`. For one thread.

    A file belongs to a family if its path has the family's word in it: `taesd_decoder.pth`, `taesd.safetensors`,
    `taesd/diffusion_pytorch_model.safetensors`; `taesdxl`, `taesd3` and `taef1` are other words. SD 1 and SDXL cannot
    be told apart by shape. A file that cannot be used is told of once, by `warn`, until it changes.
    """

    def __init__(self, folders: Folders, device: torch.device, warn: Callable[[str], None]) -> None:
        self._folders = folders
        self._device = device
        self._warn = warn
        self._read: dict[str, _Read] = {}

    def fitting(self, content: Tensor | LatentPreview) -> Decoder | None:
        """The decoder for a latent's family; None for pictures, unknown families, and where no file can be used."""
        if not isinstance(content, LatentPreview):
            return None
        family = family_of(content.scaled.shape[1], content.scale_factor, content.downscale)
        if family is None:
            return None
        return next((decoder for decoder in self._candidates(family) if decoder is not None), None)

    def _candidates(self, family: LatentFamily) -> Iterator[Decoder | None]:
        names = self._folders.list(KIND)
        self._read = {name: read for name, read in self._read.items() if name in names}
        for name in names:
            words = re.split(r"[^a-z0-9]+", name.lower())
            if family.tiny in words and "encoder" not in words:
                yield self._current(name, family)

    def _current(self, name: str, family: LatentFamily) -> Decoder | None:
        fingerprint = self._folders.fingerprint(KIND, name)
        known = self._read.get(name)
        if known is None or known.fingerprint != fingerprint:
            known = self._read[name] = _Read(fingerprint, self._load(name, family))
        return known.decoder

    def _load(self, name: str, family: LatentFamily) -> Decoder | None:
        try:
            decoder = load_tiny_decoder(self._folders.find(KIND, name), self._device)
            with decoder.lease() as net:
                _check(net, family, name)
        except (EaselError, OSError, RuntimeError, ValueError) as error:
            # a preview is never worth a run: whatever is wrong with the file, sampling goes on
            self._warn(f"previews do without {name}: {error}")
            return None
        return decoder


def _check(net: TinyDecoder, family: LatentFamily, name: str) -> None:
    config = net.config
    if (config.latent_channels, config.downscale) != (family.channels, family.downscale):
        raise ArchitectureError(
            "this tiny autoencoder is of another family",
            where=name,
            expected=f"{family.channels} channels, cells of {family.downscale} pixels",
            got=f"{config.latent_channels} channels, cells of {config.downscale} pixels",
        )
