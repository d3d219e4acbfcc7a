"""Whole processes: the start to the first prediction, memory of it, and company on the cores."""
import os
import subprocess
import sys

from child import HERE, peak_mib, wall_seconds
from rounds import Measurement, Row, interleave


def commands(s):
    image = s.test_images()[0]
    ours = [s.cxr, "predict", "--model", s.model, "--threads", s.threads, image]
    return {"cxr": ours, "PyTorch script": [sys.executable, os.path.join(HERE, "torch_predict.py"), s.model, image]}


def start(s, row):
    """More rounds than elsewhere, because a start is short."""
    contenders = {name: lambda command=command: wall_seconds(command) for name, command in commands(s).items()}
    interleave(contenders, 1)  # files come from the page cache afterwards
    row.take(interleave(contenders, 2 * s.rounds))


def predict_memory(s, row):
    row.take(interleave({name: lambda command=command: peak_mib(command) for name, command in commands(s).items()}, min(s.rounds, 3)))


def contention(s, row, stage):
    """The figure with a neighbour that never rests, over the figure alone."""
    options = ("--freeze", "none", "--no-limit") if stage == "step" else ("--no-limit",)
    alone = lambda: s.bench(stage, "f32", 64, *options, seconds=0.3)

    def beside():
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            return alone()
        finally:
            neighbour.kill()
            neighbour.wait()

    found = interleave({"alone": alone, "beside": beside}, s.rounds)
    row.ours = [b / a for a, b in zip(found["alone"], found["beside"])]


def measurements(s):
    stages = {"forward": "inference f32, batch 64", "step": "full fine-tuning f32, batch 64"}
    rows = {f"contention-{stage}": Row(f"contention-{stage}", f"slowdown when another process burns a core: {name}", "itself alone",
                                       most=2.5, unit="times", scale=1) for stage, name in stages.items()}
    return [
        Measurement("start", [Row("start", "process start to the first prediction", "PyTorch script", 25.0, most=0.1)],
                    lambda row: start(s, row)),
        Measurement("memory-predict", [Row("memory-predict", "peak resident memory, one prediction", "PyTorch script", unit="MiB",
                                           scale=1)], lambda row: predict_memory(s, row)),
        *(Measurement(key, [row], lambda row, stage=key.split("-")[1]: contention(s, row, stage)) for key, row in rows.items())]
