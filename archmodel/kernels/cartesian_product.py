"""What SCNN's multipliers compute: every weight vector times every activation vector of a channel, accumulated."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def accumulate_products(
    weight_ptr, weight_address, weight_value, activation_ptr, activation_address, activation_value, num_accumulators
):
    """Accumulators of every group and PE after all its products (SCNN, ISCA 2017, sec. 3.2).

    Parameters
    ----------
    weight_ptr : int64[G, B + 1]          first weight vector of block (input channel) b in group g
    weight_address : int32[W, F]          addends of the accumulator address, -1 in unused slots
    weight_value : int32[W, F]
    activation_ptr : int64[B, T + 1]      first activation vector of block b in PE t
    activation_address, activation_value : int32[V, I]
    num_accumulators : int                accumulators of a PE in use

    Returns
    -------
    int64[G, T, num_accumulators]
    """
    num_groups, num_blocks, num_pes = weight_ptr.shape[0], weight_ptr.shape[1] - 1, activation_ptr.shape[1] - 1
    accumulators = np.zeros((num_groups, num_pes, num_accumulators), np.int64)
    for group in range(num_groups):
        for block in range(num_blocks):
            for pe in range(num_pes):
                bank = accumulators[group, pe]
                for row in range(activation_ptr[block, pe], activation_ptr[block, pe + 1]):
                    for vector in range(weight_ptr[group, block], weight_ptr[group, block + 1]):
                        for i in range(activation_address.shape[1]):
                            if activation_address[row, i] < 0:
                                break
                            for f in range(weight_address.shape[1]):
                                if weight_address[vector, f] < 0:
                                    break
                                address = activation_address[row, i] + weight_address[vector, f]
                                product = np.int64(activation_value[row, i]) * np.int64(weight_value[vector, f])
                                bank[address] += product
    return accumulators
