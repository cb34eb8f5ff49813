"""Socket types fit as the community's editor and server agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.sockets import fits

type_names = st.lists(st.sampled_from(["IMAGE", "mask", "*", "INT", ""]), max_size=3).map(",".join)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("MODEL", "MODEL", True),
        ("MODEL", "CLIP", False),
        ("image", "IMAGE", True),
        ("*", "CLIP", True),
        ("CLIP", "", True),
        ("IMAGE,MASK", "MASK, LATENT", True),
        ("IMAGE,MASK", "LATENT", False),
        ("INT", "FLOAT", False),
    ],
)
def test_types_fit_by_name_wildcard_or_intersection(source, target, expected):
    assert fits(source, target) is expected


@given(type_names, type_names)
def test_fitting_does_not_depend_on_the_direction(one, other):
    assert fits(one, other) == fits(other, one)
    assert fits(one, one)
