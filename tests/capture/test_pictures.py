"""Pictures as an input of a network: every pixel by hand, and that whatever is wrong with a file is one line."""

import sys
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from archmodel.capture.pictures import BILINEAR
from archmodel.capture.preprocess import IMAGENET_MEAN, IMAGENET_STD
from tests.capture.input_signatures import feeds_of, png_header, refusal, takes, tensors

RED, GREEN, BLUE, GRAY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (51, 102, 153)
PIXELS = np.array([[RED, GREEN], [BLUE, GRAY]], np.uint8)
PLAIN = takes("n", 3, 2, 2)


def saved(folder, pixels, name="x.png", **options):
    Image.fromarray(np.array(pixels, np.uint8)).save(folder / name, **options)
    return folder / name


@pytest.fixture
def path(tmp_path):
    return saved(tmp_path, PIXELS)


def gray(path, rows, columns, *preprocess):
    """Pixels as bytes of a picture in an input of one channel."""
    return tensors(path, takes(1, 1, rows, columns, dtype="uint8"), "layout=nchw", *preprocess)[0][0, 0].tolist()


def test_pixels_become_fractions_of_255_in_planes(path):
    (found,) = tensors(path, PLAIN)
    assert found.dtype == np.float32
    assert found.tolist() == np.float32([[[[1, 0], [0, 0.2]], [[0, 1], [0, 0.4]], [[0, 0], [1, 0.6]]]]).tolist()


def test_every_byte_becomes_the_nearest_float_to_its_255th(tmp_path):
    path = saved(tmp_path, np.arange(256).reshape(16, 16))
    (found,) = tensors(path, takes(1, 1, 16, 16))
    assert np.array_equal(found.reshape(-1), np.arange(256, dtype=np.float32) / np.float32(255))


def test_scale_comes_before_mean_and_std(path):
    (found,) = tensors(path, PLAIN, "scale=2,mean=1/2/3,std=2/4/8")
    expected = (2.0 * PIXELS - [1, 2, 3]) / [2, 4, 8]
    assert np.array_equal(found[0], expected.transpose(2, 0, 1).astype(np.float32))


def test_one_mean_is_that_of_all_channels(path):
    (found,) = tensors(path, PLAIN, "scale=1,mean=51,std=51")
    assert np.array_equal(found[0].transpose(1, 2, 0), np.float32((PIXELS - 51.0) / 51))


def test_mean_and_std_are_in_the_order_of_the_channels_of_the_network(path):
    plain, swapped = (tensors(path, PLAIN, "scale=1,mean=1/2/3", *more)[0] for more in ([], ["channels=bgr"]))
    assert plain[0, :, 1, 1].tolist() == [50, 100, 150]
    assert swapped[0, :, 1, 1].tolist() == [152, 100, 48]


def test_the_preset_belongs_to_the_colours(path):
    plain, swapped = (tensors(path, PLAIN, "preset=imagenet", *more)[0] for more in ([], ["channels=bgr"]))
    expected = (PIXELS / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert np.allclose(plain[0].transpose(1, 2, 0), expected, atol=1e-6)
    assert np.array_equal(plain[0], swapped[0, ::-1])


def test_bytes_stay_bytes(path):
    (found,) = tensors(path, takes("n", 2, 2, 3, dtype="uint8"))
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], PIXELS)
    assert tensors(path, takes("n", 2, 2, 3, dtype="int32"))[0].dtype == np.int32


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats(path, dtype):
    (found,) = tensors(path, takes("n", 3, 2, 2, dtype=dtype), "scale=1")
    assert found.dtype == dtype
    assert found[0, :, 1, 1].tolist() == [51, 102, 153]


@pytest.mark.parametrize(
    ("dims", "preprocess", "shape", "pixel"),
    [
        (("n", 3, 2, 2), [], (1, 3, 2, 2), [0, slice(None), 0, 1]),
        (("n", 2, 2, 3), [], (1, 2, 2, 3), [0, 0, 1]),
        (("n", "c", "h", "w"), ["layout=nchw"], (1, 3, 2, 2), [0, slice(None), 0, 1]),
        (("n", "h", "w", "c"), ["layout=nhwc"], (1, 2, 2, 3), [0, 0, 1]),
        ((3, 2, 2), [], (3, 2, 2), [slice(None), 0, 1]),
        ((2, 2, 3), [], (2, 2, 3), [0, 1]),
        (("c", "h", "w"), ["layout=nchw"], (3, 2, 2), [slice(None), 0, 1]),
        (("h", "w", "c"), ["layout=nhwc"], (2, 2, 3), [0, 1]),
    ],
)
def test_where_the_channels_go(path, dims, preprocess, shape, pixel):
    (found,) = tensors(path, takes(*dims), "scale=1", *preprocess)
    assert found.shape == shape
    assert found[tuple(pixel)].tolist() == list(GREEN)


