"""The log of a run, metrics.jsonl: one record per epoch, a line of JSON each. No TensorFlow."""

import json
import os

from tf_bigan.errors import InputError
from tf_bigan.files import without_waiting, write_text
from tf_bigan.reading import Missing, parsed, read_bytes


def read_records(path) -> list[dict]:
    """The records of a log; [] if there is none.

    A last line that a crash or a full disk cut short is left out. It has no line break and is no JSON.

    Raises:
      InputError: another line is damaged; the message has its number.
    """
    try:
        lines = read_bytes(path).split(b"\n")
    except Missing:
        return []
    records = []
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.strip() and number < len(lines):
            raise InputError(
                f"{path} is damaged in line {number}, which is no record of an epoch.\n"
                "Correct the line, or delete it: a run that is resumed takes the record from its checkpoint"
            )
    return records


def write_records(path, records):
    """Writes a log anew. Raises InputError if it cannot be written."""
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))


def append_record(path, record):
    """Adds a record to a log. Raises InputError if it cannot be written; the log is then as before."""
    try:
        with open(path, "ab", opener=without_waiting) as file:
            before = file.tell()
            try:
                file.write((json.dumps(record) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def rewound(records, step, kept=()):
    """The records up to `step`, each epoch once and in order.

    Args:
      records: the log's records.
      step: the step that a run goes on from.
      kept: the records that the checkpoint of this step holds; those that the log has lost are taken from here.
    """
    found = {record["step"]: record for record in (*kept, *records) if record["step"] <= step}
    return [found[each] for each in sorted(found)]


def _record(line):
    """The record in a line; None if it is none: a record has numbers as "epoch" and "step"."""
    try:
        record = parsed(line.decode(), finite=False)
    except ValueError:
        return None
    fine = isinstance(record, dict) and all(type(record.get(name)) is int for name in ("epoch", "step"))
    return record if fine else None
