"""Naive twin of encodings/run_codes.py and dma_sizes.py: windows written word by word."""

import itertools
import zlib


def in_memory(array, layout):
    """Words of [N][C][H][W] nested loops in the order of a layout, the last letter the fastest."""
    sizes = dict(zip("NCHW", array.shape, strict=True))
    words = []
    for places in itertools.product(*(range(sizes[letter]) for letter in layout)):
        at = dict(zip(layout, places, strict=True))
        words.append(array[at["N"], at["C"], at["H"], at["W"]])
    return words


def windows(words, length):
    return [words[start : start + length] for start in range(0, len(words), length)]


def masked(window, word_bytes):
    """Bytes of a window by zero-value compression: of every 32 words a mask, then those that are not 0."""
    total = 0
    while window:
        group, window = window[:32], window[32:]
        total += 4 + sum(word_bytes for word in group if word)
    return total


def run_bytes(window):
    """The byte of every run of a window: 128 and more for words that follow, the low bits the length less one."""
    found, place = [], 0
    while place < len(window):
        kind, length = bool(window[place]), 0
        while place < len(window) and bool(window[place]) == kind and length < 128:
            length, place = length + 1, place + 1
        found.append((128 if kind else 0) + length - 1)
    return found


def num_bytes(words, codec, word_bytes, window_bytes):
    """Of all windows; `words` are numbers, or for zlib each its bytes."""
    total = 0
    for window in windows(words, window_bytes // word_bytes):
        if codec == "zvc":
            total += masked(window, word_bytes)
        elif codec == "rle":
            total += len(run_bytes(window)) + sum(word_bytes for word in window if word)
        else:
            total += len(zlib.compress(b"".join(window), 6))
    return total


def expected_runs(density, length, longest):
    """Mean runs of a window of independent words, by following the length of the run that a word ends."""
    chance = {(True, 1): density, (False, 1): 1 - density}
    total = 1.0
    for _ in range(length - 1):
        following = {}
        for (kind, run), p in chance.items():
            for now, q in ((True, density), (False, 1 - density)):
                starts = now != kind or run == longest
                total += p * q if starts else 0
                key = (now, 1 if starts else run + 1)
                following[key] = following.get(key, 0.0) + p * q
        chance = following
    return total
