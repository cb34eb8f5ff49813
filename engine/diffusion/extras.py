"""What the nets of single families take besides noisy latents and tokens: a vector, and more channels of the latent.

Sources: Podell et al. 2023, section 2.2 (sizes), Rombach et al. 2022 and the published configurations (inpainting,
depth, x4), Brooks et al. 2023, section 3.2 (edits), Ramesh et al. 2022, section 2.1 (unCLIP), Peebles and Xie 2022
(classes), Chen et al. 2023, appendix (PixArt's sizes), Blattmann et al. 2023, appendix D (videos).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parameterisation import cosine, scaled_linear
from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.models.families import ChannelsKind, VectorKind
from engine.models.nets.denoising import NetConfig
from engine.models.nets.unet import timestep_embedding
from engine.tensors.latents import repeated
from engine.tensors.values import Latent, Motion, Prompt, Sizes

SIZE_CHANNELS = 256  # of the sinusoid of each number about a picture
SCORE, NEGATIVE_SCORE = 6.0, 2.5  # aesthetic scores that the refiner is told unless a prompt says otherwise
MAX_NOISE_LEVEL = 350  # of the pictures that the x4 upscaler was trained on
MERGED_NOISE = 0.05  # share of the noise levels that several pictures of unCLIP are brought together at
NOISE_SEED_OFFSET = -10  # so that noise over what is shown to a net is not the noise that a picture starts from


class MissingExtraError(EaselError):
    """A prompt that lacks what the net of its model cannot do without, or holds what does not fit it."""

    code: ClassVar[str] = "missing_extra"


@dataclass(frozen=True, slots=True, eq=False)
class PictureStatistics:
    """Mean and deviation `(D,)` of embeddings of pictures that unCLIP was trained on."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class NetExtras:
    """What a net takes, and what a sampling has of it: its seed, and the latent that it starts from.

    `width` is that of the vector, or how many classes the net knows, the last of which stands for none, and `names` are
    theirs. An inpainting net is shown the start where a prompt holds no picture.
    """

    vector: VectorKind = "none"
    channels: ChannelsKind = "none"
    width: int = 0
    statistics: PictureStatistics | None = None
    seed: int = 0
    start: Latent | None = None
    names: tuple[str, ...] = ()

    def begun(self, seed: int, latent: Latent) -> NetExtras:
        """The same for a sampling of `latent` from `seed`."""
        if self.vector == "none" and self.channels == "none":
            return self
        return replace(self, seed=seed, start=latent)

    def vector_for(self, prompt: Prompt, x: Tensor, downscale: int, *, negative: bool) -> Tensor | None:
        """The vector `(B, V)`, or numbers `(B,)` of a table, for latents `x` `(B, C, h, w)`; None if there is none.

        `negative` prompts are what not to paint. Raises `MissingExtraError`.
        """
        match self.vector:
            case "sizes":
                row = self._of_numbers(prompt, _sizes(prompt, x, downscale))
            case "sizes and score":
                numbers = _sizes(prompt, x, downscale)[:4]
                score = prompt.extras.score
                score = (NEGATIVE_SCORE if negative else SCORE) if score is None else score
                row = self._of_numbers(prompt, [*numbers, score])
            case "noise level":
                row = torch.tensor([_level(prompt)])
            case "small picture's noise":
                row = torch.tensor([float(_augmentation(prompt))])
            case "picture":
                row = self._of_pictures(prompt)
            case "class":
                row = torch.tensor([check_class(prompt.extras.label, self.width, "inputs positive and negative")])
            case "picture size":
                height, width = _sizes(prompt, x, downscale)[:2]
                row = torch.tensor([[height, width, height / width]])
            case "motion":
                motion = _motion(prompt)
                row = self._of_numbers(prompt, [motion.fps - 1, motion.bucket, motion.augmentation])
            case _:
                return None
        return repeated(row, len(x))

    def channels_for(self, prompt: Prompt, x: Tensor, latents: LatentFormat) -> Tensor | None:
        """The channels `(B, C', h, w)` that stand behind those of `x` `(B, C, h, w)`; None if there are none.

        Raises `MissingExtraError` for a prompt without the picture that the net was trained with.
        """
        match self.channels:
            case "inpainting":
                return self._inpainting(prompt, x, latents)
            case "edit" | "still":
                picture = prompt.extras.picture
                return torch.zeros_like(x) if picture is None else _like(picture, x)
            case "depth":
                return _normalised(_like(_picture(prompt, "a depth map", "DepthConditioning"), x, "bicubic"))
            case "low resolution":
                picture = _like(_picture(prompt, "a small picture", "SD_4XUpscale_Conditioning"), x)
                return _noised(picture, _level(prompt), *UPSCALE_LEVELS, self.seed)
            case "small picture":
                picture = _picture(prompt, "a small picture", "CascadeUpscaleConditioning")
                return _noised(_enlarged(picture, x), _augmentation(prompt), *PICTURE_LEVELS, self.seed)
            case _:
                return None

    def unused(self, prompt: Prompt) -> list[str]:
        """What a prompt holds that this net does not look at, in words, each with the models that do.

        The picture of an inpainting model is none of it: any model may be asked to repaint a part.
        """
        extras, found = prompt.extras, []
        if extras.seen and self.vector != "picture":
            found.append("pictures to vary (for Stable unCLIP)")
        if extras.motion is not None and self.vector != "motion":
            found.append("a motion (for Stable Video Diffusion)")
        elif extras.picture is not None and extras.repaint is None and self.channels == "none":
            found.append("a picture beside the latent (for InstructPix2Pix, depth models and the x4 upscaler)")
        if extras.label is not None and self.vector != "class":
            found.append("a class (for DiT and U-ViT)")
        return found

    def _of_numbers(self, prompt: Prompt, numbers: list[float]) -> Tensor:
        width = self.width - len(numbers) * SIZE_CHANNELS
        pooled = torch.zeros(1, width) if prompt.pooled is None else prompt.pooled
        if pooled.shape[-1] != width:
            raise MissingExtraError(
                "this prompt was encoded by another text encoder",
                where="inputs positive and negative",
                expected=f"a pooled state of width {width}",
                got=f"{pooled.shape[-1]}",
                hint="Encode it with the text encoder that this model was trained with.",
            )
        waves = timestep_embedding(torch.tensor(numbers, dtype=torch.float32), SIZE_CHANNELS).reshape(1, -1)
        return torch.cat([pooled.float(), waves.expand(len(pooled), -1)], dim=1)

    def _of_pictures(self, prompt: Prompt) -> Tensor:
        """Embeddings of pictures with noise, each beside the sinusoid of its noise level, added up by weight."""
        width = self.width // 2
        rows = [
            seen.strength * self._noised_embedding(embedding[None], seen.noise)
            for seen in prompt.extras.seen
            for embedding in seen.embedding
        ]
        if not rows:
            return torch.zeros(1, 2 * width)
        total = torch.stack(rows).sum(dim=0)
        return total if len(rows) == 1 else self._noised_embedding(total[:, :width], MERGED_NOISE)

    def _noised_embedding(self, embedding: Tensor, noise: float) -> Tensor:
        if 2 * embedding.shape[-1] != self.width:
            raise MissingExtraError(
                "this picture was encoded by another image encoder",
                where="input clip_vision_output",
                expected=f"an embedding of width {self.width // 2}",
                got=f"{embedding.shape[-1]}",
                hint="Use the CLIP vision of unCLIPCheckpointLoader.",
            )
        level = round(noise * (len(PICTURE_LEVELS[0]) - 1))
        mean, deviation = (0.0, 1.0) if self.statistics is None else (self.statistics.mean, self.statistics.deviation)
        noised = _noised((embedding.float() - mean) / deviation, level, *PICTURE_LEVELS, self.seed)
        waves = timestep_embedding(torch.tensor([float(level)]), embedding.shape[-1])
        return torch.cat([noised * deviation + mean, waves], dim=1)

    def _inpainting(self, prompt: Prompt, x: Tensor, latents: LatentFormat) -> Tensor:
        picture, mask = prompt.extras.picture, prompt.extras.repaint
        if picture is None and self.start is not None and not self.start.empty:
            picture, mask = self.start.samples, self.start.noise_mask
        shown = torch.zeros_like(x) if picture is None else latents.scaled(_like(picture, x))
        if mask is None:
            return torch.cat([torch.ones_like(x[:, :1]), shown], dim=1)
        mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
        return torch.cat([_like(mask, x).round(), shown], dim=1)


