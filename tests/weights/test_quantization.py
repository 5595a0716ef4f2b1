"""Quantization: codes by hand, errors of half a step, scales that are the best, k-means beside its naive twin."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archmodel.errors import WorkloadError
from archmodel.weights import quantization, shared_weights
from archmodel.weights.narrow_floats import BF16, FP16, quantize_floats
from archmodel.weights.quantization import (
    Quantized,
    quantize_binary,
    quantize_linear,
    quantize_ternary,
)
from archmodel.weights.shared_weights import share_weights
from tests.reference.shared_weights import naive_shared_weights

MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)
BITS = st.sampled_from([4, 8, 16])


def test_symmetric_codes_by_hand():
    """A step is 3.5 / 7; 0.75 and -1.25 are in the middle: to the even code."""
    made = quantize_linear(np.array([[3.5, -3.5, 0.2], [0.75, -1.25, 0.3]], np.float32), 4)
    assert made.scale == 0.5
    assert made.zero_point == 0
    assert made.codes.tolist() == [[7, -7, 0], [2, -2, 1]]
    assert made.values().tolist() == [[3.5, -3.5, 0], [1, -1, 0.5]]
    assert made.num_zeros_made(np.array([[3.5, -3.5, 0.2], [0.75, -1.25, 0.3]])) == 1
    assert (made.codes.dtype, made.values().dtype, made.bits) == (np.int32, np.float32, 4)


def test_affine_codes_by_hand():
    """From -1 to 6.5 in 15 steps of 0.5; 0 is code 2."""
    made = quantize_linear(np.array([-1, 6.5, 0, 1.1]), 4, symmetric=False)
    assert (made.scale, made.zero_point) == (0.5, 2)
    assert made.codes.tolist() == [0, 15, 2, 4]
    assert made.values().tolist() == [-1, 6.5, 0, 1]
    # A range of one sign is stretched to 0: from 0 to 15, and from -15 to 0.
    assert quantize_linear(np.array([15.0, 7]), 4, symmetric=False).codes.tolist() == [15, 7]
    negative = quantize_linear(np.array([-15.0, -7]), 4, symmetric=False)
    assert (negative.zero_point, negative.codes.tolist()) == (15, [0, 8])


def test_each_channel_has_its_own_scale_and_zero_point():
    weights = np.array([[[7, -1]], [[0.7, 0.2]], [[0, 0]]])
    symmetric = quantize_linear(weights, 4, per_channel=True)
    np.testing.assert_allclose(symmetric.scale, [1, 0.1, 1])
    assert symmetric.codes.tolist() == [[[7, -1]], [[7, 2]], [[0, 0]]]
    affine = quantize_linear(np.array([[-5.0, 10], [0, 30], [-15, 0]]), 4, symmetric=False, per_channel=True)
    np.testing.assert_allclose(affine.scale, [1, 2, 1])
    assert affine.zero_point.tolist() == [5, 0, 15]
    np.testing.assert_allclose(affine.values(), [[-5, 10], [0, 30], [-15, 0]])


@given(MATRICES, BITS, st.booleans(), st.booleans())
def test_an_error_is_at_most_half_a_step(weights, bits, symmetric, per_channel):
    made = quantize_linear(weights, bits, symmetric=symmetric, per_channel=per_channel)
    first, last = (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    assert first <= made.codes.min()
    assert made.codes.max() <= last
    scale = made.scale.reshape(-1, *[1] * (weights.ndim - 1))
    steps = np.abs(made.values() - weights.astype(float)) / scale
    assert steps.max() <= 0.5 + 2.0 ** (bits - 23)  # values are float32
    assert not made.values()[weights == 0].any()
    if not symmetric:
        return
    whole = scale.reshape(-1)[0] if scale.size == 1 else None
    assert whole is None or whole == pytest.approx((np.abs(weights).max() or last) / last)


def test_half_a_step_is_reached():
    weights = np.array([127, 0.5, 1.5, 2.5])
    assert np.abs(quantize_linear(weights, 8).values() - weights).tolist() == [0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("at_a_time", [1, 5, 1000])
def test_rows_are_quantized_in_parts(monkeypatch, at_a_time):
    weights = np.random.default_rng(0).normal(size=(7, 3, 2)).astype(np.float32)
    whole = [quantize_linear(weights, 8, per_channel=True), quantize_ternary(weights)]
    monkeypatch.setattr(quantization, "CELLS_AT_A_TIME", at_a_time)
    parts = [quantize_linear(weights, 8, per_channel=True), quantize_ternary(weights)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.values(), other.values())
        assert one.signal_to_noise_db(weights) == pytest.approx(other.signal_to_noise_db(weights))


@pytest.mark.parametrize(
    ("kind", "bits", "symmetric", "offset"),
    [
        ("INT8", 8, True, 0),
        ("INT16", 16, True, 0),
        ("UINT4", 4, False, 0),
        ("UINT8", 8, False, 0),
        ("UINT16", 16, False, 0),
        ("INT8", 8, False, 128),
    ],
)
def test_onnxruntime_quantizes_to_the_same_codes(kind, bits, symmetric, offset):
    pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    from onnx import TensorProto
    from onnxruntime.quantization.quant_utils import quantize_data

    for seed, mean in ((0, 0), (1, 0.1), (2, 5), (3, -5)):
        weights = np.random.default_rng(seed).normal(mean, 0.5, 5000).astype(np.float32)
        zero_point, scale, codes = quantize_data(weights, getattr(TensorProto, kind), symmetric)[-3:]
        ours = quantize_linear(weights, bits, symmetric=symmetric)
        assert ours.scale == pytest.approx(float(scale), rel=1e-6)
        assert ours.zero_point == int(zero_point) + offset
        apart = np.abs(ours.codes - (codes.astype(int) + offset))
        # Float32 has 24 bits: of a code of 16 it leaves 2^-8 of a step, in which the middle may fall to either side.
        assert apart.max() <= 1
        assert np.count_nonzero(apart) <= (0.01 * weights.size if bits == 16 else 0)


def test_onnxruntime_has_another_step_in_symmetric_int4():
    pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    from onnx import TensorProto
    from onnxruntime.quantization.quant_utils import quantize_data

    weights = np.array([-1, 0.5, 1], np.float32)
    _, scale, _ = quantize_data(weights, TensorProto.INT4, True)[-3:]
    assert float(scale) == pytest.approx(2 / 15)
    assert quantize_linear(weights, 4).scale == pytest.approx(1 / 7)


def test_ternary_weights_by_hand():
    """The mean magnitude is 12 / 6 = 2, the threshold 1.4; above it are 1.5, 3 and 6, whose mean is 3.5."""
    weights = np.array([[1.5, -3, 0.5], [-6, 1, 0]])
    made = quantize_ternary(weights)
    assert made.codes.tolist() == [[1, -1, 0], [-1, 0, 0]]
    assert made.scale == 3.5
    assert made.bits == 2
    assert made.num_zeros_made(weights) == 2
    # The threshold itself is below: mean 2, threshold 1.4.
    edge = quantize_ternary(np.array([1.4, 2.6]))
    assert (edge.codes.tolist(), edge.scale) == ([0, 1], 2.6)
    assert not quantize_ternary(np.zeros((2, 2))).values().any()


def test_binary_weights_by_hand():
    weights = np.array([[1.0, -2], [0, -0.5], [3, 3]])
    made = quantize_binary(weights)
    assert made.codes.tolist() == [[1, -1], [1, -1], [1, 1]]
    np.testing.assert_allclose(made.scale, [1.5, 0.25, 3])
    assert made.values().tolist() == [[1.5, -1.5], [0.25, -0.25], [3, 3]]
    assert made.bits == 1
    assert made.num_zeros_made(weights) == 0


@given(MATRICES, st.floats(0.5, 2))
def test_no_other_scale_of_ternary_and_binary_codes_has_a_smaller_error(weights, factor):
    for made in (quantize_ternary(weights), quantize_binary(weights)):
        other = dataclasses.replace(made, scale=made.scale * factor)
        errors = [np.square(weights.astype(float) - one.values()).sum() for one in (made, other)]
        assert errors[0] <= errors[1] * (1 + 1e-5) + 1e-5


@given(MATRICES)
def test_no_signs_but_those_of_the_weights_have_a_smaller_error(weights):
    made = quantize_binary(weights)
    error = np.square(weights.astype(float) - made.values())
    flipped = np.square(weights.astype(float) + made.values())
    assert (error <= flipped * (1 + 1e-5)).all()


def test_half_precision_by_hand():
    """0x3C00 is 1, 0xC000 is -2; 1 + 2^-11 is in the middle of 1 and 1 + 2^-10: to the even one."""
    weights = np.array([1, -2, 1 + 2**-11, 1 + 3 * 2**-11, 1e-9, -0.0, 65504])
    made = half(weights)
    assert made.codes.tolist() == [0x3C00, 0xC000, 0x3C00, 0x3C02, 0, 0, 0x7BFF]
    assert made.values().tolist() == [1, -2, 1, 1 + 2**-9, 0, 0, 65504]
    assert made.num_zeros_made(weights) == 1
    assert (made.bits, made.scale, made.zero_point, len(made.codebook)) == (16, 1, 0, 65536)


def half(weights):
    return quantize_floats(weights, FP16)


def test_what_is_beyond_half_precision_becomes_the_largest_and_is_counted():
    """65519 is nearer to 65504, 65520 in the middle between it and 2^16: to the even one, which is beyond."""
    made = half(np.array([65504.0, 65519, 65520, -65536, 1e300, -1]))
    assert made.values().tolist() == [65504, 65504, 65504, -65504, 65504, -1]
    assert (made.overflows, made.underflows) == (3, 0)


def test_tiny_numbers_that_lose_bits_are_counted_and_of_them_those_that_become_zero():
    """Half precision's smallest normal number is 2^-14, its smallest of all 2^-24; half of that is 0, the even one."""
    weights = np.array([2**-14, 2**-24, 3 * 2**-24, 2**-25, -(2**-25) * 1.01, 2**-14 * (1 - 2**-12), 2.5 * 2**-24, 0])
    made = half(weights)
    assert made.values().tolist() == [2**-14, 2**-24, 3 * 2**-24, 0, -(2**-24), 2**-14, 2 * 2**-24, 0]
    assert (made.overflows, made.underflows, made.num_zeros_made(weights)) == (0, 4, 1)


