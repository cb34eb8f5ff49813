"""The model files that the example workflows name: tiny nets with random weights in the layouts of the real files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.oracles import cascade, control, dpt, families, folders, pictures, sd1, tiny, transformers, vision
from tests.oracles.sdxl import Base, Refiner
from tests.oracles.systems import System, Upscaler
from tests.oracles.upscalers import GOLDEN, weights_of
from tests.oracles.uvit import uvit_state
from tests.oracles.video import VideoSystem
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs
from tests.unit.models.test_t5 import SPIECE, tied
from tests.unit.models.test_t5 import oracle as t5

State = dict[str, Tensor]
HINT_NET = (16, 16, 32, 32)
WIDTHS = (32, 64, 128)  # of the tiny SD1 net's attention, and of its prompts


def write_all(models: Path) -> None:
    """Every file below `models`."""
    base = System(old=True, vae=sd1.autoencoder((32, 32, 32, 32), 1))  # cells of 8 pixels, which hints count on
    states = {
        **_checkpoints(base),
        **_parts(base),
        **_adapters(base),
        **_controls(base),
        **_transformers(),
        **_cascade(),
        "upscale_models/RealESRGAN_x4plus.safetensors": weights_of(
            json.loads((GOLDEN / "upscalers.json").read_text("utf-8"))["esrgan_x4_real"]
        ),
    }
    for name, state in states.items():
        path = models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ckpt":
            torch.save({"state_dict": state, "global_step": 1}, path)
        elif path.suffix in (".pth", ".pt"):
            torch.save(state, path)
        else:
            save_file({key: weight.contiguous() for key, weight in state.items()}, path)
    shutil.copy(SPIECE, models / "text_encoders" / "spiece.model")  # of the tiny T5, which finds it beside its file
    folders.saved(base, models / "diffusers" / "stable-diffusion-v1-5", prediction_type="epsilon")
    folders.taiyi(models / "diffusers" / "Taiyi-Stable-Diffusion-1B-Chinese-v0.1")
    (models / "hypernetworks").mkdir()
    torch.save(_hypernetwork(), models / "hypernetworks" / "style.pt")


def _checkpoints(base: System) -> dict[str, State]:
    depth = families.prefixed("depth_model.model.", dpt.state(dpt.net()))
    seeing = families.prefixed("embedder.model.visual.", vision.open_clip_state(vision.tower()))
    xl, unclip = Base(), System(vector=2 * 48, kind="projection")
    named = {
        "v1-5-pruned-emaonly-fp16.safetensors": base.state,
        "dreamshaper_8.safetensors": _tuned(base.state),
        "512-inpainting-ema.safetensors": System(channels=9).state,
        "512-depth-ema.safetensors": System(channels=5).state | depth,
        "instruct-pix2pix-00-22000.safetensors": System(old=True, channels=8).state,
        "v2-1_768-ema-pruned.safetensors": System().state,
        "x4-upscaler-ema.safetensors": Upscaler().state,
        "sd21-unclip-h.ckpt": unclip.state | seeing,
        "sd_xl_base_1.0.safetensors": xl.state,
        "sd_xl_refiner_1.0.safetensors": Refiner().state,
        "sd_xl_turbo_1.0_fp16.safetensors": xl.state,
        "svd.safetensors": VideoSystem().state,
    }
    apart = {
        "diffusion_models/sdxl_lightning_4step_unet.safetensors": families.unet_state(xl.unet),
        "text_encoders/clip_l.safetensors": sd1.text_encoder_state(xl.first),
        "text_encoders/clip_g.safetensors": dict(xl.second.state_dict()),
        "vae/sdxl_vae.safetensors": sd1.autoencoder_state(xl.vae),
    }
    return {f"checkpoints/{name}": state for name, state in named.items()} | apart


def _parts(base: System) -> dict[str, State]:
    small = tiny.autoencoder()
    halves = {f"vae_approx/taesd_{half}.safetensors": tiny.half(small, half) for half in ("encoder", "decoder")}
    return {"vae/vae-ft-mse-840000-ema-pruned.safetensors": sd1.autoencoder_state(base.vae), **halves}


def _adapters(base: System) -> dict[str, State]:
    attention = pairs(diffusers_modules(base.unet, "to_q", "to_v"))
    text = pairs(diffusers_modules(base.text, "q_proj", "v_proj"), seed=2)
    unet, clip = kohya(attention, "lora_unet_"), kohya(_named(text), "lora_te_")
    weights = diffusers_modules(base.unet, "to_q", "to_v")
    lengths = {
        f"lora_unet_{name.replace('.', '_')}.dora_scale": weight.norm(dim=1, keepdim=True) * 1.1
        for name, weight in weights.items()
    }
    generator = torch.Generator().manual_seed(4)
    return {
        "loras/add_detail.safetensors": {**unet, **clip},
        "loras/watercolor_dora.safetensors": {**unet, **lengths},
        "loras/lcm-lora-sdv1-5.safetensors": unet,
        "embeddings/EasyNegative.safetensors": {"emb_params": torch.randn(4, WIDTHS[-1], generator=generator) * 0.1},
    }


def _controls(base: System) -> dict[str, State]:
    canny, depth = (control.controlnet_state(control.controlnet(base.unet, hint=HINT_NET)) for _ in range(2))
    tower = vision.tower().state_dict()
    _, boxes = control.gligen_states(control.gated_unet((32, 64, 64), WIDTHS[-1]))
    return {
        "controlnet/control_v11p_sd15_canny_fp16.safetensors": canny,
        "controlnet/control_v11f1p_sd15_depth_fp16.safetensors": {k: -weight for k, weight in depth.items()},
        **_large_controls(Base()),
        "controlnet/t2iadapter_color_sd14v1.pth": control.adapter_state(control.adapter((32, 64, 64))),
        "ipadapter/ip-adapter_sd15.safetensors": pictures.flat(pictures.ip_adapter(base.unet, "plain", 48)),
        "clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors": tower,
        "clip_vision/clip-vit-large-patch14.safetensors": tower,
        "style_models/t2iadapter_style_sd14v1.pth": pictures.style_state(128, WIDTHS[-1]),
        "gligen/gligen_sd14_textbox_pruned.safetensors": boxes,
    }


def _transformers() -> dict[str, State]:
    alpha, sigma = (
        transformers.pixart(context=32, depth=depth, sizes=sizes) for depth, sizes in ((2, True), (11, False))
    )
    states = {
        "DiT-XL-2-256x256.pt": transformers.dit_state(transformers.dit()),
        "imagenet256_uvit_huge.pth": uvit_state(classes=1001),
        "PixArt-XL-2-1024-MS.pth": transformers.pixart_state(alpha, 120),
        "PixArt-Sigma-XL-2-1024-MS.pth": transformers.pixart_state(sigma, 300),
    }
    apart = {"text_encoders/t5xxl_fp16.safetensors": tied(t5())}
    return {f"diffusion_models/{name}": state for name, state in states.items()} | apart


def _cascade() -> dict[str, State]:
    encoder = t5()
    first, second = (
        cascade.unet((32, 96), (1, 1), upscaling=upscaling, encoder=encoder.config.d_model)
        for upscaling in (False, True)
    )
    return {
        "diffusion_models/IF-I-XL-v1.0.safetensors": cascade.original_state(first),
        "diffusion_models/IF-II-L-v1.0.safetensors": cascade.original_state(second),
    }


def _large_controls(xl: Base) -> dict[str, State]:
    """ControlNets for SDXL: a plain one, a union and a control-lora."""
    plain, union = (control.controlnet(xl.unet, union=union, hint=HINT_NET) for union in (False, True))
    return {
        "controlnet/diffusers_xl_canny_full.safetensors": control.controlnet_state(plain),
        "controlnet/controlnet-union-sdxl-1.0.safetensors": dict(union.state_dict()),
        "controlnet/control-lora-canny-rank256.safetensors": control.lora_of(plain, families.unet_state(xl.unet))[0],
    }


def _named(modules: Mapping[str, Any]) -> dict[str, Any]:
    """Text modules with the prefix that trainers saw."""
    return {f"text_model.{name.removeprefix('text_model.')}": value for name, value in modules.items()}


def _tuned(state: State) -> State:
    """A checkpoint that differs from another in its net and its text tower."""
    changed = (".weight",)
    return {
        name: weight * 0.95 if name.endswith(changed) and not name.startswith("first_stage_model.") else weight
        for name, weight in state.items()
    }


def _hypernetwork() -> dict[Any, Any]:
    generator = torch.Generator().manual_seed(5)

    def branch(width: int) -> State:
        first, second = (torch.randn(2 * width, width, generator=generator) * 0.05 for _ in range(2))
        return {"linear.0.weight": first, "linear.0.bias": torch.zeros(2 * width),
                "linear.1.weight": second.T.contiguous(), "linear.1.bias": torch.zeros(width)}  # fmt: skip

    widths = {width: (branch(width), branch(width)) for width in WIDTHS}
    return {**widths, "step": 1, "name": "style", "layer_structure": [1, 2, 1], "activation_func": "linear"}
