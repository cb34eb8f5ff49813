"""Tiny systems as folders, as diffusers and transformers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

from tests.oracles import sd1
from tests.oracles.systems import System

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "一", "只", "猫", "cat", "##s", "a"]


def saved(system: System, folder: Path, **scheduler: Any) -> Path:
    """A system as a folder, as diffusers and transformers write it."""
    for part, net in (("unet", system.unet), ("vae", system.vae), ("text_encoder", system.text)):
        net.save_pretrained(folder / part)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text("{}")
    return folder


def taiyi(folder: Path, **told: Any) -> tuple[Path, Any]:
    """A folder of Taiyi with a tiny BERT, and that."""
    system = System(old=True)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96,
        max_position_embeddings=64,
    )  # fmt: skip
    with torch.device("meta"):
        system.text = BertModel(config)
    system.text = sd1.randomised(system.text)
    system.text.embeddings.token_type_ids.zero_()
    folder = saved(system, folder)
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 16, **told}))
    return folder, system.text
