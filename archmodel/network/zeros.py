"""What is published or stated about the non-zeros of a layer."""

import re
from dataclasses import dataclass

from archmodel.errors import WorkloadError, show
from archmodel.network.layer import COMPUTE_KINDS, Layer

STRUCTURE_PATTERN = r"space_to_depth:[1-9]\d{0,4}(,[1-9]\d{0,4}){2}"


@dataclass(frozen=True)
class Zeros:
    """What is published or stated about the non-zeros of a layer that multiplies; ``source`` says by whom or why.

    At most one of ``weight_nonzeros`` (a count), ``weight_density`` and ``weight_mask`` ("file.npz:key", the mask as
    booleans [K, C/groups, R, S] or the numpy.packbits of its flattened cells, or "file.onnx:layer", the weights of a
    layer of that name). Densities are fractions of non-zeros;
    ``output_density`` is after the activation, before any pooling. ``structure`` = "space_to_depth:R,S,stride" says
    that the layer is an R x S kernel with a stride, rearranged to stride 1: only weights of that kernel exist.
    """

    source: str
    weight_nonzeros: int | None = None
    weight_density: float | None = None
    weight_mask: str | None = None
    input_density: float | None = None
    output_density: float | None = None
    structure: str | None = None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise WorkloadError("zeros_source: is missing; say where the numbers of non-zeros come from")
        for key in ("weight_density", "input_density", "output_density"):
            density = getattr(self, key)
            if density is not None and not 0.0 <= density <= 1.0:
                raise WorkloadError(f"{key} = {show(density)}: must be from 0 to 1")
        keys = ("weight_nonzeros", "weight_density", "weight_mask")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise WorkloadError(f"{given[1]} = {show(getattr(self, given[1]))}: {given[0]} is given already")
        if self.weight_mask is not None and not re.fullmatch(r".+\.(npz|onnx):[^:]+", self.weight_mask):
            raise WorkloadError(f'weight_mask = {show(self.weight_mask)}: must be "file.npz:key"')
        if self.structure is not None and not re.fullmatch(STRUCTURE_PATTERN, self.structure):
            raise WorkloadError(f'structure = {show(self.structure)}: must be "space_to_depth:R,S,stride"')

    @property
    def space_to_depth(self) -> tuple[int, int, int] | None:
        """R, S and stride of the kernel before it was rearranged."""
        if self.structure is None:
            return None
        R, S, stride = (int(part) for part in self.structure.partition(":")[2].split(","))
        return R, S, stride

    def check(self, layer: Layer) -> None:
        """WorkloadError if ``layer`` cannot have these zeros."""
        where = f"layer {show(layer.name)}: "
        if not layer.is_compute:
            raise WorkloadError(f"{where}only {', '.join(COMPUTE_KINDS)} layers have non-zeros, not {layer.kind}")
        positions = layer.weight_words
        if self.space_to_depth is not None:
            R, S, stride = self.space_to_depth
            channels, rest = divmod(layer.C // layer.groups, stride * stride)
            kernel = (-(-R // stride), -(-S // stride))
            if layer.kind != "conv" or rest or (layer.R, layer.S, layer.stride) != (*kernel, (1, 1)):
                raise WorkloadError(
                    f"{where}structure = {show(self.structure)}: does not make a stride-1 kernel {[layer.R, layer.S]}"
                    f" over {layer.C // layer.groups} channels"
                )
            positions = layer.K * channels * R * S
        if self.weight_nonzeros is not None and not 0 <= self.weight_nonzeros <= positions:
            raise WorkloadError(
                f"{where}weight_nonzeros = {show(self.weight_nonzeros)}: must be from 0 to its {positions} weights"
            )
