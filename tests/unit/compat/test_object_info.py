"""Node descriptions have the community's shape."""

from __future__ import annotations

from engine.compat.object_info import describe, input_config
from engine.foundation.json import dumps
from engine.graph.spec import (
    BooleanWidget,
    ChoiceWidget,
    FloatWidget,
    Growth,
    InputSpec,
    IntWidget,
    NodeSpec,
    OutputSpec,
    StringWidget,
    Variant,
)


def config(kind: str, widget=None, **options):
    return input_config(InputSpec("x", kind, widget=widget, **options), lambda kind: [f"{kind}.safetensors"])


def test_a_node_is_described_with_its_sections_in_order():
    spec = NodeSpec(
        "Blend",
        category="image",
        inputs=(InputSpec("image", "IMAGE"), InputSpec("mask", "MASK", required=False), InputSpec("model", "MODEL")),
        outputs=(OutputSpec("IMAGE", "IMAGE", tooltip="blended"), OutputSpec("parts", "MASK", is_list=True)),
        deprecated=True,
        pack="nodes.image",
    )
    assert describe(spec, lambda _: []) == {
        "input": {"required": {"image": ["IMAGE"], "model": ["MODEL"]}, "optional": {"mask": ["MASK"]}},
        "input_order": {"required": ["image", "model"], "optional": ["mask"]},
        "output": ["IMAGE", "MASK"],
        "output_is_list": [False, True],
        "output_name": ["IMAGE", "parts"],
        "output_tooltips": ["blended", ""],
        "name": "Blend",
        "display_name": "Blend",
        "description": "",
        "python_module": "nodes.image",
        "category": "image",
        "output_node": False,
        "deprecated": True,
    }


def test_numbers_carry_the_bounds_they_have():
    seed = IntWidget(0, 0, 2**64 - 1, control_after_generate=True)
    assert config("INT", seed) == ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}]
    assert config("INT", IntWidget(4)) == ["INT", {"default": 4}]
    cfg = FloatWidget(8.0, 0.0, 100.0, step=0.1, round=0.01)
    assert config("FLOAT", cfg) == ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}]
    assert dumps(config("FLOAT", FloatWidget())) == '["FLOAT",{"default":0.0,"step":0.01}]'


def test_choices_list_their_options_and_the_files_there_are_now():
    widget = ChoiceWidget(("none",), default="none", files="vae", upload="image")
    assert config("COMBO", widget) == [["none", "vae.safetensors"], {"default": "none", "image_upload": True}]


def test_texts_switches_and_flags_keep_their_names():
    text = StringWidget(multiline=True, dynamic_prompts=True)
    assert config("STRING", text) == ["STRING", {"default": "", "multiline": True, "dynamicPrompts": True}]
    assert config("BOOLEAN", BooleanWidget(True), lazy=True) == ["BOOLEAN", {"default": True, "lazy": True}]
    assert config("IMAGE", tooltip="what to save") == ["IMAGE", {"tooltip": "what to save"}]


def test_a_socket_of_a_type_that_has_widgets_asks_for_none():
    assert config("INT") == ["INT", {"forceInput": True}]


def test_inputs_that_stand_for_others_say_what_they_stand_for():
    assert config("COMFY_AUTOGROW_V3", growth=Growth("image", "IMAGE", 2, 50)) == [
        "COMFY_AUTOGROW_V3",
        {"template": {"input": {"required": {"image": ["IMAGE"]}}, "prefix": "image", "min": 2, "max": 50}},
    ]
    variants = (Variant("by", (InputSpec("by", "INT", widget=IntWidget(2)),)), Variant("none"))
    assert config("COMFY_DYNAMICCOMBO_V3", ChoiceWidget(("by", "none")), variants=variants) == [
        "COMFY_DYNAMICCOMBO_V3",
        {
            "options": [
                {"key": "by", "inputs": {"required": {"by": ["INT", {"default": 2}]}}},
                {"key": "none", "inputs": {"required": {}}},
            ]
        },
    ]


def test_inputs_and_outputs_of_matching_types_name_their_template():
    spec = NodeSpec(
        "Switch",
        inputs=(InputSpec("on_true", "*", lazy=True, match="T"),),
        outputs=(OutputSpec("output", "*", match="T"), OutputSpec("INT", "INT")),
    )
    data = describe(spec, lambda _: [])
    template = {"template_id": "T", "allowed_types": "*"}
    assert data["input"]["required"]["on_true"] == ["COMFY_MATCHTYPE_V3", {"template": template, "lazy": True}]
    assert (data["output"], data["output_matchtypes"]) == (["COMFY_MATCHTYPE_V3", "INT"], ["T", None])
