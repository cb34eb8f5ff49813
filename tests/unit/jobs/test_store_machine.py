"""A state machine beside the job store: whatever is done in whatever order, no job is lost or done twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from engine.jobs.job import Attempt, Ending
from engine.jobs.store import MAX_DEATHS, JobStore
from tests.unit.jobs.making import new_job

DONE = Ending("done", {}, [])
DEAD = Ending("quarantined", {}, [], {"type": "quarantined", "message": "died"})


class StoreMachine(RuleBasedStateMachine):
    """The model: the state of every job, and the attempt that holds it."""

    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "jobs.sqlite3"
        self.store = JobStore(self.path)
        self.states: dict[str, str] = {}
        self.holder: dict[str, int] = {}
        self.marked: set[str] = set()
        """Jobs that were cancelled while they ran."""
        self.deaths: dict[str, int] = {}
        self.done_by: dict[str, list[int]] = {}

    @rule(number=st.integers(-3, 3))
    def enqueue(self, number: int) -> None:
        job = self.store.enqueue(new_job(number=number))
        self.states[job.id], self.deaths[job.id] = "pending", 0

    @rule(target=attempts)
    def claim(self) -> Attempt | None:
        attempt = self.store.claim("w")
        assert (attempt is not None) == ("pending" in self.states.values())
        if attempt is not None:
            assert self.states[attempt.job.id] == "pending"
            self.states[attempt.job.id] = "running"
            self.holder[attempt.job.id] = attempt.number
        return attempt

    @rule(attempt=attempts)
    def complete(self, attempt: Attempt | None) -> None:
        if attempt is not None:
            taken = self.store.complete(attempt, DONE)
            assert taken == self._holds(attempt)
            if taken:
                self.states[attempt.job.id] = "done"
                self.done_by.setdefault(attempt.job.id, []).append(attempt.number)

    @rule(attempt=attempts, blamed=st.booleans())
    def lose(self, attempt: Attempt | None, blamed: bool) -> None:
        if attempt is not None:
            held = self._holds(attempt)
            state = self.store.lost(attempt, DEAD if blamed else None)
            assert (state is not None) == held
            if held:
                self.deaths[attempt.job.id] += blamed
                over = blamed and self.deaths[attempt.job.id] >= MAX_DEATHS
                again = "cancelled" if attempt.job.id in self.marked else "pending"
                self.states[attempt.job.id] = "quarantined" if over else again

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.states:
            job_id = data.draw(st.sampled_from(sorted(self.states)))
            assert self.store.cancel(job_id) == self.states[job_id]
            if self.states[job_id] == "pending":
                self.states[job_id] = "cancelled"
            elif self.states[job_id] == "running":
                self.marked.add(job_id)

    @rule()
    def die_and_start_again(self) -> None:
        self.store.close()
        self.store = JobStore(self.path)
        self.store.recover()
        for job, state in self.states.items():
            if state == "running":
                self.states[job] = "cancelled" if job in self.marked else "pending"

    def _holds(self, attempt: Attempt) -> bool:
        job_id, number = attempt.key
        return self.states[job_id] == "running" and self.holder[job_id] == number

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        rows = {job.id: job.state for job in self.store.jobs()[0]}
        assert rows == self.states
        assert all(len(attempts) == 1 for attempts in self.done_by.values())

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
