"""The command line's grammar: argv to a command, its options and the `Settings`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from engine.foundation.settings import Settings, WeightType, settings_under
from engine.foundation.units import parse_bytes

SIMULATED = "simulated"
ROOT = Path(__file__).resolve().parents[2]
_POLICIES = {
    "high": "keep models on the device as long as they fit",
    "normal": "plan what stays there (the default)",
    "low": "use half of its memory for weights at the most",
    "none": "keep no weights there: all go through a small window",
}
_TYPES: dict[str, tuple[str, tuple[WeightType, ...]]] = {
    "unet": ("UNets", ("fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2", "int8")),
    "vae": ("autoencoders", ("fp32", "fp16", "bf16")),
    "text-enc": ("text encoders", ("fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2", "int8")),
}
_COMPUTED: tuple[WeightType, ...] = ("fp32", "fp16", "bf16")  # others are widened while they are computed with


def parse(argv: list[str]) -> tuple[str, argparse.Namespace, Settings]:
    """Command name, its options and the settings; prints help or usage errors and exits as argparse does.

    Options without a command are those of `serve`, as people know them.
    """
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv = ["serve", *argv]
    parser = _parser()
    options = parser.parse_args(argv)
    _refuse_contradictions(parser, options)
    return options.command, options, _settings(options)


def _parser() -> argparse.ArgumentParser:
    summary = "Easel: a node-graph workflow engine for image diffusion."
    parser = argparse.ArgumentParser(prog="main.py", description=summary)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_server_options(_command(commands, "serve", "serve the editor and the API (the default)"))

    run = _command(commands, "run", "run a workflow, a prompt or a picture that carries one")
    _add_document(run)
    run.add_argument("--output", type=Path, metavar="DIR", help="where results go (as --output-directory)")
    run.add_argument("--repeat", type=_positive, default=1, metavar="N", help="run N times, counting every seed up")
    run.add_argument("--quiet", action="store_true", help="no progress bars, only the paths of the results")

    plan = _command(commands, "plan", "say what a run would take of the device, and in which modes, without running it")
    _add_document(plan)
    plan.add_argument("--json", action="store_true", help="as JSON, for programs")

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
    places = parser.add_argument_group("places")
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
    places.add_argument("--disable-all-custom-nodes", action="store_true", help="load the built-in nodes only")
    device = parser.add_argument_group("device")
    device.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: the best there is)")
    device.add_argument("--cpu", action="store_true", help="the same as --device cpu")
    device.add_argument("--cpu-vae", action="store_true", help="autoencoders compute on the processor")
    memory = parser.add_argument_group("memory")
    memory.add_argument(
        "--vram-budget", type=_bytes, metavar="BYTES", help="how much of the device's memory may be used, such as 4G"
    )
    memory.add_argument(
        "--reserve-vram", type=_gibibytes, metavar="GIB", help="how much of it to leave to others, such as 0.6 or 600M"
    )
    policies = memory.add_mutually_exclusive_group()
    for policy, summary in _POLICIES.items():
        name = f"--{'no' if policy == 'none' else policy}vram"
        policies.add_argument(name, action="store_const", const=policy, dest="vram_policy", help=summary)
    memory.add_argument("--cache-memory", type=_bytes, metavar="BYTES", help="budget of the result cache, such as 2G")
    memory.add_argument(
        "--cache-ram", type=_gibibytes, metavar="GIB", help="drop cached results when less RAM is free (default: 1)"
    )
    _add_types(parser)
    return parser


def _add_document(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, help="workflow or prompt JSON, or a picture that Easel or ComfyUI saved")
    command.add_argument(
        "--set",
        dest="changes",
        metavar="NODE.INPUT=VALUE",
        action="append",
        default=[],
        help="change a literal; NODE is a node's id, title or type (may be given several times)",
    )


def _add_types(command: argparse.ArgumentParser) -> None:
    """The flags for the types of weights, called as people know them."""
    types = command.add_argument_group("types of numbers")
    forced = types.add_mutually_exclusive_group()
    forced.add_argument("--force-fp32", action="store_true", help="all parts compute in fp32")
    forced.add_argument("--force-fp16", action="store_true", help="the same as --fp16-unet")
    for part, (name, choices) in _TYPES.items():
        group = types.add_mutually_exclusive_group()
        for choice in choices:
            computed = choice == "fp32" or (choice in _COMPUTED and part != "text-enc")
            group.add_argument(
                f"--{choice}-{part}",
                action="store_const",
                const=choice,
                dest=f"{part.partition('-')[0]}_type",
                help=f"{name} compute in {choice}" if computed else f"weights of {name} lie in {choice}",
            )
    types.add_argument("--force-channels-last", action="store_true", help="order weights of convolutions as some like")


def _add_server_options(serve: argparse.ArgumentParser) -> None:
    server = serve.add_argument_group("server")
    server.add_argument(
        "--listen",
        nargs="?",
        const="0.0.0.0,::",
        default="127.0.0.1",
        metavar="ADDRESS,...",
        help="addresses to listen on (default: this machine only; without a value: every network)",
    )
    server.add_argument("--port", type=int, default=8188)
    server.add_argument("--token", metavar="TOKEN", help="what visitors must show; `auto` makes one and prints it")
    server.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a host name this server is reached by"
    )
    server.add_argument(
        "--enable-cors-header",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="another site that may use the API, such as http://localhost:5173",
    )
    server.add_argument("--max-upload-size", type=float, default=100, metavar="MIB", help="limit of a request's body")
    server.add_argument(
        "--preview-method",
        choices=("none", "auto", "latent2rgb", "taesd"),
        default="none",
        help="pictures on the way to a result, where a job does not choose for itself",
    )
    queue = serve.add_argument_group("queue")
    queue.add_argument("--max-queue", type=_positive, default=10_000, metavar="N", help="jobs that may wait")
    queue.add_argument("--max-history", type=_positive, default=10_000, metavar="N", help="ended jobs that are kept")
    queue.add_argument(
        "--drain-seconds",
        type=float,
        default=25.0,
        metavar="S",
        help="what a running job gets when the server is told to end",
    )
    queue.add_argument(
        "--hang-seconds", type=float, default=120.0, metavar="S", help="silence after which a frozen worker is replaced"
    )
    queue.add_argument(
        "--stall-seconds", type=float, default=3600.0, metavar="S", help="the longest a job may show no sign of life"
    )


def _settings(options: argparse.Namespace) -> Settings:
    settings = settings_under(options.base_directory or ROOT)
    output = getattr(options, "output", None) or options.output_directory
    temp = options.temp_directory and options.temp_directory / "temp"  # emptied at a start, so a folder of its own
    given = {"output": output, "input": options.input_directory, "temp": temp}
    given["user"] = options.user_directory
    all_parts: WeightType | None = "fp32" if options.force_fp32 else None
    return replace(
        settings,
        **{name: path.absolute() for name, path in given.items() if path is not None},
        extra_model_paths=tuple(path.absolute() for path in options.extra_model_paths_config),
        device="cpu" if options.cpu else options.device,
        vram_budget=options.vram_budget,
        reserve_vram=options.reserve_vram or 0,
        vram_policy=options.vram_policy,
        ram_reserve=settings.ram_reserve if options.cache_ram is None else options.cache_ram,
        unet_type=options.unet_type or ("fp16" if options.force_fp16 else all_parts),
        vae_type=options.vae_type or all_parts,
        text_type=options.text_type or all_parts,
        cpu_vae=options.cpu_vae,
        channels_last=options.force_channels_last,
        cache_bytes=settings.cache_bytes if options.cache_memory is None else options.cache_memory,
        custom_nodes=not options.disable_all_custom_nodes,
    )


def _refuse_contradictions(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a usage error that names both flags."""
    device = options.device or ""
    if options.cpu and device not in ("", "cpu"):
        parser.error(f"--cpu contradicts --device {device}")
    where = "--cpu" if options.cpu else f"--device {device}"
    asked = {
        "--vram-budget": options.vram_budget is not None,
        "--reserve-vram": options.reserve_vram is not None,
        f"--{'no' if options.vram_policy == 'none' else options.vram_policy}vram": options.vram_policy is not None,
    }
    wrong = [name for name, given in asked.items() if given]
    if (options.cpu or device == "cpu") and wrong:
        parser.error(f"{where} contradicts {' and '.join(wrong)}: the CPU has no memory of its own")
    _refuse_other_types(parser, options)
    for part in _TYPES:
        if device == SIMULATED and _asked(options, part) == "int8":
            parser.error(f"--device simulated contradicts --int8-{part}: it counts plain numbers only")
    budget, reserve = options.vram_budget, options.reserve_vram
    if budget is not None and reserve is not None and reserve >= budget:
        parser.error("--reserve-vram contradicts --vram-budget: it leaves nothing of it")


def _refuse_other_types(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a usage error if a part is to have another type than the one that is forced."""
    for part in _TYPES:
        asked = _asked(options, part)
        forced = "fp32" if options.force_fp32 else "fp16" if options.force_fp16 and part == "unet" else asked
        if asked not in (None, forced):
            parser.error(f"--force-{forced} contradicts --{asked}-{part}")


def _asked(options: argparse.Namespace, part: str) -> WeightType | None:
    found: WeightType | None = getattr(options, f"{part.partition('-')[0]}_type")
    return found


def _gibibytes(text: str) -> int:
    """Bytes of an amount whose plain number is GiB, as people know the flag."""
    try:
        return int(float(text) * 2**30)
    except ValueError:
        return _bytes(text)


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
