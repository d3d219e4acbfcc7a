"""Other processes: a measuring one that answers line by line, and the peak memory of one that runs and ends."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Runs its arguments and prints the peak resident memory of that child, in KiB.
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
       "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def peak_mib(command):
    out = subprocess.run([sys.executable, "-c", PEAK, *map(str, command)], check=True, capture_output=True, text=True)
    return float(out.stdout) / 1024


def wall_seconds(command):
    start = time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


class Child:
    """A torch_child.py. `mib` is known after close()."""

    def __init__(self, s, work, setting, precision, run=None):
        command = [sys.executable, os.path.join(HERE, "torch_child.py"), work, setting, precision, "--threads", s.threads]
        if s.weights:
            command += ["--weights", s.weights]
        if run:
            command += ["--data", s.small, "--split", os.path.join(run, "split.csv")]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.setting, self.mib = self.answer()["ready"], None

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("PyTorch's process ended: " + " ".join(self.process.args))
        return json.loads(line)

    def __call__(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def close(self):
        self.process.stdin.close()
        self.mib = self.answer()["mib"]
        self.process.wait()
