"""A node type: its spec and the functions behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from engine.foundation.errors import EaselError
from engine.graph.spec import NodeSpec

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
    """

    spec: NodeSpec
    function: NodeFunction
    context: str | None = None
    demand: Demand | None = None
    fingerprint: Callable[..., object] | None = None
    check: Callable[..., str | None] | None = None
