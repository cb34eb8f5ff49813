"""A node type: its spec and the functions behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from engine.foundation.errors import EaselError
from engine.graph.spec import NodeSpec

Gather: TypeAlias = Callable[[dict[str, Any]], object]
"""The argument made of the parts of an input that stands for others, by their names after the dot."""

NodeFunction: TypeAlias = Callable[..., Any]
Demand: TypeAlias = Callable[..., Iterable[str]]


class DeclarationError(EaselError):
    """A node that is declared wrongly: found when its module is imported."""

    code: ClassVar[str] = "bad_declaration"


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """What the runtime needs to run a node of this type.

    `function` takes the inputs by name and, as `context` says, a `NodeContext`. `demand` takes the inputs that are
    there and names the lazy ones that are wanted. `fingerprint` takes the literals and gives a token that is part of
    the content key: a NaN means never reuse. `check` takes the literals it declares and says what is wrong with them.
    `gathers` make the arguments of those inputs that stand for others.
    """

    spec: NodeSpec
    function: NodeFunction
    context: str | None = None
    demand: Demand | None = None
    fingerprint: Callable[..., object] | None = None
    check: Callable[..., str | None] | None = None
    gathers: Mapping[str, Gather] = field(default_factory=dict)

    def arguments(self, inputs: Mapping[str, object]) -> dict[str, Any]:
        """The arguments of `function` from the inputs by full name: those that stand for others are put together."""
        if not self.gathers:
            return dict(inputs)
        arguments: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for name, value in inputs.items():
            owner, _, part = name.partition(".")
            if owner in self.gathers:
                parts.setdefault(owner, {})[part] = value
            else:
                arguments[name] = value
        return arguments | {owner: self.gathers[owner](found) for owner, found in parts.items()}
