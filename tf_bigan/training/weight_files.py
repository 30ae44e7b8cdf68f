"""Checks a weight file before its arrays are read: it may declare more than the networks need, or than it holds."""

import collections

_DEEPEST = 16  # groups within each other
_MOST = 100_000  # entries of a file


def weight_file_damage(path, shapes) -> str:
    """What is wrong with a .weights.h5 file, by what it declares: no array is read.

    Args:
      path: the file.
      shapes: the shapes of the arrays that it must hold, in any order.

    Returns:
      "" for a file that holds these arrays and nothing else. Otherwise the reason in words: it is damaged, or it holds
      other arrays, links, or arrays that are compressed or stored elsewhere.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = list(_arrays(file, 0))
            return _difference(collections.Counter(map(tuple, shapes)), collections.Counter(map(_shape, found)))
    except Exception as error:  # of a damaged file, HDF5 raises RuntimeError, KeyError, OSError and others
        return (str(error).splitlines() or [type(error).__name__])[0]


def _arrays(group, depth):
    """Yields the data sets in and below a group."""
    import h5py

    if depth > _DEEPEST or len(group) > _MOST:
        raise ValueError("it has too many groups")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError("it has a link to another place or file")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            yield from _arrays(entry, depth + 1)
        else:
            yield entry


def _shape(entry):
    """The shape of a data set. Raises ValueError if it is none of plain numbers, as Keras writes them."""
    if entry.is_virtual or entry.external or entry.chunks is not None:
        raise ValueError("it has an array that is compressed, or is stored in parts or elsewhere")
    if entry.dtype.kind not in "fiu" or entry.shape is None:
        raise ValueError("it has an array of something else than numbers")
    return tuple(entry.shape)


def _difference(wanted, found):
    """What the arrays of a file lack or have too much, as text; "" = nothing."""
    for shape in wanted - found:
        return f"it has {found[shape]} arrays of shape {[*shape]}, and the network {wanted[shape]}"
    for shape in found - wanted:
        return f"it has {found[shape]} arrays of shape {[*shape]}, and the network {wanted[shape]}"
    return ""
