"""What a run leaves for others: TensorBoard reads the event file, pandas reads results.csv, and both say the same; a run that
was stopped and resumed has each epoch once."""
import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

FLOAT_GAP = 1e-6  # an event's value is a float32; relative
COLUMNS = {"loss/train": "train_loss", "loss/val": "val_loss", "accuracy/val": "val_accuracy", "optimizer/lr": "lr",
           "time/seconds": "seconds", "time/images_per_second": "images_per_second"}
CXR = os.path.join(os.path.dirname(sys.argv[1]), "cxr")


def check(run, epochs):
    table = pd.read_csv(os.path.join(run, "results.csv"))
    assert list(table.columns) == ["epoch"] + [COLUMNS[c] for c in COLUMNS], table.columns
    assert (table.dtypes[1:] == np.float64).all() and table.epoch.tolist() == list(range(1, epochs + 1)), table
    events = EventAccumulator(run)
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(COLUMNS), events.Tags()
    for tag, column in COLUMNS.items():
        scalars = events.Scalars(tag)
        assert [s.step for s in scalars] == table.epoch.tolist(), (tag, scalars)
        if column in ("seconds", "images_per_second"):  # an epoch done again took another time, and rows have milliseconds
            continue
        np.testing.assert_allclose([s.value for s in scalars], table[column], rtol=FLOAT_GAP)
    times = [s.wall_time for s in events.Scalars("loss/train")]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 3600, times


def main():
    with tempfile.TemporaryDirectory() as folder:
        data, run = os.path.join(folder, "phantoms"), os.path.join(folder, "run")
        subprocess.run([CXR, "phantom", "--out", data, "--train", "48", "--val", "16", "--test", "2"], check=True)
        args = ["--recipe", "article", "--weights", "none", "--size", "64", "--batch-size", "8", "--epochs", "12", "--tensorboard",
                "--checkpoint-seconds", "0.01", "--out", run]
        first = subprocess.Popen([CXR, "train", data, "--quiet", *args])
        while first.poll() is None and not os.path.exists(os.path.join(run, "events.out.tfevents.cxr")):
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
        subprocess.run([CXR, "train", "--resume", run, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        check(run, 12)


main()
