"""A memory pool with a free list: best fit, blocks split and merged, so that fragmentation costs what it costs."""

from bisect import bisect_left

from archmodel.errors import ConfigError, show

ALIGNMENT_BYTES = 512  # cudaMalloc aligns to at least 256, the pools of PyTorch and TensorFlow to 512 and 256
MAX_BYTES = 2**40  # of an alignment and a capacity: a tebibyte


def spelt_bytes(num_bytes: int) -> str:
    """Bytes for a message: `15.44 GiB (16,583,011,488 bytes)`; few of them without a prefix."""
    exact = f"{num_bytes:,} bytes"
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.2f} {unit} ({exact})".replace(".00 ", " ")
    return exact


class CapacityError(ConfigError):
    """A tensor finds no place below the capacity of the memory."""


class BestFitPool:
    """Addresses from 0 on; it grows at its end when no free block is large enough, and never shrinks.

    A request takes the smallest free block that holds it (the lowest address of equal ones) and leaves the rest free.
    A freed block merges with free neighbours. A free block at the end is grown rather than passed over.
    """

    def __init__(self, alignment_bytes: int = ALIGNMENT_BYTES, capacity_bytes: int | None = None) -> None:
        for key, value in (("alignment_bytes", alignment_bytes), ("capacity_bytes", capacity_bytes)):
            if value is not None and (type(value) is not int or not 1 <= value <= MAX_BYTES):
                raise ConfigError(f"{key} = {show(value)}: must be a whole number from 1 to {MAX_BYTES}")
        self.alignment_bytes, self.capacity_bytes = alignment_bytes, capacity_bytes
        self.reserved_bytes = 0
        self.blocks: dict[str, tuple[int, int]] = {}  # offset and size of what is held
        self._starts: list[int] = []  # offsets of the free blocks, rising
        self._sizes: list[int] = []

    @property
    def held_bytes(self) -> int:
        """Of all blocks in use, each rounded up to the alignment."""
        return self.reserved_bytes - sum(self._sizes)

    @property
    def free_blocks(self) -> list[tuple[int, int]]:
        """Offset and size of the free blocks, by address."""
        return list(zip(self._starts, self._sizes, strict=True))

    def allocate(self, name: str, num_bytes: int) -> int:
        """The offset of a new block; CapacityError if the pool would have to grow beyond its capacity."""
        if name in self.blocks:
            raise RuntimeError(f"{name} is allocated twice")
        size = max(-(-num_bytes // self.alignment_bytes), 1) * self.alignment_bytes
        fitting = [(found, place) for place, found in enumerate(self._sizes) if found >= size]
        place = min(fitting)[1] if fitting else self._grow(name, size)
        offset, found = self._starts[place], self._sizes[place]
        if found == size:
            del self._starts[place], self._sizes[place]
        else:
            self._starts[place], self._sizes[place] = offset + size, found - size
        self.blocks[name] = (offset, size)
        return offset

    def _grow(self, name: str, size: int) -> int:
        """Make the last free block, or a new one, end at a larger end of the pool and be ``size`` large."""
        at_end = bool(self._starts) and self._starts[-1] + self._sizes[-1] == self.reserved_bytes
        start = self._starts[-1] if at_end else self.reserved_bytes
        if self.capacity_bytes is not None and start + size > self.capacity_bytes:
            largest = max([*self._sizes, self.capacity_bytes - start])
            raise CapacityError(
                f"{name}: {spelt_bytes(size)} do not fit: {spelt_bytes(self.held_bytes)} of"
                f" {spelt_bytes(self.capacity_bytes)} are in use, the largest free block has {spelt_bytes(largest)}"
            )
        if not at_end:
            self._starts.append(start)
            self._sizes.append(size)
        self._sizes[-1] = size
        self.reserved_bytes = start + size
        return len(self._starts) - 1

    def free(self, name: str) -> None:
        """Give a block back."""
        if name not in self.blocks:
            raise RuntimeError(f"{name} is freed and is not allocated")
        offset, size = self.blocks.pop(name)
        place = bisect_left(self._starts, offset)
        if place < len(self._starts) and offset + size == self._starts[place]:
            size += self._sizes.pop(place)
            del self._starts[place]
        if place and self._starts[place - 1] + self._sizes[place - 1] == offset:
            self._sizes[place - 1] += size
        else:
            self._starts.insert(place, offset)
            self._sizes.insert(place, size)
