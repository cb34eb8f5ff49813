"""ControlNets equal diffusers' on tiny random nets, through files in the original and in diffusers' layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.foundation.errors import EaselError
from engine.models.control.controlnet import TASKS, ControlModel, ControlNetModel
from engine.models.control.errors import ControlError
from engine.models.control.hints import Kept, for_rows
from engine.models.control.reading import load_control
from engine.models.detect import ArchitectureError
from engine.models.nets.patches import Patch
from engine.models.nets.unet import timestep_embedding
from engine.tensors.rows import Rows
from engine.tensors.values import Image
from tests.oracles import control, families, sd1
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import CONTEXT, noise, twin, twins

CPU = torch.device("cpu")
SIGMA = 1.5
X = noise(2, 4, 16, 16)
TOKENS = noise(2, 5, CONTEXT)
HINT = Image(torch.rand(2, 128, 128, 3, generator=torch.Generator().manual_seed(8)))
HINT_NET = (16, 16, 32, 32)  # three halvings, as all have


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def estimate(denoiser: Denoiser, unet: Any, predicted: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The oracle's estimate for X, where `predicted` takes what the net sees and its timestep."""
    time = torch.tensor(denoiser.levels.timestep(SIGMA))
    with torch.no_grad():
        return X - SIGMA * predicted(X / (1 + SIGMA**2) ** 0.5, time)


