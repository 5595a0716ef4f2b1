"""What EIE's registers hold of a layer at a time, what that costs, and the work that was walked or is expected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.context import Context
from archmodel.accelerators.eie_config import Config
from archmodel.network.layer import Layer


@dataclass(frozen=True)
class Work:
    """What the PEs do in a layer, over all images.

    spans : of every image, cycles from the first broadcast to the end of the slowest PE, summed over batches
    stored_entries, fullest_pe : stored entries of the matrix, and of the PE that has most
    issued, empty : PE-cycles with an entry, and with a column that has none in this PE
    pointer_stalls : PE-cycles in which a column waits for its second pointer
    broadcasts : activations sent to all PEs
    line_reads : reads of the matrix SRAMs
    cycle_map : int64[batches of all images, PEs], PE-cycles of work
    """

    spans: list[int]
    stored_entries: int
    fullest_pe: int
    issued: int
    empty: int
    pointer_stalls: int
    broadcasts: int
    line_reads: int
    cycle_map: npt.NDArray[np.int64] | None


@dataclass(frozen=True)
class Batches:
    """Parts of a layer in which its vectors pass through the registers: for each part of the outputs all of the inputs.

    rows, columns : outputs and inputs of the parts, in order
    """

    rows: list[range]
    columns: list[range]

    @classmethod
    def of(cls, config: Config, layer: Layer) -> "Batches":
        """As long as the registers allow."""
        length = config.pe.vector_length
        rows, columns = (
            [range(first, min(first + length, size)) for first in range(0, size, length)] for size in (layer.K, layer.C)
        )
        return cls(rows, columns)

    def loaded(self, context: Context) -> list[range]:
        """Inputs that pass from the activation SRAM to the registers for an image, batch by batch.

        None where the former layer left them in the registers.
        """
        if len(self.columns) > 1:
            return self.columns * len(self.rows)
        return [] if context.input_on_chip else self.columns

    def saved(self, context: Context) -> list[range]:
        """Outputs that pass from the registers to the activation SRAM for an image, batch by batch."""
        return [] if context.output_on_chip and len(self.rows) == 1 else self.rows

    def overhead_cycles(self, config: Config, context: Context) -> int:
        """Cycles of an image in which nothing is multiplied: registers and the pipeline fill and drain."""

        def transfer(words: range) -> int:
            of_a_pe = -(-len(words) // config.pe.count)
            return -(-of_a_pe // config.activations_per_row)

        pipeline = config.pe.lnzd_levels + config.pe.pipeline_stages
        moved = sum(transfer(words) for words in (*self.loaded(context), *self.saved(context)))
        return moved + pipeline * len(self.rows) * len(self.columns)


def words_of(parts: list[range]) -> int:
    """Words of some parts."""
    return sum(map(len, parts))


def storage_counts(
    config: Config, layer: Layer, parts: Batches, work: Work, batch: int, fetches: int, context: Context
) -> dict[str, Any]:
    """Words read and written by component, over all images; `fetches` is how often the weights come from DRAM."""
    loaded, saved = words_of(parts.loaded(context)) * batch, words_of(parts.saved(context)) * batch
    received = 0 if context.input_on_chip else layer.C * batch
    sent = 0 if context.output_on_chip else layer.K * batch
    queued = work.broadcasts * config.pe.count
    pointers = num_pointers(config, layer, parts)
    return {
        "words_read": {
            "activation_queue": queued,
            "pointer_sram": 2 * queued,
            "matrix_sram": work.line_reads * config.entries_per_row,
            "codebook": work.issued,
            "activation_registers": work.broadcasts + work.issued + saved,
            "activation_sram": loaded + sent,
        },
        "words_written": {
            "activation_queue": queued,
            "pointer_sram": pointers * fetches,
            "matrix_sram": work.stored_entries * fetches,
            "activation_registers": work.issued + loaded,
            "activation_sram": received + saved,
        },
    }


def num_pointers(config: Config, layer: Layer, parts: Batches) -> int:
    """Pointers of all PEs: for each part of the outputs one a column, and one behind the last."""
    return config.pe.count * len(parts.rows) * (layer.C + 1)
