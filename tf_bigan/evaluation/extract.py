"""Writes the features of a whole data set to files, in bounded memory; an interrupted extraction can be resumed.

Every row carries the name of its example, so that features can be tied to photos.
"""

import json
import os
import shutil

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, reason
from tf_bigan.files import replacing, write_text
from tf_bigan.progress import Count
from tf_bigan.reading import COUNT, checked_path, opened, read_json, read_npz


def extract(network, data, output, description, shard=10_000, batch_size=256):
    """Writes `network`'s features of every example of `data`, in order, with the labels and names.

    Each shard is written as a whole. After an interruption a second call continues with the first missing shard.

    Args:
      network: function from float32 examples [n, ...], images being in [0, 1], to their features float32 [n, ...].
      data: a `Data`.
      output: a path that ends in ".npz" gives one file with "features" float32 [N, D], "labels" int64 [N], "names" str
        [N] (see `Data.names`), "class_names" str [classes], "left_out" str [k] (see `Data.left_out`) and "description"
        str; all features are held in memory while it is written. Any other path is the prefix of files
        "<output>-00000-of-00007" of tf.train.Examples ("features", "label", "name" and, of a labelled example,
        "class_name"; names are the bytes that a file system has). "<output>.json" holds "description", "class_names"
        and "left_out".
      description: text that says what is extracted from which data. An `output` that holds another extraction, complete
        or not, is refused.
      shard: number of examples in a shard.
      batch_size: number of examples in a batch.

    Returns:
      (number of examples, shape of one example's features).

    Raises:
      InputError: images that cannot be decoded, points that are not finite, an output that cannot be written, or an
        output that holds another extraction.
    """
    output = checked_path(output)
    npz = output.suffix == ".npz"
    count = -(-data.count // shard)
    if npz:
        folder = output.with_name(f".{output.name}.parts")
        plan, shards = folder / "plan.json", [folder / f"{i:05d}.npz" for i in range(count)]
    else:
        plan = output.with_name(f"{output.name}.json")
        shards = [output.with_name(f"{output.name}-{i:05d}-of-{count:05d}") for i in range(count)]
    if npz and output.exists() and (found := _described(output)) != description:
        raise InputError(f"{output} holds {found}.\nDelete it, or give another --output")
    if not plan.exists():
        data.check()  # fail now rather than hours later
    told = {"class_names": data.class_names, "left_out": data.left_out()}
    _claim(plan, {"description": description, "examples": data.count, "shard": shard, **told})
    names = data.names()

    done = 0
    while done < count and shards[done].exists():
        done += 1
    progress = Count(f"features of {data.origin}", data.count, data.domain.name, min(done * shard, data.count))
    batches = data.batches(min(batch_size, shard), first=done * shard) if done < count else []
    pending, held = [], 0
    with data.naming_damage():
        for images, labels in batches:
            features = np.asarray(network(images), np.float32).reshape(len(labels), -1)
            pending.append((features, labels.numpy()))
            held += len(labels)
            at = min(done * shard + held, data.count)
            progress.at(at)
            while held >= shard or (held and at == data.count):
                columns = [np.concatenate(column) for column in zip(*pending, strict=True)]
                features, labels = (column[:shard] for column in columns)
                if npz:
                    _write_npz(shards[done], features, labels)
                else:
                    _write_records(shards[done], features, labels, names[done * shard :], data.class_names)
                pending = [tuple(column[shard:] for column in columns)]
                held, done = max(held - shard, 0), done + 1
    progress.end()

    shape = _width(shards[0], npz)
    if npz:
        parts = zip(*map(_read_npz, shards), strict=True)
        told = {name: np.array(each, np.str_) for name, each in {"names": names, **told}.items()}
        _write_npz(output, *map(np.concatenate, parts), **told, description=description)
        shutil.rmtree(folder)
    return data.count, shape


def _claim(plan, content):
    if plan.exists():
        try:
            found = read_json(plan, {"description": str, "examples": COUNT, "shard": COUNT})
        except InputError as error:
            raise InputError(f"{error}. Delete it, or give another --output") from None
        told = f"{found['description']}, {found['examples']} examples, shards of {found['shard']}"
        if found != content:
            raise InputError(
                f"{plan} belongs to another extraction: {told}.\nFinish that one, delete its files, or give another "
                "--output"
            )
    else:
        write_text(plan, json.dumps(content))


def _described(path):
    try:
        return str(read_npz(path).get("description", "something else"))
    except InputError:
        return "something else"


def _read_npz(path):
    part = read_npz(path)
    if missing := {"features", "labels"} - part.keys():
        raise InputError(f"{path} is damaged: it has no {missing.pop()}")
    return part["features"], part["labels"]


def _write_npz(path, features, labels, **more):
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, features=features, labels=labels, **more)


def _write_records(path, features, labels, names, class_names):
    """Writes a shard; `names` begin with those of its examples."""
    try:
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for row, label, name in zip(features, labels, names, strict=False):
                example = tf.train.Example()
                example.features.feature["features"].float_list.value.extend(row)
                example.features.feature["label"].int64_list.value.append(int(label))
                example.features.feature["name"].bytes_list.value.append(os.fsencode(name))
                if label >= 0:
                    example.features.feature["class_name"].bytes_list.value.append(class_names[label].encode())
                writer.write(example.SerializeToString())
    except tf.errors.OpError as error:  # such as a full disk
        raise InputError(f"cannot write {path}: {reason(error.message)}") from None


def _width(path, npz):
    if npz:
        return _read_npz(path)[0].shape[1:]
    with opened(path):  # TensorFlow waits for a FIFO
        pass
    try:
        record = next(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    except (StopIteration, tf.errors.OpError):
        raise InputError(f"{path} is damaged; delete it, and it is extracted again") from None
    return (len(tf.train.Example.FromString(record).features.feature["features"].float_list.value),)
