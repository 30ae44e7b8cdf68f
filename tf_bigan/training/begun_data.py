"""data.json of a run directory: the data that a run began with, and which of it the run leaves out.

{"origin": where the data is read from, "images": how many there are, "left_out": the numbers of those that cannot be
decoded}. For a folder, also "files": the "names", "sizes" in bytes and "times" of modification in ns of all images.
"earlier" marks a run that was begun by a version which recorded no files, and read fewer kinds of them.
"""

from tf_bigan.errors import InputError, on_one_line
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, Optional, json_text, read_json

FILE = "data.json"
_OF_FILES = ("names", "sizes", "times")
_CONTENT = {
    "origin": str,
    "images": COUNT,
    "left_out": [COUNT],
    Optional("files"): {"names": [str], "sizes": [int], "times": [int]},
    Optional("earlier"): bool,
}


def read(run) -> dict | None:
    """The content of data.json of a `RunDirectory`; None if there is no run to resume, or no data.json.

    Raises:
      InputError: data.json is damaged.
    """
    path = run.path / FILE
    if not (path.exists() and run.has_begun()):
        return None
    try:
        content = read_json(path, _CONTENT)
    except InputError as error:
        raise InputError(f"{error}; delete it to have the images checked again") from None
    numbers, images = content["left_out"], content["images"]
    if sorted(set(numbers)) != numbers or numbers[-1:] > [images - 1]:
        raise InputError(
            f"{path} is damaged: left_out are no numbers of its {images} images; delete it to check them again"
        )
    if any(len(column) != images for column in content.get("files", {}).values()):
        raise InputError(f"{path} is damaged: it has not as many files as images; delete it to check them again")
    return content


def is_of_earlier_version(run) -> bool:
    """Whether the run here, of a folder, was begun by a version that recorded no files. Raises like `read`."""
    content = read(run)
    return content is not None and (content.get("files") is None or bool(content.get("earlier")))


def write(run, data, left_out, earlier=False):
    """Writes data.json. Files that the run began with stay recorded as they were then.

    Args:
      run: a `RunDirectory`.
      data: the `Data`.
      left_out: the numbers of the examples that the run does not use.
      earlier: see above.
    """
    files = (read(run) or {}).get("files")
    if files is None and (found := data.files()) is not None:
        files = {column: [file[k] for file in found] for k, column in enumerate(_OF_FILES)}
    content = {"origin": data.origin, "images": data.stored, "left_out": [int(number) for number in left_out]}
    content |= {"files": files} if files is not None else {}
    content |= {"earlier": True} if earlier else {}
    write_text(run.path / FILE, json_text(content))


def left_out(run, data, times=True) -> list[int] | None:
    """The numbers of the images that the run here leaves out; None if there is no run to resume, or no data.json.

    Args:
      run: a `RunDirectory`.
      data: the `Data` that the run is to go on with.
      times: whether the times of files are compared, too, and not only their names and sizes.

    Raises:
      InputError: data.json is damaged; the data no longer has as many images as the run began with; or a file that the
        run uses is another one than then, which the message names.
    """
    content = read(run)
    if content is None:
        return None
    if content["images"] != data.stored:
        raise InputError(
            f"{run.path} was begun with {content['images']} images of {content.get('origin')}; {data.origin} has "
            f"{data.stored}.\nRestore the images to resume the run, or give another --workdir"
        )
    files = data.files()
    if content.get("files") is not None and files is not None:
        begun = zip(*(content["files"][column] for column in _OF_FILES), strict=True)
        _check_unchanged(begun, files, content["left_out"], times, data.name, run.path / FILE)
    return content["left_out"]


def _check_unchanged(begun, files, ignored, times, name, path):
    count, ignored = len(_OF_FILES) - (not times), set(ignored)
    changed = [
        (was[0], now[0])
        for number, (was, now) in enumerate(zip(begun, files, strict=True))
        if list(was[:count]) != now[:count] and number not in ignored
    ]
    if not changed:
        return
    was, now = map(on_one_line, changed[0])
    first = was if was == now else f"{was}, in whose place is {now}"
    raise InputError(
        f"{len(changed)} of {len(files)} images of {name} were changed or replaced since the run began; the first is "
        f"{first}.\nRestore what was there, with its time, or delete {path} to go on with the images that are there"
    )
