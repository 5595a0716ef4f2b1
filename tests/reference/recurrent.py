"""A recurrent layer and a product of two activation tensors by their definitions, product by product.

Arrays are nested lists or numpy arrays of plain numbers; nothing here knows of layers or of convolutions.
"""


def effectual_products_of_steps(weights, sequence):
    """Products of two non-zeros of each step: every row of the gates times what the step reads.

    weights[row][column], sequence[image][step][column]  ->  one count a step, over all images
    """
    counts = []
    for step in range(len(sequence[0])):
        count = 0
        for image in sequence:
            for row in weights:
                for weight, value in zip(row, image[step], strict=True):
                    if weight and value:
                        count += 1
        counts.append(count)
    return counts


def scores(queries, keys, heads):
    """Q K^T of every head.  queries[channel][m], keys[channel][l]  ->  [head * L + l][m]"""
    depth, rows = len(queries) // heads, []
    for head in range(heads):
        for key in range(len(keys[0])):
            rows.append(
                [
                    sum(queries[head * depth + c][m] * keys[head * depth + c][key] for c in range(depth))
                    for m in range(len(queries[0]))
                ]
            )
    return rows


def weighted_values(weights, values, heads):
    """Weights times V of every head.  weights[head * L + l][m], values[channel][l]  ->  [channel][m]"""
    length, depth = len(weights) // heads, len(values) // heads
    return [
        [
            sum(weights[channel // depth * length + key][m] * values[channel][key] for key in range(length))
            for m in range(len(weights[0]))
        ]
        for channel in range(len(values))
    ]
