"""Other processes: a measuring one that answers line by line, and the peak memory of one that runs and ends."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Runs its arguments and prints the peak resident memory of that child, in KiB. A process of its own, and a small one: Linux counts
# into a child's peak what its parent held at the time of the fork.
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
       "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def peak_mib(command):
    out = subprocess.run([sys.executable, "-c", PEAK, *map(str, command)], check=True, capture_output=True, text=True)
    return float(out.stdout) / 1024


def wall_seconds(command):
    start = time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def torch_command(s, work, setting, precision, data=None, run=None, *options):
    """torch_child.py on the images of DATA, split as RUN split them."""
    command = [sys.executable, os.path.join(HERE, "torch_child.py"), work, setting, precision, "--threads", s.threads, *options]
    if s.weights:
        command += ["--weights", s.weights]
    if run:
        command += ["--data", data, "--split", os.path.join(run, "split.csv")]
    return [str(c) for c in command]


class Child:
    """A torch_child.py that measures when it is called; a context."""

    def __init__(self, s, *work):
        self.errors = open(s.path("torch-child.log"), "w+")
        self.process = subprocess.Popen(torch_command(s, *work), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)
        self.setting = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:]
            raise RuntimeError("PyTorch's process ended: " + "".join(last))
        return json.loads(line)

    def __call__(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()