def test_brain_floats_by_hand():
    """Eight bits of significand: 257 is in the middle of 256 and 258, 259 of 258 and 260; the exponents of float32."""
    made = quantize_floats(np.array([1, -257, 259, 1e30, 2**-126, 2**-134, -(2**-133), 3.4e38, 1e300]), BF16)
    assert made.codes[:2].tolist() == [0x3F80, 0xC380]
    assert made.values()[:3].tolist() == [1, -256, 260]
    assert made.values()[3] == pytest.approx(1e30, rel=2**-9)
    assert made.values()[4:7].tolist() == [2**-126, 0, -(2**-133)]
    assert made.values()[7:].tolist() == [float(np.float32(2**127 * (2 - 2**-7)))] * 2
    assert (made.overflows, made.underflows, made.bits, len(made.codebook)) == (2, 1, 16, 65536)


@given(hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e5, 1e5, width=64)))
def test_half_precision_is_that_of_numpy(weights):
    with np.errstate(over="ignore"):
        halves = weights.astype(np.float16)
    made = half(weights)
    finite = np.isfinite(halves)
    np.testing.assert_array_equal(made.values()[finite], halves[finite].astype(np.float32))
    assert made.overflows == np.count_nonzero(~finite)


@given(hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_brain_floats_are_those_of_the_bits_of_float32(weights):
    """The upper half of a float32, rounded by what the lower half adds: 0x7FFF, and 1 where the last bit is odd."""
    bits = weights.view(np.uint32).astype(np.uint64)
    expected = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.int64)
    made = quantize_floats(weights, BF16)
    inside = (expected & 0x7FFF) < 0x7F80
    positive = np.where(expected == 0x8000, 0, expected)  # -0 is 0
    np.testing.assert_array_equal(made.codes[inside], positive[inside])
    assert made.overflows == np.count_nonzero(~inside)


