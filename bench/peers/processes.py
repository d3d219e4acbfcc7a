"""Whole processes: the start to the first prediction, memory of it, and company on the cores."""
import os
import subprocess
import sys

from child import HERE, peak_mib, wall_seconds
from rounds import Row, interleave


def commands(s):
    image = s.test_images()[0]
    ours = [s.cxr, "predict", "--model", s.model, "--threads", s.threads, image]
    return ours, [sys.executable, os.path.join(HERE, "torch_predict.py"), s.model, image]


def start(s):
    row = Row("start", "process start to the first prediction", "PyTorch script", 25.0, most=0.1)
    ours, theirs = commands(s)
    wall_seconds(ours), wall_seconds(theirs)  # files come from the page cache afterwards
    return row.take(interleave({"cxr": lambda: wall_seconds(ours), "PyTorch script": lambda: wall_seconds(theirs)}, s.rounds))


def predict_memory(s):
    row = Row("memory-predict", "peak resident memory, one prediction", "PyTorch script", unit="MiB", scale=1)
    ours, theirs = commands(s)
    row.ours, row.peers = [peak_mib(ours)], {"PyTorch script": [peak_mib(theirs)]}
    return row


def contention(s, stage, name):
    """The figure with a neighbour that never rests, over the figure alone."""
    row = Row(f"contention-{stage}", f"slowdown when another process burns a core: {name}", "itself alone", unit="times", scale=1)
    row.most = 2.5
    options = ("--freeze", "none", "--no-limit") if stage == "step" else ("--no-limit",)
    alone = lambda: s.bench(stage, "f32", 64, *options)

    def beside():
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            return alone()
        finally:
            neighbour.kill()
            neighbour.wait()

    found = interleave({"alone": alone, "beside": beside}, s.rounds)
    row.ours = [b / a for a, b in zip(found["alone"], found["beside"])]
    return row


def rows(s):
    return {"start": lambda: start(s), "memory-predict": lambda: predict_memory(s),
            "contention-forward": lambda: contention(s, "forward", "inference f32, batch 64"),
            "contention-step": lambda: contention(s, "step", "full fine-tuning f32, batch 64")}
