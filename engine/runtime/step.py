"""One node of a run: its function called for each element of its inputs, and what came of it as a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from torch import Tensor

from engine.graph.spec import NodeSpec
from engine.graph.subgraph import Expansion
from engine.node.annotations import Blocked
from engine.node.context import Cancelled, NodeContext
from engine.node.definition import NodeDefinition
from engine.node.request import Request
from engine.runtime.result_cache import Values
from engine.runtime.summary import summarise_inputs

ContextFor: TypeAlias = Callable[[int], NodeContext]


@dataclass(frozen=True, slots=True)
class Computed:
    """The node's outputs. An element may be an `Expansion`, whose nodes are to run first."""

    calls: tuple[tuple[object, ...] | Expansion, ...]
    blocked: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The node raised."""

    error: Exception
    inputs: Mapping[str, str]


Outcome: TypeAlias = Computed | Failed


def calls_for(spec: NodeSpec, inputs: Mapping[str, Values]) -> list[dict[str, object]]:
    """The arguments of each call: one for each element of the longest list, shorter ones repeat their last element.

    Inputs that take a list get the whole of it every time; an empty list anywhere else means no call at all.
    """
    whole = {item.name for item in spec.inputs if item.takes_list}
    mapped = {name: values for name, values in inputs.items() if name not in whole}
    if any(not values for values in mapped.values()):
        return []
    count = max(map(len, mapped.values()), default=1)
    return [
        {
            name: list(values) if name in whole else values[min(index, len(values) - 1)]
            for name, values in inputs.items()
        }
        for index in range(count)
    ]


async def compute(
    definition: NodeDefinition, calls: Sequence[Mapping[str, object]], context_for: ContextFor
) -> Outcome:
    """Call the node's function for each of `calls`. Errors come back as values; only `Cancelled` is raised."""
    results: list[tuple[object, ...] | Expansion] = []
    message: str | None = None
    for index, arguments in enumerate(calls):
        block = _block_in(arguments)
        if block is not None:
            message = message or block.message
            results.append((Blocked(),) * len(definition.spec.outputs))
            continue
        context = context_for(index)
        try:
            context.check_cancelled()
            value = await _call(definition, arguments, context)
            results.append(value if isinstance(value, Expansion) else _packed(definition.spec, value))
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001  # the border: a node may raise anything, and it is its own fault
            return Failed(error, summarise_inputs(arguments))
    return Computed(tuple(results), message)


def _block_in(arguments: Mapping[str, object]) -> Blocked | None:
    for value in arguments.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Blocked):
                return item
    return None


async def _call(definition: NodeDefinition, arguments: Mapping[str, object], context: NodeContext) -> Any:
    extra = {definition.context: context} if definition.context else {}
    value = definition.function(**definition.arguments(arguments), **extra)
    if isinstance(value, Coroutine):
        return await value
    if inspect.isgenerator(value):
        return _drive(cast("Generator[Request, Tensor, Any]", value), context)
    return value


def _drive(requests: Generator[Request, Tensor, Any], context: NodeContext) -> Any:
    """Compute each request in turn, with progress, a preview, and a chance to stop between two."""
    try:
        request = next(requests)
        while True:
            context.check_cancelled()
            answer = request.compute()
            context.progress(request.step + 1, request.total)
            preview = request.preview()
            if preview is not None:
                context.preview(preview)
            request = requests.send(answer)
    except StopIteration as stop:
        return stop.value
    finally:
        requests.close()


def _packed(spec: NodeSpec, value: Any) -> tuple[object, ...]:
    """The result of a call as one value for each output."""
    outputs = len(spec.outputs)
    if outputs == 0:
        return ()
    if isinstance(value, Blocked):
        return (value,) * outputs
    if outputs == 1 and not isinstance(value, tuple):
        return (value,)
    if not isinstance(value, tuple) or len(value) != outputs:
        got = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
        raise TypeError(f"{spec.id} declares {outputs} outputs, but returned {got}")
    return value


def gathered(spec: NodeSpec, calls: Sequence[Sequence[object]]) -> tuple[Values, ...]:
    """The values of each output over all calls; lists that an output declares are joined."""
    outputs: list[Values] = []
    for index, output in enumerate(spec.outputs):
        values: list[object] = []
        for call in calls:
            value = call[index]
            if output.is_list and not isinstance(value, Blocked):
                values.extend(value)  # type: ignore[arg-type]  # the node declares a list here
            else:
                values.append(value)
        outputs.append(tuple(values))
    return tuple(outputs)
