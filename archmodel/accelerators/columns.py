"""What a result is made of: the causes of a slot, and the columns of a layer with their units."""

from typing import NamedTuple, get_args

from archmodel.memory.dram import StreamKind

# Causes of a multiplier-slot, in the order in which they are shown. `busy` is effectual work.
CAUSES = (
    "busy",
    "stored_zero",  # products with an explicit zero of the run-length code, or with a zero that is not skipped
    "out_of_range",  # products of two non-zeros that no output needs
    "fragmentation",  # slots of vectors that are not full, or of columns without an entry
    "bank_conflict",  # a full accumulator queue holds the multipliers, or a bank delivers too late
    "imbalance",  # PEs wait for the slowest one, or have no tile
    "weight_stall",  # weights have not arrived
    "tile_shift",  # a tile of operands shifts into an array that could go on
    "drain",  # queues, halos and outputs leave while nothing is multiplied
    "memory",  # DRAM takes longer than the computation, first fill included
)


class Column(NamedTuple):
    """A dataset: its type (text, which is UTF-8, int64, float64 or bool) and the attributes that explain it."""

    dtype: str
    unit: str
    description: str


MAPPINGS = ("words_read", "words_written", "operations", "details", "origins")
DRAM_KINDS: tuple[str, ...] = get_args(StreamKind)
LAYER_COLUMNS = {
    "name": Column("text", "text", "name of the layer; rows are in order of execution"),
    "kind": Column("text", "text", "kind of the layer in the network: conv, fc, lstm, gru, rnn or matmul"),
    "num_multipliers": Column("int64", "1", "multipliers of the machine"),
    "cycles": Column("int64", "cycles", "cycles of the layer, memory included"),
    "time_s": Column("float64", "s", "cycles at the machine's clock"),
    "oracle_cycles": Column("int64", "cycles", "effectual MACs over multipliers, rounded up"),
    "cycles_low": Column("int64", "cycles", "lower end of the 95 % confidence interval of a sampled layer, or cycles"),
    "cycles_high": Column("int64", "cycles", "upper end of it"),
    "macs_dense": Column("int64", "MACs", "multiply-accumulates with all zeros and padding"),
    "macs_effectual": Column("int64", "MACs", "products of two non-zeros whose output is in range"),
    "macs_issued": Column("int64", "MACs", "products that occupy a multiplier"),
    "multiplier_utilization": Column("float64", "1", "effectual MACs per multiplier-slot"),
    "weight_density": Column("float64", "1", "non-zero fraction of the weights"),
    "input_density": Column("float64", "1", "non-zero fraction of the input activations"),
    "output_density": Column("float64", "1", "non-zero fraction of the output activations"),
    "dram_bytes": Column("int64", "bytes", "bytes to and from DRAM, after encoding"),
    **{f"dram_{kind}_bytes": Column("int64", "bytes", f"those of {kind} streams") for kind in DRAM_KINDS},
    "checked": Column("bool", "1", "whether real outputs were compared with a reference"),
    "details": Column("text", "JSON", "what the machine chose for the layer"),
    "origins": Column("text", "JSON", "what weights, inputs and outputs rest on"),
}
