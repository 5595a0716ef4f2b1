"""One processor register as 32 byte counters: the queue lengths of all accumulator banks of a PE.

Each weight of a vector adds the bank counts of an activation vector, rotated by the weight's own bank; then every
bank retires one product. It is written in LLVM vectors because a compiler does not keep an array in a register: a
PE-cycle is four loads, four additions, one saturating subtraction and one comparison. The counts are added to each
other before they meet the queue lengths, so that the next PE-cycle waits for one addition and not for four; these
additions saturate only because a compiler would put plain ones in a row again. With the JIT off the same steps run in
Python.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

NUM_LANES = 32
ROW_BYTES = 4 * NUM_LANES  # the counts, the counts again (so that a rotation is a load at an offset), zeros twice
NO_WEIGHT = 2 * NUM_LANES  # offset of the zeros: an unused slot of a weight vector
WEIGHTS_PER_STEP = 4  # shorter weight vectors are padded with NO_WEIGHT
ROW_SHIFT = 32  # a position is row << 32 | step
DONE = -1


def issue_rotated_in_python(queues, pe, counts, position, end_row, offsets, span, depth):
    """Issue weight vectors span = (first, end) against activation vectors up to `end_row` until a queue is too long.

    The reference of the compiled form below, and its stand-in when the JIT is off.

    queues : uint8[T, 32]     products waiting in each bank of each PE, updated in place
    counts : uint8[V, 128]    products that activation vector v sends to each bank, twice, then zeros
    position : int            where to start, row << 32 | step
    offsets : uint8[W, 4]     32 minus the bank of each weight, or NO_WEIGHT
    depth : uint8             products that a queue holds; depth + products of a vector pair below 256

    Returns DONE, or the position after the vector pair that stalled the array. Indices are the caller's to get right.
    """
    lengths = queues[pe].astype(np.int64)
    row, step = position >> ROW_SHIFT, position & (2**ROW_SHIFT - 1)
    while row < end_row:
        while step < span[1]:
            for offset in offsets[step]:
                lengths += counts[row, offset : offset + NUM_LANES]
            lengths = np.maximum(lengths - 1, 0)
            step += 1
            if (lengths > depth).any():
                queues[pe] = lengths
                return row << ROW_SHIFT | step
        row, step = row + 1, span[0]
    queues[pe] = lengths
    return DONE


def _splat(builder, scalar, vector_type):
    undefined = ir.Constant(vector_type, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), [0] * vector_type.count)
    return builder.shuffle_vector(builder.insert_element(undefined, scalar, ir.IntType(32)(0)), undefined, first_lane)


def generate_issue(context, builder, signature, args):
    """LLVM of `issue_rotated_in_python`: loops over activation and weight vectors, queue lengths in a register."""
    queues_type, _, counts_type, _, _, offsets_type = signature.args[:6]
    queues, pe, counts, position, end_row, offsets, span, depth = args[:8]
    int32, int64 = ir.IntType(32), ir.IntType(64)
    lanes = ir.VectorType(ir.IntType(8), NUM_LANES)
    queues = context.make_array(queues_type)(context, builder, queues)
    counts = context.make_array(counts_type)(context, builder, counts)
    offsets = context.make_array(offsets_type)(context, builder, offsets)
    first, end = builder.extract_value(span, 0), builder.extract_value(span, 1)

    def lanes_at(base, byte):
        return builder.bitcast(builder.gep(base, [byte]), lanes.as_pointer())

    queue_pointer = lanes_at(queues.data, builder.mul(pe, int64(NUM_LANES)))
    lengths = cgutils.alloca_once_value(builder, builder.load(queue_pointer, align=1))
    row = cgutils.alloca_once_value(builder, builder.lshr(position, int64(ROW_SHIFT)))
    step = cgutils.alloca_once_value(builder, builder.and_(position, int64(2**ROW_SHIFT - 1)))
    outcome = cgutils.alloca_once_value(builder, int64(DONE))
    limit = _splat(builder, depth, lanes)
    retire = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(lanes, [lanes, lanes]), f"llvm.usub.sat.v{NUM_LANES}i8"
    )
    gather = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(lanes, [lanes, lanes]), f"llvm.uadd.sat.v{NUM_LANES}i8"
    )
    names = ("rows", "steps", "issue", "next_row", "stalled", "done")
    blocks = {name: builder.append_basic_block(name) for name in names}
    builder.branch(blocks["rows"])

    builder.position_at_end(blocks["rows"])
    this_row = builder.load(row)
    counts_row = builder.gep(counts.data, [builder.mul(this_row, int64(ROW_BYTES))])
    builder.cbranch(builder.icmp_signed("<", this_row, end_row), blocks["steps"], blocks["done"])

    builder.position_at_end(blocks["steps"])
    this_step = builder.load(step)
    builder.cbranch(builder.icmp_signed("<", this_step, end), blocks["issue"], blocks["next_row"])

    builder.position_at_end(blocks["issue"])
    vector = builder.gep(offsets.data, [builder.mul(this_step, int64(WEIGHTS_PER_STEP))])
    packed = builder.load(builder.bitcast(vector, int32.as_pointer()), align=1)
    arriving = []
    for slot in range(WEIGHTS_PER_STEP):
        offset = builder.and_(builder.lshr(packed, int32(8 * slot)), int32(0xFF))
        arriving.append(builder.load(lanes_at(counts_row, builder.zext(offset, int64)), align=1))
    pairs = [builder.call(gather, arriving[slot : slot + 2]) for slot in range(0, WEIGHTS_PER_STEP, 2)]
    total = builder.add(builder.load(lengths), builder.call(gather, pairs))
    remaining = builder.call(retire, [total, ir.Constant(lanes, [1] * NUM_LANES)])
    builder.store(remaining, lengths)
    builder.store(builder.add(this_step, int64(1)), step)
    too_long = builder.bitcast(builder.icmp_unsigned(">", remaining, limit), ir.IntType(NUM_LANES))
    builder.cbranch(builder.icmp_unsigned("!=", too_long, ir.IntType(NUM_LANES)(0)), blocks["stalled"], blocks["steps"])

    builder.position_at_end(blocks["next_row"])
    builder.store(builder.add(this_row, int64(1)), row)
    builder.store(first, step)
    builder.branch(blocks["rows"])

    builder.position_at_end(blocks["stalled"])
    builder.store(builder.or_(builder.shl(this_row, int64(ROW_SHIFT)), builder.load(step)), outcome)
    builder.branch(blocks["done"])

    builder.position_at_end(blocks["done"])
    builder.store(builder.load(lengths), queue_pointer, align=1)
    return builder.load(outcome)
