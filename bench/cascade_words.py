"""How often a cascade has its words encoded: the nodes of two tiny stages as a graph, run by the executor."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Stack

from bench.executor import Nowhere
from engine.compat import prompt_json
from engine.compat.workflow.widgets import default_of
from engine.diffusion.cascade import stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.spec import NodeSpec
from engine.memory.handle import ModelHandle
from engine.models.cascade import LoadedStage
from engine.models.nets.pixel_unet import PixelUNet, PixelUNetConfig
from engine.models.text.sentencepiece import T5Tokenizer
from engine.models.text.t5 import T5Encoder
from engine.node import node
from engine.node.declare import definition_of
from engine.node.registry import Registry
from engine.runtime.executor import run
from engine.runtime.result_cache import ResultCache
from engine.tensors.values import Image
from nodes.cascade import cascade_sample, empty_pixels, encode_t5, super_resolve

RUNS = 2  # of the same words with other seeds
WIDTH = 32
CPU = torch.device("cpu")


@node("BenchT5")
def tiny_t5() -> T5Encoder:
    """A random encoder that knows a single word."""
    shape = {"d_model": WIDTH, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4}
    net = T5EncoderModel(T5Config(vocab_size=4, **shape)).encoder
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0)]
    return T5Encoder(ModelHandle(net, CPU), T5Tokenizer(Tokenizer(Unigram(pieces, unk_id=2))))


@node("BenchStage")
def tiny_stage(later: bool = False) -> Denoiser:
    """A random stage."""
    shape = PixelUNetConfig(6 if later else 3, 6, (32, 64), (1, 1), (False, True), 64, WIDTH, 64, 32, later, later)
    return stage_denoiser(LoadedStage("random", ModelHandle(PixelUNet(shape), CPU), later, True))


@node("BenchSeen", sink=True)
def seen(image: Image) -> None:
    """The target."""
    del image


def encoded() -> int:
    """How often T5 computed in `RUNS` runs of a prompt and a negative one that two stages share."""
    functions = (tiny_t5, tiny_stage, seen, encode_t5, empty_pixels, cascade_sample, super_resolve)
    registry = Registry(found for found in map(definition_of, functions) if found is not None)
    cache, calls = ResultCache(2**28), [0]

    def count(net: nn.Module, _inputs: object) -> None:
        calls[0] += isinstance(net, T5Stack)

    hook = register_module_forward_pre_hook(count)
    try:
        for seed in range(RUNS):
            graph = bind(
                build(prompt_json.read(_prompt(registry, seed))), registry.specs, files=lambda _kind: ()
            ).require()
            run(graph, registry, Nowhere(), cache=cache)
    finally:
        hook.remove()
    return calls[0]


def _prompt(registry: Registry, seed: int) -> dict[str, Any]:
    sides = {"positive": ["words", 0], "negative": ["away", 0], "seed": seed, "schedule": "trailing", "steps": 1}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "t5": ("BenchT5", {}),
        "words": ("T5TextEncode", {"t5": ["t5", 0], "text": "a"}),
        "away": ("T5TextEncode", {"t5": ["t5", 0], "text": ""}),
        "first": ("BenchStage", {"later": False}),
        "later": ("BenchStage", {"later": True}),
        "canvas": ("EmptyPixelImage", {"width": 8, "height": 8}),
        "small": ("CascadeSample", {"stage": ["first", 0], "pixels": ["canvas", 0], **sides}),
        "large": ("CascadeSuperResolve", {"stage": ["later", 0], "pixels": ["small", 0], **sides}),
        "end": ("BenchSeen", {"image": ["large", 1]}),
    }
    return {name: _given(registry.specs[kind], inputs) for name, (kind, inputs) in nodes.items()}


def _given(spec: NodeSpec, inputs: dict[str, Any]) -> dict[str, Any]:
    """A node of the prompt, with the values that its widgets have when it is placed."""
    defaults = {item.name: default_of(item.widget) for item in spec.inputs if item.widget is not None}
    return {"class_type": spec.id, "inputs": defaults | inputs}