NO_EXTRAS = NetExtras()


def check_class(label: int | None, classes: int, where: str) -> int:
    """The number of a class in a table of `classes`, the last of which stands for none.

    Raises `MissingExtraError` for one that the table does not have.
    """
    none = classes - 1
    if label is not None and not 0 <= label <= none:
        raise MissingExtraError(
            "this net knows no such class",
            where=where,
            expected=f"a class from 0 to {none - 1}, or {none} for none",
            got=str(label),
            hint="Look for its name with ImageNetLabel or DiTClassLabel.",
        )
    return none if label is None else label


def check_inputs(config: NetConfig, tokens: Tensor, entering: Tensor, encoder: str = "text") -> None:
    """Raise `MissingExtraError` unless a net takes tokens `(B, T, D)` and latents `(B, C, h, w)` of these widths.

    The tokens come from a text `encoder`, or from an image encoder.
    """
    words = getattr(config, "words", 0)  # that a net takes exactly, as U-ViT does
    if tokens.shape[-1] != config.context_channels and 0 in (tokens.shape[-1], config.context_channels):
        raise MissingExtraError(
            "this net paints what words say" if config.context_channels else "this net paints classes",
            where="inputs positive and negative",
            expected="an encoded text" if config.context_channels else "a class",
            got="a class" if config.context_channels else "an encoded text",
            hint="" if config.context_channels else "Choose one with ImageNetLabel or DiTClassLabel.",
        )
    if words and tokens.shape[1] != words:
        raise MissingExtraError(
            "this net takes prompts of one length only",
            where="inputs positive and negative",
            expected=f"{words} tokens",
            got=str(tokens.shape[1]),
            hint="Shorten the prompt.",
        )
    if tokens.shape[-1] != config.context_channels:
        raise MissingExtraError(
            f"this prompt was encoded by another {encoder} encoder",
            where="inputs positive and negative",
            expected=f"tokens of width {config.context_channels}",
            got=f"{tokens.shape[-1]}",
            hint=f"Encode it with the {encoder} encoder that this model was trained with.",
        )
    if entering.shape[1] != config.in_channels:
        raise MissingExtraError(
            "this net takes other latents",
            where="inputs model and latent_image",
            expected=f"{config.in_channels} channels",
            got=f"{entering.shape[1]}",
            hint="Is the picture that the prompts show the net of the kind that its family takes?",
        )


