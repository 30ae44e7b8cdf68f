"""Which files of a folder are images, and which are left out, and why. Imports no TensorFlow."""

import os
import pathlib

_NAMED = 10  # at most so many files are named in a message


def listed(folder: pathlib.Path, suffixes) -> tuple[list[pathlib.Path], list[tuple[pathlib.Path, str]]]:
    """The image files in and below a folder, and what is left out.

    Links to folders are followed. Each real folder is listed once: at its own place if that is below `folder`, else
    through the first link to it. A link to a folder that contains the link is not followed. Hidden files and folders,
    whose names begin with a dot, are ignored.

    Args:
      folder: where to look.
      suffixes: the ends of the names of images, in lower case.

    Returns:
      (the files in sorted order; what else was found, in sorted order, each with the reason why it is left out).
    """
    files, others, links, seen = [], [], [], set()

    def walk(top):
        def unread(error):
            others.append((pathlib.Path(error.filename), "a folder that cannot be read"))

        for place, names, found in os.walk(top, onerror=unread):
            seen.add(_identity(place))
            below = [pathlib.Path(place, name) for name in sorted(names) if not name.startswith(".")]
            links.extend(path for path in below if path.is_symlink())
            again = [path for path in below if not path.is_symlink() and _identity(path) in seen]
            others.extend((path, "a folder that is listed already") for path in again)
            names[:] = [path.name for path in below if not path.is_symlink() and path not in again]
            for name in (name for name in found if not name.startswith(".")):
                path = pathlib.Path(place, name)
                if not path.is_file():
                    others.append((path, "a broken link" if path.is_symlink() else "no regular file"))
                elif path.suffix.lower() in suffixes:
                    files.append(path)
                else:
                    others.append((path, "no kind of image that Pillow reads"))

    walk(folder)
    while links:
        link = links.pop(0)
        if _identity(link) in seen:
            others.append((link, "a link to a folder that is listed already"))
        elif _contains(link, folder) or _contains(link, link.parent):
            others.append((link, "a link to a folder that contains it"))
        else:
            walk(link)
    return sorted(files), sorted(others)


def left_out_news(where, names) -> str:
    """A line that says how many files under `where` are not read as images, and names the first few."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} files or links under {where} are not read as images: {', '.join(names[:_NAMED])}{more}"


def _identity(folder):
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _contains(outer, inner):
    outer, inner = (os.path.join(os.path.realpath(each), "") for each in (outer, inner))
    return inner.startswith(outer)