def test_signal_to_noise_by_hand():
    made = Quantized(np.array([[3, 4]], np.int32), 4, np.array(1.0), np.array(0))
    assert made.signal_to_noise_db(np.array([[3.0, 4]])) == np.inf
    # Squares of the weights 9 + 16.81 = 25.81, of the error 0.01.
    assert made.signal_to_noise_db(np.array([[3, 4.1]])) == pytest.approx(10 * np.log10(25.81 / 0.01))
    assert made.signal_to_noise_db(np.zeros((1, 2))) == -np.inf


def test_a_bit_is_worth_six_decibels():
    weights = np.random.default_rng(0).uniform(-1, 1, 200_000)
    noise = [quantize_linear(weights, bits).signal_to_noise_db(weights) for bits in (4, 8, 16)]
    # Uniform weights: the error is that of a step 2 / (2^bits - 1), noise 1/12 of its square, signal 1/3.
    assert noise == pytest.approx([20 * np.log10(2**bits - 2) for bits in (4, 8, 16)], abs=0.3)


def test_clusters_by_hand():
    """Centroids begin at -1, 2 and 5; 0.5 and 3.5 are in the middle of two: to the lower one. Zero is none of them."""
    weights = np.array([-1, 0, 0.5, 2, 0, 3.5, 5], np.float32)
    made = share_weights(weights, 2)
    assert made.codes.tolist() == [1, 0, 1, 2, 0, 2, 3]
    assert made.codebook.tolist() == [0, -0.25, 2.75, 5]
    assert made.values().tolist() == [-0.25, 0, -0.25, 2.75, 0, 2.75, 5]
    assert (made.bits, made.scale, made.zero_point) == (2, 1, 0)
    assert made.num_zeros_made(weights) == 0
    assert share_weights(weights, 1).codes.tolist() == [1, 0, 1, 1, 0, 1, 1]


