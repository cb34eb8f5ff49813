"""One sampling step of a net of Stable Diffusion 1.5's full size, and the share of the time spent outside the net.

And the arithmetic of every sampler by itself, on latents of a picture of 1024 pixels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.samplers import SAMPLERS, SamplerSpec
from engine.diffusion.sampling import Steps, drive, sample
from engine.memory.handle import ModelHandle
from engine.models.nets.unet import UNet, UNetConfig
from engine.tensors.noise import BrownianNoise, GaussianNoise, NoiseSource
from engine.tensors.values import Conditioning, Latent, Prompt

SIDE = 32  # latent cells: a picture of 256 pixels
STEPS = 3
LATENT = (1, 4, 128, 128)  # of SDXL
SCHEDULE_STEPS = 20
REPEATS = 7  # of which the best counts


def measure() -> Iterator[str]:
    """Processor time a step (a pair of evaluations for guidance), and what is not the net's."""
    net = _random_net()
    inside = [0.0]
    time_forward(net, inside)
    model = Denoiser(ModelHandle(net, torch.device("cpu")), scaled_linear(), LatentFormat())
    prompt = Conditioning((Prompt(torch.randn(1, 77, 768)),))
    latent = Latent(torch.zeros(1, 4, SIDE, SIDE))
    yield f"sampling: SD1.5-shaped net, {8 * SIDE} px, guidance on, CPU, {torch.get_num_threads()} threads"
    for sampler in ("euler", "dpmpp_2m"):
        inside[0] = 0.0
        start = time.process_time()
        drive(sample(model, prompt, prompt, latent, seed=0, cfg=7.0, steps=Steps(STEPS, sampler, "karras")))
        total = time.process_time() - start
        share = (total - inside[0]) / total
        yield f"{sampler:10}{total / STEPS:8.2f} s of CPU a step, {share:7.3%} outside the net (limit 2 %)"
    yield from _arithmetic()


def _arithmetic() -> Iterator[str]:
    """Processor time of each sampler a step with given answers and noise, and what its tensor operations alone take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the clock is that of one thread
    try:
        sigmas = Steps(SCHEDULE_STEPS, schedule="karras").sigmas(scaled_linear())
        yield f"sampler arithmetic: latents {LATENT}, {SCHEDULE_STEPS} steps, CPU ms a step, one thread"
        yield f"{'':34}{'evaluations':>12}{'all':>8}{'tensors':>9}{'noise':>9}"
        for name, spec in SAMPLERS.items():
            yield _row(name, spec, sigmas)
    finally:
        torch.set_num_threads(threads)


def _row(name: str, spec: SamplerSpec, sigmas: list[float]) -> str:
    x = torch.randn(LATENT) * sigmas[0]
    fresh = torch.randn(LATENT)

    def given(_sigma: float, _sigma_next: float, _shape: Sequence[int] | None = None, /) -> Tensor:
        return fresh

    runs = [_run(spec, x, sigmas, given) for _ in range(REPEATS)]
    evaluations = runs[0][1]
    whole = min(seconds for seconds, _ in runs)
    tensors = min(_inside(spec, x, sigmas, given) for _ in range(REPEATS))
    noise = min(_run(spec, x, sigmas, _noise(spec, x, sigmas))[0] for _ in range(2)) - whole if spec.noise else 0.0
    # the one that chooses its steps is counted by three evaluations, which is what one of its steps takes
    steps = evaluations / 3 if name == "dpm_adaptive" else SCHEDULE_STEPS
    parts = [1e3 * seconds / steps for seconds in (whole, tensors, noise)]
    return f"{name:34}{evaluations / steps:12.2f}{parts[0]:8.3f}{parts[1]:9.3f}{parts[2]:9.3f}"


def _run(spec: SamplerSpec, x: Tensor, sigmas: list[float], noise: NoiseSource) -> tuple[float, int]:
    """Seconds of this thread's time for a whole run whose answers cost nothing, and how many were asked for."""
    answer, count = torch.zeros_like(x), 0
    both = torch.stack([answer, answer])
    start = time.thread_time()
    sampler = spec.start(x, sigmas, noise)
    try:
        request = next(sampler)
        while True:
            count += 1
            request = sampler.send(both if request.both else answer)
    except StopIteration:
        return time.thread_time() - start, count


def _inside(spec: SamplerSpec, x: Tensor, sigmas: list[float], noise: NoiseSource) -> float:
    """Seconds inside tensor operations during a run: a little more than they take unwatched, about 1 us each."""
    with _Clock() as clock:  # type: ignore[no-untyped-call]
        _run(spec, x, sigmas, noise)
    seconds: float = clock.seconds - clock.count * _clock_seconds()
    return seconds


def _clock_seconds() -> float:
    """What reading the clock adds to what it measures."""
    start = time.thread_time()
    for _ in range(1000):
        time.thread_time()
    return (time.thread_time() - start) / 1000


class _Clock(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the time of every tensor operation while it is entered, and counts them."""

    seconds: float = 0.0
    count: int = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        start = time.thread_time()
        result = func(*args, **(kwargs or {}))
        self.seconds += time.thread_time() - start
        self.count += 1
        return result


def _noise(spec: SamplerSpec, x: Tensor, sigmas: list[float]) -> NoiseSource:
    if spec.noise == "brownian":
        return BrownianNoise(x, min(sigma for sigma in sigmas if sigma > 0), sigmas[0], 0)
    return GaussianNoise(x, 0)


def _random_net() -> UNet:
    """A net whose outputs stay finite: normal weights of a spread that keeps the signal's size."""
    with torch.device("meta"):
        net = UNet(UNetConfig())
    net = net.to_empty(device="cpu")
    with torch.no_grad():
        for weight in net.parameters():
            torch.nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    return net


def time_forward(net: nn.Module, inside: list[float]) -> None:
    """Add the processor time of each call of `net` to `inside[0]`."""

    def begin(_net: nn.Module, _inputs: object) -> None:
        inside[0] -= time.process_time()

    def finish(_net: nn.Module, _inputs: object, _output: object) -> None:
        inside[0] += time.process_time()

    net.register_forward_pre_hook(begin)
    net.register_forward_hook(finish)
