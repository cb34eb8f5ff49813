"""Adapted nets: equal to merged ones, bit for bit themselves again afterwards, and within a budget of memory."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.models.adapters.adapter import Adapter, fitted
from engine.models.adapters.applying import ChangedWeights, changed_weight
from engine.models.adapters.changes import Difference
from engine.models.adapters.models import read_model
from engine.models.adapters.reading import AdapterError, read_adapter
from engine.models.checkpoint import Checkpoint
from engine.models.nets.unet_patches import FreeU
from engine.models.text.encoder import TextEncoder
from tests.oracles import sd1
from tests.unit.diffusion.nets import CONTEXT, noise, twins
from tests.unit.models.adapters.files import delta, diffusers_modules, kohya, pairs, saved

X, TOKENS = noise(2, 4, 16, 16), noise(2, 5, CONTEXT, seed=3)
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "proj_in")


def adapter(oracle: Any, folder: Path, net: Any, seed: int = 1) -> tuple[Adapter, dict[str, Tensor]]:
    """An adapter for a denoiser's net, and what it adds to the oracle's weights."""
    made = pairs(diffusers_modules(oracle, *ATTENTION), seed)
    added = {f"{name}.weight": delta(*pair) for name, pair in made.items()}
    return fitted(saved(folder, kohya(made, "lora_unet_")), net), added


def estimate(denoiser: Denoiser) -> Tensor:
    return denoiser.denoise(X, 1.0, TOKENS)


def merged(denoiser: Denoiser, oracle: Any, added: list[tuple[dict[str, Tensor], float]]) -> Tensor:
    """The estimate by the oracle's net with the differences merged into its weights."""
    state = {name: tensor.double() for name, tensor in oracle.state_dict().items()}
    for own, strength in added:
        for name, difference in own.items():
            state[name] = state[name] + strength * difference
    net = twins()[1]
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    with torch.no_grad():
        predicted = net(X / 2**0.5, torch.tensor(denoiser.levels.timestep(1.0)), TOKENS).sample
    return X - predicted


def fresh(pair: Any) -> Denoiser:
    """The denoiser without anything kept."""
    return replace(pair[0], changed=ChangedWeights())


@pytest.fixture(scope="module")
def pair() -> tuple[Denoiser, Any]:
    return twins()


@pytest.fixture(scope="module")
def two(
    pair: tuple[Denoiser, Any], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Adapter, dict[str, Tensor]]]:
    with pair[0].net.lease() as net:
        return [adapter(pair[1], tmp_path_factory.mktemp("adapters"), net, seed) for seed in (1, 2)]


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.7])
def test_an_adapted_net_is_the_merged_one(pair: Any, two: Any, strength: float) -> None:
    denoiser, oracle = pair
    expected = merged(denoiser, oracle, [(two[0][1], strength)])
    assert (estimate(denoiser.with_adapter(two[0][0], strength)) - expected).abs().max() < 1e-5
    assert (estimate(denoiser) - expected).abs().max() > 1e-3


def test_adapters_add_up_in_any_number(pair: Any, two: Any) -> None:
    denoiser, oracle = pair
    strengths = [0.5, -0.3, 0.2]
    order = [two[0], two[1], two[0]]
    adapted = denoiser
    for (own, _), strength in zip(order, strengths, strict=True):
        adapted = adapted.with_adapter(own, strength)
    expected = merged(denoiser, oracle, [(own[1], s) for own, s in zip(order, strengths, strict=True)])
    assert (estimate(adapted) - expected).abs().max() < 1e-5


def test_strength_0_is_the_base_bit_for_bit(pair: Any, two: Any) -> None:
    adapted = fresh(pair).with_adapter(two[0][0], 0.0)
    assert torch.equal(estimate(adapted), estimate(pair[0]))
    assert adapted.changed.nbytes == 0


def test_the_base_keeps_its_bits_and_its_tensors(pair: Any, two: Any) -> None:
    denoiser = pair[0]
    with denoiser.net.lease() as net:
        before = dict(net.named_parameters())
        bits = {name: tensor.clone() for name, tensor in before.items()}
    first = estimate(denoiser)
    estimate(denoiser.with_adapter(two[0][0], 1.0))
    with denoiser.net.lease() as net:
        after = dict(net.named_parameters())
    assert all(after[name] is before[name] and torch.equal(after[name], bits[name]) for name in before)
    assert list(after) == list(before)
    assert torch.equal(estimate(denoiser), first)


