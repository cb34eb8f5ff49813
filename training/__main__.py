"""`python -m training train` makes the demo model from nothing, `python -m training evaluate` measures it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from training import autoencoder, denoiser, evaluate, text_encoder
from training.export import export

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "models" / "checkpoints" / "easel-demo.safetensors"


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
    measure.add_argument("--count", type=int, default=200)
    measure.add_argument("--sheet", type=Path, default=HERE / "contact-sheet.png")
    for command in (train, measure):
        command.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    if options.command == "train":
        _train(options)
    else:
        _evaluate(options)
    return 0


def _train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    pictures = autoencoder.train(options.folder, options.autoencoder_minutes)
    encoder = text_encoder.train(options.folder, options.text_minutes)
    unet = denoiser.train(options.folder, options.denoiser_minutes, pictures, encoder)
    export(unet, pictures, encoder, options.model)


def _evaluate(options: argparse.Namespace) -> None:
    drawn = evaluate.draw(options.model, options.count)
    for name, share in evaluate.shares(drawn).items():
        sys.stdout.write(f"{name:12}{share:7.1%}\n")
    for picture in drawn:
        if not picture.verdict.right:
            sys.stdout.write(f"seed {picture.seed}: {picture.prompt}: {picture.verdict}\n")
    evaluate.contact_sheet(drawn[:16], options.sheet)


if __name__ == "__main__":
    sys.exit(main())
