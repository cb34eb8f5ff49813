from __future__ import annotations

from tests.unit.jobs.conformance import ExecutorConformance
from tests.unit.jobs.fake_executor import FakeExecutor


class TestFakeExecutor(ExecutorConformance):
    def make(self) -> FakeExecutor:
        return FakeExecutor()
