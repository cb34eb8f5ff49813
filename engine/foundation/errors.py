"""The root of Easel's error tree.

Every error that a user can cause carries a stable code, the place, what was got, what was expected and a remedy, so
that a message reads like `KSampler 5, input steps: expected 1 to 10000, got 0`. Each floor subclasses `EaselError`
beside the code that raises it.
"""

from __future__ import annotations

from typing import ClassVar


class EaselError(Exception):
    """A failure with a code, a place and a remedy; `str()` is one clear line without a traceback.

    `where` names the place in the user's terms (a node and input, a file, a command-line option), `expected` and `got`
    are short descriptions (summarise tensors and long values first), `hint` says what to do.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str = "", expected: str = "", got: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint

    def __str__(self) -> str:
        facts = [
            part for part in (self.expected and f"expected {self.expected}", self.got and f"got {self.got}") if part
        ]
        line = ": ".join(part for part in (self.where, self.message, ", ".join(facts)) if part)
        return f"{line}. {self.hint}" if self.hint else line
