"""Twenty training steps of small games from fixed images: what tests/fixtures/steps.json records.

Run as a program with the names of cases, it trains these cases and prints their records as JSON. It is a program as it
needs a single thread and TensorFlow's deterministic kernels, which are settings of the whole process. Without them the
bits may differ from run to run.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

FIXTURE = pathlib.Path(__file__).resolve().parent / "fixtures" / "steps.json"
STEPS = 20
COUNT = 16  # images a step
SHOWN = 16  # number of each variable's values that a summary contains

_CONV = {"networks": "conv", "image_size": 16, "width": 4}

# Name -> (the networks' dtype policy, the settings in which the experiment differs from `helpers.tiny`).
CASES = {
    **{
        system: ("float32", {"system": system})
        for system in (
            *("bigan", "gan", "latent_regressor", "joint_latent_regressor"),
            *("autoencoder_l1", "autoencoder_l2"),
        )
    },
    "bigan_normal": ("float32", {"prior": "normal"}),
    "bigan_bfloat16": ("mixed_bfloat16", {}),
    "bigan_conv": ("float32", _CONV),
    "gan_conv": ("float32", {"system": "gan", **_CONV, "image_size": 32}),
    "bigan_conv_two_sizes": ("float32", {**_CONV, "encoder_size": 32}),
}


def play(case):
    """The record of a case: the digests of its fresh networks, and the results of training awakened networks."""
    import keras
    import numpy as np
    from helpers import batches, tiny

    from tf_bigan.games import Adam, make_game

    dtype, changes = CASES[case]
    experiment = tiny(**changes)
    game = make_game(experiment, dtype)
    x = np.random.RandomState(0).uniform(size=(STEPS * COUNT, *experiment.encoder_shape)).astype(np.float32)
    fresh = {role: _digest(network.get_weights()) for role, network in sorted(game.networks.items())}
    _wake(game.networks)
    game.compile(Adam(1e-3))
    told = []
    teller = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: told.append(dict(logs)))
    game.fit(batches(x, COUNT), statistics_steps=3, callbacks=[teller], verbose=0)
    return {
        "fresh": fresh,
        # Means over the steps so far, as fit reports them.
        "losses": {name: [_rounded(log[name]) for log in told] for name in sorted(told[0])},
        "networks": {role: _summary(network.get_weights()) for role, network in sorted(game.networks.items())},
    }


def _wake(networks):
    """Draws kernels that keep signals of order 1.

    From fresh weights, a GAN's loss changes only in its fifth digit over these steps, which could not be told from the
    rounding of another machine.
    """
    import numpy as np

    for role, network in networks.items():
        rng = np.random.RandomState(list(role.encode()))
        for variable in network.trainable_variables:
            if len(variable.shape) > 1:
                variable.assign(rng.normal(0.0, np.prod(variable.shape[:-1]) ** -0.5, variable.shape))


def _digest(weights):
    digest = hashlib.sha256()
    for values in weights:
        digest.update(values.astype("<f4").tobytes())
    return digest.hexdigest()


def _summary(weights):
    import numpy as np

    variables = [
        {
            "shape": list(values.shape),
            "norm": _rounded(np.linalg.norm(values.astype(np.float64))),
            "first": [_rounded(value) for value in values.ravel()[:SHOWN]],
        }
        for values in weights
    ]
    return {"sha256": _digest(weights), "variables": variables}


def _rounded(value):
    return float(f"{float(value):.7g}")


def played(cases, **environment):
    """Trains cases in two separate processes.

    Returns:
      ({case: record}, the machine's fingerprint).

    Raises:
      RuntimeError: a process failed; the message contains its output.
    """
    cases = list(cases)
    records = {}
    processes = [_start(part, environment) for part in (cases[::2], cases[1::2]) if part]
    outputs = [process.communicate() for process in processes]
    for process, (stdout, stderr) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(stderr)
        found = json.loads(stdout.splitlines()[-1])
        records.update(found["records"])
    return records, found["machine"]


def _start(cases, environment):
    # Environment variables that would select other kernels are not passed on.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "XLA_", "ONEDNN_"))}
    root = pathlib.Path(__file__).resolve().parents[1]
    path = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(path), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        [sys.executable, __file__, *cases],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**kept, **own, **environment},
    )


def fingerprint():
    """What determines the bits of float results, as text: the CPU, and the versions of the computing libraries."""
    import keras
    import tensorflow as tf

    # The model name alone does not distinguish virtual CPUs.
    fields = {}
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:
        import platform

        fields["model name"] = f"{platform.machine()} {platform.processor()}"
    told = [fields.get(name, "") for name in ("model name", "cpu family", "model")]
    vector = ("avx", "amx", "fma", "f16c")
    sets = sorted(flag for flag in fields.get("flags", "").split() if flag.startswith(vector))
    versions = [f"TensorFlow {tf.__version__}", f"Keras {keras.__version__}"]
    return ", ".join([*told, hashlib.sha256(" ".join(sets).encode()).hexdigest()[:12], *versions])


def main():
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    records = {case: play(case) for case in sys.argv[1:]}
    print(json.dumps({"machine": fingerprint(), "records": records}))


if __name__ == "__main__":
    main()
