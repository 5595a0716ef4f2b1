"""Parameters of systolic arrays; the TOML files give the published values and the reasons of the open choices."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.accelerators.stored_tensors import DenseEncoding
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
PEKind = Literal["multiplier", "ternary", "xnor"]
Bits = Annotated[int, Field(ge=1, le=64)]
BytesPerS = Annotated[float, Field(ge=1e6, le=1e15)] | Literal["memory"]


class ArrayConfig(FrozenModel):
    """The array: operands enter at the left and move right, partial sums or weights move down.

    double_buffered : PEs have shadow registers, so that a tile moves in (or finished outputs move out) while another
    one is multiplied; without, the array is filled and drained for every tile
    """

    rows: Annotated[int, Field(ge=1, le=4096)]
    cols: Annotated[int, Field(ge=1, le=4096)]
    dataflow: Dataflow
    double_buffered: bool


class PEConfig(FrozenModel):
    """A PE: in a cycle it adds up the products of `lanes` pairs of operands, neighbours in the depth.

    kind : "multiplier"; "ternary" adds, subtracts or leaves out an input, as its weight says; "xnor" counts pairs of
    bits that agree, each bit being -1 or +1
    """

    kind: PEKind
    lanes: Annotated[int, Field(ge=1, le=4096)]

    def tree_bits(self, product_bits: int) -> int:
        """Bits of all adders of the tree that adds up the lanes: a sum is a bit wider than what it adds."""
        values, bits, total = self.lanes, product_bits, 0
        while values > 1:
            total += values // 2 * bits
            values, bits = values - values // 2, bits + 1
        return total


class WeightConfig(FrozenModel):
    """Where weights wait for the array.

    memory_bytes_per_s : of a memory of their own, or "memory", the run's DRAM, shared with activations
    kept : a layer's weights that fit stay for all its blocks; a FIFO keeps none
    whole_tiles : weights are stored and fetched as tiles of the array's size, edges filled up with zeros
    """

    buffer_bytes: Annotated[int, Field(ge=1, le=2**40)]
    memory_bytes_per_s: BytesPerS
    kept: bool
    whole_tiles: bool


class ActivationConfig(FrozenModel):
    """The buffer of inputs and outputs.

    host_bytes_per_s : rate at which activations enter and leave, or "memory", the run's DRAM
    """

    buffer_bytes: Annotated[int, Field(ge=64, le=2**40)]
    host_bytes_per_s: BytesPerS
    num_banks: Annotated[int, Field(ge=1, le=65536)]


class AccumulatorConfig(FrozenModel):
    """Partial sums below every column; an output-stationary array has them in its PEs, and no rows here.

    double_buffered : half of the rows are written out while the other half adds up
    """

    rows: Annotated[int, Field(ge=2, le=2**24)]
    bits: Bits
    double_buffered: bool

    @property
    def rows_per_block(self) -> int:
        """Partial sums of a column that add up at a time."""
        return self.rows // 2 if self.double_buffered else self.rows


class Config(FrozenModel):
    """A systolic array with its buffers."""

    model: Literal["systolic"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    weight_bits: Bits
    input_bits: Bits  # and of outputs, the inputs of the next layer
    pe: PEConfig
    array: ArrayConfig
    weights: WeightConfig
    activations: ActivationConfig
    accumulators: AccumulatorConfig
    encoding: DenseEncoding

    @model_validator(mode="after")
    def _a_pe_takes_its_operands(self) -> "Config":
        allowed = {"ternary": {"weight_bits": 2}, "xnor": {"weight_bits": 1, "input_bits": 1}}.get(self.pe.kind, {})
        for key, bits in allowed.items():
            if getattr(self, key) != bits:
                raise ValueError(f"pe.kind = '{self.pe.kind}': {key} must be {bits}, not {getattr(self, key)}")
        return self

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.weight_bits, self.input_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine, or what it has in their place: one a lane."""
        return self.array.rows * self.array.cols * self.pe.lanes

    @property
    def activation_bytes(self) -> int:
        """Bytes of the activation buffer."""
        return self.activations.buffer_bytes

    @property
    def components(self) -> tuple[Component, ...]:
        """The buffers, with a row as wide as the array or more, the parts of every PE, and what is below columns."""
        array, lanes, pes = self.array, self.pe.lanes, self.array.rows * self.array.cols
        banks, copies = self.activations.num_banks, 2 if array.double_buffered else 1
        windows, weights = lanes * array.rows, lanes * array.cols  # words that enter the array in a cycle
        if array.dataflow == "input_stationary":
            windows, weights = weights, windows
        bank_words = max(windows, 8 * self.activations.buffer_bytes // (self.input_bits * banks))
        weight_words = max(weights, 8 * self.weights.buffer_bytes // self.weight_bits)
        stationary, moving, downward = self.register_bits
        parts = [
            Component("activation_buffer", "sram", banks, self.input_bits, words=bank_words, words_per_row=windows),
            Component("weight_buffer", "sram", 1, self.weight_bits, words=weight_words, words_per_row=weights),
            Component("stationary_registers", "register_file", pes, stationary, words=copies),
            Component("moving_registers", "register_file", pes, moving),
            Component("downward_registers", "register_file", pes, downward),
            *self._arithmetic(pes),
            Component("adders", "adder", pes, self.accumulators.bits),
        ]
        if array.dataflow != "output_stationary":
            rows, bits = self.accumulators.rows, self.accumulators.bits
            parts.append(Component("accumulators", "sram", array.cols, bits, words=rows, two_port=True))
            parts.append(Component("accumulator_adders", "adder", array.cols, bits))
        return tuple(parts)

    @property
    def product_part(self) -> str:
        """The component that makes a product."""
        return {"multiplier": "multipliers", "ternary": "negations", "xnor": "xnors"}[self.pe.kind]

    def _arithmetic(self, pes: int) -> list[Component]:
        """What makes the products of a PE, and the tree that adds up those of its lanes."""
        lanes = pes * self.pe.lanes
        if self.pe.kind == "ternary":
            product_bits = self.input_bits + 1  # the negative of the least number needs another one
            parts = [Component(self.product_part, "adder", lanes, product_bits)]
        else:  # a multiplier of two bits is a gate
            product_bits = 1 if self.pe.kind == "xnor" else self.weight_bits + self.input_bits
            parts = [Component(self.product_part, "multiplier", lanes, self.weight_bits, other_bits=self.input_bits)]
        if self.pe.lanes > 1:
            parts.append(Component("lane_adders", "adder", pes, self.pe.tree_bits(product_bits)))
        return parts

    @property
    def register_bits(self) -> tuple[int, int, int]:
        """Of what stays in a PE, of what moves right, and of what moves down: operands of all lanes, or a sum."""
        weight, word = self.pe.lanes * self.weight_bits, self.pe.lanes * self.input_bits
        match self.array.dataflow:
            case "weight_stationary":
                return weight, word, self.accumulators.bits
            case "output_stationary":
                return self.accumulators.bits, word, weight
            case "input_stationary":
                return word, weight, self.accumulators.bits

    def weight_bytes(self, words: int) -> int:
        """Bytes of weights as they are stored: all their words."""
        return math.ceil(words * self.weight_bits / 8)

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored: all its words."""
        return math.ceil(words * self.input_bits / 8)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether inputs and outputs of an image fit the buffer together; where they do not, neither stays."""
        fit = self.stored_bytes(layer.input_words + layer.output_words, 1.0) <= self.activation_bytes
        return fit, fit
