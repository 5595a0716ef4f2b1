"""EIE's outputs through its own storage: shared weights, zero runs of interleaved rows, columns of non-zeros only."""

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.check import compare_outputs, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.eie_batches import Batches
from archmodel.accelerators.eie_config import Config
from archmodel.encodings.blocks import dealt_blocks, pointers_of_pes, zero_run_entries
from archmodel.kernels.interleaved_columns import accumulate_columns
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands, Values

Codes = npt.NDArray[np.uint32]  # wide enough for a code for each weight of a layer
Int64 = npt.NDArray[np.int64]


def check(config: Config, layer: Layer, parts: Batches, operands: Operands, context: Context) -> None:
    """Raise ResultError unless the stored form gives the layer's outputs.

    Weights of more values than the codebook has are rounded to shared ones, for the reference too. Where outputs are
    also compared with another program's, every value has a code of its own.
    """
    weights, inputs = values_of(layer, operands, context.seed)
    bits = config.weights.code_bits if operands.made is None else np.iinfo(np.uint32).bits
    codes, codebook = share_weights(weights[:, :, 0, 0], bits)
    shared = codebook[codes].astype(np.int32)[:, :, np.newaxis, np.newaxis]
    outputs = np.zeros((operands.batch, layer.K), np.int64)
    for rows in parts.rows:
        entry_ptr, run, code = store(config, codes[rows.start : rows.stop])
        for image, output in zip(inputs[:, :, 0, 0], outputs, strict=True):
            for part in parts.columns:
                columns = np.flatnonzero(image[part.start : part.stop]) + part.start
                sums = accumulate_columns(entry_ptr, run, code, codebook, columns, image.astype(np.int64))
                output[rows.start : rows.stop] += deal_back(sums, len(rows))
    for image, output in zip(inputs, outputs, strict=True):
        compare_outputs(layer, output.reshape(-1, 1, 1), reference_outputs(layer, shared, image))


def share_weights(weights: Values, code_bits: int) -> tuple[Codes, Int64]:
    """Codes of weights and the values they stand for; code 0 is zero, which long runs store and no non-zero has.

    The values are those of the weights where the codebook is large enough, else non-zeros at equal shares of them.
    """
    held = weights != 0
    nonzeros = weights[held]
    values, most = np.unique(nonzeros), 2**code_bits - 1
    if values.size > most:
        values = np.unique(np.sort(nonzeros)[(2 * np.arange(most) + 1) * nonzeros.size // (2 * most)])
    codes = np.zeros(weights.shape, np.uint32)
    codes[held] = np.searchsorted((values[1:] + values[:-1]) / 2, nonzeros) + 1
    return codes, np.concatenate([[0], values]).astype(np.int64)


def store(config: Config, codes: Codes) -> tuple[Int64, npt.NDArray[np.uint8], Codes]:
    """Codes [rows, C] as the PEs hold them: first entries int64[PE, C + 1], and of every entry its run and code."""
    num_pes, columns = config.pe.count, codes.shape[1]
    dealt = dealt_blocks(codes, num_pes)
    entries = zero_run_entries((dealt != 0).view(np.uint8), 2**config.weights.index_bits - 1)
    pointers = pointers_of_pes(entries.pointers, num_pes, columns)
    return pointers, entries.runs.astype(np.uint8), dealt.reshape(-1)[entries.cells]


def deal_back(sums: Int64, num_rows: int) -> Int64:
    """Sums [PE, rows of a PE] in the order of the rows; those that no entry reaches are zero."""
    dealt = np.zeros(max(num_rows, sums.size), np.int64)
    in_order = sums.T.reshape(-1)
    dealt[: in_order.size] = in_order
    return dealt[:num_rows]
