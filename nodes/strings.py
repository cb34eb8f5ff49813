"""Texts cut, joined, compared and searched."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from engine.foundation.errors import EaselError
from engine.node import Choice, Omittable, Range, Text, node

CATEGORY = "utils/string"

Long = Annotated[str, Text(multiline=True)]
Count = Annotated[int, Range(0, 100), Omittable()]
Option = Annotated[bool, Omittable()]


class PatternError(EaselError):
    """A regular expression, or what is to be put in place of its matches, that is not one."""

    code: ClassVar[str] = "bad_pattern"


@node("StringConcatenate", category=CATEGORY, display_name="Concatenate")
def concatenate(string_a: Long, string_b: Long, delimiter: str = "") -> str:
    """Both texts with the delimiter between them."""
    return delimiter.join((string_a, string_b))


@node("StringSubstring", category=CATEGORY, display_name="Substring")
def substring(string: Long, start: int, end: int) -> str:
    """The characters from `start` to before `end`; negative numbers count from the end of the text."""
    return string[start:end]


@node("StringLength", category=CATEGORY, display_name="Length", outputs=["length"])
def length(string: Long) -> int:
    """How many characters there are."""
    return len(string)


@node("CaseConverter", category=CATEGORY, display_name="Case Converter")
def convert_case(
    string: Long, mode: Annotated[str, Choice("UPPERCASE", "lowercase", "Capitalize", "Title Case")]
) -> str:
    """Capital or small letters."""
    match mode:
        case "UPPERCASE":
            return string.upper()
        case "lowercase":
            return string.lower()
        case "Capitalize":
            return string.capitalize()
        case _:
            return string.title()


@node("StringTrim", category=CATEGORY, display_name="Trim")
def trim(string: Long, mode: Annotated[str, Choice("Both", "Left", "Right")]) -> str:
    """Without the white space at its ends."""
    match mode:
        case "Left":
            return string.lstrip()
        case "Right":
            return string.rstrip()
        case _:
            return string.strip()


@node("StringReplace", category=CATEGORY, display_name="Replace")
def replace_text(string: Long, find: Long, replace: Long) -> str:
    """With another text wherever one is found."""
    return string.replace(find, replace)


@node("StringContains", category=CATEGORY, display_name="Contains", outputs=["contains"])
def contains(string: Long, substring: Long, case_sensitive: bool = True) -> bool:
    """Whether a text is part of another."""
    if case_sensitive:
        return substring in string
    return substring.lower() in string.lower()


@node("StringCompare", category=CATEGORY, display_name="Compare")
def compare(
    string_a: Long,
    string_b: Long,
    mode: Annotated[str, Choice("Starts With", "Ends With", "Equal")],
    case_sensitive: bool = True,
) -> bool:
    """Whether the first text begins with, ends with or is the second."""
    first, second = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    match mode:
        case "Starts With":
            return first.startswith(second)
        case "Ends With":
            return first.endswith(second)
        case _:
            return first == second


@node("RegexMatch", category=CATEGORY, display_name="Regex Match", outputs=["matches"])
def regex_match(
    string: Long, regex_pattern: Long, case_insensitive: bool = True, multiline: bool = False, dotall: bool = False
) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return _compiled(regex_pattern, case_insensitive, multiline, dotall).search(string) is not None


@node("RegexExtract", category=CATEGORY, display_name="Regex Extract")
def regex_extract(
    string: Long,
    regex_pattern: Long,
    mode: Annotated[str, Choice("First Match", "All Matches", "First Group", "All Groups")],
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Range(0, 100)] = 1,
) -> str:
    """What the pattern finds: the first match, all, or one group of them, each on a line; empty if there is none.

    Of a pattern with groups, "All Matches" gives the first group of each match.
    """
    pattern = _compiled(regex_pattern, case_insensitive, multiline, dotall)
    if mode == "First Match":
        first = pattern.search(string)
        return first[0] if first else ""
    if mode == "All Matches":
        return "\n".join(found[1 if pattern.groups else 0] or "" for found in pattern.finditer(string))
    if group_index > pattern.groups:
        return ""
    groups = (found[group_index] or "" for found in pattern.finditer(string))
    return next(groups, "") if mode == "First Group" else "\n".join(groups)


@node("RegexReplace", category=CATEGORY, display_name="Regex Replace")
def regex_replace(
    string: Long,
    regex_pattern: Long,
    replace: Long,
    case_insensitive: Option = True,
    multiline: Option = False,
    dotall: Option = False,
    count: Count = 0,
) -> str:
    r"""With another text in place of what the pattern finds, at most `count` times (0: always).

    The other text may name groups as `\1` or `\g<name>`.
    """
    pattern = _compiled(regex_pattern, case_insensitive, multiline, dotall)
    try:
        return pattern.sub(replace, string, count=count)
    except (re.error, IndexError) as error:
        hint = r"Name groups of the pattern as \1 or \g<name>; a backslash itself is \\."
        raise PatternError(
            "this text cannot take the place of a match", where="input replace", got=str(error), hint=hint
        ) from error


def _compiled(pattern: str, case_insensitive: bool, multiline: bool, dotall: bool) -> re.Pattern[str]:
    flags = re.IGNORECASE if case_insensitive else re.NOFLAG
    flags |= re.MULTILINE if multiline else re.NOFLAG
    flags |= re.DOTALL if dotall else re.NOFLAG
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(
            "this is no regular expression",
            where="input regex_pattern",
            got=str(error),
            hint="See the syntax of Python's re; put a backslash before a character that is meant as it is.",
        ) from error
