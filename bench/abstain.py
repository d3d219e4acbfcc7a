#!/usr/bin/env python3
"""How often a model abstains: on radiographs as they are, inverted and turned, and on pictures that are none.

Usage: abstain.py [--cxr PROGRAM] [--model FILE] --split-file CSV [--test] [--into FILE.md] DATA

Radiographs are the validation images of DATA that the split.csv of the model's training names; of them 200, drawn with a fixed
seed, are changed; bf16 and int8 are left out where machine or model lack them. Photographs are pieces of the two that scikit-learn brings, in colour and grey. --test reads the test images as
well: their labels are not looked at. --into puts the table into the part <!-- abstain --> of a Markdown file.
"""
import argparse
import collections
import csv
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
from sklearn.datasets import load_sample_image

import section

SEED, CHANGED, SIDE = 20241124, 200, 224
UNAVAILABLE = 69  # exit status: this machine or model lacks the precision


def grey(values):
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def grid():
    return np.indices((SIDE, SIDE)).astype(float)


def noise(rng):
    for i in range(40):
        picture = grey(rng.integers(0, 256, (SIDE, SIDE)))
        yield ImageOps.autocontrast(picture.filter(ImageFilter.GaussianBlur(i % 8))) if i % 8 else picture


def checkerboards(rng):
    y, x = grid()
    for k in range(2, 62, 2):
        yield grey(255 * ((y // k + x // k) % 2))


def gradients(rng):
    y, x = grid()
    for t in np.linspace(0, 2 * np.pi, 30, endpoint=False):
        ramp = np.cos(t) * x + np.sin(t) * y
        yield grey(255 * (ramp - ramp.min()) / (ramp.max() - ramp.min()))


def stripes(rng):
    y, x = grid()
    for i in range(30):
        yield grey(127.5 + 127.5 * np.sin((np.cos(0.3 * i) * x + np.sin(0.3 * i) * y) / (1 + i)))


def discs(rng):
    y, x = grid()
    for i in range(30):
        yield grey(255 * ((y - SIDE / 2) ** 2 + (x - SIDE / 2) ** 2 < (15 + 3 * i) ** 2))


def blank(rng):
    for i in range(30):
        yield grey(rng.normal(8.5 * i, i % 6, (SIDE, SIDE)))


def pages(rng):
    words = "the patient was seen today with a cough and some fever chest film of good quality lungs heart normal".split()
    for _ in range(60):
        w, h = int(rng.integers(400, 900)), int(rng.integers(500, 1100))
        font = ImageFont.load_default(int(rng.integers(12, 24)))
        page = Image.new("L", (w, h), int(rng.integers(225, 256)))
        draw, y = ImageDraw.Draw(page), 40
        while y < h - 40:
            draw.text((30, y), " ".join(rng.choice(words, size=w // 70)), fill=int(rng.integers(0, 60)), font=font)
            y += int(rng.integers(22, 34))
        yield page


def dark_pages(rng):
    for page in pages(rng):
        yield ImageOps.invert(page)


def photographs(rng):
    for name in ("china.jpg", "flower.jpg"):
        whole = Image.fromarray(load_sample_image(name))
        for _ in range(50):
            side = int(rng.integers(150, 400))
            x, y = int(rng.integers(0, whole.width - side)), int(rng.integers(0, whole.height - side))
            yield whole.crop((x, y, x + side, y + side))


def strips(rng):
    for i in range(20):
        yield grey(np.kron(rng.integers(40, 200, (4, 30)), np.ones((25, 25))))


PATTERNS = [("photographs in colour", photographs), ("the same in grey", lambda rng: (p.convert("L") for p in photographs(rng))),
            ("pages of text", pages), ("pages, white on black", dark_pages), ("blank, with noise or none", blank),
            ("strips of 7.5 to 1", strips), ("noise, coarse and fine", noise), ("checkerboards", checkerboards),
            ("gradients", gradients), ("stripes", stripes), ("discs", discs)]
CHANGES = [("inverted", ImageOps.invert), ("turned by 90°", lambda p: p.rotate(90, expand=True)),
           ("turned by 270°", lambda p: p.rotate(270, expand=True)), ("upside down", lambda p: p.rotate(180)),
           ("mirrored", ImageOps.mirror), ("brighter by 1.3", lambda p: p.point(lambda v: min(255, round(1.3 * v)))),
           ("blurred by 2 pixels", lambda p: p.filter(ImageFilter.GaussianBlur(2))),
           ("the middle, twice as large", lambda p: p.crop([s // 4 for s in p.size] + [3 * s // 4 for s in p.size]).resize(p.size))]


def save(folder, pictures):
    os.makedirs(folder)
    for i, picture in enumerate(pictures):
        picture.save(os.path.join(folder, f"{i:03}.png"))
    return folder


def predict(args, paths, *options):
    """The rows of `cxr predict`."""
    out = subprocess.run([args.cxr, "predict", "--model", args.model, "--quiet", "--format", "csv", *options, "-"], check=True,
                         capture_output=True, text=True, input="\n".join(paths) + "\n")
    return list(csv.DictReader(out.stdout.splitlines()))


def row(args, name, paths, *options):
    rows = predict(args, paths, *options)
    away = [r["reason"].split(":")[0] for r in rows if r["status"] == "abstain"]
    reasons = ", ".join(f"{reason} {n}" for reason, n in collections.Counter(away).most_common())
    print(name, len(rows), len(away), reasons, file=sys.stderr)
    return f"| {name} | {len(rows)} | {100 * len(away) / len(rows):.1f} % | {reasons} |"


def table(args, folder):
    rng = np.random.default_rng(SEED)
    with open(args.split_file) as f:
        split = [(os.path.join(args.data, r["path"]), r["split"]) for r in csv.DictReader(f)]
    val = [path for path, part in split if part == "val"]
    drawn = [Image.open(val[i]).convert("L") for i in np.sort(rng.permutation(len(val))[:CHANGED])]
    yield from ("| what | images | abstained | why |", "| --- | --- | --- | --- |")
    yield row(args, "validation", val)
    for precision in ("bf16", "int8"):
        try:
            yield row(args, f"validation, `--precision {precision}`", val, "--precision", precision)
        except subprocess.CalledProcessError as failed:
            if failed.returncode != UNAVAILABLE:
                raise
    if args.test:
        yield row(args, "test", [path for path, part in split if part == "test"])
    for name, change in CHANGES:
        yield row(args, f"validation, {name}", [save(os.path.join(folder, name), map(change, drawn))])
    for name, make in PATTERNS:
        yield row(args, name, [save(os.path.join(folder, name), make(rng))])
    phantoms = os.path.join(folder, "phantoms")
    subprocess.run([args.cxr, "phantom", "--out", phantoms, "--train", "50", "--val", "0", "--test", "0"], check=True)
    yield row(args, "`cxr phantom`", [phantoms])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--cxr", default=os.path.join(root, "build", "release", "cxr"))
    parser.add_argument("--model", default=os.path.join(root, "models", "cxr-pneumonia-resnet18.safetensors"))
    parser.add_argument("--split-file", required=True)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--into")
    parser.add_argument("data")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = list(table(args, folder))
    if args.into:
        section.replace(args.into, "abstain", lines)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
