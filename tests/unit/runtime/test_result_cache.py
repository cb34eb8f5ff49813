"""The cache never holds more than its budget, and drops what was used longest ago."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from torch import nn

from engine.graph.keys import Key
from engine.memory.handle import ModelHandle
from engine.runtime.result_cache import BASE_BYTES, LOOK_BYTES, Result, ResultCache, tensor_bytes

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


def loaded(numbers: int) -> Result:
    return Result(((ModelHandle(nn.Linear(numbers, 1, bias=False), torch.device("cpu")),),))


def test_when_memory_runs_short_results_go_before_models_and_no_more_than_needed() -> None:
    missing = [0]
    cache = ResultCache(2**30, lambda: missing[0])
    cache.put(Key("model"), loaded(1000))
    for name in "abc":
        cache.put(Key(name), Result(((torch.zeros(100),),)))
    missing[0] = 500
    cache.relieve()
    assert [name for name in ("model", "a", "b", "c") if Key(name) in cache] == ["model", "b", "c"]
    missing[0] = 10_000
    cache.relieve()
    assert len(cache) == 0
    assert cache.relieved == 3 * (BASE_BYTES + 400) + 4000


def test_growing_results_look_for_themselves_whether_memory_runs_short() -> None:
    cache = ResultCache(2**40, lambda: 1)
    cache.put(Key("small"), Result(((torch.zeros(10),),)))
    assert len(cache) == 1
    cache.put(Key("large"), Result(((torch.empty(LOOK_BYTES, dtype=torch.uint8),),)))
    assert Key("small") not in cache


def test_a_net_that_several_results_hold_counts_once() -> None:
    cache, shared = ResultCache(2**30), loaded(1000)
    cache.put(Key("a"), shared)
    cache.put(Key("b"), Result((*shared.outputs, (torch.zeros(10),))))
    cache.put(Key("c"), Result(((torch.zeros(100),),)))
    assert cache.figures() == {"host_results": BASE_BYTES + 400, "host_weights": 4000, "host_mapped": 0}
