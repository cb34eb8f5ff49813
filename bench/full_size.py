"""Published systems at full size with random weights, and what a job asks of their nets, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from engine.diffusion.cascade import StageSteps, sample_stage, stage_denoiser
from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.rules import LinearOverFrames
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.handle import ModelHandle
from engine.memory.precision import PRECISIONS
from engine.models.cascade import stage_of
from engine.models.checkpoint import Checkpoint, Source, loaded
from engine.models.detect import Detection
from engine.models.families import SD1, SDXL, VIDEO
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.pixel_unet import PixelUNet, PixelUNetConfig
from engine.models.nets.unet import UNet, UNetConfig
from engine.models.nets.video_autoencoder import VideoDecoder
from engine.models.nets.video_unet import VideoUNet
from engine.models.parts import TowerSource
from engine.models.text.sentencepiece import T5Tokenizer
from engine.models.text.t5 import T5Encoder, t5_of
from engine.models.text.tower import CLIP_L, SDXL_G, SDXL_L
from engine.models.vision.tower import image_encoder_of
from engine.tensors.values import Conditioning, Extras, Image, Latent, Motion, Pixels, Prompt

Make: TypeAlias = Callable[[tuple[int, ...], torch.dtype], Tensor]
"""Makes a weight of a shape and type, on the host."""

TEXT = "a photograph of an astronaut riding a horse"
WORDS = 77
FRAMES = 14

SDXL_UNET = UNetConfig(
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_channels=2048,
    num_heads=None,
    head_channels=64,
    linear_projection=True,
    vector_channels=2816,
)
VIDEO_UNET = UNetConfig(
    in_channels=8, context_channels=1024, num_heads=None, head_channels=64, linear_projection=True,
    vector_channels=768, video=True,
)  # fmt: skip
IF_WIDTH = 704  # of IF-I-XL's first level


@dataclass(frozen=True)
class Job:
    """What a job asks of its nets: to `read` a prompt, one guided `step`, and to `show` the result.

    A step is of the `model`, or of another one of its net.
    """

    name: str
    model: Denoiser
    read: Callable[[], object]
    step: Callable[[Denoiser], object]
    show: Callable[[], object] = tuple


def sd1(make: Make, place: torch.device) -> Job:
    """Stable Diffusion 1.5, pictures of 512 by 512."""
    tower = _clip(make, 768, 12), CLIP_L
    return _of_checkpoint("SD1.5 512", _checkpoint(SD1, lambda: UNet(UNetConfig()), (tower,), make, place), 64)


def sdxl(make: Make, place: torch.device) -> Job:
    """SDXL, pictures of 1024 by 1024."""
    towers = (_clip(make, 768, 12), SDXL_L), (_clip(make, 1280, 32, projection=1280), SDXL_G)
    return _of_checkpoint("SDXL 1024", _checkpoint(SDXL, lambda: UNet(SDXL_UNET), towers, make, place), 128)


def cascade(make: Make, place: torch.device) -> Job:
    """The first stage of DeepFloyd IF in its largest size, with T5-XXL: pictures of 64 by 64."""
    config = PixelUNetConfig(
        widths=(IF_WIDTH, 2 * IF_WIDTH, 3 * IF_WIDTH, 4 * IF_WIDTH),
        embedding_channels=4 * IF_WIDTH,
        word_channels=4 * IF_WIDTH,
    )
    stage = stage_denoiser(stage_of(_weights(lambda: PixelUNet(config), make, torch.float16), place, "IF-I-XL"))
    shape = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    t5 = T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **shape)
    weights = _weights(lambda: T5EncoderModel(t5), make, torch.bfloat16)
    net = t5_of(weights, PRECISIONS.get().of("t5", place).compute, "T5-XXL")
    encoder = T5Encoder(ModelHandle(net, place), T5Tokenizer(Tokenizer(WordLevel())))  # which is never asked
    ids, mask = torch.randint(3, 32000, (1, WORDS)), torch.ones(1, WORDS).long()
    positive, negative = (Conditioning((Prompt(torch.randn(1, WORDS, 4096)),)) for _ in range(2))
    steps, canvas = StageSteps("trailing", 1), Pixels(torch.zeros(1, 3, 64, 64), empty=True)
    return Job(
        "IF-I-XL 64",
        stage,
        lambda: encoder.states(ids, mask),
        lambda model: drive(sample_stage(model, positive, negative, canvas, seed=0, cfg=7.0, steps=steps)),
    )


def video(make: Make, place: torch.device) -> Job:
    """Stable Video Diffusion, 14 frames of 1024 by 576."""
    checkpoint = _checkpoint(VIDEO, lambda: VideoUNet(VIDEO_UNET), (), make, place)
    assert checkpoint.vae is not None
    model, vae = denoiser_of(checkpoint).with_rule(LinearOverFrames()), checkpoint.vae
    tower = CLIPVisionConfig(
        hidden_size=1280, intermediate_size=5120, projection_dim=1024, num_hidden_layers=32, num_attention_heads=16,
        image_size=224, patch_size=14,
    )  # fmt: skip
    seeing = image_encoder_of(
        _weights(lambda: CLIPVisionModelWithProjection(tower), make, torch.float16), place, "ViT-H"
    )
    picture = Image(torch.rand(1, 576, 1024, 3))
    told = Extras(picture=torch.randn(1, 4, 72, 128), motion=Motion(6, 127))
    positive, negative = (Conditioning((Prompt(torch.randn(1, 1, 1024), extras=told),)) for _ in range(2))
    blank, steps = Latent(torch.zeros(FRAMES, 4, 72, 128)), Steps(1, "euler", "karras")
    return Job(
        "SVD 14 frames",
        model,
        lambda: (seeing.encode(picture), vae.encode(picture)),
        lambda model: drive(sample(model, positive, negative, blank, seed=0, cfg=2.5, steps=steps)),
        lambda: vae.decode(torch.randn(FRAMES, 4, 72, 128)),
    )


SYSTEMS: tuple[Callable[[Make, torch.device], Job], ...] = (sd1, sdxl, cascade, video)


def _checkpoint(
    family: str, unet: Callable[[], nn.Module], towers: tuple[TowerSource, ...], make: Make, place: torch.device
) -> Checkpoint:
    moving = family == VIDEO
    config = AutoencoderConfig(video=moving, post_quant=not moving)
    vae = _weights(lambda: Autoencoder(config, VideoDecoder) if moving else Autoencoder(config), make, torch.float16)
    source = Source(
        family, Detection("checkpoint", family, ()), _weights(unet, make, torch.float16), vae, towers=towers
    )
    return loaded(source, place)


def _of_checkpoint(name: str, checkpoint: Checkpoint, side: int) -> Job:
    """A job of a checkpoint that paints pictures of `side` cells from words."""
    encoder, vae, model = checkpoint.text_encoder, checkpoint.vae, denoiser_of(checkpoint)
    assert encoder is not None
    assert vae is not None
    with checkpoint.unet.look() as net:
        width = net.config.context_channels
    positive, negative = (Conditioning((Prompt(torch.randn(1, WORDS, width), torch.randn(1, 1280)),)) for _ in range(2))
    blank = Latent(torch.zeros(1, 4, side, side), downscale=8, empty=True)
    return Job(
        name,
        model,
        lambda: encoder.encode(TEXT),
        lambda model: drive(sample(model, positive, negative, blank, seed=0, cfg=7.0, steps=Steps(1))),
        lambda: vae.decode(torch.randn(1, 4, side, side)),
    )


def _clip(make: Make, width: int, layers: int, projection: int | None = None) -> Mapping[str, Tensor]:
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
        projection_dim=projection or width,
    )  # fmt: skip
    kind: Any = CLIPTextModelWithProjection if projection else CLIPTextModel
    return _weights(lambda: kind(config), make, torch.float16)


def _weights(build: Callable[[], nn.Module], make: Make, dtype: torch.dtype) -> dict[str, Tensor]:
    with torch.device("meta"):
        net = build()
    state = net.state_dict()
    tied = "encoder.embed_tokens.weight" if "shared.weight" in state else ""  # T5's table, which has two names
    return {name: make(tuple(weight.shape), dtype) for name, weight in state.items() if name != tied}
