"""`--input`: which file goes to which input of a network, in which run, and every way to get it wrong."""

import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from archmodel.capture.input_files import read_inputs
from archmodel.capture.input_parts import exactly
from tests.capture.input_signatures import feeds_of, refusal, takes, tensors

PLANE = takes("n", 3, 2, 2)
STATE = takes(2, "n", 4, name="h", steps_first=True)
RATE = takes(dtype="int64", name="sr")


def picture(folder, name, value):
    Image.fromarray(np.full((2, 2, 3), value, np.uint8)).save(folder / name)
    return str(folder / name)


def npy(folder, array, name="x.npy"):
    np.save(folder / name, array)
    return str(folder / name)


def npz(folder, name="x.npz", **arrays):
    np.savez(folder / name, **arrays)
    return str(folder / name)


def read(texts, *signature):
    return read_inputs(texts, ["scale=1"] if any(".png" in text for text in texts) else [], signature)


def counting(*shape, dtype="float32"):
    return np.arange(1, 1 + int(np.prod(shape)), dtype=dtype).reshape(shape)


# Pictures, folders and runs


def test_files_are_runs_in_the_order_given(tmp_path):
    feeds = read([picture(tmp_path, "b.png", 2), picture(tmp_path, "a.png", 1)], PLANE)
    assert [feed["x"].shape for feed in feeds] == [(1, 3, 2, 2)] * 2
    assert [feed["x"][0, 0, 0, 0] for feed in feeds] == [2, 1]
    assert feeds.description == "b.png, a.png"


def test_a_folder_is_its_files_of_known_types_by_name(tmp_path):
    for name, value in [("c.png", 3), ("a.PNG", 1), ("b.bmp", 2), (".hidden.png", 9)]:
        picture(tmp_path, name, value)
    (tmp_path / "labels.txt").write_text("")
    (tmp_path / "d.png").mkdir()
    feeds = read_inputs([str(tmp_path)], ["scale=1"], [PLANE])
    assert [feed["x"][0, 0, 0, 0] for feed in feeds] == [1, 2, 3]
    assert feeds.description == f"3 files of {tmp_path.name}/"
    assert feeds.notes == (f"{tmp_path.name}/: 1 files of other types are left out",)


def test_a_fixed_batch_takes_as_many_images_a_run(tmp_path):
    paths = [picture(tmp_path, f"{value}.png", value) for value in range(6)]
    feeds = read(paths, takes(3, 3, 2, 2))
    assert [feed["x"][:, 0, 0, 0].tolist() for feed in feeds] == [[0, 1, 2], [3, 4, 5]]
    assert len(feeds) == 2
    assert feeds.description == "0.png, 1.png, 2.png and 3 more"
    line = refusal(read, paths[:5], takes(3, 3, 2, 2))
    assert line == "input 'x' (float32, [3, 3, 2, 2]): 5 images; the network takes 3 at a time: give a multiple of them"


def test_images_of_one_run_have_one_size(tmp_path):
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "b.png")
    texts, given = [picture(tmp_path, "a.png", 0), str(tmp_path / "b.png")], takes(2, 3, "h", "w")
    assert "images of one run differ: a.png [3, 2, 2], b.png [3, 2, 3]" in refusal(lambda: read(texts, given)[0])


def test_runs_are_a_sequence(tmp_path):
    feeds = read([picture(tmp_path, f"{value}.png", value) for value in range(3)], PLANE)
    assert len(feeds) == 3
    assert feeds[-1]["x"][0, 0, 0, 0] == 2
    assert [feed["x"][0, 0, 0, 0] for feed in feeds[1:]] == [1, 2]
    with pytest.raises(IndexError):
        feeds[3]


# Arrays