def test_a_batch_of_planes_without_channels_is_gray(tmp_path):
    path = saved(tmp_path, [[1, 2], [3, 4]])
    assert tensors(path, takes("n", 2, 2), "scale=1")[0].tolist() == [[[1, 2], [3, 4]]]


def test_a_row_of_words_is_channel_after_channel(path):
    (found,) = tensors(path, takes("n", 12), "scale=1", "size=2")
    assert found.tolist() == [PIXELS.transpose(2, 0, 1).reshape(-1).tolist()]
    assert tensors(path, takes(1, 2), "size=1x2")[0].shape == (1, 2)


def test_colours_become_gray_by_their_luma(tmp_path):
    path = saved(tmp_path, [[RED, GREEN, BLUE]])
    assert gray(path, 1, 3) == [[76, 150, 29]]  # ITU-R 601-2: 0.299, 0.587, 0.114
    (found,) = tensors(path, takes("n", "c", 1, 3, dtype="uint8"), "layout=nchw,channels=gray")
    assert found.tolist() == [[[[76, 150, 29]]]]


def test_gray_becomes_three_equal_channels_and_four_have_opacity(tmp_path):
    path = saved(tmp_path, [[7, 9]])
    assert tensors(path, takes(1, 3, 1, 2, dtype="uint8"))[0][0].tolist() == [[[7, 9]]] * 3
    (found,) = tensors(path, takes(1, 4, 1, 2, dtype="uint8"), "layout=nchw")
    assert found[0].tolist() == [[[7, 9]]] * 3 + [[[255, 255]]]


def test_white_paper_becomes_0_and_opacity_stays(tmp_path):
    path = saved(tmp_path, [[255, 0, 3]])
    assert gray(path, 1, 3, "invert=true") == [[0, 255, 252]]
    assert gray(path, 1, 3, "invert=false") == [[255, 0, 3]]
    (found,) = tensors(path, takes(1, 4, 1, 3, dtype="uint8"), "invert=true,layout=nchw")
    assert found[0].tolist() == [[[0, 255, 252]]] * 3 + [[[255, 255, 255]]]


def test_free_sides_are_those_of_the_picture_or_of_size(tmp_path):
    path = saved(tmp_path, [[0, 100]])
    free = takes(1, 1, "h", "w", dtype="uint8")
    assert tensors(path, free)[0][0, 0].tolist() == [[0, 100]]
    assert tensors(path, free, "size=1x4")[0][0, 0].tolist() == [[0, 25, 75, 100]]
    assert tensors(path, takes(1, 1, 2, "w", dtype="uint8"))[0][0, 0].tolist() == [[0, 100], [0, 100]]


def test_a_stretch_weighs_by_distance_and_does_not_alias(tmp_path):
    assert gray(saved(tmp_path, [[0, 100]]), 1, 4) == [[0, 25, 75, 100]]  # centres at 1/4, 3/4, 5/4, 7/4
    assert gray(saved(tmp_path, [[0, 100], [200, 100]]), 1, 1) == [[100]]
    assert gray(saved(tmp_path, [[0] * 4 + [240] * 4]), 1, 2) == [[34, 206]]  # 240 x (3 + 1) / (5 + 7 + 7 + 5 + 3 + 1)


@pytest.mark.parametrize(
    ("columns", "kept"),
    [(2, [0, 1]), (3, [0, 1]), (4, [1, 2]), (5, [2, 3]), (6, [2, 3])],  # halves are rounded to even, as in torchvision
)
def test_a_crop_keeps_the_middle(tmp_path, columns, kept):
    wide = np.arange(columns) + np.zeros((2, 1), int)
    assert gray(saved(tmp_path, wide), 2, 2, "resize=crop") == [kept, kept]
    assert np.transpose(gray(saved(tmp_path, wide.T), 2, 2, "resize=crop")).tolist() == [kept, kept]


