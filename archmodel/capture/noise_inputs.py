"""What a network is given where nobody gives it anything: noise of the shapes that its file declares."""

from collections.abc import Sequence

import numpy as np

from archmodel.capture.input_parts import Array, check_bytes
from archmodel.errors import show
from archmodel.exchange.onnx_inputs import ModelInput


def noise_feed(signature: Sequence[ModelInput], seed: int) -> dict[str, Array]:
    """An array for each input: normal numbers of deviation 1, zeros where it takes integers.

    A batch without a size is one image. WorkloadError where another size is missing.
    """
    feed = {}
    for place, given in enumerate(signature):
        if given.dims is None:
            raise given.refuse("noise needs a shape; give --input")
        free = given.batched and isinstance(given.dims[0], str)
        dims = (1, *given.dims[1:]) if free else given.dims
        sizes = tuple(dim for dim in dims if isinstance(dim, int))
        if len(sizes) < len(dims):
            missing = next(dim for dim in dims if isinstance(dim, str))
            raise given.refuse(f"nothing says how long {show(missing)} is; give --input")
        check_bytes(given, int(np.prod(sizes, dtype=object)))
        rng = np.random.default_rng([seed, place])
        floats = given.dtype.kind == "f"
        feed[given.name] = (rng.standard_normal(sizes) if floats else np.zeros(sizes)).astype(given.dtype)
    return feed
