"""ONNX operators that take a part of a tensor or put zeros around it: slices, splits, rows of tables, pads."""

from archmodel.exchange.onnx_axes import axis, letters, sizes
from archmodel.exchange.onnx_builder import Builder, Padded, Value, letter_size, renamed
from archmodel.exchange.onnx_file import Node
from archmodel.exchange.onnx_others import axes_like, give_other, laid_out, other
from archmodel.network.layer import Window

FOLDING = ("Conv", "com.microsoft.FusedConv")  # what a Pad in front of can be the padding of
Ranges = dict[int, tuple[int, int]]  # [from, to) along places of axes


def cut(builder: Builder, node: Node) -> None:
    """Slice: a slice where its steps are 1."""
    value = builder.value(node)
    taken = _slices(builder, node, value.sizes)
    if taken is None:
        return other(builder, node)
    sizes_left = [len(range(*one.indices(size))) for one, size in zip(taken, value.sizes, strict=True)]
    if min(sizes_left) < 1:
        raise node.refuse("makes an empty tensor")
    ranges: Ranges = {}
    for place, (one, size) in enumerate(zip(taken, value.sizes, strict=True)):
        start, _, step = one.indices(size)
        if step != 1 and size > 1:
            give_other(builder, node, [value], axes_like(value.axes, sizes_left))
            return None
        if sizes_left[place] < size:
            ranges[place] = (start, start + sizes_left[place])
    return give_part(builder, node, value, ranges)


def _slices(builder: Builder, node: Node, dims: tuple[int, ...]) -> list[slice] | None:
    """What is taken along every axis; None where it is no constant."""
    given = {key: node.integers(key, ()) for key in ("starts", "ends", "axes", "steps")}
    for place, key in enumerate(given, 1):
        name = node.input(place)
        if name:
            numbers = builder.constants[name].integers() if name in builder.constants else None
            if numbers is None:
                return None
            given[key] = numbers
    starts, ends, axes, steps = given.values()
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise node.refuse("starts, ends, axes and steps do not fit")
    result = [slice(None)] * len(dims)
    for place, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -len(dims) <= place < len(dims):
            raise node.refuse(f"axis = {place}: its input has {len(dims)} axes")
        end_is_before = step < 0 and end < -dims[place]  # down to the first one
        result[place] = slice(start, None if end_is_before else end, step)
    return result