def through(unet: Any, nets: list[tuple[Any, float]], **options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """What the UNet predicts with what the nets, times their strengths, add up to."""

    def predicted(x: Tensor, time: Tensor) -> Tensor:
        down: list[Tensor] = []
        middle = torch.zeros(1)
        for net, strength in nets:
            found = net(x, time, TOKENS, HINT.movedim(-1, 1), conditioning_scale=strength, **options)
            kept = list(found.down_block_res_samples)
            down = [a + b for a, b in zip(down, kept, strict=True)] if down else kept
            middle = middle + found.mid_block_res_sample
        own = {name: value for name, value in options.items() if name == "added_cond_kwargs"}
        out: Tensor = unet(
            x, time, TOKENS, down_block_additional_residuals=down, mid_block_additional_residual=middle, **own
        ).sample
        return out

    return predicted


def controlled(denoiser: Denoiser, model: ControlModel, strength: float = 1.0) -> Denoiser:
    patch = model.control(HINT, strength, 0.0, 1.0)
    assert isinstance(patch, Patch)
    return denoiser.with_patches(patch)


def layouts(net: Any) -> dict[str, State]:
    """Files of one ControlNet, by the name of their layout."""
    original = control.controlnet_state(net)
    prefixed = {f"control_model.{name}": weight for name, weight in original.items()}
    whole = prefixed | {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(32, 4, 3, 3)}
    return {"bare": original, "prefixed": prefixed, "whole": whole, "diffusers": dict(net.state_dict())}


@pytest.mark.parametrize("layout", ["bare", "prefixed", "whole", "diffusers"])
def test_one_net_in_every_layout_equals_diffusers(tmp_path: Path, layout: str) -> None:
    denoiser, unet = twins()
    net = control.controlnet(unet, hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", layouts(net)[layout]), CPU)
    own = controlled(denoiser, model, 0.7).denoise(X, SIGMA, TOKENS)
    expected = estimate(denoiser, unet, through(unet, [(net, 0.7)]))
    assert (own - expected).abs().max() < 1e-5
    assert (denoiser.denoise(X, SIGMA, TOKENS) - expected).abs().max() > 1e-3


def test_one_net_on_sd2s_linear_projections_equals_diffusers(tmp_path: Path) -> None:
    unet = families.linear_unet((64, 128), (1, 0), CONTEXT)
    denoiser = twin(unet)
    net = control.controlnet(unet, hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), CPU)
    own = controlled(denoiser, model).denoise(X, SIGMA, TOKENS)
    assert (own - estimate(denoiser, unet, through(unet, [(net, 1.0)]))).abs().max() < 1e-5


def test_one_net_for_sdxl_is_told_the_vector(tmp_path: Path) -> None:
    width = 64 + 6 * 256
    unet = families.linear_unet((64, 64, 128), (0, 1, 2), CONTEXT, vector=width, kind="sizes")
    net = control.controlnet(unet, hint=HINT_NET)
    pooled, sizes = noise(2, 64, seed=3), torch.tensor([[128.0, 128, 0, 0, 128, 128]] * 2)
    told = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
    denoiser = twin(unet)
    waves = timestep_embedding(sizes.flatten(), 256).reshape(2, -1)
    expected = estimate(denoiser, unet, through(unet, [(net, 1.0)], **told))
    for name, state in layouts(net).items():
        model = load_control(saved(tmp_path / f"{name}.safetensors", state), CPU)
        own = controlled(denoiser, model).denoise(X, SIGMA, TOKENS, torch.cat([pooled, waves], dim=1))
        assert (own - expected).abs().max() < 1e-5


@pytest.mark.parametrize("task", TASKS)
def test_a_union_told_its_task_equals_diffusers(tmp_path: Path, task: str) -> None:
    denoiser, unet, net, told = union()
    model = load_control(saved(tmp_path / "union.safetensors", dict(net.state_dict())), CPU).with_task(task)
    number = TASKS.index(task)
    flags = torch.zeros(2, 8)
    flags[:, number] = 1
    options = {"control_type": flags, "control_type_idx": [number]}
    own = controlled(denoiser, model, 0.8).denoise(X, SIGMA, TOKENS, told[1])

    def listed(x: Tensor, time: Tensor, tokens: Tensor, hint: Tensor, **more: Any) -> Any:
        """Row by row: in a batch of different hints the published code lets them look at each other."""
        found = []
        for row in range(2):
            part = slice(row, row + 1)
            kind, added = more["control_type"][part], {k: v[part] for k, v in more["added_cond_kwargs"].items()}
            own = more | {"control_type": kind, "added_cond_kwargs": added}
            found.append(net(x[part], time, tokens[part], [hint[part]], **own))
        down = [torch.cat(pair) for pair in zip(*(each.down_block_res_samples for each in found), strict=True)]
        middle = torch.cat([each.mid_block_res_sample for each in found])
        return SimpleNamespace(down_block_res_samples=down, mid_block_res_sample=middle)

    expected = estimate(denoiser, unet, through(unet, [(listed, 0.8)], **options, **told[0]))
    assert (own - expected).abs().max() < 1e-5


def union() -> Any:
    width = 64 + 6 * 256
    unet = families.linear_unet((64, 64, 128), (0, 1, 2), CONTEXT, vector=width, kind="sizes")
    pooled, sizes = noise(2, 64, seed=3), torch.tensor([[128.0, 128, 0, 0, 128, 128]] * 2)
    waves = timestep_embedding(sizes.flatten(), 256).reshape(2, -1)
    told = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
    return twin(unet), unet, control.controlnet(unet, union=True, hint=HINT_NET), (told, torch.cat([pooled, waves], 1))


def test_a_union_that_is_told_nothing_takes_the_hint_as_it_is(tmp_path: Path) -> None:
    denoiser, unet, net, told = union()
    model = load_control(saved(tmp_path / "union.safetensors", dict(net.state_dict())), CPU)
    own = controlled(denoiser, model).denoise(X, SIGMA, TOKENS, told[1])
    with torch.no_grad():
        net.task_embedding.zero_()
        net.spatial_ch_projs.weight.zero_()
        net.spatial_ch_projs.bias.zero_()

    def silent(*inputs: Any, **more: Any) -> Any:
        return net(*inputs[:3], [inputs[3]], torch.zeros(2, 8), [0], **more)

    expected = estimate(denoiser, unet, through(unet, [(silent, 1.0)], **told[0]))
    assert (own - expected).abs().max() < 1e-5
    assert model.with_task("tile").with_task("auto").tasks == ()  # type: ignore[attr-defined]


def test_the_shuffle_net_averages_what_it_adds(tmp_path: Path) -> None:
    denoiser, unet = twins()
    net = control.controlnet(unet, hint=HINT_NET, global_pool_conditions=True)
    model = load_control(saved(tmp_path / "control_v11e_sd15_shuffle.safetensors", control.controlnet_state(net)), CPU)
    own = controlled(denoiser, model).denoise(X, SIGMA, TOKENS)
    assert (own - estimate(denoiser, unet, through(unet, [(net, 1.0)]))).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("beside", "text", "pooled"),
    [
        ("config.json", '{"global_pool_conditions": true}', True),
        ("net.yaml", "model:\n  params:\n    global_average_pooling: True  # all", True),
        ("net.yaml", "model:\n  params:\n    global_average_pooling: False", False),
        ("config.json", '{"x": 1}', False),
    ],
)
def test_a_configuration_beside_the_file_says_whether_to_average(
    tmp_path: Path, beside: str, text: str, pooled: bool
) -> None:
    net = control.controlnet(twins()[1], hint=HINT_NET)
    (tmp_path / beside).write_text(text)
    model = load_control(saved(tmp_path / "net.safetensors", control.controlnet_state(net)), CPU)
    assert isinstance(model, ControlNetModel)
    assert model.pooled is pooled


