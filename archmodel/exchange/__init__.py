"""Networks as files of other tools: read to layers, written from them; `read_network` opens all kinds, ours too."""

from archmodel.exchange.readers import read_network

__all__ = ["read_network"]