def test_a_centroid_that_no_weight_is_nearest_to_stays():
    assert share_weights(np.array([-1, 4.5, 5]), 2).codebook.tolist() == [0, -1, 2, 4.75]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [0.1, 1])
def test_shared_weights_are_those_of_the_naive_twin(bits, dtype, density):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weights = (rng.normal(0, 0.05, 300) * (rng.random(300) < density)).astype(dtype)
        made = share_weights(weights.reshape(3, 100), bits)
        clusters, centroids = naive_shared_weights(weights, 2**bits - 1)
        assert (made.codes.ravel() - 1).tolist() == clusters
        np.testing.assert_allclose(made.codebook, np.float32([0, *centroids]), rtol=1e-6, atol=1e-9)


@given(hnp.arrays(np.float16, st.integers(1, 40), elements=st.floats(-4, 4, width=16)), st.integers(1, 4))
def test_every_weight_is_at_its_nearest_value_and_zeros_stay(weights, bits):
    made = share_weights(weights, bits)
    assert ((made.codes == 0) == (weights == 0)).all()
    nonzeros = weights != 0
    if not nonzeros.any():
        return
    nearest = np.abs(weights[nonzeros, np.newaxis].astype(float) - made.codebook[1:]).min(axis=1)
    np.testing.assert_allclose(np.abs(made.values() - weights.astype(float))[nonzeros], nearest, atol=1e-6)
    # Values that all weights of a cluster share are their means.
    for code in np.unique(made.codes[nonzeros]):
        mean = weights[made.codes == code].astype(float).mean()
        assert made.codebook[code] == pytest.approx(mean, abs=1e-6)


