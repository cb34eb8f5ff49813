"""Statuses of errors that are nobody's fault."""

from __future__ import annotations

import json

import pytest

from engine.foundation.errors import EaselError
from engine.server.answers import error_answer
from engine.store.artifacts import DiskFullError, StoreError


@pytest.mark.parametrize(
    ("error", "status"), [(DiskFullError("the disk is full"), 507), (StoreError("it cannot be written"), 500)]
)
def test_a_disk_that_cannot_be_written_is_told_as_such(error: EaselError, status: int) -> None:
    answer, problem = error_answer(error, "/userdata/x"), error_answer(error, "/api/v1/jobs")
    assert (answer.status, problem.status) == (status, status)
    assert json.loads(str(answer.text))["error"]["type"] == error.code
    assert json.loads(str(problem.text))["code"] == error.code
    assert json.loads(str(problem.text))["detail"] == str(error)