def check_frames(frames: int) -> int:
    """`frames`. Raises `MissingExtraError` for a single one."""
    if frames < 2:
        raise MissingExtraError(
            "this model makes videos",
            where="inputs model and latent_image",
            expected="a latent of 2 frames or more",
            got=f"{frames}",
            hint="SVD_img2vid_Conditioning makes one of so many frames.",
        )
    return frames


def _shares(sigmas: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """The factors of picture and noise at every level."""
    signal = (1 + torch.tensor(sigmas, dtype=torch.float64) ** 2) ** -1
    return signal.sqrt(), (1 - signal).sqrt()


UPSCALE_LEVELS = _shares(scaled_linear(1e-4, 0.02).sigmas)
PICTURE_LEVELS = _shares(cosine().sigmas)


def _noised(x: Tensor, level: int, signal: Tensor, spread: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed + NOISE_SEED_OFFSET) % 2**64)
    noise = torch.randn(x.shape, generator=generator)
    return x * float(signal[level]) + noise.to(x) * float(spread[level])


def _augmentation(prompt: Prompt) -> int:
    """The timestep whose noise the small picture is given, as published: the share of a thousand, rounded down."""
    within("noise_level", prompt.extras.noise, 0.0, 1.0)
    return min(int(prompt.extras.noise * len(PICTURE_LEVELS[0])), len(PICTURE_LEVELS[0]) - 1)


def _enlarged(picture: Tensor, x: Tensor) -> Tensor:
    """A small picture in the size and the batch of `x`: corners stay where they are (published code)."""
    large = F.interpolate(picture, size=x.shape[-2:], mode="bilinear", align_corners=True)
    return repeated(large, len(x)).to(x)


def _level(prompt: Prompt) -> int:
    return round(MAX_NOISE_LEVEL * prompt.extras.noise)


def _sizes(prompt: Prompt, x: Tensor, downscale: int) -> list[float]:
    """Height and width before, upper and left cut, and height and width to be; the canvas itself if not told."""
    height, width = (side * downscale for side in x.shape[-2:])
    sizes = prompt.extras.sizes or Sizes(height, width, 0, 0, height, width)
    return [sizes.height, sizes.width, sizes.crop_top, sizes.crop_left, sizes.target_height, sizes.target_width]


def _picture(prompt: Prompt, what: str, node: str) -> Tensor:
    if prompt.extras.picture is None:
        raise MissingExtraError(
            f"this model needs {what} with each prompt",
            where="inputs positive and negative",
            hint=f"Put a {node} node between the prompts and the sampler.",
        )
    return prompt.extras.picture


def _motion(prompt: Prompt) -> Motion:
    if prompt.extras.motion is None:
        raise MissingExtraError(
            "this model sets a picture in motion and takes no words",
            where="inputs positive and negative",
            expected="what SVD_img2vid_Conditioning gives",
            got="a prompt without a picture",
            hint="Put a SVD_img2vid_Conditioning node before the sampler.",
        )
    return prompt.extras.motion


def _like(picture: Tensor, x: Tensor, method: str = "bilinear") -> Tensor:
    """`picture` `(B, C, h, w)` in the size and the batch of `x`."""
    if picture.shape[-2:] != x.shape[-2:]:
        picture = F.interpolate(picture, size=x.shape[-2:], mode=method)
    return repeated(picture, len(x)).to(x)


def _normalised(depth: Tensor) -> Tensor:
    """Each depth map `(1, h, w)` of a batch brought to -1..1; the small number keeps flat ones finite."""
    low, high = depth.amin(dim=(1, 2, 3), keepdim=True), depth.amax(dim=(1, 2, 3), keepdim=True)
    return 2 * (depth - low) / (high - low + 0.001) - 1
