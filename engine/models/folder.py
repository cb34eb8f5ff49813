"""Checkpoints in diffusers' folders: a folder for each part, with its configuration and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.foundation.json import parse_lenient
from engine.models.checkpoint import Checkpoint, Source, loaded, no_embeddings
from engine.models.detect import CLIP, UNET, ArchitectureError, Detection, Shapes, detect, wrong_kind
from engine.models.families import FAMILIES, REFINER, Prediction
from engine.models.formats import MissingFileError
from engine.models.parts import TowerSource, original_unet
from engine.models.text.bert import VOCABULARY, WORDS, read_bert_tokenizer
from engine.models.text.encoder import Embeddings
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import CLIP_H, CLIP_L, SDXL_G, SDXL_L, Recipe
from engine.models.vision.tower import ImageEncoder, image_encoder_of
from engine.models.weights import open_weights

INDEX = "model_index.json"
IMAGE_ENCODER = "image_encoder"
INDEX_SUFFIX = ".index.json"  # of the index of weights that lie in several files
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_VARIANTS = ("", ".fp16", ".bf16", ".non_ema")
_PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}


def load_folder(
    folder: Path, device: torch.device, embeddings: Embeddings = no_embeddings, dtype: torch.dtype | None = None
) -> Checkpoint:
    """Load the UNet, the autoencoder, the text encoders and the tokenizer of a folder, and what its scheduler says.

    Weights may be safetensors or pickles, in one file or in several with an index, of any variant. Raises
    `MissingFileError`, `ArchitectureError` for parts of an unknown family, and what `open_weights` raises.
    """
    unet = part_weights(folder / "unet")
    towers = _towers(folder)
    vae = part_weights(folder / "vae") if (folder / "vae").is_dir() else {}
    detection = _detected(folder, unet, towers)
    tokenizer, bert = _tokenizer(folder / "tokenizer")
    tower_sources = tuple(_read_as(weights, config, detection.family, bert) for weights, config in towers)
    config, scheduler = part_config(folder / "vae"), part_config(folder / "scheduler", "scheduler_config.json")
    edm = str(scheduler.get("_class_name", "")).startswith("EDM")
    source = Source(
        folder.name,
        detection,
        unet,
        vae,
        tower_sources,
        prediction="edm" if edm else _PREDICTIONS.get(scheduler.get("prediction_type", "")),
        scale_factor=config.get("scaling_factor"),
        latent_statistics=_latent_statistics(config) if edm else None,
        statistics=_statistics(folder / "image_normalizer"),
        tokenizer=tokenizer,
        zero_terminal=bool(scheduler.get("rescale_betas_zero_snr")),
    )
    return loaded(source, device, embeddings, dtype)


def load_folder_image_encoder(folder: Path, device: torch.device) -> ImageEncoder:
    """Load the image tower of a folder. Raises `MissingFileError` where there is none, and `ArchitectureError`."""
    part = folder / IMAGE_ENCODER
    return image_encoder_of(part_weights(part), device, f"{folder.name}/{IMAGE_ENCODER}", part_config(part))


def part_weights(part: Path) -> dict[str, Tensor]:
    """The tensors of one part of a folder. Raises `MissingFileError` where there are none."""
    for variant in _VARIANTS:
        for stem in _STEMS:
            for suffix in (".safetensors", ".bin"):
                index = part / f"{stem}{suffix}.index{variant}.json"
                if index.is_file():
                    return sharded(index)
                path = part / f"{stem}{variant}{suffix}"
                if path.is_file():
                    return dict(open_weights(path))
    raise MissingFileError(
        "a part of this folder has no weights",
        where=f"{part.parent.name}/{part.name}",
        expected=f"{_STEMS[0]}.safetensors, {_STEMS[1]}.safetensors or the like",
        hint="Is the folder whole?",
    )


def sharded(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index names."""
    names = sorted(set(_json(index).get("weight_map", {}).values()))
    tensors: dict[str, Tensor] = {}
    for name in names:
        tensors |= dict(open_weights(index.parent / Path(str(name)).name))
    return tensors


def _towers(folder: Path) -> list[tuple[dict[str, Tensor], Mapping[str, Any]]]:
    """The text towers that are there, with their configurations."""
    parts = [folder / name for name in ("text_encoder", "text_encoder_2") if (folder / name).is_dir()]
    return [(part_weights(part), part_config(part)) for part in parts]


def _detected(folder: Path, unet: Mapping[str, Tensor], towers: list[Any]) -> Detection:
    shapes = {f"{UNET}{name}": shape for name, shape in _shapes(original_unet(unet)).items()}
    words = next((name for weights, _ in towers for name in weights if name.endswith(WORDS)), None)
    if words is not None:
        shapes[f"{CLIP}{WORDS}"] = (1, 1)
    detection = detect(shapes)
    if detection.kind != "checkpoint" or detection.family not in FAMILIES or not FAMILIES[detection.family].supported:
        raise wrong_kind(folder, detection, "a folder of a Stable Diffusion family")
    return detection


def _read_as(weights: dict[str, Tensor], config: Mapping[str, Any], family: str, bert: Recipe | None) -> TowerSource:
    """How a tower of a folder is read: SD1's and SD2's at the end of what is there, SDXL's before it."""
    last = config.get("hidden_act", "quick_gelu")
    if bert is not None:
        return weights, bert
    if FAMILIES[family].vector.startswith("sizes"):
        projected = "text_projection.weight" in weights
        recipe = SDXL_G if projected or family == REFINER else SDXL_L
    else:
        recipe = CLIP_L if last == "quick_gelu" else replace(CLIP_H, last_layer=-1)
    return weights, replace(recipe, activation="gelu" if last == "gelu" else "quick_gelu")


def _tokenizer(part: Path) -> tuple[ClipTokenizer, Recipe | None]:
    """The tokenizer of a folder, and for BERT how its rows are laid out."""
    if (part / VOCABULARY).is_file():
        return read_bert_tokenizer(part)
    return ClipTokenizer.read(part), None


def _statistics(part: Path) -> tuple[Tensor, Tensor] | None:
    if not part.is_dir():
        return None
    weights = part_weights(part)
    if "mean" not in weights or "std" not in weights:
        raise ArchitectureError("an image normaliser is incomplete", where=part.name, expected="mean and std")
    return weights["mean"].float(), weights["std"].float()


def _latent_statistics(config: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel of latents, that an EDM net's autoencoder is configured with."""
    found = [config.get(name) for name in ("latents_mean", "latents_std")]
    if not all(isinstance(numbers, list) and numbers for numbers in found):
        raise ArchitectureError(
            "the autoencoder of an EDM model is incomplete", where="vae", expected="latents_mean and latents_std"
        )
    return torch.tensor(found[0]).flatten().float(), torch.tensor(found[1]).flatten().float()


def part_config(part: Path, name: str = "config.json") -> Mapping[str, Any]:
    """A part's configuration, empty if it has none."""
    return _json(part / name) if (part / name).is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    content = parse_lenient(path.read_bytes(), where=path.name)
    if not isinstance(content, dict):
        raise ArchitectureError("this is no configuration", where=path.name, expected="an object")
    return content


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