def test_the_base_is_restored_when_a_call_fails(pair: Any, two: Any) -> None:
    adapted = pair[0].with_adapter(two[0][0], 1.0)
    before = estimate(pair[0])
    with pytest.raises(RuntimeError):
        adapted.denoise(X, 1.0, TOKENS[:, None])
    assert torch.equal(estimate(pair[0]), before)


def test_patches_of_the_net_work_on_an_adapted_one(pair: Any, two: Any) -> None:
    denoiser, patch = pair[0], FreeU((1.3, 1.4), (0.9, 0.2))
    one = estimate(denoiser.with_adapter(two[0][0], 0.5).with_patches(patch))
    other = estimate(denoiser.with_patches(patch).with_adapter(two[0][0], 0.5))
    assert torch.equal(one, other)
    assert not torch.equal(one, estimate(denoiser.with_adapter(two[0][0], 0.5)))


def test_half_precision_is_rounded_once() -> None:
    weight = torch.tensor([1.0], dtype=torch.float16)
    tiny = Difference(torch.tensor([2.0**-12]))
    result = changed_weight(weight, ((tiny, 1.0), (tiny, 1.0), (tiny, 1.0)))
    assert result.dtype == torch.float16
    assert float(result) == 1 + 2.0**-10  # one at a time each would be lost


def test_changed_weights_are_computed_once_and_counted(pair: Any, two: Any) -> None:
    adapted = fresh(pair).with_adapter(two[0][0], 1.0)
    base = adapted.nbytes
    assert base == pair[0].net.nbytes + two[0][0].nbytes
    first = estimate(adapted)
    touched = sum(own.numel() * 4 for own in two[0][1].values())
    assert adapted.nbytes == base + touched
    assert torch.equal(estimate(adapted), first)
    assert adapted.nbytes == base + touched


def test_another_strength_computes_only_what_it_touches(pair: Any, two: Any) -> None:
    changed, (first, _), (second, _) = ChangedWeights(), *two
    half = Adapter("half", dict(list(second.changes.items())[:2]))
    with pair[0].net.lease() as net:
        with changed.applied(net, ((first, 1.0), (half, 1.0))):
            before = {name: weight.data_ptr() for name, weight in net.named_parameters()}
        with changed.applied(net, ((first, 1.0), (half, 0.5))):
            after = {name: weight.data_ptr() for name, weight in net.named_parameters()}
    assert {name for name in before if before[name] != after[name]} == set(half.changes)


def test_no_more_is_kept_than_the_limit_besides_what_is_in_use(pair: Any, two: Any) -> None:
    changed, stack_bytes = ChangedWeights(limit=0), sum(own.numel() * 4 for own in two[0][1].values())
    with pair[0].net.lease() as net:
        for strength in (0.1, 0.2, 0.3):
            with changed.applied(net, ((two[0][0], strength),)):
                assert changed.nbytes == stack_bytes
    unlimited = ChangedWeights()
    with pair[0].net.lease() as net:
        for number in range(12):
            with unlimited.applied(net, ((two[0][0], number / 10),)):
                assert unlimited.nbytes <= pair[0].net.nbytes


def test_changed_weights_go_with_the_last_of_their_adapters(pair: Any, tmp_path: Path) -> None:
    base = fresh(pair)
    with base.net.lease() as net:
        own = adapter(pair[1], tmp_path, net)[0]
    adapted, other = base.with_adapter(own, 1.0), base.with_adapter(own, 0.5)
    del own
    estimate(adapted)
    del adapted
    gc.collect()
    assert base.changed.nbytes > 0
    del other
    gc.collect()
    assert base.changed.nbytes == 0


def test_a_loader_that_runs_again_computes_only_what_its_strength_touches(pair: Any, tmp_path: Path) -> None:
    base, modules = fresh(pair), diffusers_modules(pair[1], "to_q", "to_v")
    first, second = (
        kohya(pairs({n: w for n, w in modules.items() if n.endswith(e)}), "lora_unet_") for e in ("q", "v")
    )
    for number, tensors in enumerate((first, second)):
        save_file(tensors, tmp_path / f"{number}.safetensors")

    def loaded(strength: float) -> dict[str, int]:
        """Both files loaded anew, one after the other, as the nodes do if the first one's strength changes."""
        nonlocal kept
        denoiser = base
        with base.net.lease() as net:
            for number, own in enumerate((strength, 1.0)):
                denoiser = denoiser.with_adapter(
                    base.changed.fit(read_adapter(tmp_path / f"{number}.safetensors"), net), own
                )
            with base.changed.applied(net, denoiser.adapters):
                kept = denoiser
                return {name: weight.data_ptr() for name, weight in net.named_parameters()}

    kept: Denoiser | None = None
    before, after = loaded(1.0), loaded(0.5)
    assert kept is not None
    assert {name for name in before if before[name] != after[name]} == {n for n in before if n.endswith("to_q.weight")}


