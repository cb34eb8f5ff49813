"""The nets that denoise."""

from __future__ import annotations

from typing import TypeAlias

from engine.models.nets.dit import DiT
from engine.models.nets.pixart import PixArt
from engine.models.nets.unet import UNet
from engine.models.nets.uvit import UViT

DenoisingNet: TypeAlias = UNet | DiT | PixArt | UViT
