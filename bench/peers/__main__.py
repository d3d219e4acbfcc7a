"""cxr beside its peers; peers.sh runs this and says how."""
import argparse
import datetime
import importlib.metadata
import os
import subprocess
import sys
import tempfile

import report
from rounds import Missing, Row
from setting import Setting

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
    p.add_argument("--quick", action="store_true", help="2 or 3 minutes: 3 rounds, fewer images")
    a = p.parse_args()
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


def all_rows(s):
    import inference
    import processes
    import training

    return {**inference.rows(s), **training.rows(s), **processes.rows(s)}


def measure(name, make, folder, stamp):
    print(f"{name} ...", end=" ", flush=True)
    try:
        made = make()
    except Missing as why:
        row = Row(name, name, "")
        row.missing = str(why)
        made = row
    rows = made if isinstance(made, list) else [made]
    if name not in (row.key for row in rows):
        Row.forget(folder, name)  # it could not be measured once
    for row in rows:
        row.save(folder, f"{stamp}, load {os.getloadavg()[0]:.1f}")
        print(row.missing or f"{row.work}: {report.signed(row)[0]}", flush=True)


# Rows in the order of the document; one measurement may fill two.
ORDER = ("inference-f32-64", "inference-bf16-64", "inference-int8-64", "inference-int8-bf16", "inference-f32-1", "inference-bf16-1",
         "inference-int8-1", "article-f32", "article-f32-eager", "article-f32-best", "article-auto", "article-auto-eager",
         "article-auto-best", "finetune-f32", "finetune-bf16", "cached-layer3", "head-100", "start", "memory-article",
         "memory-finetune", "memory-predict", "contention-forward", "contention-step")


def main():
    a = arguments()
    keep = a.keep or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(a.out))), "build", "peers")
    os.makedirs(keep, exist_ok=True)
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    described = machine(a)  # before the load is ours
    with tempfile.TemporaryDirectory() as scratch:
        rows = all_rows(Setting(a, scratch)) if a.list is False else all_rows(None)
        if a.list:
            print("\n".join(rows))
            return
        for name in a.rows.split(",") if a.rows else rows:
            measure(name, rows[name], keep, stamp)
    kept = [row for row in (Row.load(keep, key) for key in ORDER) if row]
    counted = os.path.join(keep, "counted.md")
    text = open(counted).read() if os.path.exists(counted) else ""
    command = "bench/peers.sh" + (" --data chest_xray" if a.data else "") + (" --weights resnet18.pth" if a.weights else "")
    report.write(a.out, described + [f"- {stamp[:10]}"], kept, text, command)
    print("\n".join(report.table(kept)))


main()
