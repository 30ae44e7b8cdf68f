import hashlib
import os
import subprocess
import sys

import pytest
from helpers import ROOT

from tf_bigan.errors import InputError
from tf_bigan.files import CHECKSUMS, remove_leftovers, replacing, verify_checksums, write_checksums, write_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "one")
    write_text(tmp_path / "new" / "a.txt", "zwei äöü")
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "zwei äöü"
    assert names_in(tmp_path / "new") == ["a.txt"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.name == path.name and temporary.is_relative_to(tmp_path)
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_on_an_error_the_old_stays_and_nothing_is_left(tmp_path, error, folder):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        if folder:
            temporary.mkdir()
            (temporary / "part").write_text("half")
        else:
            temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and names_in(tmp_path) == ["a"]


def test_a_folder_is_written_and_replaced(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "folder") as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / content).write_text(content)
    assert names_in(tmp_path) == ["folder"] and names_in(tmp_path / "folder" / "deep") == ["two"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write .*file/a.txt: "):
        write_text(tmp_path / "file" / "a.txt", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write .*folder: "):
        write_text(tmp_path / "folder", "text")
    assert names_in(tmp_path) == ["file", "folder"]


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot write .*a.txt: No space left on device"):
        write_text(tmp_path / "a.txt", "text")
    assert names_in(tmp_path) == []


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    with replacing(tmp_path / "a") as first:
        first.write_text("1")
        with replacing(tmp_path / "a") as second:
            second.write_text("2")
        assert (tmp_path / "a").read_text() == "2"
    assert (tmp_path / "a").read_text() == "1" and names_in(tmp_path) == ["a"]


@pytest.fixture
def checked(tmp_path):
    for name in ("b.bin", "a.txt"):
        (tmp_path / name).write_bytes(name.encode() * 3)
    write_checksums(tmp_path, ["b.bin", "a.txt"])
    return tmp_path


def test_checksums_have_the_format_of_sha256sum(checked):
    expected = [f"{hashlib.sha256(name.encode() * 3).hexdigest()}  {name}" for name in ("a.txt", "b.bin")]
    assert (checked / CHECKSUMS).read_text().splitlines() == expected


def test_untouched_files_are_verified(checked):
    verify_checksums(checked)
    verify_checksums(str(checked), ["a.txt"])


def test_large_files_are_read_to_their_end(tmp_path):
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    write_checksums(tmp_path, ["large"])
    verify_checksums(tmp_path)
    (tmp_path / "large").write_bytes(bytes(1 << 20) + b"\x01")
    with pytest.raises(InputError, match="large is damaged"):
        verify_checksums(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"a.txt" * 2, b"a.txta.txtA.txt", b"a.txt" * 3 + b"\n"])
def test_a_changed_file_is_named(checked, damage):
    (checked / "a.txt").write_bytes(damage)
    with pytest.raises(InputError, match="a.txt is damaged or was changed"):
        verify_checksums(checked)
    verify_checksums(checked, ["b.bin"])


def test_a_missing_file_is_named(checked):
    (checked / "b.bin").unlink()
    with pytest.raises(InputError, match="b.bin is missing"):
        verify_checksums(checked)


def test_a_file_without_checksum_is_not_trusted(checked):
    (checked / "c.txt").write_text("c")
    with pytest.raises(InputError, match="c.txt is not listed"):
        verify_checksums(checked, ["c.txt"])


@pytest.mark.parametrize("damage", [None, b"\xff\xfe\xfd", b"", b"no checksums\n"])
def test_damaged_checksums_trust_nothing(checked, damage):
    if damage is None:
        (checked / CHECKSUMS).unlink()
    else:
        (checked / CHECKSUMS).write_bytes(damage)
    for names in (None, ["a.txt"]):
        with pytest.raises(InputError, match=CHECKSUMS):
            verify_checksums(checked, names)


@pytest.mark.parametrize("cut", [10, 30, 70])
def test_checksums_cut_short_are_noticed(checked, cut):
    text = (checked / CHECKSUMS).read_bytes()
    (checked / CHECKSUMS).write_bytes(text[:-cut])
    with pytest.raises(InputError):
        verify_checksums(checked, ["a.txt", "b.bin"])


# -- what killed processes leave

KILLED = """
import os, signal, sys
from tf_bigan.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    sys.stdin.read()  # until it is killed, or its input ends
"""


def writer(path):
    """A process that is in the middle of writing `path`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", KILLED, path], cwd=ROOT, **pipes)
    assert process.stdout.readline() == "written\n"
    return process


def test_the_next_process_that_writes_in_a_folder_removes_what_killed_ones_left(tmp_path):
    killed, living = writer(tmp_path / "a.txt"), writer(tmp_path / "b.txt")
    killed.kill()
    killed.communicate()
    assert len(names_in(tmp_path)) == 2 and not (tmp_path / "a.txt").exists()
    write_text(tmp_path / "c.txt", "text")  # the first writing of this process there
    (left, _) = names_in(tmp_path)
    assert left.endswith(".b.txt") and (tmp_path / left).is_dir()
    remove_leftovers(tmp_path, sole_writer=True)  # not even this disturbs a living process
    living.communicate("")
    assert living.returncode == 0 and names_in(tmp_path) == ["b.txt", "c.txt"]


def test_leftovers_of_earlier_versions_are_removed_when_they_are_old_or_nobody_else_writes(tmp_path):
    def leave():
        (tmp_path / ".0a1b2c3d.encoder.weights.h5").write_text("half")
        (tmp_path / ".0a1b2c3d.step-000000009").mkdir()
        return [".0a1b2c3d.encoder.weights.h5", ".0a1b2c3d.step-000000009"]

    (tmp_path / ".hidden.txt").write_text("the user's own")
    left = leave()
    remove_leftovers(tmp_path)
    assert names_in(tmp_path) == [*left, ".hidden.txt"]
    remove_leftovers(tmp_path, sole_writer=True)
    assert names_in(tmp_path) == [".hidden.txt"]
    for name in leave():
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert names_in(tmp_path) == [".hidden.txt"]
    remove_leftovers(tmp_path / "nowhere")


def test_a_folder_that_was_moved_aside_when_its_writer_was_killed_is_put_back(tmp_path):
    (tmp_path / ".0a1b2c3d.entry" / "old").mkdir(parents=True)
    (tmp_path / ".0a1b2c3d.entry" / "old" / "a.txt").write_text("old")
    remove_leftovers(tmp_path, sole_writer=True)
    assert (tmp_path / "entry" / "a.txt").read_text() == "old" and names_in(tmp_path) == ["entry"]


# -- full disks

H5 = """
import resource, sys
import h5py, numpy as np
from tf_bigan.errors import InputError
from tf_bigan.files import write_from_memory
def save(file):
    with h5py.File(file, "w") as h5:
        h5["weights"] = np.zeros(100_000)
write_from_memory(sys.argv[1], save)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # what can be written, as of a full disk
try:
    write_from_memory(sys.argv[1], save)
except InputError as error:
    print(error)
"""


def test_h5_files_on_a_full_disk_end_in_an_error(tmp_path):
    path = tmp_path / "a.weights.h5"
    done = subprocess.run([sys.executable, "-c", H5, path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")  # h5py's own writing would end the process by a signal
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert names_in(tmp_path) == ["a.weights.h5"] and path.stat().st_size > 800_000


@pytest.mark.parametrize(
    "name", ["../b.bin", "/etc/passwd", "a/../../b", "a//b", "./a.txt", "x" * 256, "a/" + "x" * 5000, "a\0b"]
)
def test_checksums_of_other_folders_and_of_impossible_names_are_refused(checked, name):
    with open(checked / CHECKSUMS, "a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(InputError, match="SHA256SUMS is damaged; the files beside it cannot be trusted") as caught:
        verify_checksums(checked)
    assert name not in str(caught.value)


def test_checksums_of_folders_below_are_verified(checked):
    (checked / "deep").mkdir()
    (checked / "deep" / "c.txt").write_text("c")
    write_checksums(checked, ["a.txt", "deep/c.txt"])
    verify_checksums(checked)
    (checked / "deep" / "c.txt").write_text("d")
    with pytest.raises(InputError, match="deep/c.txt is damaged or was changed"):
        verify_checksums(checked)


def test_a_file_listed_twice_is_not_trusted(checked):
    (checked / CHECKSUMS).write_text((checked / CHECKSUMS).read_text() + f"{'0' * 64}  a.txt\n")
    with pytest.raises(InputError, match="it lists a file twice"):
        verify_checksums(checked, ["a.txt"])


def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(checked):
    for name, message in (("a.txt", "a.txt is a FIFO, and no file"), (CHECKSUMS, f"{CHECKSUMS} is a FIFO")):
        (checked / name).unlink()
        os.mkfifo(checked / name)
        with pytest.raises(InputError, match=message):
            verify_checksums(checked)


@pytest.mark.parametrize("length", [250, 300, 5000])  # the name of the temporary file is longer
def test_a_name_that_is_too_long_is_refused(tmp_path, length):
    with pytest.raises(InputError, match="cannot write .*: File name too long|is too long for the name of a file"):
        write_text(tmp_path / ("x" * length), "text")
    assert not list(tmp_path.iterdir())
