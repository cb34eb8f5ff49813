"""The node types of the toy worker, as the server knows them."""

from __future__ import annotations

from typing import Any

from engine.graph.spec import FloatWidget, InputSpec, IntWidget, NodeSpec, OutputSpec, StringWidget


def _sink(name: str, *inputs: InputSpec, **options: Any) -> NodeSpec:
    return NodeSpec(id=name, category="toys", inputs=inputs, outputs=(), sink=True, pack="toys", **options)


SPECS = {
    spec.id: spec
    for spec in (
        _sink("Say"),
        _sink("Steps", InputSpec("count", "INT", widget=IntWidget(10, 0, 1_000_000))),
        _sink("Flood", InputSpec("count", "INT", widget=IntWidget(10, 0, 1_000_000))),
        _sink("Deaf", InputSpec("seconds", "FLOAT", widget=FloatWidget(1.0, 0.0, 1000.0))),
        _sink("Freeze", InputSpec("seconds", "FLOAT", widget=FloatWidget(1.0, 0.0, 1000.0))),
        _sink("Save", InputSpec("name", "STRING", widget=StringWidget("a.png"))),
        _sink("Picky", checked=True),
        _sink("Fail"),
        _sink("Spin"),
        _sink("Nonsense"),
        _sink("Close"),
        _sink("Full"),
        _sink("Exit"),
        _sink("Segfault"),
        NodeSpec(id="Make", category="toys", inputs=(), outputs=(OutputSpec("THING", "THING"),), pack="toys"),
        _sink("Use", InputSpec("thing", "THING"), InputSpec("number", "INT", widget=IntWidget(1, 0, 5))),
    )
}
