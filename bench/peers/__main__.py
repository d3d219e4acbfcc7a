"""cxr beside its peers; peers.sh runs this and says how."""
import argparse
import datetime
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time

import report
from rounds import Measurement, Missing
from setting import Setting

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("torch", "torchvision", "onnxruntime", "openvino", "nncf")


def arguments():
    p = argparse.ArgumentParser(prog="peers.sh", description=__doc__)
    p.add_argument("--cxr", required=True, help="the program")
    p.add_argument("--out", required=True, help="the document to write")
    p.add_argument("--data", help="class folders in train/ and test/; phantoms without")
    p.add_argument("--weights", help="ImageNet weights, .pth; random ones without")
    p.add_argument("--model", help="trained model; one is trained without")
    p.add_argument("--rows", help="names, with commas between; the others keep what was found before")
    p.add_argument("--list", action="store_true", help="print the names of the rows")
    p.add_argument("--keep", help="folder of what was found; default: build/peers")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="3 rounds, fewer images")
    a = p.parse_args()
    a.keep = os.path.abspath(a.keep or os.path.join(os.path.dirname(a.out), "..", "build", "peers"))
    if a.quick:
        a.rounds = min(a.rounds, 3)
    return a


def machine(a):
    """The head that cxr bench prints, and the peers' versions."""
    head = subprocess.run([a.cxr, "bench", "--stage", "transform", "--size", "32", "--threads", "1", "--seconds", "0"],
                          capture_output=True, text=True, check=True).stdout.split("\n\n")[0]
    peers = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)
    python = ".".join(map(str, sys.version_info[:3]))
    return [*(f"- {line}" for line in head.splitlines()), f"- Python {python}, {peers}", f"- {a.threads} threads, {a.rounds} rounds"]


def counted_path(keep):
    return os.path.join(keep, "counted.md")


def count_instructions(a):
    command = [os.path.join(os.path.dirname(HERE), "instructions.sh"), "--out", counted_path(a.keep), a.cxr]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing((done.stderr.strip() or "it failed").splitlines()[-1])


def all_measurements(a, s):
    """In the order of the document."""
    import inference
    import processes
    import training

    counted = Measurement("counted", [], lambda: count_instructions(a))
    return [*inference.measurements(s), *training.measurements(s), *processes.measurements(s), counted]


def measure(m, folder, stamp):
    """Whether the rows were filled."""
    print(f"{m.name} ...", flush=True)
    start = time.monotonic()
    why = m.run(folder, stamp)
    for row in [] if why else m.rows:
        print(f"  {row.work}, {row.against}: {report.signed(row)[0]}")
    print(f"  {why or 'done'} ({time.monotonic() - start:.0f} s)", flush=True)
    return not why


def main():
    a = arguments()
    if a.list:
        print("\n".join(m.name for m in all_measurements(a, None)))
        return 0
    os.makedirs(a.keep, exist_ok=True)
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    described = machine(a)  # before the load is ours
    with tempfile.TemporaryDirectory() as scratch:
        measurements = all_measurements(a, Setting(a, scratch))
        wanted = a.rows.split(",") if a.rows else [m.name for m in measurements]
        unknown = set(wanted) - {m.name for m in measurements}
        if unknown:
            sys.exit("peers.sh: no such row: " + ", ".join(sorted(unknown)))
        filled = [measure(m, a.keep, stamp) for m in measurements if m.name in wanted]
    rows = [row for m in measurements for row in m.rows]
    for row in rows:
        row.recall(a.keep)
    counted = open(counted_path(a.keep)).read() if os.path.exists(counted_path(a.keep)) else "Not counted."
    command = "bench/peers.sh" + (" --data chest_xray" if a.data else "") + (" --weights resnet18.pth" if a.weights else "")
    report.write(a.out, described + [f"- {stamp[:10]}"], rows, counted, command)
    print("\n".join(report.table(rows)))
    return 0 if all(filled) else 1


if __name__ == "__main__":
    sys.exit(main())