def test_a_crop_scales_until_it_is_covered(tmp_path):
    wide = np.repeat([[10, 20, 30, 40]], 2, axis=0)
    path = saved(tmp_path, wide)
    small = np.asarray(Image.fromarray(wide.astype(np.uint8)).resize((2, 1), BILINEAR))
    assert gray(path, 1, 1, "resize=crop") == small[:, :1].tolist()
    large = np.asarray(Image.fromarray(wide.astype(np.uint8)).resize((8, 4), BILINEAR))
    assert gray(path, 4, 4, "resize=crop") == large[:, 2:6].tolist()
    assert gray(path, 3, 1, "resize=crop,shorter=4") == large[0:3, 4:5].tolist()
    tall = saved(tmp_path, wide.T)
    assert np.transpose(gray(tall, 1, 3, "resize=crop,shorter=4")).tolist() == large[0:3, 4:5].tolist()


@pytest.mark.parametrize(("rows", "above"), [(2, 0), (3, 0), (4, 1), (5, 2), (6, 2)])
def test_a_pad_is_0_on_both_sides(tmp_path, rows, above):
    wide = [[7] * 6] * 2
    expected = np.zeros((rows, 6), int)
    expected[above : above + 2] = 7
    assert gray(saved(tmp_path, wide), rows, 6, "resize=pad") == expected.tolist()
    assert np.transpose(gray(saved(tmp_path, np.transpose(wide)), 6, rows, "resize=pad")).tolist() == expected.tolist()


def test_a_pad_scales_and_stays_0_beside_an_inverted_picture(tmp_path):
    path = saved(tmp_path, [[250] * 4] * 2)
    assert gray(path, 3, 2, "resize=pad,invert=true") == [[0, 0], [5, 5], [0, 0]]
    assert gray(saved(tmp_path, [[9] * 100]), 2, 2, "resize=pad") == [[9, 9], [0, 0]]
    assert gray(saved(tmp_path, [[9]] * 100), 2, 2, "resize=pad") == [[9, 0], [9, 0]]


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "X.GIF", "x.tif", "x.tiff"])
def test_kinds_of_files_that_lose_nothing(tmp_path, name):
    path = saved(tmp_path, [[0, 9], [255, 7]], name)
    assert gray(path, 2, 2) == [[0, 9], [255, 7]]


@pytest.mark.parametrize("name", ["x.jpg", "x.jpeg", "x.webp"])
def test_kinds_of_files_that_may_lose_a_little(tmp_path, name):
    path = saved(tmp_path, np.full((8, 8, 3), 100), name)
    assert np.abs(tensors(path, takes(1, 3, 8, 8), "scale=1")[0] - 100).max() <= 2


def test_a_film_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (8, 90)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert gray(tmp_path / "x.gif", 2, 2) == [[8, 8], [8, 8]]


