"""`python -m training train` makes the demo model from nothing, `python -m training evaluate` measures it.

`python -m training lora` and its like train an adapter of it, and measure that; `python -m training cascade` trains and
measures a cascade of pixel nets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from engine.models.vision.tower import load_image_encoder
from engine.tensors.statistics import written
from training import (
    adapters,
    autoencoder,
    cascade,
    control,
    denoiser,
    evaluate,
    image_tower,
    inversion,
    lora,
    text_encoder,
)
from training.base import Base, load_base
from training.evaluate import Picture
from training.export import export
from training.fitting import Fit

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
MODEL = MODELS / "checkpoints" / "easel-demo.safetensors"
TOWER = MODELS / "clip_vision" / "easel-demo-tower.safetensors"
STAGES = [MODELS / "diffusion_models" / f"{stage.name}.safetensors" for stage in cascade.STAGES]
STATISTICS = MODELS / "statistics" / "easel-demo-scenes.npz"


@dataclass(frozen=True, slots=True)
class Adapter:
    """How an adapter is made into a file from the demo model, how it is measured with both files, and where it is."""

    file: Path
    how: Fit
    make: Callable[[Base, Path, Fit, Path], None]
    draw: Callable[[Path, Path, int], list[Picture]]
    help: str


def _lora(base: Base, folder: Path, how: Fit, file: Path) -> None:
    lora.export(lora.train(base, folder, how), base, file)


def _inversion(base: Base, folder: Path, how: Fit, file: Path) -> None:
    inversion.export(inversion.train(base, folder, how), file)


def _control(base: Base, folder: Path, how: Fit, file: Path) -> None:
    control.export(control.train(base, folder, how), file)


ADAPTERS = {
    "lora": Adapter(
        MODELS / "loras" / "easel-demo-outlines.safetensors",
        lora.HOW,
        _lora,
        adapters.draw_lora,
        "train a LoRA that draws outlines",
    ),
    "inversion": Adapter(
        MODELS / "embeddings" / "easel-demo-shield.safetensors",
        inversion.HOW,
        _inversion,
        adapters.draw_inversion,
        "train a word for a new shape",
    ),
    "control": Adapter(
        MODELS / "controlnet" / "easel-demo-edges.safetensors",
        control.HOW,
        _control,
        adapters.draw_control,
        "train a ControlNet that reads edge maps",
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train all parts; a run that was stopped goes on")
    train.add_argument("--folder", type=Path, default=HERE / "runs", help="where states are kept")
    train.add_argument("--autoencoder-minutes", type=float, default=24.0)
    train.add_argument("--text-minutes", type=float, default=9.0)
    train.add_argument("--denoiser-minutes", type=float, default=46.0)
    train.add_argument("--threads", type=int, default=1, help="more pay only on an idle machine")
    measure = commands.add_parser("evaluate", help="draw held-out prompts and count what is right")
    measure.add_argument("--sheet", type=Path, default=HERE / "contact-sheet.png")
    adapting = [commands.add_parser(name, help=adapter.help) for name, adapter in ADAPTERS.items()]
    for command, (name, adapter) in zip(adapting, ADAPTERS.items(), strict=True):
        command.add_argument("--folder", type=Path, default=HERE / "runs", help="where states are kept")
        command.add_argument(
            "--stop", type=int, default=adapter.how.stop, help="end after so many steps of the schedule"
        )
        command.add_argument("--file", type=Path, default=adapter.file, help="where the adapter is")
        command.add_argument("--measure", action="store_true", help="measure the file that is there, and train nothing")
        command.add_argument("--sheet", type=Path, default=HERE / f"{name}-sheet.png")
    for command in (train, measure, *adapting):
        command.add_argument("--model", type=Path, default=MODEL)
    for command in (measure, *adapting):
        command.add_argument("--count", type=int, default=200, help="how many pictures to draw")
    stages = commands.add_parser("cascade", help="train the stages of a cascade that reads the demo's text encoder")
    stages.add_argument("--folder", type=Path, default=HERE / "runs", help="where states are kept")
    stages.add_argument("--stage", type=int, choices=range(1, 4), help="train this one alone")
    stages.add_argument("--measure", action="store_true", help="measure the files that are there, and train nothing")
    stages.add_argument("--sheet", type=Path, default=HERE / "cascade-sheet.png")
    stages.add_argument("--model", type=Path, default=MODEL)
    stages.add_argument("--count", type=int, default=200, help="how many pictures to draw")
    tower = commands.add_parser("tower", help="train an image tower beside the text encoder, to score pictures with")
    tower.add_argument("--folder", type=Path, default=HERE / "runs", help="where states are kept")
    tower.add_argument("--minutes", type=float, default=image_tower.HOW.minutes)
    tower.add_argument("--measure", action="store_true", help="measure the file that is there, and train nothing")
    tower.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    if options.command == "train":
        _train(options)
    elif options.command == "tower":
        _tower(options)
    elif options.command == "cascade":
        _cascade(options)
    elif options.command == "evaluate":
        _report(evaluate.draw(options.model, options.count), options.sheet)
    else:
        _adapt(ADAPTERS[options.command], options)
    return 0


def _train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    pictures = autoencoder.train(options.folder, options.autoencoder_minutes)
    encoder = text_encoder.train(options.folder, options.text_minutes)
    unet = denoiser.train(options.folder, options.denoiser_minutes, pictures, encoder)
    export(unet, pictures, encoder, options.model)


def _cascade(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if not options.measure:
        base = load_base(options.model)
        for number, (stage, file) in enumerate(zip(cascade.STAGES, STAGES, strict=True), start=1):
            if options.stage in (None, number):
                cascade.export(cascade.train(base, stage, options.folder), stage, file)
    if all(file.exists() for file in STAGES):
        _report(cascade.draw(options.model, STAGES, options.count), options.sheet)


def _tower(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    base = load_base(options.model)
    if not options.measure:
        how = replace(image_tower.HOW, minutes=options.minutes)
        image_tower.export(image_tower.train(base, options.folder, how), TOWER)
    tower = load_image_encoder(TOWER, torch.device("cpu"))
    if not options.measure:
        STATISTICS.parent.mkdir(parents=True, exist_ok=True)
        STATISTICS.write_bytes(written(image_tower.scene_statistics(tower)))
    for name, share in image_tower.measured(base, tower).items():
        sys.stdout.write(f"{name:12}{share:7.1%}\n")


def _adapt(adapter: Adapter, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if not options.measure:
        adapter.make(load_base(options.model), options.folder, replace(adapter.how, stop=options.stop), options.file)
    _report(adapter.draw(options.model, options.file, options.count), options.sheet)


def _report(drawn: list[Picture], sheet: Path) -> None:
    for name, share in evaluate.shares(drawn).items():
        sys.stdout.write(f"{name:12}{share:7.1%}\n")
    for picture in drawn:
        if not picture.verdict.right:
            sys.stdout.write(f"seed {picture.seed}: {picture.prompt}: {picture.verdict}\n")
    evaluate.contact_sheet(drawn[:16], sheet)


if __name__ == "__main__":
    sys.exit(main())
