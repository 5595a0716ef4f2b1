"""Naive twin of kernels/bit_stream.py: bits as text of zeros and ones."""


def fields_as_bytes(words, bits):
    """The low bits of every word, one behind the other, zeros up to the next byte."""
    return text_as_bytes("".join(format(int(word) % 2**bits, f"0{bits}b") for word in words))


def text_as_bytes(text):
    """Eight characters a byte, the first one the highest bit."""
    text += "0" * (-len(text) % 8)
    return bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))
