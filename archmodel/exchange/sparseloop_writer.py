"""A network as problems of Sparseloop (Wu et al., MICRO 2022): a YAML document a layer, with shape and densities.

The keys are those of Timeloop's version 3, which Sparseloop reads. Every layer is a grouped convolution: an fc has one
position, a recurrent layer its steps as rows, a matmul its heads as groups and its second input as Weights.
"""

import json
from collections.abc import Mapping
from decimal import Decimal

from archmodel.network.layer import Layer
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros

DIMENSIONS = ("N", "G", "C", "M", "P", "Q", "R", "S")
SHAPE = """\
    dimensions: [ N, G, C, M, P, Q, R, S ]
    coefficients:
      - name: Hstride
        default: 1
      - name: Wstride
        default: 1
      - name: Hdilation
        default: 1
      - name: Wdilation
        default: 1
    data-spaces:
      - name: Weights
        projection:
          - [ [G] ]
          - [ [M] ]
          - [ [C] ]
          - [ [R] ]
          - [ [S] ]
      - name: Inputs
        projection:
          - [ [N] ]
          - [ [G] ]
          - [ [C] ]
          - [ [P, Hstride], [R, Hdilation] ]
          - [ [Q, Wstride], [S, Wdilation] ]
      - name: Outputs
        projection:
          - [ [N] ]
          - [ [G] ]
          - [ [M] ]
          - [ [P] ]
          - [ [Q] ]
        read-write: True
"""


def sparseloop_text(network: Network, zeros: Mapping[str, Zeros]) -> str:
    """A document for every layer that multiplies; `zeros` has the three densities of each."""
    heading = (
        f"# {json.dumps(network.title)}: a problem a document, for one image\n"
        "# Padding has no words of its own: densities are those of the tensors without it\n"
    )
    return heading + "".join(_document(layer, zeros[layer.name]) for layer in network.compute_layers)


def _document(layer: Layer, zeros: Zeros) -> str:
    strides = dict(zip(("Hstride", "Wstride"), layer.stride, strict=True))
    dilations = dict(zip(("Hdilation", "Wdilation"), layer.dilation, strict=True))
    densities = {
        "Weights": zeros.weight_density,
        "Inputs": zeros.input_density,
        "Outputs": zeros.output_density,
    }
    lines = [f"    {name}: {size}" for name, size in (sizes(layer) | strides | dilations).items()]
    lines.append("    densities:")
    for space, density in densities.items():
        assert density is not None
        number = format(Decimal(repr(float(density))), "f")  # YAML reads 1e-05 as text
        lines += [f"      {space}:", "        distribution: hypergeometric", f"        density: {number}"]
    return (
        f"---\n# {layer.kind}; densities: {json.dumps(zeros.source)}\n"
        f"problem:\n  shape:\n    name: {json.dumps(layer.name)}\n{SHAPE}  instance:\n" + "\n".join(lines) + "\n"
    )


def sizes(layer: Layer) -> dict[str, int]:
    """Sizes of the DIMENSIONS: images, groups, channels and filters of a group, output plane, kernel."""
    K, C, R, S = layer.weight_shape
    return dict(zip(DIMENSIONS, (1, layer.groups, C, K // layer.groups, layer.P, layer.Q, R, S), strict=True))