def test_without_an_adapter_the_net_is_called_as_it_is(pair: Any) -> None:
    with pair[0].net.lease() as net:
        before = [id(weight) for weight in net.parameters()]
        with ChangedWeights().applied(net, ()):
            assert [id(weight) for weight in net.parameters()] == before


def test_a_checkpoint_as_an_adapter_leads_to_it(checkpoint: Checkpoint, checkpoint_file: Path, reference: Any) -> None:
    file = read_model(checkpoint_file)
    with checkpoint.unet.lease() as net:
        own = fitted(file, net)
        assert own.changes.keys() == dict(net.named_parameters()).keys()
        with torch.no_grad(), ChangedWeights().applied(net, ((own, 0.5),)):
            assert all(
                torch.allclose(weight, reference.state[f"model.diffusion_model.{name}"].float())
                for name, weight in net.named_parameters()
            )
    assert checkpoint.text_encoder is not None
    with checkpoint.text_encoder.net.lease() as tower:
        assert len(fitted(file, tower).changes) == len(list(tower.parameters()))


def test_an_adapter_that_fits_nothing_is_refused_where_it_is_used(pair: Any, tmp_path: Path) -> None:
    file = saved(tmp_path, {"x.lora_down.weight": torch.ones(2, 4), "x.lora_up.weight": torch.ones(4, 2)})
    with (
        pair[0].net.lease() as net,
        pytest.raises(AdapterError, match="nothing in this adapter is for this model"),
        ChangedWeights().applied(net, (), ((file, 1.0),)),
    ):
        pass


@pytest.mark.parametrize("layout", ["kohya", "peft"])
def test_an_adapted_text_encoder_is_the_merged_one(checkpoint: Checkpoint, tmp_path: Path, layout: str) -> None:
    encoder, oracle = checkpoint.text_encoder, sd1.text_encoder(128, 3)
    assert encoder is not None
    made = pairs(diffusers_modules(oracle, "q_proj", "v_proj", "fc1"))
    full = {"text_model." + name.removeprefix("text_model."): pair for name, pair in made.items()}
    if layout == "kohya":
        tensors, scale = kohya(full, "lora_te_"), 6.0 / 4
    else:
        ends = ("lora_A", "lora_B")
        tensors = {f"text_encoder.{n}.{e}.weight": t for n, own in full.items() for e, t in zip(ends, own, strict=True)}
        scale = 1.0
    with encoder.net.lease() as net:
        own = fitted(saved(tmp_path, tensors), net)
    state = oracle.state_dict()
    for name, pair_ in made.items():
        state[f"{name}.weight"] += (0.5 * delta(*pair_, scale)).float()
    expected = states(oracle, encoder)
    got = encoder.with_adapter(own, 0.5).states([encoder.tokenizer.encode("a red circle")])[0]
    assert (got - expected).abs().max() < 1e-4
    plain = encoder.states([encoder.tokenizer.encode("a red circle")])[0]
    assert (plain - expected).abs().max() > 1e-2


def states(oracle: Any, encoder: TextEncoder) -> Tensor:
    """What a reference tower makes of the same prompt."""
    tokens = encoder.tokenizer.encode("a red circle")
    row = [49406, *tokens, *[49407] * (76 - len(tokens))]
    with torch.no_grad():
        result: Tensor = oracle(torch.tensor([row])).last_hidden_state
    return result


def test_a_file_for_two_towers_has_parts_for_each(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert checkpoint.text_encoder is not None
    made = pairs(diffusers_modules(sd1.text_encoder(128, 3), "q_proj"))
    full = {"text_model." + name.removeprefix("text_model."): pair for name, pair in made.items()}
    one, two = (dict(list(full.items())[part]) for part in (slice(0, 1), slice(1, 3)))
    file = saved(tmp_path, kohya(one, "lora_te1_") | kohya(two, "lora_te2_"))
    with checkpoint.text_encoder.net.lease() as net:
        assert [len(fitted(file, net, tower).changes) for tower in ("only", "first", "second")] == [0, 1, 2]
