"""Links between a device and its host or a neighbour, and how transfers share them."""
