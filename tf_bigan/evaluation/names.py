"""Tables of the examples' names beside their labels, for programs that read tables: CSV or Parquet."""

import csv
import pathlib

from tf_bigan.errors import InputError, on_one_line
from tf_bigan.files import replacing

COLUMNS = ("row", "name", "label", "class_name")


def check_table(path):
    """Raises InputError unless `write_table` can write `path`: a .csv, or a .parquet if pyarrow is installed."""
    suffix = pathlib.Path(path).suffix
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"a table of names ends in .csv or .parquet, found {on_one_line(path)}")
    if suffix == ".parquet":
        _pyarrow()


def write_table(path, data):
    """Writes a table with a line for each example of `data`, whole or not at all.

    Its columns are the number of the example's row in the features, its name, its label (-1 = none) and the name of its
    class (empty without a label). Line breaks in names, and bytes that are no UTF-8, are written as escape sequences.

    Raises:
      InputError: as for `check_table`, or the file cannot be written.
    """
    check_table(path)
    labels = data.labels().tolist()
    names = [on_one_line(name) for name in data.names()]
    classes = [data.class_names[label] if label >= 0 else "" for label in labels]
    columns = [list(range(len(names))), names, labels, classes]
    with replacing(path) as temporary:
        if pathlib.Path(path).suffix == ".parquet":
            pyarrow, parquet = _pyarrow()
            parquet.write_table(pyarrow.table(dict(zip(COLUMNS, columns, strict=True))), temporary)
            return
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *zip(*columns, strict=True)])


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("a .parquet file needs pyarrow: pip install pyarrow; or give a .csv") from None
    return pyarrow, pyarrow.parquet
