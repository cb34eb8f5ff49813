"""The cache never holds more than its budget, and drops what was used longest ago."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.graph.keys import Key
from engine.runtime.result_cache import BASE_BYTES, Result, ResultCache, tensor_bytes

BUDGET = 10_000
KEYS = st.sampled_from([Key(name) for name in "abcdefgh"])


class CacheMachine(RuleBasedStateMachine):
    """Against a model that keeps (key, size) in order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = ResultCache(BUDGET)
        self.model: dict[Key, int] = {}

    @rule(key=KEYS, floats=st.integers(0, 3000))
    def put(self, key: Key, floats: int) -> None:
        self.cache.put(key, Result(((torch.zeros(floats),),)))
        size = BASE_BYTES + 4 * floats
        self.model.pop(key, None)
        if size <= BUDGET:
            self.model[key] = size
            while sum(self.model.values()) > BUDGET:
                del self.model[next(iter(self.model))]

    @rule(key=KEYS)
    def get(self, key: Key) -> None:
        found = self.cache.get(key)
        assert (found is not None) == (key in self.model)
        if key in self.model:
            self.model[key] = self.model.pop(key)

    @invariant()
    def holds_what_the_model_holds_within_the_budget(self) -> None:
        assert self.cache.nbytes == sum(self.model.values()) <= BUDGET
        assert len(self.cache) == len(self.model)


TestCacheMachine = CacheMachine.TestCase


def test_memory_shared_by_two_tensors_counts_once() -> None:
    base = torch.zeros(100)
    assert tensor_bytes([(base, base[:50]), {"again": base}]) == 400


def test_clearing_drops_everything() -> None:
    cache = ResultCache(BUDGET)
    cache.put(Key("a"), Result(((1,),)))
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
