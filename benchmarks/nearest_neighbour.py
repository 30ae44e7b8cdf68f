"""Compares the exact nearest-neighbour search with the matrix product, which is the least that it needs.

python benchmarks/nearest_neighbour.py

10,000 queries in a gallery of 60,000 features of 1,024 dimensions, float32, as for MNIST's penultimate layer.

nearest         tf_bigan.evaluation.neighbours.nearest, k = 1, euclidean
product         queries times gallery in the same chunks; each product is discarded

Both run in one process, in rounds. The memory that a search takes beyond its inputs and TensorFlow itself is
measured in separate processes, as the growth of the peak resident size.
"""

import argparse
import itertools
import json
import resource
import sys

from timing import best_seconds, note, print_table, run_json, write_json


def make_features(options):
    """Queries [Q, D] and gallery [N, D], float32 numpy, normally distributed."""
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = (options.queries, options.dimensions), (options.gallery, options.dimensions)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def bare_product(queries, gallery):
    """A function that computes the matrix products of a search, from chunks that are TensorFlow tensors already."""
    import tensorflow as tf

    from tf_bigan.evaluation import neighbours

    def chunks(rows, size):
        return [tf.constant(rows[i : i + size]) for i in range(0, len(rows), size)]

    pairs = list(itertools.product(chunks(queries, neighbours._QUERIES), chunks(gallery, neighbours._GALLERY)))

    def product():
        for q, g in pairs:
            tf.matmul(q, g, transpose_b=True)

    return product


def measure_seconds(options):
    """Seconds of each contender in each round."""
    from tf_bigan.evaluation.neighbours import nearest

    queries, gallery = make_features(options)
    contenders = {"nearest": lambda: nearest(queries, gallery), "product": bare_product(queries, gallery)}
    for contender in contenders.values():
        contender()
    rounds = [
        {name: best_seconds(contender, repeats=1) for name, contender in contenders.items()}
        for _ in range(options.rounds)
    ]
    return {name: [seconds[name] for seconds in rounds] for name in contenders}


def measure_memory(options):
    """MiB by which one search raises the peak resident size of a process that holds its inputs."""
    from tf_bigan.evaluation.neighbours import nearest

    queries, gallery = make_features(options)
    nearest(queries[:2], gallery[:2])  # loads and starts TensorFlow
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    nearest(queries, gallery)
    return {"mebibytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def main():
    """Prints a table of times, one of memory, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--gallery", type=int, default=60_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    parser.add_argument("--measure", choices=("seconds", "memory"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure = {"seconds": measure_seconds, "memory": measure_memory}[options.measure]
        print(json.dumps(measure(options)))
        return

    sizes = [f"--{name}={getattr(options, name)}" for name in ("queries", "gallery", "dimensions", "rounds")]
    seconds = run_json([sys.executable, __file__, "--measure=seconds", *sizes])
    note("times measured")
    memory = [
        run_json([sys.executable, __file__, "--measure=memory", *sizes])["mebibytes"] for _ in range(options.rounds)
    ]
    quotients = [n / p for n, p in zip(seconds["nearest"], seconds["product"], strict=True)]
    print_table("search", "seconds", seconds, digits=2)
    print_table("ratio", "quotient", {"nearest / product": quotients}, digits=2)
    print_table("memory beyond the inputs", "MiB", {"nearest": memory})
    write_json(options.json, {"sizes": sizes, "seconds": seconds, "mebibytes": memory})


if __name__ == "__main__":
    main()
