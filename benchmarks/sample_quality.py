"""Compares the Fréchet and the kernel distance with the products that they need, and with torch-fidelity.

python benchmarks/sample_quality.py --torch_python=/path/to/bin/python

50,000 features of 2,048 dimensions, float32, of samples and of real images, as of the Inception graph.

fid             tf_bigan.evaluation.sample_statistics: the moments of both sets, and their Fréchet distance
fid products    both covariances as one matrix product each, the eigenvalues and eigenvectors of one, and the
                eigenvalues of the other, all in float64 from features that are float64 already
kid             the kernel distance, 100 subsets of 1,000
kid products    its three matrix products for each subset, in float64 from features that are float64 already

All run in one process, in rounds. Beside seconds, the CPU time of all threads is measured, as other programs change it
less; with OPENBLAS_NUM_THREADS=1, threads do not wait for each other in it. The memory that fid takes beyond its
features is measured in a separate process, as the growth of the peak resident size. With --torch_python, or
TF_BIGAN_TORCH_PYTHON in the environment, a Python with torch-fidelity judges the same smaller sets of features.
"""

import argparse
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

from timing import best_seconds, note, print_table, run_json, write_json

_JUDGED = ("fid", "kid")

_TORCH = """
import json, sys
import numpy, torch
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc
found = {}
for path in sys.argv[1:]:
    arrays = {name: torch.from_numpy(values) for name, values in numpy.load(path).items()}
    made, real = arrays["made"], arrays["real"]
    moments = [metric_fid.fid_features_to_statistics(each) for each in (made, real)]
    options = {"kid_subset_size": min(1000, len(made)), "rng_seed": 0, "verbose": False, "save_cpu_ram": False}
    each = {**metric_fid.fid_statistics_to_metric(*moments, verbose=False)}
    each |= metric_kid.kid_features_to_metric(made, real, **options)
    each |= metric_prc.prc_features_to_metric(made, real, **options)
    each |= metric_isc.isc_features_to_metric(torch.log(arrays["probabilities"]), shuffle=False)
    found[path] = each
print(json.dumps(found))
"""


def make_features(count, dimensions, seed):
    """Features float32 [count, dimensions] that are correlated, at least 0 and of different sizes, as Inception's."""
    import numpy as np

    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((dimensions, dimensions), np.float32) / np.sqrt(dimensions, dtype=np.float32)
    scale = np.geomspace(3.0, 0.01, dimensions, dtype=np.float32)
    rows = np.random.default_rng(1 + seed).standard_normal((count, dimensions), np.float32)
    return np.maximum((rows * scale) @ mixing + np.float32(0.05 * seed), 0.0)


def measure_seconds(options):
    """Seconds and CPU seconds of each contender in each round: {"seconds" or "CPU seconds": {contender: list}}."""
    import numpy as np
    from scipy.linalg import eigh

    from tf_bigan.evaluation.sample_statistics import Moments, frechet_distance, kernel_distance

    made, real = (make_features(options.count, options.dimensions, seed) for seed in (0, 1))
    doubles = [each.astype(np.float64) for each in (made, real)]
    x, y = (each[:1000].copy() for each in doubles)

    def fid_products():
        one, other = (each.T @ each for each in doubles)
        eigh(one, driver="evr", check_finite=False, overwrite_a=True)
        eigh(other, driver="evr", check_finite=False, overwrite_a=True, eigvals_only=True)

    def kid_products():
        for _ in range(100):
            x @ x.T, y @ y.T, x @ y.T

    contenders = {
        "fid": lambda: frechet_distance(Moments.of(made), Moments.of(real)),
        "fid products": fid_products,
        "kid": lambda: kernel_distance(made, real),
        "kid products": kid_products,
    }
    found = {"seconds": {name: [] for name in contenders}, "CPU seconds": {name: [] for name in contenders}}
    for each in range(options.rounds):
        for name, contender in contenders.items():
            begun = time.process_time()
            found["seconds"][name].append(best_seconds(contender, repeats=1))
            found["CPU seconds"][name].append(time.process_time() - begun)
        note(f"round {each + 1}: { ({unit: {n: v[-1] for n, v in of.items()} for unit, of in found.items()}) }")
    return found


