from __future__ import annotations

from engine.jobs.events import Blocked, Done, Event, Failed, Lost, NodeFinished, NodeStarted, Started, Stopped
from engine.jobs.job import Saved
from engine.jobs.record import Record
from tests.unit.jobs.making import attempt_of, program

FILE = Saved("1", "a.png", "", "output", 1, "00", "image/png")
SHOWN = {"images": [{"filename": "a.png"}]}


def recorded(*events: Event) -> Record:
    record = Record(attempt_of(program(("Say", {}))), clock=lambda: 1.5)
    for event in events:
        record.see(event)
    return record


def test_a_done_job_keeps_outputs_files_and_milestones() -> None:
    events = (Started(("7",)), NodeStarted("1", "Save"), NodeFinished("1", SHOWN, (FILE,)), NodeFinished("2"), Done())
    ending = recorded(*events).ending(Done())
    assert (ending.state, ending.outputs, ending.files, ending.error) == ("done", {"1": SHOWN}, (FILE,), None)
    assert [kind for kind, _ in ending.messages] == ["execution_start", "execution_cached", "execution_success"]
    assert ending.messages[0][1]["timestamp"] == 1500


def test_a_failure_names_its_node_and_keeps_what_was_made_before() -> None:
    failed = Failed("oom", "no room", "OutOfMemoryError", "2", "Sampler", code="out_of_memory")
    ending = recorded(Started(), NodeFinished("1", SHOWN, (FILE,)), failed).ending(failed)
    assert (ending.state, ending.files) == ("failed", (FILE,))
    assert ending.error is not None
    assert (ending.error["type"], ending.error["node"], ending.error["kind"]) == ("out_of_memory", "2", "oom")
    kind, data = ending.messages[-1]
    assert (kind, data["node_id"], data["executed"]) == ("execution_error", "2", ["1"])


def test_a_cancel_names_the_node_at_work_when_the_worker_could_not_say() -> None:
    record = recorded(Started(), NodeStarted("3", "Deaf"))
    [(kind, data)] = record.see(Stopped())
    assert (kind, data["node_id"], data["node_type"]) == ("execution_interrupted", "3", "Deaf")
    assert record.ending(Stopped()).state == "cancelled"


def test_a_worker_that_died_for_good_quarantines_and_says_where() -> None:
    lost = Lost("the worker ended with SIGSEGV", blamed=True)
    record = recorded(Started(), NodeStarted("3", "Segfault"), lost)
    ending = record.ending(lost)
    assert ending.state == "quarantined"
    assert ending.error == {"type": "quarantined", "message": "the worker ended with SIGSEGV", "node": "3"}
    assert ending.messages[-1][1]["exception_type"] == "WorkerDied"


def test_a_blocked_node_is_told_as_an_error() -> None:
    [(kind, data)] = recorded(Started()).see(Blocked("4", "not now"))
    assert (kind, data["node_id"], data["exception_type"]) == ("execution_error", "4", "ExecutionBlocked")


def test_between_two_nodes_none_is_at_work() -> None:
    record = recorded(NodeStarted("1", "Say"))
    assert record.node == "1"
    record.see(NodeFinished("1"))
    assert record.node == ""
