"""Ways to damage a file, for robustness_files.py: as disks and people do, and as someone would who means harm."""

import hashlib
import json
import os
import re
import shutil

SHA256SUMS, FLAGS_DIGEST = "SHA256SUMS", "# SHA-256 of the lines below: "
_JSON_TEXTS = (
    "[" * 100_000,
    "{" * 50_000,
    '{"a":' * 50_000,
    "null",
    "[]",
    "{}",
    '"text"',
    "3",
    "Infinity",
    "9" * 5000,
    "[" * 500 + "]" * 500,
    '{"epochs": 1, "epochs": 2}',
    '{"a": "' + "x" * 5000 + '"}',
    "",
)
_JSON_VALUES = (
    *(None, [], {}, "", "text", "x" * 5000, True, 0, -1, 1.5, float("inf"), float("nan"), 10**20, 10**4000 + 1),
    *([[]], {"a": {}}, ["x"], [None], 2**63, -(2**70), "../../etc/passwd", "\x1b[31m\n\n\n", "\0"),
)


def damage(path, rng) -> str:
    """Damages a file in one of many ways.

    Args:
      path: the file.
      rng: a `random.Random`.

    Returns:
      What was done, in words.
    """
    ways = [truncated, flipped, flipped, emptied, replaced, extended, deleted, swapped, special]
    if path.suffix == ".json":
        ways += [json_text, json_value, json_value, json_value, json_key]
    if path.name == SHA256SUMS:
        ways += [sums, sums]
    if path.suffix == ".flags":
        ways += [flags, flags, flags]
    if path.suffix == ".h5":
        ways += [hdf5, hdf5]
    return rng.choice(ways)(path, rng)


def truncated(path, rng):
    """Cuts the file short."""
    length = rng.randrange(max(path.stat().st_size, 1))
    os.truncate(path, length)
    return f"cut to {length} bytes"