def measure_memory(options):
    """MiB by which one Fréchet distance raises the peak resident size of a process that holds the features."""
    from tf_bigan.evaluation.sample_statistics import Moments, frechet_distance

    made, real = (make_features(options.count, options.dimensions, seed) for seed in (0, 1))
    frechet_distance(Moments.of(made[:50, :40]), Moments.of(real[:50, :40]))  # starts the libraries
    # Making the features took more memory than they take, which would hide growth: fill it.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    filler = bytearray(max(0, peak * 1024 - _resident()))
    filler[::4096] = b"1" * len(filler[::4096])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frechet_distance(Moments.of(made), Moments.of(real))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mebibytes": (after - before) / 1024, "filled": len(filler) / 2**20}


def _resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def compare(options, python):
    """Prints this project's numbers beside torch-fidelity's, for sets of features of several shapes."""
    import numpy as np

    from tf_bigan.evaluation.manifolds import precision_recall
    from tf_bigan.evaluation.sample_statistics import Moments, class_score, frechet_distance, kernel_distance

    shapes = [(options.compared, options.dimensions), (options.compared, 64), (500, options.dimensions)]
    ours, results = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for count, dimensions in shapes:
            made, real = (make_features(count, dimensions, seed) for seed in (0, 1))
            probabilities = np.exp(2.0 * made[:, :10])
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            path = f"{folder}/{count}x{dimensions}.npz"
            np.savez(path, made=made, real=real, probabilities=probabilities)
            kid = kernel_distance(made, real, subset_size=min(1000, count))
            near = precision_recall(made, real)
            ours[path] = {
                "frechet_inception_distance": frechet_distance(Moments.of(made), Moments.of(real)),
                "kernel_inception_distance_mean": kid[0],
                "kernel_inception_distance_std": kid[1],
                "precision": near["precision"],
                "recall": near["recall"],
                "inception_score_mean": class_score(probabilities)[0],
            }
        theirs = run_json([python, "-c", _TORCH, *ours])
    print("\n| features | number | tf_bigan | torch-fidelity | relative difference |\n|---|---|---|---|---|")
    for path, numbers in ours.items():
        shape = pathlib.Path(path).stem
        for name, value in numbers.items():
            other = theirs[path][name]
            difference = abs(value - other) / max(abs(other), 1e-300) if value != other else 0.0
            results[f"{shape} {name}"] = (value, other, difference)
            print(f"| {shape} | {name} | {value:.6g} | {other:.6g} | {difference:.1e} |")
    return results


def main():
    """Prints tables of times, ratios and memory, and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000, help="features of each set, for times and memory")
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--compared", type=int, default=5_000, help="features of each set, for the comparison")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--torch_python", default=os.environ.get("TF_BIGAN_TORCH_PYTHON"))
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    parser.add_argument("--measure", choices=("seconds", "memory"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure = {"seconds": measure_seconds, "memory": measure_memory}[options.measure]
        print(json.dumps(measure(options)))
        return

    record = {}
    if options.torch_python:
        record["compared"] = compare(options, options.torch_python)
    if options.rounds:
        sizes = [f"--{name}={getattr(options, name)}" for name in ("count", "dimensions", "rounds")]
        memory = run_json([sys.executable, __file__, "--measure=memory", *sizes])["mebibytes"]
        note("memory measured")
        seconds = run_json([sys.executable, __file__, "--measure=seconds", *sizes])
        for unit, of in seconds.items():
            ratios = {name: [a / b for a, b in zip(of[name], of[f"{name} products"], strict=True)] for name in _JUDGED}
            print_table("distance", unit, of, digits=2)
            print_table(f"to its products, in {unit}", "quotient", ratios, digits=2)
        square = options.dimensions**2 * 8 / 2**20
        print(f"\nfid: {memory:.0f} MiB beyond the features, {memory / square:.2f} d^2 doubles")
        record |= {"sizes": sizes, "seconds": seconds, "mebibytes": memory}
    write_json(options.json, record)


if __name__ == "__main__":
    main()
