"""Which socket types fit together."""

from __future__ import annotations


def fits(source: str, target: str) -> bool:
    """Whether an output of type `source` may feed an input of type `target`.

    Case does not matter; `*` and the empty type fit everything; a comma list means any of these.
    """
    if source == target:
        return True
    given, wanted = _names(source), _names(target)
    return not given or not wanted or not given.isdisjoint(wanted)


def is_any(type_name: str) -> bool:
    """Whether `type_name` fits everything."""
    return not _names(type_name)


def _names(type_name: str) -> frozenset[str]:
    """The types of a comma list in upper case; none at all for a type that fits everything."""
    names = frozenset(part.strip().upper() for part in type_name.split(",")) - {""}
    return frozenset() if "*" in names else names
