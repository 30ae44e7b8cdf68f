"""Writes the features and labels of a data set or folder, from a zoo model, a run or an exported module.

  python tools/extract_features.py --model=bigan_mnist --dataset=mnist --split=test --output=/tmp/test.npz
  python tools/extract_features.py --module=/tmp/module --dataset=./photos --output=/tmp/photos.tfrecord

If --output ends in .npz, it is one file with "features" float32 [N, D], "labels" int64 [N] (-1 = no label), "names" [N]
(paths relative to a folder, or TFDS' ids), "class_names", "left_out" (what is not among the rows) and "description", a
text that says what the features are. Otherwise --output is the prefix of TFRecord shards, which have a tf.train.Example
with "features", "label", "name" and "class_name" for each image or point; OUTPUT.json has the rest. If the tool is
started again, it continues where it stopped.
"""

import dataclasses

import common
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory; this or --module")
_MODULE = flags.DEFINE_string("module", None, "an exported module's folder; this or --model")
_LAYER = flags.DEFINE_string(
    "layer",
    None,
    "code or a layer's name, or crelu(NAME) for [ReLU(h), ReLU(-h)] of it; default: penultimate of --model, the "
    "features of --module",
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "a TFDS name, 'digits', 'tiny_imagenet', 'mixture' or a folder; default: what --model was trained on",
)
_SPLIT = flags.DEFINE_string("split", "test", "the TFDS split; ignored for folders")
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    0,
    "for a --module that does not say how to prepare images: the edge that they are resized to; 0 = as stored",
)
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", "refuse", ["refuse", "skip"], "if images cannot be decoded: write nothing, or leave these images out"
)
_MAX_PIXELS = common.define_max_pixels("as the model was trained")
_NAMES = flags.DEFINE_string("names", None, "a .csv or .parquet file for the rows' names, labels and class names, too")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_OUTPUT = flags.DEFINE_string("output", None, "a .npz file, or the prefix of TFRecord shards; required")
_SHARD = flags.DEFINE_integer("shard", 10_000, "examples per shard; only whole shards are resumed from", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "examples per batch", lower_bound=1)


def main():
    """Opens the model or module and the data, and extracts the features."""
    output = common.require(_OUTPUT)
    common.import_tensorflow()
    from tf_bigan.data import open_data
    from tf_bigan.errors import InputError, NoData
    from tf_bigan.evaluation.data import not_here
    from tf_bigan.evaluation.extract import extract
    from tf_bigan.evaluation.names import check_table, write_table
    from tf_bigan.files import sha256

    if bool(_MODEL.value) == bool(_MODULE.value):
        raise InputError("give either --model or --module")
    if _NAMES.value:
        check_table(_NAMES.value)  # now rather than hours later
    if _MODEL.value and _IMAGE_SIZE.value:
        raise InputError("--image_size is for --module; a model has its own")
    if _MODEL.value:
        from tf_bigan import zoo
        from tf_bigan.training.run_directory import RunDirectory

        model, fingerprint = zoo.load_with_digest(_MODEL.value, "encoder")
        experiment = RunDirectory(zoo.run_path(_MODEL.value)).experiment()
        dataset = _DATASET.value or experiment.dataset
        max_labels = experiment.max_labels_of(dataset)
        if news := experiment.classes_news(dataset):
            common.note(news)
        preparation = experiment.preparation
        layer = _LAYER.value or "penultimate"
        network, name = model.feature_function(layer), f"{_MODEL.value} {layer}"
    else:
        from tf_bigan.modules.loading import Module

        module = Module(_MODULE.value)
        preparation = module.preparation() or _preparation(module)
        if _IMAGE_SIZE.value and hasattr(module.loaded, "preparation"):
            raise InputError(f"--image_size does not go with {_MODULE.value}, which takes examples at {preparation}")
        dataset, max_labels = common.require(_DATASET), 0
        network, name = module.function(_LAYER.value), " ".join(filter(None, [_MODULE.value, _LAYER.value]))
        files = sorted(module.folder.glob("variables/variables.data-*"))
        fingerprint = " ".join(map(sha256, files or [module.folder / "saved_model.pb"]))
    options = {"data_dir": _DATA_DIR.value, "bad_images": _BAD_IMAGES.value, "say": common.note}
    # Features need no attributes, so examples without a label are taken, too.
    preparation = dataclasses.replace(preparation, attributes_from="data", **common.given(_MAX_PIXELS))
    try:
        data = open_data(dataset, _SPLIT.value, max_labels=max_labels, like=preparation, **options)
    except NoData as error:
        if _DATASET.value:
            raise
        raise not_here(experiment) from error
    description = f"{name} of {data.origin} at {data.preparation}, weights {fingerprint[:16]}"
    count, shape = extract(network, data, output, description, _SHARD.value, _BATCH_SIZE.value)
    if _NAMES.value:
        write_table(_NAMES.value, data)
    print(f"{count} examples, features {list(shape)}, in {output}{'' if output.endswith('.npz') else '-*'}")


def _preparation(module):
    """How examples are to be prepared for an exported encoder of an older tf_bigan, which does not say so."""
    from tf_bigan.preparation import Preparation

    preparation = Preparation(_IMAGE_SIZE.value, module.channels())
    common.note(
        f"{_MODULE.value} does not say how its images are to be prepared, as an older tf_bigan exported it. Images are "
        f"taken at {preparation}, and the module squashes those of other sizes. Export the model again to change that"
    )
    return preparation


if __name__ == "__main__":
    common.run(main, __doc__)
