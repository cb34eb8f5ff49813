"""The command line's grammar: argv to a command, its options and the `Settings`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from engine.foundation.settings import Settings, settings_under
from engine.foundation.units import parse_bytes

ROOT = Path(__file__).resolve().parents[2]


def parse(argv: list[str]) -> tuple[str, argparse.Namespace, Settings]:
    """Command name, its options and the settings; prints help or usage errors and exits as argparse does."""
    options = _parser().parse_args(argv)
    return options.command, options, _settings(options)


def _parser() -> argparse.ArgumentParser:
    summary = "Easel: a node-graph workflow engine for image diffusion."
    parser = argparse.ArgumentParser(prog="main.py", description=summary)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = _command(commands, "run", "run a workflow, a prompt or a picture that carries one")
    run.add_argument("file", type=Path, help="workflow or prompt JSON, or a picture that Easel or ComfyUI saved")
    run.add_argument(
        "--set",
        dest="changes",
        metavar="NODE.INPUT=VALUE",
        action="append",
        default=[],
        help="change a literal; NODE is a node's id, title or type (may be given several times)",
    )
    run.add_argument("--output", type=Path, metavar="DIR", help="where results go (as --output-directory)")
    run.add_argument("--repeat", type=_positive, default=1, metavar="N", help="run N times, counting every seed up")
    run.add_argument("--quiet", action="store_true", help="no progress bars, only the paths of the results")

    validate = _command(commands, "validate", "check a workflow without running it")
    validate.add_argument("file", type=Path)

    convert = _command(commands, "convert", "write a workflow or picture as prompt (API) JSON on standard output")
    convert.add_argument("file", type=Path)

    nodes = _command(commands, "nodes", "list the node types, or describe one")
    nodes.add_argument("name", nargs="?", help="a node type, for its description as the HTTP API gives it")

    inspect = _command(commands, "inspect", "say what a model file is: architecture, evidence, sizes, dtype")
    inspect.add_argument("file", type=Path)

    bench = _command(commands, "bench", "measure this machine and print the figures")
    bench.add_argument("names", nargs="*", metavar="NAME", help="which measurements (default: all)")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    places = parser.add_argument_group("places and device")
    places.add_argument("--base-directory", type=Path, metavar="DIR", help="holds models, custom_nodes and the rest")
    for place in ("output", "input", "temp", "user"):
        places.add_argument(f"--{place}-directory", type=Path, metavar="DIR")
    places.add_argument(
        "--extra-model-paths-config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.yaml",
        help="more model folders, in the community's YAML (may be given several times)",
    )
    places.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: the best there is)")
    places.add_argument("--cpu", action="store_const", const="cpu", dest="device", help="the same as --device cpu")
    places.add_argument("--cache-memory", type=_bytes, metavar="BYTES", help="budget of the result cache, such as 2G")
    places.add_argument("--disable-all-custom-nodes", action="store_true", help="load the built-in nodes only")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    settings = settings_under(options.base_directory or ROOT)
    output = getattr(options, "output", None) or options.output_directory
    given = {"output": output, "input": options.input_directory, "temp": options.temp_directory}
    given["user"] = options.user_directory
    return replace(
        settings,
        **{name: path.absolute() for name, path in given.items() if path is not None},
        extra_model_paths=tuple(path.absolute() for path in options.extra_model_paths_config),
        device=options.device,
        cache_bytes=settings.cache_bytes if options.cache_memory is None else options.cache_memory,
        custom_nodes=not options.disable_all_custom_nodes,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return number


def _bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