@pytest.mark.parametrize(
    ("dims", "shape", "expected"),
    [
        (("n", 3), (3,), [(1, 3)]),
        (("n", 3), (1, 3), [(1, 3)]),
        (("n", 3), (2, 3), [(1, 3)] * 2),
        ((1, 3), (2, 3), [(1, 3)] * 2),
        ((2, 3), (4, 3), [(2, 3)] * 2),
        ((2, 3), (2, 2, 3), [(2, 3)] * 2),
        (("n", "s"), (2, 5, 7), [(5, 7)] * 2),
        (("n", "s"), (2, 5), [(1, 5)] * 2),
        (("s",), (5,), [(5,)]),
        (("s",), (2, 5), [(5,)] * 2),
        (("batch",), (2,), [(1,)] * 2),
        (("seq", "batch", 3), (2, 1, 3), [(2, 1, 3)]),
        (("Batch", "seq", 3), (2, 1, 3), [(1, 1, 3)] * 2),
        ((), (), [()]),
        ((), (2,), [()] * 2),
        ((None,), (2, 3), [(2, 3)]),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_one_image_many_or_whole_runs(tmp_path, dims, shape, expected, order):
    array = counting(*shape)
    found = tensors(npy(tmp_path, np.asarray(array, order=order)), takes(*dims))
    assert [one.shape for one in found] == expected
    assert np.concatenate([one.reshape(-1) for one in found]).tolist() == array.reshape(-1).tolist()
    again = tensors(npz(tmp_path, any=np.asarray(array, order=order)), takes(*dims))
    assert all(map(np.array_equal, found, again))


def test_steps_of_a_recurrent_layer_are_no_images(tmp_path):
    path = npy(tmp_path, counting(5, 1, 3))
    assert [one.shape for one in tensors(path, takes("s", "n", 3, steps_first=True))] == [(5, 1, 3)]
    assert [one.shape for one in tensors(path, takes("s", "n", 3))] == [(1, 1, 3)] * 5


@pytest.mark.parametrize("shape", [(4,), (3, 4), (0, 3), (2, 3, 4), (1, 1, 1, 3), ()])
def test_an_array_of_another_shape_is_refused(tmp_path, shape):
    line = refusal(tensors, npy(tmp_path, np.zeros(shape, np.float32)), takes("n", 3))
    assert line.startswith("input 'x' (float32, ['n', 3]): x.npy ")
    allowed = "its dims with any number of images or without that axis, or an axis of runs more"
    assert line.endswith((f"has {list(shape)}; allowed: {allowed}", "x.npy has no images"))


@pytest.mark.parametrize(
    ("array", "dtype", "same"),
    [
        (np.float64([0.1, 2]), "float32", True),
        (np.float64([1e300]), "float32", False),
        (np.uint8([0, 255]), "float32", True),
        (np.int64([2**24]), "float32", True),
        (np.int64([2**24 + 1]), "float32", False),
        (np.float32([1, -2]), "int8", True),
        (np.float32([1.5]), "int8", False),
        (np.int16([128]), "int8", False),
        (np.int16([-1]), "uint8", False),
        (np.uint64([2**64 - 1]), "int64", False),
        (np.int64([-1]), "uint64", False),
        (np.int64([0, 1]), "bool", True),
        (np.int64([2]), "bool", False),
        (np.array([True]), "float32", True),
    ],
)
def test_a_number_is_cast_only_where_it_stays_the_same(tmp_path, array, dtype, same):
    cast = exactly(array, np.dtype(dtype))
    assert (cast is not None) == same
    path, given = npy(tmp_path, array), takes("s", dtype=dtype)
    if same:
        assert cast.dtype == dtype
        assert np.array_equal(tensors(path, given)[0], array.astype(dtype))
    else:
        assert f"x.npy has numbers that are not exact in {dtype}" in refusal(tensors, path, given)


def test_an_array_of_many_images_is_read_one_at_a_time(tmp_path):
    path = npy(tmp_path, np.ones((512, 3, 64, 64), np.float32))  # 25 MB
    tracemalloc.start()
    feeds = feeds_of(path, takes("n", 3, 64, 64))
    last = feeds[511]["x"]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last.shape == (1, 3, 64, 64)
    assert peak_bytes < 2**20


def test_files_of_several_images_follow_each_other_across_runs(tmp_path):
    texts = [npy(tmp_path, np.float32(rows), f"{rows[0][0]}.npy") for rows in ([[0]], [[1], [2], [3]], [[4], [5]])]
    assert [feed["x"].tolist() for feed in read(texts, takes("n", 1))] == [[[value]] for value in range(6)]
    assert [feed["x"].tolist() for feed in read(texts, takes(2, 1))] == [[[0], [1]], [[2], [3]], [[4], [5]]]


# Several inputs


def test_a_file_without_a_name_is_for_the_first_wide_input_of_floats(tmp_path):
    path = npy(tmp_path, counting(1, 3))
    signature = [RATE, takes(1, name="one"), takes("n", 3, dtype="int64", name="ids"), takes("n", 3)]
    feed = read([path, "ids=zeros", "one=1", "sr=8000"], *signature)[0]
    assert feed["x"].tolist() == [[1, 2, 3]]
    assert feed["ids"].tolist() == [[0, 0, 0]]
    assert (feed["one"].tolist(), feed["sr"].tolist()) == ([1], 8000)
    assert [feed[name].dtype for name in ("x", "ids", "one", "sr")] == ["float32", "int64", "float32", "int64"]


def test_without_floats_it_is_for_the_first_wide_one(tmp_path):
    ids, mask = (takes("n", 3, dtype="int64", name=name) for name in ("ids", "mask"))
    feed = read([npy(tmp_path, counting(1, 3)), "mask=1", "sr=1", "one=1"], RATE, takes(1, name="one"), ids, mask)[0]
    assert (feed["ids"].tolist(), feed["mask"].tolist()) == ([[1, 2, 3]], [[1, 1, 1]])


def test_the_only_one_without_a_name_may_be_narrow(tmp_path):
    feed = read(["x=zeros", npy(tmp_path, np.array(5))], takes(1, 3), RATE)[0]
    assert feed["sr"] == 5


def test_a_named_file_and_a_name_with_an_equals_sign(tmp_path, monkeypatch):
    path = npy(tmp_path, counting(1, 3))
    feed = read([f"a=b={path}", "a=2"], takes("n", 3, name="a"), takes("n", 3, name="a=b"))[0]
    assert (feed["a"].tolist(), feed["a=b"].tolist()) == ([[2, 2, 2]], [[1, 2, 3]])
    monkeypatch.chdir(tmp_path)
    os.rename(path, "c=d.npy")
    assert tensors("c=d.npy", takes("n", 3))[0].tolist() == [[1, 2, 3]]


def test_keys_of_an_npz_are_inputs(tmp_path):
    path = npz(tmp_path, x=counting(2, 3), y=counting(2, 1))
    feeds = read([path], takes("n", 1, name="y"), takes("n", 3))
    assert [(feed["x"].tolist(), feed["y"].tolist()) for feed in feeds] == [([[1, 2, 3]], [[1]]), ([[4, 5, 6]], [[2]])]


def test_keys_of_an_npz_leave_the_rest_to_files_without_a_name(tmp_path):
    texts = [npy(tmp_path, counting(1, 3)), npz(tmp_path, first=np.ones((1, 3)))]
    feed = read(texts, takes("n", 3, name="first"), takes("n", 3))[0]
    assert feed["x"].tolist() == [[1, 2, 3]]
    assert feed["first"].tolist() == [[1, 1, 1]]


def test_an_npz_for_one_input_gives_its_only_array_or_that_of_the_name(tmp_path):
    assert read([f"x={npz(tmp_path, any=counting(1, 3))}"], takes("n", 3))[0]["x"].shape == (1, 3)
    both = npz(tmp_path, x=counting(1, 3), y=counting(9))
    assert read([f"x={both}"], takes("n", 3))[0]["x"].shape == (1, 3)
    assert refusal(read, [f"yy={both}"], takes("n", 3, name="yy")) == "x.npz: no array 'yy'; did you mean 'y'?"
    assert refusal(read, [both], takes("n", 3, name="xx")) == "x.npz: the network has no input 'x'; did you mean 'xx'?"


def test_one_tensor_is_for_every_run_and_other_numbers_must_agree(tmp_path):
    two, three = npy(tmp_path, counting(2, 3), "2.npy"), npy(tmp_path, counting(3, 3), "3.npy")
    signature = takes("n", 3), takes("n", 3, name="y")
    feeds = read([two, f"y={npy(tmp_path, counting(3))}"], *signature)
    assert [feed["x"].tolist() for feed in feeds] == [[[1, 2, 3]], [[4, 5, 6]]]
    assert [feed["y"].tolist() for feed in feeds] == [[[1, 2, 3]]] * 2
    line = refusal(read, [f"x={two}", f"y={three}"], *signature)
    assert line == "--input: files for different numbers of runs: x for 2, y for 3; allowed: the same, or one"


def test_numbers_fill_a_tensor_of_the_sizes_of_the_run(tmp_path):
    recurrent = takes("t", "n", 3, steps_first=True)
    texts = [npy(tmp_path, counting(5, 2, 3)), "h=0.5", "sr=-7", "m=zeros"]
    feed = read(texts, recurrent, STATE, RATE, takes("n", "t", name="m"))[0]
    assert feed["h"].tolist() == np.full((2, 2, 4), 0.5).tolist()
    assert feed["m"].tolist() == np.zeros((2, 5)).tolist()
    assert feed["sr"].shape == ()
    assert feed["sr"] == -7
    assert read(["x=1e2"], takes("n", 2))[0]["x"].tolist() == [[100, 100]]


def test_a_network_without_inputs_runs_once():
    assert list(read([])) == [{}]


@pytest.mark.parametrize(
    ("texts", "signature", "line"),
    [
        ([], [PLANE], "input 'x' (float32, ['n', 3, 2, 2]): nothing is given; say --input x=FILE or --input x=zeros"),
        (["sr=1"], [RATE, STATE], "input 'h' (float32, [2, 'n', 4]): nothing is given; say --input h=FILE"),
        (["nowhere.png"], [PLANE], "--input 'nowhere.png': no such file"),
        (["a\0b"], [PLANE], "no such file"),
        ([""], [PLANE], "--input '': no such file"),
        (["x="], [PLANE], "--input 'x=': no such file"),
        (["a" * 5000], [PLANE], "no such file"),
        (["x=" + "a" * 300], [PLANE], "no such file"),
        (["xx=zeros"], [PLANE], "--input 'xx=zeros': no such file, and no input 'xx'; did you mean 'x'?"),
        (["qqq=zeros"], [PLANE, RATE], "no input 'qqq'; allowed: x, sr"),
        (["x=nowhere"], [PLANE], "--input 'x=nowhere': no such file"),
        (["sr=1.5"], [RATE], "input 'sr' (int64, []): --input sr=1.5: not exact in int64"),
        (["x=1e300"], [PLANE], "--input x=1e300: not exact in float32"),
        (["x=zeros", "x=1"], [PLANE], "given twice by --input"),
        (["x=zeros", "x=PATH"], [PLANE], "given twice by --input"),
        (["x=PATH", "x=zeros"], [PLANE], "given twice by --input"),
        (["PATH", "x=zeros", "sr=1"], [PLANE, RATE], "x.npy: for which input? say NAME=FILE; inputs: x, sr"),
        (["PATH"], [RATE, takes(1, name="one")], "x.npy: for which input? say NAME=FILE; inputs: sr, one"),
        (["PATH"], [], "x.npy: for which input? say NAME=FILE; inputs: none"),
        (["x=PATH", "x=IMAGES"], [takes("n", 3, 2, 2)], "some files hold images and some the whole tensor of a run"),
        (["PATH", "x=zeros", "m=zeros"], [takes("n", 3), RATE, takes("t", name="m")], "input 'sr'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, texts, signature, line):
    path = npy(tmp_path, counting(2, 1, 3, 2, 2))
    images = npy(tmp_path, counting(2, 3, 2, 2), "images.npy")
    texts = [text.replace("PATH", path).replace("IMAGES", images) for text in texts]
    assert line in refusal(read, texts, *signature)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (takes("t", 3, steps_first=True), "(float32, ['t', 3]): nothing says how long 't' is; give an npy file"),
        (takes("n", "t"), "nothing says how long 't' is"),
        (takes(2, "t", 3), "nothing says how long 't' is"),
        (takes("n", "?"), "nothing says how long '?' is"),
        (takes(2, "?", "?"), "nothing says how long '?' is"),
        (takes(None), "a number needs a shape; give an npy file"),
        (takes(2**20, 2**20), "a run would take 4398046511104 bytes; at most 1073741824"),
        (takes(2**62, 2**62), "a run would take"),
    ],
)
def test_a_fill_without_sizes_is_refused(given, line):
    assert line in refusal(lambda: read(["x=zeros"], given)[0])


def test_the_only_axis_without_a_name_behind_sizes_is_one_image():
    state = takes(2, "?", 3, name="state")
    assert read(["state=zeros"], state)[0]["state"].shape == (2, 1, 3)
    assert read(["state=zeros"], takes("?", 3, name="state"))[0]["state"].shape == (1, 3)


def test_kinds_of_files_and_folders_that_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("")
    kinds = "png, jpg, jpeg, bmp, gif, webp, tif, tiff, wav, npy, npz"
    line = refusal(read, [str(tmp_path / "x.txt")], PLANE)
    assert line.endswith(f": allowed: {kinds}")
    assert refusal(read, [str(tmp_path)], PLANE) == f"{tmp_path.name}/: 0 files of {kinds}; 1 to 100000"
    os.mkfifo(tmp_path / "x.npy")
    assert refusal(read, [str(tmp_path / "x.npy")], PLANE).endswith("is neither a file nor a folder")


def test_the_folder_of_the_shell_has_its_name(tmp_path, monkeypatch):
    picture(tmp_path, "a.png", 1)
    monkeypatch.chdir(tmp_path)
    assert feeds_of(".", PLANE).description == f"1 file of {tmp_path.name}/"
    assert feeds_of(".", PLANE).notes == ()
    assert feeds_of("./a.png", PLANE).description == "a.png"
    assert read(["x=./a.png", "sr=3"], PLANE, RATE).description == "x=a.png, sr=3"


# Files that are not what they seem


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1")


@pytest.mark.parametrize(
    ("descr", "shape", "line"),
    [
        ("'<f4'", "(1000000000000, 3)", "x.npy: holds 24 bytes, its shape (1000000000000, 3) has 12000000000000"),
        ("'<f4'", "(-2, -1)", "x.npy: holds 24 bytes, its shape (-2, -1) has 8"),
        ("'<f4'", "(1, 3)", "x.npy: holds 24 bytes, its shape (1, 3) has 12"),
        ("'|O'", "(3,)", "x.npy: type object; allowed: booleans, integers or floats"),
        ("'<U1'", "(6,)", "x.npy: type str32; allowed"),
        ("[('a', '<f4')]", "(6,)", "x.npy: type void32; allowed"),
        ("'<c8'", "(3,)", "x.npy: type complex64; allowed"),
        ("'x'", "(3,)", "x.npy: damaged array"),
        ("'<f4'", "3", "x.npy: damaged array"),
    ],
)
def test_the_header_of_an_array_is_checked_before_any_memory_is_taken(tmp_path, descr, shape, line):
    path = tmp_path / "x.npy"
    path.write_bytes(header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n") + b"\0" * 24)
    tracemalloc.start()
    found = refusal(tensors, path, takes("n", 3))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.startswith(line)
    assert peak_bytes < 2**20


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff", b"PK\x03\x04" + b"\0" * 30])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_damaged_array_is_one_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    line = refusal(tensors, tmp_path / name, takes("n", 3))
    assert line in ("x.npy: damaged array", "x.npz: not an npz archive")


def test_pickled_objects_are_refused_in_an_archive(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{}], object))
    line = refusal(tensors, tmp_path / "x.npz", takes("n", 3))
    assert line == "x.npz: x: type object; allowed: booleans, integers or floats"


def test_numbers_that_are_none_are_refused(tmp_path):
    for value in (np.nan, np.inf):
        array = np.float32([[0, 1, 2], [3, value, 5]])
        line = refusal(tensors, npy(tmp_path, array), takes("n", 3))
        assert line == "x.npy: NaN or infinity; allowed: finite numbers"
        assert refusal(tensors, npz(tmp_path, x=array), takes("n", 3)).startswith("x.npz: x: NaN or infinity")


@pytest.mark.parametrize(("dims", "order"), [((2**15, 2**15), "False"), (("n", 2), "True")])
def test_more_than_a_run_may_take_is_refused(tmp_path, dims, order):
    shape = (2**15, 2**15) if order == "False" else (2**29, 2)
    text = header(f"{{'descr': '<f4', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    (tmp_path / "x.npy").write_bytes(text)
    os.truncate(tmp_path / "x.npy", len(text) + 4 * shape[0] * shape[1])  # no blocks on disk
    assert "4294967296 bytes" in refusal(tensors, tmp_path / "x.npy", takes(*dims))


def test_many_images_may_be_more_than_a_run_may_take(tmp_path):
    text = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2097152, 1024), }\n")
    (tmp_path / "x.npy").write_bytes(text)
    os.truncate(tmp_path / "x.npy", len(text) + 2**33)  # no blocks on disk
    feeds = feeds_of(tmp_path / "x.npy", takes("n", 1024))
    assert (len(feeds), feeds[2**21 - 1]["x"].shape) == (2**21, (1, 1024))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    text = header("{'descr': '<f4', 'fortran_order': False, 'shape': (536870912, 2), }\n")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", text)
    line = refusal(tensors, tmp_path / "x.npz", takes("n", 2))
    assert line == "x.npz: 'x': 4294967296 bytes; at most 1073741824, npy more"


def test_an_array_that_becomes_shorter_is_noticed(tmp_path):
    path = npy(tmp_path, counting(2, 3))
    feeds = feeds_of(path, takes("n", 3))
    os.truncate(path, 140)
    assert refusal(lambda: feeds[1]) == "x.npy: holds fewer than the 12 bytes of its shape"
