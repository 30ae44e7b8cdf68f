"""Evaluates a model on held-out data, beside an untrained encoder and raw pixels.

python tools/evaluate.py --model=bigan_mnist --metrics=knn,reconstruction
"""

import common
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory; required")
_METRICS = flags.DEFINE_list(
    "metrics", "knn,reconstruction,nnd", "what to measure: knn, linear, reconstruction, nnd", short_name="m"
)
_LAYERS = flags.DEFINE_list(
    "layers", "penultimate,outputs", "feature spaces for knn and linear: layers' names, or code"
)
_DATASET = flags.DEFINE_string("dataset", None, "default: the one trained on")
_QUERY_DATASET = flags.DEFINE_string("query_dataset", None, "of the queries, where it is not --dataset: another folder")
_GALLERY_SPLIT = flags.DEFINE_string("gallery_split", "train", "TFDS split of the labelled gallery")
_QUERY_SPLIT = flags.DEFINE_string("query_split", None, "TFDS split of the queries; default test, else validation")
_SEED = flags.DEFINE_integer("seed", 0, "of the samples")
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", None, ["refuse", "skip"], "with images that cannot be decoded; default: as the model was trained"
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_JSON = flags.DEFINE_string(
    "json", None, "where to write the report; default: metrics.json in a run directory, nowhere for a zoo model"
)


def main():
    """Evaluates, prints the table and writes the report."""
    name = common.require(_MODEL)
    common.import_tensorflow()
    import tf_bigan
    from tf_bigan import zoo
    from tf_bigan.evaluation import evaluate
    from tf_bigan.evaluation.report import table
    from tf_bigan.training.run_directory import RunDirectory

    run = RunDirectory(zoo.run_path(name))
    model, experiment, epochs = tf_bigan.load(name), run.experiment(), run.weights_are()["epochs"]
    data = evaluate.open_evaluation_data(
        experiment,
        _DATASET.value,
        _QUERY_DATASET.value,
        _GALLERY_SPLIT.value,
        _QUERY_SPLIT.value,
        _DATA_DIR.value,
        _BAD_IMAGES.value,
        common.note,
    )
    report = evaluate.evaluate(
        model, experiment, data, _METRICS.value, _LAYERS.value, _SEED.value, say=lambda line: common.note(line)
    )
    print(
        f"{name}: {experiment.system}, {epochs} epochs on {experiment.dataset}; gallery "
        f"{data.gallery.count} of {data.gallery_split}, queries {data.queries.count} of {data.query_split}\n"
    )
    print(table(report))
    report = {"epochs": epochs, "weights": run.weights_digest(), **report}
    target = _JSON.value or (None if run.path.parent == zoo.zoo_path() else run.path / zoo.METRICS)
    if target:
        zoo.write_report(target, report)
        print(f"\nwritten to {target}")


if __name__ == "__main__":
    common.run(main, __doc__)
