"""Axes of ONNX tensors in the letters of archmodel's: what Reshape, Flatten and Transpose leave of them.

An axis is a tuple of factors, each a letter of N, C, H, W and a size above 1, slowest first. A tensor [1, 256, 6, 6] is
((), (("C", 256),), (("H", 6),), (("W", 6),)), and flattened ((), (("C", 256), ("H", 6), ("W", 6))).
"""

import math
from collections.abc import Sequence

Axis = tuple[tuple[str, int], ...]
Axes = tuple[Axis, ...]


def axis(letter: str, size: int) -> Axis:
    """The whole of one letter."""
    return ((letter, size),) if size > 1 else ()


def sizes(axes: Axes) -> tuple[int, ...]:
    """Dims of the ONNX tensor."""
    return tuple(math.prod(size for _, size in one) for one in axes)


def letters(one: Axis) -> str:
    """The letters of an axis, slowest first, those that lie side by side once."""
    return "".join(letter for letter, _ in merged(one))


def merged(one: Axis) -> Axis:
    """The axis with neighbours of one letter as one factor."""
    factors: list[tuple[str, int]] = []
    for letter, size in one:
        if factors and factors[-1][0] == letter:
            factors[-1] = (letter, factors[-1][1] * size)
        else:
            factors.append((letter, size))
    return tuple(factors)


def reshaped(axes: Axes, dims: Sequence[int]) -> Axes | None:
    """The axes with the same words in `dims`; None where a dim would cut a factor in no whole parts."""
    factors = [factor for one in axes for factor in merged(one)][::-1]
    result = []
    for dim in dims:
        part, missing = [], dim
        while missing > 1:
            if not factors:
                return None
            letter, size = factors.pop()
            taken = math.gcd(size, missing)
            if taken not in (size, missing):
                return None
            if taken < size:
                factors.append((letter, size // taken))
            part.append((letter, taken))
            missing //= taken
        result.append(tuple(part))
    return None if factors else tuple(result)


def target_dims(dims: Sequence[int], wanted: Sequence[int], allow_zero: bool) -> tuple[int, ...] | None:
    """What Reshape makes of `dims`: 0 keeps a dim, -1 takes the rest; None where that is not possible."""
    kept = [dims[i] if size == 0 and i < len(dims) and not allow_zero else size for i, size in enumerate(wanted)]
    words, known = math.prod(dims), math.prod(size for size in kept if size != -1)
    if kept.count(-1) > 1 or min(kept, default=1) < -1 or not known or words % known:
        return None
    filled = tuple(words // known if size == -1 else size for size in kept)
    return filled if math.prod(filled) == words else None


def flattened(dims: Sequence[int], first: int) -> tuple[int, int]:
    """What Flatten makes of `dims`: those before `first` and the others."""
    return math.prod(dims[:first]), math.prod(dims[first:])


def without(dims: Sequence[int], dropped: Sequence[int]) -> tuple[int, ...] | None:
    """What Squeeze makes of `dims`: without the axes `dropped`, or all of size 1 where none are named."""
    rank = len(dims)
    if any(not -rank <= one < rank for one in dropped):
        return None
    where = {one % rank for one in dropped} or {i for i in range(rank) if dims[i] == 1}
    if any(dims[i] != 1 for i in where):
        return None
    return tuple(dim for i, dim in enumerate(dims) if i not in where)


def with_ones(dims: Sequence[int], added: Sequence[int]) -> tuple[int, ...] | None:
    """What Unsqueeze makes of `dims`: axes of size 1 at the places `added` of the result."""
    rank = len(dims) + len(added)
    where = {one % rank for one in added if -rank <= one < rank}
    if len(where) != len(added):
        return None
    rest = iter(dims)
    return tuple(1 if i in where else next(rest) for i in range(rank))