def test_soft_weights_equal_diffusers_guess_mode(tmp_path: Path) -> None:
    denoiser, unet = twins()
    net = control.controlnet(unet, hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), CPU)
    finest = 0.1 ** (1 / len(net.controlnet_down_blocks))  # diffusers weighs the finest by a tenth, whatever the depth
    own = controlled(denoiser, model.with_weights(finest), 0.9).denoise(X, SIGMA, TOKENS)
    expected = estimate(denoiser, unet, through(unet, [(net, 0.9)], guess_mode=True))
    assert (own - expected).abs().max() < 1e-5


def test_nets_in_a_chain_add_up(tmp_path: Path) -> None:
    denoiser, unet = twins()
    nets = [(control.controlnet(unet, hint=HINT_NET), 0.5), (control.controlnet(unet, hint=(8, 16, 16, 24)), 1.3)]
    changed = denoiser
    for number, (net, strength) in enumerate(nets):
        path = saved(tmp_path / f"{number}.safetensors", control.controlnet_state(net))
        changed = controlled(changed, load_control(path, CPU), strength)
    expected = estimate(denoiser, unet, through(unet, nets))
    assert (changed.denoise(X, SIGMA, TOKENS) - expected).abs().max() < 1e-5


def test_differences_are_added_to_the_model_they_were_taken_from(tmp_path: Path) -> None:
    denoiser, unet = twins()
    net, base = control.controlnet(unet, hint=HINT_NET), denoiser.net.weights()
    state = control.controlnet_state(net)
    diff = {f"control_model.{name}": w - base[name] if name in base else w for name, w in state.items()}
    path = saved(tmp_path / "diff.safetensors", diff | {"difference": torch.zeros(1)})
    own = controlled(denoiser, load_control(path, CPU, base)).denoise(X, SIGMA, TOKENS)
    assert (own - estimate(denoiser, unet, through(unet, [(net, 1.0)]))).abs().max() < 1e-5
    with pytest.raises(ControlError, match=r"diff\.safetensors, input control_net_name: .* DiffControlNetLoader"):
        load_control(path, CPU)
    with pytest.raises(
        ControlError, match=r"input model: these differences are to another model: expected .* of shape"
    ):
        load_control(path, CPU, twins((64, 64, 128))[0].net.weights())


def test_a_hint_of_any_size_is_cut_to_the_pictures_shape_and_resized(tmp_path: Path) -> None:
    denoiser, unet = twins()
    net = control.controlnet(unet, hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), CPU)
    wide = torch.zeros(2, 256, 300, 3)
    wide[:, :, 22:278] = HINT.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    patch = model.control(Image(wide), 1.0, 0.0, 1.0)
    assert isinstance(patch, Patch)
    own = denoiser.with_patches(patch).denoise(X, SIGMA, TOKENS)
    assert (own - estimate(denoiser, unet, through(unet, [(net, 1.0)]))).abs().max() < 1e-5