@pytest.mark.parametrize(
    ("given", "preprocess", "line"),
    [
        (takes("n", 3, 2, 2), ["size=2x3"], "['n', 3, 2, 2]): --preprocess size: 3 columns; the input has 2"),
        (takes("n", 3, 2, 2), ["size=3x2"], "size: 3 rows; the input has 2"),
        (takes("n", 3, 2, 2), ["mean=1/2/3/4"], "--preprocess mean: 4 numbers for 3 channels"),
        (takes("n", 1, 2, 2), ["std=1/2/3"], "--preprocess std: 3 numbers for 1 channels"),
        (takes("n", 1, 2, 2), ["preset=imagenet"], "--preprocess mean: 3 numbers for 1 channels"),
        (takes("n", 1, 2, 2), ["channels=bgr"], "--preprocess channels=bgr: the input has 1"),
        (takes("n", 3, 2, 2), ["channels=gray"], "--preprocess channels=gray: the input has 3"),
        (takes("n", 4, 2, 2), [], "where are its channels?"),
        (takes("n", 4, 2, 2), ["channels=rgb,layout=nchw"], "--preprocess channels=rgb: the input has 4"),
        (takes("n", 2, 2, 2), ["layout=nchw"], "a picture has 1, 3 or 4 channels, not 2; give an npy file"),
        (takes("n", 2, 2, 2), [], "where are its channels? say --preprocess layout=nchw or layout=nhwc"),
        (takes("n", 3, 2, 3), [], "where are its channels?"),
        (takes(3, 2, 3), [], "where are its channels?"),
        (takes("n", "c", "h", "w"), [], "where are its channels?"),
        (takes("n", 12), [], "a picture as one row: say its --preprocess size=ROWSxCOLUMNS"),
        (takes("n", "f"), ["size=2"], "say its --preprocess size"),
        (takes("n", 8), ["size=2"], "2x2 pixels of 1, 3 or 4 channels are not 8 words"),
        (takes("n", 12), ["size=2,layout=nchw"], "a picture needs 2, 3 or 4 dims"),
        (takes(None), [], "input 'x' (float32, no shape): a picture needs 2, 3 or 4 dims; give an npy file"),
        (takes(5), [], "a picture needs 2, 3 or 4 dims"),
        (takes("n", 3, 2, 2, dtype="int8"), [], "a picture has numbers from 0 to 255"),
        (takes("n", 3, 2, 2, dtype="bool"), [], "a picture has numbers from 0 to 255"),
        (takes("n", 3, 2, 2, dtype="uint8"), ["mean=1"], "takes bytes as they are; no mean, std, scale or preset"),
        (takes("n", 3, 2, 2, dtype="float16"), ["scale=300"], "make numbers beyond its type"),
        (takes("n", 3, 2, 2), ["rate=1"], "--preprocess rate: is for sounds, and no --input is one"),
        (takes(1, 1, 4, 4), ["resize=crop,shorter=3"], "x.png: 3x3 pixels before the crop to 4x4: shorter must"),
        (takes(1, 3, 2**14, 2**14), [], "a run would take 3221225472 bytes; at most 1073741824"),
    ],
)
def test_what_does_not_fit_the_input_is_said(path, given, preprocess, line):
    assert line in refusal(lambda: tensors(path, given, *preprocess))


def test_what_a_run_may_take_is_checked_before_a_picture_is_resized(path):
    tracemalloc.start()
    line = refusal(lambda: tensors(path, takes(1, 3, 2**13, 2**14, dtype="float64")))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "a run would take 3221225472 bytes; at most 1073741824" in line
    assert peak_bytes < 2**20


def test_a_crop_of_a_line_is_bounded(tmp_path):
    path = saved(tmp_path, np.zeros((1, 3000)))
    assert "400x1200000 pixels before the crop; at most 2^28" in refusal(gray, path, 400, 400, "resize=crop")


def test_deep_pixels_are_refused(tmp_path):
    Image.fromarray(np.array([[1, 2**16 - 1]], np.uint16)).save(tmp_path / "x.png")
    line = refusal(gray, tmp_path / "x.png", 1, 2)
    assert line == "x.png: pixels of type I;16; allowed: 8 bits a channel, or an npy file"


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.webp", "x.tif", "x.bmp"])
def test_a_file_cut_anywhere_is_one_line(tmp_path, name):
    whole = saved(tmp_path, np.random.default_rng(0).integers(0, 256, (9, 9, 3)), name).read_bytes()
    refused = 0
    for length in [0, 1, 10, 30, 60, len(whole) // 2, len(whole) - 30]:
        (tmp_path / name).write_bytes(whole[:length])
        line = refusal(tensors, tmp_path / name, takes(1, 3, 9, 9))
        refused += line == f"{name}: not a picture, or a damaged one"
    assert refused == 7


def test_a_header_that_claims_too_much_is_refused_before_any_pixel(tmp_path):
    path = tmp_path / "x.png"
    for width, height in [(60000, 60000), (10000, 9000), (2**31 - 1, 2**31 - 1)]:
        path.write_bytes(png_header(width, height))
        tracemalloc.start()
        line = refusal(tensors, path, PLAIN)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert line == "x.png: more than 89478485 pixels"
        assert peak_bytes < 2**20


def test_another_kind_of_file_under_the_name_of_a_picture_is_not_decoded(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "not a picture" in refusal(tensors, tmp_path / "x.png", PLAIN)


def test_a_picture_is_decoded_when_its_run_is_asked_for(tmp_path):
    (tmp_path / "x.png").write_bytes(b"nothing")
    feeds = feeds_of(tmp_path / "x.png", PLAIN)
    assert len(feeds) == 1
    assert "not a picture" in refusal(lambda: feeds[0])


def test_pillow_is_of_an_extra(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert refusal(tensors, path, PLAIN) == "needs pillow: pip install 'archmodel[onnx]'"
