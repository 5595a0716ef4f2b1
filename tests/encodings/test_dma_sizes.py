"""Windows of a compressing DMA engine: by hand, against windows written word by word, and the study's rules."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archmodel.encodings.dma_sizes import (
    cdma_bytes,
    cdma_ratio,
    expected_share,
    mask_bytes,
    rectified,
    zlib_shares,
)
from archmodel.encodings.run_codes import Runs, expected_runs
from archmodel.errors import WorkloadError
from archmodel.operands.correlated import correlated_inputs, load_zeros
from tests.reference import dma_windows as twin

LAYOUTS = ("NCHW", "NHWC", "CHWN")
DENSITIES = (0.0, 1e-3, 0.04, 0.353, 0.5, 0.9, 0.999, 1.0)


def random_mask(density, words, seed=0):
    """Exactly as many non-zeros as the density says."""
    mask = np.zeros(words, np.uint8)
    mask[: round(density * words)] = 1
    return np.random.default_rng(seed).permutation(mask)


def gathered(shape=(8, 64, 16, 16), density=0.4):
    zeros = load_zeros("correlated")
    return correlated_inputs(np.random.default_rng(1), zeros, shape, round(density * np.prod(shape)))


@pytest.mark.parametrize("density", DENSITIES)
def test_zero_value_compression_is_the_formula(density):
    mask = random_mask(density, 32_000)
    assert cdma_ratio(mask) == pytest.approx(1 / (density + 1 / 32), rel=1e-12)
    assert cdma_ratio(mask, word_bytes=2) == pytest.approx(1 / (density + 1 / 16), rel=1e-12)


def test_masks_are_of_32_words_whatever_is_left():
    assert cdma_bytes(np.zeros(1)) == cdma_bytes(np.zeros(32)) == 4
    assert cdma_bytes(np.zeros(33)) == 8
    assert cdma_bytes(np.ones(33), word_bytes=2) == 8 + 2 * 33
    assert cdma_bytes(np.zeros((0, 3, 2, 2))) == 0
    assert cdma_ratio(np.zeros(0)) == 1


def test_runs_by_hand():
    stored = Runs(6).encode(np.array([0, 0, 5, 7, 0, 9, 0, 0]), 16)
    # a window of 6 words, then what is left of the second: 2 zeros, 2 words, 1 zero, 1 word | 2 zeros
    assert list(stored.parts["runs"]) == [1, 129, 0, 128, 1]
    assert list(stored.parts["values"]) == [0, 5, 0, 7, 0, 9]
    assert cdma_bytes(np.array([0, 0, 5, 7, 0, 9, 0, 0]), "rle", 2) == 5 + 2 * 3


@pytest.mark.parametrize("length", [1, 127, 128, 129, 255, 256, 257, 1024])
@pytest.mark.parametrize("value", [0, 1])
def test_a_run_has_at_most_128_words(length, value):
    mask = np.full(length, value, np.uint8)
    assert Runs().num_runs(mask) == -(-length // 128)
    assert mask_bytes(mask, "rle", 4) == -(-length // 128) + 4 * value * length


def test_a_window_grows_by_a_mask_or_a_byte_for_128_words():
    full = np.ones(1024, np.uint8)
    assert cdma_bytes(full) == 4096 + 128
    assert cdma_bytes(full, "rle") == 4096 + 8
    worst = max(cdma_bytes(random_mask(d, 1024, seed), "rle") for d in (0.9, 0.99, 0.999) for seed in range(5))
    assert worst < 4096 + 8
    noise = np.random.default_rng(0).integers(0, 2**32, 1024, np.uint32, endpoint=False).view(np.float32)
    assert cdma_bytes(noise, "zlib") <= 4096 + 11


# Of windows of 512 bytes, so that small arrays have several; runs of 128 words and beyond come from `repeat`.
arrays = hnp.arrays(np.uint8, st.tuples(*(st.integers(1, n) for n in (3, 5, 4, 6))), elements=st.integers(0, 1))


@settings(max_examples=60, deadline=None)
@given(
    arrays,
    st.sampled_from(("zvc", "rle", "zlib")),
    st.sampled_from((4, 2)),
    st.sampled_from(LAYOUTS),
    st.integers(1, 9),
)
def test_bytes_are_those_of_windows_written_word_by_word(mask, codec, word_bytes, layout, repeat):
    mask = np.repeat(mask, repeat, axis=3)
    values = (mask * np.random.default_rng(0).standard_normal(mask.shape)).astype(
        (np.float32, np.float16)[word_bytes == 2]
    )
    words = twin.in_memory(values, layout)
    words = [word.tobytes() for word in words] if codec == "zlib" else [float(word) for word in words]
    assert cdma_bytes(values, codec, word_bytes, layout, 512) == twin.num_bytes(words, codec, word_bytes, 512)
    if codec != "zlib":
        assert cdma_bytes(mask, codec, word_bytes, layout, 512) == cdma_bytes(values, codec, word_bytes, layout, 512)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=8), st.sampled_from((1, 5, 128, 200, 1024)))
def test_runs_are_those_of_a_walk_and_come_back(pieces, window):
    codes = np.array([code for code, length in pieces for _ in range(length)], np.int64)
    stored = Runs(window).encode(codes, 8)
    expected = [byte for part in twin.windows(list(codes), window) for byte in twin.run_bytes(part)]
    assert list(stored.parts["runs"]) == expected
    assert stored.num_bytes == Runs(window).size_bytes(codes, 8)
    np.testing.assert_array_equal(stored.decode(), codes)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("window", [1, 127, 128, 129, 300, 1024, 2048])
def test_expected_runs_are_those_of_a_walk_over_chances(density, window):
    assert expected_runs(density, window) == pytest.approx(twin.expected_runs(density, window, 128), rel=1e-9)


@pytest.mark.parametrize("codec", ["zvc", "rle", "zlib"])
@pytest.mark.parametrize("word_bytes", [4, 2])
@pytest.mark.parametrize("density", [0.0, 0.03, 0.25, 0.7, 1.0])
def test_the_expectation_is_what_random_zeros_take(codec, word_bytes, density):
    words = 256 * 4096 // word_bytes
    rng = np.random.default_rng(7)
    values = rectified(rng, words, density) * random_mask(density, words, 3)
    stored = values.astype(np.float32 if word_bytes == 4 else np.float16)
    share = cdma_bytes(stored, codec, word_bytes) / (words * word_bytes)
    expected = expected_share(density, codec, word_bytes)
    assert share == pytest.approx(expected, rel=0.05 if codec == "zlib" and density == 0.03 else 0.01)


def test_rectified_values_are_those_of_a_relu_on_normal_variables():
    rng = np.random.default_rng(0)
    for density in (0.1, 0.5, 0.9):
        from scipy.special import ndtri

        drawn = rng.standard_normal(400_000) + ndtri(density)
        values = rectified(rng, 400_000, density)
        assert values.min() >= 0
        np.testing.assert_allclose(
            np.quantile(values, [0.1, 0.5, 0.9]), np.quantile(drawn[drawn > 0], [0.1, 0.5, 0.9]), rtol=0.05
        )
    assert np.isfinite(rectified(rng, 100, 0.0)).all()
    assert np.isfinite(rectified(rng, 100, 1.0)).all()


def test_zero_value_compression_does_not_see_the_layout_and_the_others_do():
    mask = gathered()
    values = mask * rectified(np.random.default_rng(2), mask.size, 0.4).reshape(mask.shape).astype(np.float32)
    sizes = {codec: [cdma_bytes(values, codec, 4, layout) for layout in LAYOUTS] for codec in ("zvc", "rle", "zlib")}
    assert len(set(sizes["zvc"])) == 1
    for codec in ("rle", "zlib"):
        assert len(set(sizes[codec])) == 3
        assert min(sizes[codec]) == sizes[codec][0]  # rows of a channel, where zeros gather, lie next to each other
        assert max(sizes[codec]) > 1.03 * sizes[codec][0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_order_of_whole_windows_is_the_same_to_masks(seed, density):
    rng = np.random.default_rng(seed)
    mask = (rng.random((2, 8, 8, 16)) < density).astype(np.uint8)
    assert len({cdma_bytes(np.moveaxis(mask, range(4), order)) for order in itertools.permutations(range(4))}) == 1
    assert cdma_bytes(rng.permutation(mask.reshape(-1))) == cdma_bytes(mask)


def test_words_are_zero_as_they_are_stored():
    assert cdma_bytes(np.array([0.0, -0.0] * 16, np.float32)) == 4
    assert cdma_bytes(np.full(32, 1e-9), word_bytes=2) == 4  # below the smallest float16
    assert cdma_bytes(np.full(32, 1e-9), word_bytes=4) == 4 + 128
    assert cdma_bytes(np.full(32, np.nan)) == 4 + 128
    assert cdma_bytes(np.full(32, True)) == cdma_bytes(np.full(32, -5)) == 4 + 128


def test_arrays_of_other_dimensions_are_in_the_order_of_memory():
    mask = random_mask(0.4, 64 * 48)
    assert cdma_bytes(mask.reshape(64, 48), "rle", layout="CHWN") == cdma_bytes(mask, "rle")
    view = mask.reshape(64, 48).T  # not contiguous
    assert cdma_bytes(view, "rle") == cdma_bytes(view.copy(), "rle")


def test_sizes_of_zlib_rise_with_the_density():
    for word_bytes in (4, 2):
        shares = zlib_shares(word_bytes, 4096)
        assert list(shares[:25]) == sorted(
            shares[:25]
        )  # up to 3/4; of fuller maps few values are near 0 and exponents alike
        assert 0 < shares[0] < 0.02
        assert all(0.75 < share < 1.01 for share in shares[27:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codec": "zv"}, "codec = 'zv': must be zvc, rle, zlib; did you mean 'zvc'?"),
        ({"word_bytes": 3}, "word_bytes = 3: must be 4 or 2"),
        ({"word_bytes": True}, "word_bytes = true: must be 4 or 2"),
        ({"layout": "NHCW"}, "layout = 'NHCW': must be NCHW, NHWC or CHWN; did you mean 'NHWC'?"),
        ({"window_bytes": 100}, "window_bytes = 100: must be a multiple of 128"),
        ({"window_bytes": 0}, "window_bytes = 0: must be a multiple of 128"),
        ({"window_bytes": 64, "word_bytes": 2}, None),
        ({"codec": "zlib"}, "codec = zlib: needs values, floats; these are a mask of type uint8"),
    ],
)
def test_what_the_engine_has_not_is_one_line(arguments, message):
    mask = np.ones((1, 2, 4, 4), np.uint8)
    if message is None:
        assert cdma_bytes(mask, **arguments) == 4 + 64
        return
    with pytest.raises(WorkloadError) as caught:
        cdma_bytes(mask, **arguments)
    assert str(caught.value) == message


def test_texts_are_no_activations():
    with pytest.raises(WorkloadError, match="must be floats, whole numbers or booleans"):
        cdma_bytes(np.array(["a"]))
    with pytest.raises(WorkloadError, match=r"density = 1\.5: must be from 0 to 1"):
        expected_share(1.5, "zvc", 4)
    with pytest.raises(WorkloadError, match=r"density = nan: must be from 0 to 1"):
        expected_share(float("nan"), "zvc", 4)
    with pytest.raises(WorkloadError, match="windows of 0 words"):
        Runs(0)
    stored = Runs().encode(np.arange(4), 8)
    with pytest.raises(WorkloadError, match="runs of 4 words; 5 are expected"):
        Runs().codes(stored.parts, (5,), 8)