def split(builder: Builder, node: Node) -> None:
    """Split: a slice for every output."""
    value = builder.value(node)
    rank, place, count = len(value.axes), node.integer("axis", 0), len(node.outputs)
    if not -rank <= place < rank:
        raise node.refuse(f"axis = {place}: its input has {rank} axes")
    size = value.sizes[place]
    parts = builder.constants[node.input(1)].integers() if node.input(1) in builder.constants else None
    if parts is None:
        each = -(-size // max(1, count))
        parts = node.integers("split", ()) or tuple(min(each, size - i * each) for i in range(count))
    if len(parts) != count or sum(parts) != size or min(parts) < 1:
        raise node.refuse(f"parts {list(parts)} of {size} for {count} outputs")
    start = 0
    for index, part in enumerate(parts):
        if node.outputs[index] in builder.read:
            ranges = {place % rank: (start, start + part)} if part < size else {}
            give_part(builder, renamed(node, f".{index}"), value, ranges, index)
        start += part


def give_part(builder: Builder, node: Node, value: Value, ranges: Ranges, index: int = 0, drop: int = -1) -> None:
    """An output that is what lies in `ranges` of a tensor, without the axis `drop`."""
    axes = tuple(
        axis(letters(one)[:1] or "C", ranges[place][1] - ranges[place][0]) if place in ranges else one
        for place, one in enumerate(value.axes)
    )
    window = _window(builder, value, ranges)
    shown = axes[:drop] + axes[drop + 1 :] if drop >= 0 else axes
    if not ranges:
        return builder.give(node, value.tensor, shown, index)
    if window is None:
        dims = tuple(stop - start for start, stop in (ranges.get(i, (0, size)) for i, size in enumerate(value.sizes)))
        whole = axes_like(value.axes, dims)
        give_other(builder, node, [value], whole[:drop] + whole[drop + 1 :] if drop >= 0 else whole, index)
        return None
    layer = builder.add(node, "slice", (value.tensor,), window[0][1] - window[0][0], window=window)
    return builder.give(node, layer.name, shown, index)


def _window(builder: Builder, value: Value, ranges: Ranges) -> Window | None:
    """The same words as `ranges` along C, H, W; None where they are no window."""
    kept = {letter: (0, size) for letter, size in zip("CHW", builder.shapes[value.tensor], strict=True)}
    for place, (start, stop) in ranges.items():
        letter = letters(value.axes[place])
        before = "".join(letters(one) for one in value.axes[:place])
        if letter not in kept or letter in before or len(letter) != 1:
            return None
        inner = kept[letter][1] // sizes((value.axes[place],))[0]
        kept[letter] = (start * inner, stop * inner)
    return (kept["C"], kept["H"], kept["W"])


def gather(builder: Builder, node: Node) -> None:
    """Gather: rows of a constant table are an embedding, neighbours along an axis a slice."""
    if node.input(0) in builder.constants:
        return _embedding(builder, node)
    if node.input(0) in builder.factors:
        return other(builder, node)
    value = builder.value(node)
    rank, place = len(value.axes), node.integer("axis", 0)
    constant = builder.constants.get(node.input(1))
    numbers = None if constant is None else constant.integers()
    if constant is None or not numbers or not -rank <= place < rank or len(constant.shape) > 1:
        return other(builder, node)
    place, size = place % rank, value.sizes[place]
    if any(not -size <= one < size for one in numbers):
        raise node.refuse("an index is out of range")
    first, drop = numbers[0] % size, place if not constant.shape else -1
    if [one % size for one in numbers] == list(range(first, first + len(numbers))):
        ranges = {place: (first, first + len(numbers))} if len(numbers) < size else {}
        return give_part(builder, node, value, ranges, drop=drop)
    dims = (*value.sizes[:place], len(numbers), *value.sizes[place + 1 :])
    give_other(builder, node, [value], axes_like(value.axes, dims))
    return None


def _embedding(builder: Builder, node: Node) -> None:
    table, value = builder.constants[node.input(0)], builder.value(node, 1)
    if len(table.shape) != 2 or node.integer("axis", 0) not in (0, -2):
        return other(builder, node)
    if letter_size(value.axes, "C") > 1:
        order = ("H", "NH", "NHW")[min(len(value.axes), 3) - 1]
        if len(value.axes) > len(order):
            raise node.refuse(f"looks up {list(value.sizes)}")
        value = laid_out(builder, node, 1, order)
    vocabulary, K = table.shape
    layer = builder.add(node, "embedding", (value.tensor,), K, vocabulary=vocabulary)
    return builder.give(node, layer.name, (*value.axes, axis("C", K)))


def pad(builder: Builder, node: Node) -> None:
    """Pad: what puts zeros around a plane waits for a convolution, which has them as its padding."""
    value = builder.value(node)
    rank, place = len(value.axes), node.integers("axes", ())
    numbers: tuple[int, ...] | None = node.integers("pads", ()) or node.integers("paddings", ())
    if node.input(1):
        numbers = builder.constants[node.input(1)].integers() if node.input(1) in builder.constants else None
    if node.input(3):
        place = (builder.constants[node.input(3)].integers() if node.input(3) in builder.constants else None) or ()
    if numbers is None or (node.input(3) and not place):
        return other(builder, node)
    places = [one % rank for one in place] if place else list(range(rank))
    if len(numbers) != 2 * len(places):
        raise node.refuse(f"pads = {list(numbers)}: its input has {rank} axes")
    sides = [(0, 0)] * rank
    for i, one in enumerate(places):
        sides[one] = numbers[i], numbers[i + len(places)]
    dims = [size + before + after for size, (before, after) in zip(value.sizes, sides, strict=True)]
    if min(dims, default=1) < 1:
        raise node.refuse(f"makes a tensor of {dims}")
    if dims == list(value.sizes) and not any(map(any, sides)):
        return builder.same(node, value)
    axes = axes_like(value.axes, dims)
    is_plane = rank in (3, 4) and all(
        letters(one) in ("", letter) for one, letter in zip(axes, "NCHW"[:rank], strict=True)
    )
    if is_plane and not any(map(any, sides[:2])) and min(map(min, sides)) >= 0 and _pads_zeros(builder, node):
        builder.padded[node.outputs[0]] = Padded(node, value, axes, (*sides[2], *(*sides, (0, 0))[3]))
        return None
    give_other(builder, node, [value], axes)
    return None


def _pads_zeros(builder: Builder, node: Node) -> bool:
    constant = builder.constants.get(node.input(2))
    if node.text("mode", "constant") != "constant" or (node.input(2) and constant is None):
        return False
    value = node.real("value", 0.0) if constant is None else float(constant.load().reshape(-1)[0])
    return value == 0


def unpadded(builder: Builder, node: Node) -> tuple[Value, tuple[int, int, int, int]]:
    """What a convolution reads, and the padding that a Pad in front of it asks for."""
    waiting = builder.padded.get(node.input(0))
    if waiting is None or node.op_type not in FOLDING or node.text("auto_pad", "NOTSET").startswith("SAME"):
        return builder.value(node), (0, 0, 0, 0)
    return waiting.value, waiting.padding