def test_few_different_weights_are_shared_without_an_error():
    weights = np.array([0.25, -1, 0.25, 3, 0, -1])
    made = share_weights(weights, 8)
    np.testing.assert_array_equal(made.values(), weights)
    assert made.signal_to_noise_db(weights) == np.inf
    same = share_weights(np.full(1000, 0.1, np.float32), 4)
    np.testing.assert_array_equal(same.values(), np.full(1000, 0.1, np.float32))
    assert not share_weights(np.zeros((2, 3)), 4).values().any()
    assert share_weights(np.array([-3, 0, 5], np.int8), 2).values().tolist() == [-3, 0, 5]


def test_the_largest_weight_may_be_negative():
    made = share_weights(np.array([-1e12, -1e12, 1e-3]), 1)
    np.testing.assert_allclose(made.codebook, [0, -2e12 / 3], rtol=1e-6)


def test_a_part_is_whole_rows_and_a_number_is_one(monkeypatch):
    monkeypatch.setattr(quantization, "CELLS_AT_A_TIME", 12)
    rows = list(quantization.rows_of(np.zeros((5, 3, 2))))
    assert rows == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert quantize_linear(np.array(-3.0), 4).values() == -3
    assert quantize_ternary(np.array(-3.0)).values() == -3


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_clusters_do_not_depend_on_the_scale(scale):
    weights = np.random.default_rng(4).normal(size=2000)
    made, other = share_weights(weights, 5), share_weights(weights * scale, 5)
    np.testing.assert_array_equal(made.codes, other.codes)
    np.testing.assert_allclose(made.codebook * scale, other.codebook, rtol=1e-6)


def test_more_weights_than_running_sums_have_room_for_have_larger_steps(monkeypatch):
    weights = np.random.default_rng(4).normal(size=3000)
    expected = share_weights(weights, 3)
    monkeypatch.setattr(shared_weights, "COUNT_BITS", 2)
    np.testing.assert_allclose(share_weights(weights, 3).codebook, expected.codebook, rtol=1e-4)
    # Exact sums of 2^26 largest weights would not fit; those of 2^12 with 2^63 / 2^12 for each do.
    monkeypatch.setattr(shared_weights, "MAGNITUDE_BITS", 61)
    np.testing.assert_allclose(share_weights(np.full(3000, 0.1), 3).codebook[1], 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantize_linear(np.ones(3), 5), "5 bits; allowed: 4, 8, 16"),
        (lambda: quantize_linear(np.array([np.nan]), 8), "NaN or infinity"),
        (lambda: quantize_ternary(np.array([np.inf])), "NaN or infinity"),
        (lambda: quantize_binary(np.array([np.nan])), "NaN or infinity"),
        (lambda: quantize_floats(np.array([np.nan]), FP16), "NaN or infinity"),
        (lambda: share_weights(np.array([np.nan]), 4), "NaN or infinity"),
        (lambda: share_weights(np.ones(3), 0), "indices of 0 bits; allowed: 1 to 8"),
        (lambda: share_weights(np.ones(3), 9), "indices of 9 bits"),
        (lambda: quantize_linear(np.array([1j]), 8), "type complex128"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(call, message):
    with pytest.raises(WorkloadError, match=message):
        call()


def test_arrays_without_weights_have_codes_of_their_shape():
    for quantize in (quantize_ternary, quantize_binary, half, lambda w: quantize_linear(w, 8)):
        assert quantize(np.zeros((0, 3), np.float32)).values().shape == (0, 3)
    assert share_weights(np.zeros((0, 3), np.float32), 4).values().shape == (0, 3)