@pytest.mark.parametrize("cell", [2, 4, 8])
def test_hints_have_as_many_pixels_a_cell_as_the_hint_net_halves(cell: int) -> None:
    seen: list[Tensor] = []

    def keep(part: Tensor) -> tuple[Tensor, ...]:
        seen.append(part)
        return (part,)

    rows = Rows.whole(1, (16, 16))
    for_rows(HINT.movedim(-1, 1)[:1], rows, (16, 16), Kept(), "", keep, cell=cell)
    assert seen[0].shape == (1, 3, 16 * cell, 16 * cell)


@pytest.mark.parametrize("side", [9, 15, 17])
def test_odd_sizes_work(tmp_path: Path, side: int) -> None:
    denoiser, unet = twins()
    net = control.controlnet(unet, hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), CPU)
    assert controlled(denoiser, model).denoise(noise(1, 4, side, 11), SIGMA, TOKENS[:1]).shape == (1, 4, side, 11)


def test_a_net_of_another_base_is_refused_by_name_with_what_to_do(tmp_path: Path) -> None:
    denoiser, _ = twins()
    for widths, context, words in (
        ((32, 64, 128), 48, "one for tokens of width 32, .* got one for tokens of width 48"),
        ((32, 64, 64), CONTEXT, "got one for feature maps of 32/64/64 channels"),
    ):
        net = control.controlnet(sd1.unet(widths, 1, context), hint=HINT_NET)
        model = load_control(saved(tmp_path / "other.safetensors", control.controlnet_state(net)), CPU)
        with pytest.raises(
            ControlError, match=rf"other\.safetensors: this ControlNet is for another base .*{words}.*Load"
        ):
            controlled(denoiser, model).denoise(X, SIGMA, TOKENS)
    model = load_control(saved(tmp_path / "xl.safetensors", dict(union()[2].state_dict())), CPU)
    with pytest.raises(ControlError, match="another base"):
        controlled(denoiser, model).denoise(X, SIGMA, TOKENS)


def test_pictures_that_are_no_hints_are_refused_when_they_are_applied(tmp_path: Path) -> None:
    net = control.controlnet(twins()[1], hint=HINT_NET)
    model = load_control(saved(tmp_path / "canny.safetensors", control.controlnet_state(net)), CPU)
    for channels in (1, 2, 4):
        model.control(Image(torch.rand(1, 8, 8, channels)), 1.0, 0.0, 1.0)
    for shape in ((1, 8, 8, 5), (0, 8, 8, 3), (8, 8, 3)):
        with pytest.raises(
            ControlError, match=r"canny\.safetensors, input image: .* 3 channels, got a tensor of shape"
        ):
            model.control(Image(torch.rand(*shape)), 1.0, 0.0, 1.0)
    with pytest.raises(ControlError, match=r"input control_net: this is no union .*told tile\. Remove"):
        model.with_task("tile")


def test_files_that_are_cut_off_or_something_else_are_refused(tmp_path: Path) -> None:
    unet = twins()[1]
    state = control.controlnet_state(control.controlnet(unet, hint=HINT_NET))
    path = saved(tmp_path / "half.safetensors", {k: v for k, v in state.items() if "middle_block" not in k})
    with pytest.raises(ArchitectureError, match=r"half\.safetensors"):
        load_control(path, CPU)
    path = saved(tmp_path / "whole.safetensors", state)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(EaselError, match=r"whole\.safetensors"):
        load_control(path, CPU)
    vae = saved(tmp_path / "vae.safetensors", sd1.autoencoder_state(sd1.autoencoder((32, 64), 1)))
    with pytest.raises(
        ArchitectureError, match="expected a ControlNet, a control-lora or a T2I-Adapter, got a KL auto"
    ):
        load_control(vae, CPU)
    bare = saved(tmp_path / "unet.safetensors", sd1.unet_state(unet))
    with pytest.raises(ArchitectureError, match=r"expected a ControlNet.*got a UNet"):
        load_control(bare, CPU)
