"""Measures how long a user waits for the import and the list of models, and for the first finished step of a run.

TFDS_DATA_DIR=/path/to/tfds python benchmarks/startup.py

python          an empty interpreter, for comparison
import          `import tf_bigan; tf_bigan.list_models()` in a fresh process, from its start to its end
first step      tools/train.py on the bigan_mnist flags, from the start of the process to the first line of progress,
                which Keras prints when the first call of the compiled step (7 training steps) has returned
"""

import argparse
import os
import pty
import subprocess
import sys
import tempfile
import time

from timing import ROOT, best_seconds, environment, note, print_table, run, write_json

PROGRESS = b"encoder_generator_loss:"  # the line of progress shows each player's loss


def first_step_seconds(flags):
    """Seconds to the first finished steps. The command runs on a pseudo-terminal, as for a user."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "tools" / "train.py"), f"--workdir={folder}/run"]
        command += [f"--flagfile={ROOT / 'zoo' / 'bigan_mnist' / 'train.flags'}", *flags]
        terminal, theirs = pty.openpty()
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        output = b""
        try:
            while PROGRESS not in output:
                output += os.read(terminal, 4096)
            return time.perf_counter() - start
        except OSError:  # the process has ended, which closes its side of the terminal
            sys.exit(f"{' '.join(command)}\nended before its first step:\n{output.decode(errors='replace')}")
        finally:
            process.kill()
            process.wait()
            os.close(terminal)


def main():
    """Runs all measurements in rounds and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    options, flags = parser.parse_known_args()  # other flags go to tools/train.py

    listing = "import tf_bigan; tf_bigan.list_models()"
    measured = {
        "python": lambda: best_seconds(lambda: run([sys.executable, "-c", ""]), repeats=1),
        "import": lambda: best_seconds(lambda: run([sys.executable, "-c", listing]), repeats=1),
        "first step": lambda: first_step_seconds(flags),
    }
    results = {name: [] for name in measured}
    for count in range(options.rounds):
        for name, measure in measured.items():
            results[name].append(measure())
            note(f"round {count + 1}, {name}: {results[name][-1]:.3f} s")
    print_table("start", "seconds", results, digits=3)
    write_json(options.json, {"flags": flags, "results": results})


if __name__ == "__main__":
    main()
