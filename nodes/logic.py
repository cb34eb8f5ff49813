"""Which of several values goes on."""

from __future__ import annotations

from typing import Annotated, Any

from engine.node import Lazy, Match, node

Same = Annotated[Any, Match("switch")]


def _wanted(switch: bool, **_branches: object) -> list[str]:
    return ["on_true" if switch else "on_false"]


@node("ComfySwitchNode", category="logic", display_name="Switch", demand=_wanted, outputs=["output"])
def switch_value(switch: bool, on_false: Lazy[Same], on_true: Lazy[Same]) -> Same:
    """One of two values of any type. The branch that is not chosen is never computed."""
    return on_true if switch else on_false
