"""Content keys: the identity of a node's result.

A key is a hash of the node's type and version, its constants, the keys of its inputs and the fingerprints of what it
reads: a Merkle tree over the graph, made from the sources down. Each node hashes only its own data, so the cost is
linear. Equal keys mean equal results, whatever the job, the process or the machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NewType

Key = NewType("Key", str)

_DIGEST_BYTES = 20
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


class _OpaqueError(Exception):
    """A value that has no canonical form."""


def node_key(
    spec_id: str,
    version: int,
    constants: Mapping[str, object],
    input_keys: Mapping[str, tuple[Key, int]],
    fingerprints: Sequence[object] = (),
) -> Key:
    """The key of a node's result, 40 hexadecimal digits.

    `input_keys` has, for each linked input, the key of the source and the number of its output. Constants and
    fingerprints are JSON values, bytes, tuples or sets of these: 1, 1.0, True and "1" all differ, the order of a
    dictionary does not count. A NaN in a fingerprint, or a value without a canonical form (an object in memory), gives
    a key that never comes back.
    """
    marks: list[list[str]] = []
    try:
        if not _SCALARS.issuperset(map(type, constants.values())):
            constants = {name: _canonical(value) for name, value in constants.items()}
        if fingerprints:
            marks = [_canonical(value) for value in fingerprints]
    except _OpaqueError:
        return unique_key()
    if any("nan" in mark for mark in marks):
        return unique_key()
    text = repr((spec_id, version, sorted(constants.items()), sorted(input_keys.items()), marks))
    return Key(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest())


def unique_key() -> Key:
    """A key that equals no other, for results that must not be reused."""
    return Key(secrets.token_hex(_DIGEST_BYTES))


def _canonical(value: object) -> list[str]:
    """`value` as words in prefix order, each container announced with its type and length; a loop, not a recursion."""
    words: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) in _SCALARS:
            words.append(repr(item))
        elif isinstance(item, list | tuple | set | frozenset | dict):
            words.append(f"{type(item).__name__} {len(item)}")
            stack.extend(_members(item))
        else:
            raise _OpaqueError
    return words


def _members(
    item: list[object] | tuple[object, ...] | set[object] | frozenset[object] | dict[object, object],
) -> list[object]:
    if isinstance(item, dict):
        return [part for pair in sorted(item.items(), key=lambda pair: repr(pair[0])) for part in pair]
    return sorted(item, key=repr) if isinstance(item, set | frozenset) else list(item)