def flipped(path, rng):
    """Flips up to 20 bits."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 20))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return "bits flipped"


def emptied(path, rng):
    """Leaves an empty file."""
    os.truncate(path, 0)
    return "emptied"


def replaced(path, rng):
    """Replaces the content by that of no format, or of another."""
    contents = (rng.randbytes(1000), bytes(100_000), b"\x89HDF\r\n\x1a\n" + bytes(500), b"PK\x03\x04" + bytes(100))
    path.write_bytes(rng.choice(contents))
    return "replaced by other bytes"


def extended(path, rng):
    """Adds bytes at the end."""
    with open(path, "ab") as file:
        file.write(rng.randbytes(rng.choice((1, 1000))))
    return "bytes added"


def deleted(path, rng):
    """Deletes the file."""
    path.unlink()
    return "deleted"


def swapped(path, rng):
    """Exchanges the file with another in its folder."""
    others = sorted(each for each in path.parent.iterdir() if each.is_file() and each != path)
    if not others:
        return emptied(path, rng)
    other = rng.choice(others)
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs), other.write_bytes(ours)
    return f"swapped with {other.name}"


def special(path, rng):
    """Puts something in the place of the file that is no file."""
    path.unlink()
    kind = rng.choice(("a FIFO", "a folder", "a link to itself", "a link to /dev/zero", "a link to nothing"))
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to({"a link to itself": path.name, "a link to /dev/zero": "/dev/zero"}.get(kind, "nowhere"))
    return f"replaced by {kind}"


def json_text(path, rng):
    """Replaces the text by JSON of another kind, or by what is nearly JSON."""
    text = rng.choice(_JSON_TEXTS)
    path.write_text(text)
    return f"JSON {text[:20]!r} of {len(text)} characters"


def json_value(path, rng):
    """Replaces a value somewhere in the JSON."""
    content = json.loads(path.read_text())
    holder, key = rng.choice(list(_places(content)) or [([content], 0)])
    holder[key] = rng.choice(_JSON_VALUES)
    told = f"{key} = {type(holder[key]).__name__}"
    _write_json(path, content)
    return f"JSON with {told}"


def json_key(path, rng):
    """Takes an entry out of the JSON."""
    content = json.loads(path.read_text())
    places = [(holder, key) for holder, key in _places(content) if isinstance(holder, dict)]
    if not places:
        return json_text(path, rng)
    holder, key = rng.choice(places)
    del holder[key]
    _write_json(path, content)
    return f"JSON without {key}"


def sums(path, rng):
    """Lists other names in SHA256SUMS."""
    digest = "0" * 64
    names = ("x" * 5000, "../../../etc/passwd", "/etc/passwd", "a/../../b", "\0", "weights.json\n", "", "x y " * 2000)
    name = rng.choice(names)
    text = path.read_text() * rng.choice((0, 1, 2))
    path.write_text(f"{text}{digest}  {name}\n")
    return f"sums of {name[:20]!r}"


def flags(path, rng):
    """Changes a line of a flagfile, or adds one."""
    lines = path.read_text().splitlines()[1:]
    values = (
        "1e20",
        "1" + "0" * 20,
        "-1",
        "20000",
        "2147483647",
        "nan",
        "inf",
        "x" * 5000,
        "",
        "9" * 5000,
        "a b " * 999,
    )
    n = rng.randrange(len(lines))
    added = ("--" + "x" * 1000, "--" + "x" * 1000 + "=3", "--flagfile=/dev/zero", f"--flagfile={path}", "text", "--")
    added += ("-----BEGIN PRIVATE KEY-----", "--width", "--nowidth", "\0", "--zzz=1", "--help", "--width=3 --width=4")
    if rng.random() < 0.7:
        name = lines[n].partition("=")[0]
        lines[n] = f"{name}={rng.choice(values)}"
        told = f"{name} changed"
    else:
        lines.insert(n, rng.choice(added))
        told = f"line {lines[n][:20]!r}"
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(f"{FLAGS_DIGEST}{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return told


def hdf5(path, rng):
    """Changes what an HDF5 file declares."""
    import h5py
    import numpy as np

    with h5py.File(path, "a") as file:
        arrays = []
        file.visititems(lambda name, entry: arrays.append(name) if isinstance(entry, h5py.Dataset) else None)
        name = rng.choice(arrays)
        kind = rng.choice(
            ("huge", "external link", "soft link", "circle", "compressed", "text", "other shape", "missing")
        )
        shape = file[name].shape
        del file[name]
        if kind == "huge":
            file.create_dataset(name, (31_000, 31_000), "f4", chunks=(1000, 1000))
        elif kind == "external link":
            file[name] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == "soft link":
            file[name] = h5py.SoftLink("/" + name)
        elif kind == "circle":
            file[name] = file["/"]
        elif kind == "compressed":
            file.create_dataset(name, data=np.zeros(shape or (1,), np.float32), compression="gzip")
        elif kind == "text":
            file[name] = "text"
        elif kind == "other shape":
            file[name] = np.zeros((*shape, 2), np.float32)
    return f"HDF5: {kind}"


def make_right(folder):
    """Makes the checksums in and below a folder right again, as someone would who means harm."""
    for path in sorted(folder.rglob("*.json"), reverse=True):
        text = _text_of(path)
        if text and '"checksum": "' in text:
            try:
                content = json.loads(text)
                content.pop("checksum", None)
                told = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
                path.write_text(json.dumps({**content, "checksum": told}))
            except (ValueError, AttributeError, RecursionError):
                pass
    for path in sorted(folder.rglob("classifier.keras")):
        about = path.with_name("classifier.json")
        if path.is_file() and (text := _text_of(about)):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            about.write_text(re.sub(r'"sha256": "\w+"', f'"sha256": "{digest}"', text))
    for path in sorted(folder.rglob("index.json")):
        text = _text_of(path) or ""
        for piece in path.parent.glob("piece-*.bin"):
            if piece.is_file():
                digest = hashlib.sha256(piece.read_bytes()).hexdigest()
                text = re.sub(rf'("name": "{piece.name}",\s*"sha256": ")\w+', rf"\g<1>{digest}", text)
        if text:
            path.write_text(text)
    for path in sorted(folder.rglob(SHA256SUMS)):
        if not (text := _text_of(path)):
            continue
        lines = []
        for line in text.splitlines():
            name = line[66:]
            file = path.parent / name if name and len(name) < 200 and "\0" not in name else None
            if file is not None and file.is_file() and path.parent in file.resolve().parents:
                line = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}"
            lines.append(line)
        path.write_text("".join(f"{line}\n" for line in lines))


def copied(folder, target):
    """Copies a folder."""
    shutil.copytree(folder, target)
    return target


def _text_of(path):
    try:
        return path.read_text() if path.is_file() else None
    except (OSError, ValueError):
        return None


def _places(content):
    """Yields (holder, key) of every value in JSON."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(items):
        yield content, key
        yield from _places(value)


def _write_json(path, content):
    # Whole numbers of more digits than Python prints are written by hand.
    marked = json.dumps(content, default=str) if not _has_long(content) else _long_json(content)
    path.write_text(marked)


def _has_long(content):
    return any(isinstance(holder[key], int) and abs(holder[key]) >= 10**4000 for holder, key in _places(content))


def _long_json(content):
    for holder, key in _places(content):
        if isinstance(holder[key], int) and abs(holder[key]) >= 10**4000:
            holder[key] = "LONG"
    return json.dumps(content).replace('"LONG"', "9" * 5000)
