"""Writes the examples that a flagfile trains on as small files, for a machine that has neither TensorFlow nor TFDS.

python tools/pack_examples.py --flagfile=zoo/bigan_imagenet/train.flags --output=/tmp/examples

benchmarks/torch_train.py reads them. PNG and JPEG files stay as they are encoded; other images become uint8 arrays.
"""

import common
import numpy as np
from absl import flags

from tf_bigan.errors import InputError
from tf_bigan.experiment import define_flags, experiment_of
from tf_bigan.pieces import write_pieces

_OUTPUT = flags.DEFINE_string("output", None, "the folder to write, replaced if it exists; required")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_PIECE_MB = flags.DEFINE_float("piece_mb", 15.0, "largest size of a file, in MB of 10^6 bytes")
define_flags(flags.FLAGS)


def main():
    """Opens the data as training does, and writes the examples that training would use."""
    experiment = experiment_of(flags.FLAGS)
    output = common.require(_OUTPUT)
    if not 0.001 <= _PIECE_MB.value <= 1000:
        raise InputError(f"piece_mb must lie in [0.001, 1000], found {_PIECE_MB.value:g}")
    common.import_tensorflow()
    from tf_bigan.data import open_images

    data = open_images(
        experiment.dataset,
        experiment.split,
        data_dir=_DATA_DIR.value,
        max_labels=experiment.max_labels,
        like=experiment.preparation,
    )
    data, left_out = data.checked(load=False)
    if len(left_out) and experiment.bad_images == "refuse":
        raise data.refusal(left_out)
    if len(left_out):
        common.note(data.left_out_news(left_out))
    images, labels = data.as_stored()
    arrays = {"labels": labels}
    encoded = isinstance(images[0], bytes)
    if encoded:
        arrays["offsets"] = np.cumsum([0, *map(len, images)], dtype=np.int64)
        arrays["encoded"] = np.frombuffer(b"".join(images), np.uint8)
    else:
        arrays["images"] = np.stack(images)
    told = {
        "dataset": experiment.dataset,
        "split": data.split,
        "max_labels": experiment.max_labels,
        "origin": data.origin if data.split else experiment.dataset,
        "count": data.count,
        "stored": data.stored,
        "left_out": [int(number) for number in left_out],
        "image_size": data.image_shape[0],
        "channels": data.image_shape[-1],
        "class_names": data.class_names,
    }
    write_pieces(output, arrays, told, int(_PIECE_MB.value * 1e6), compress=not encoded)
    size = sum(array.nbytes for array in arrays.values()) / 1e6
    print(f"{data.count} images of {told['origin']}, {size:.1f} MB before any compression, in {output}")


if __name__ == "__main__":
    common.run(main, __doc__)
