"""How many copies of a data set's own images cxr inspect finds, by what was done to them, and how alike other images are.

usage: near_duplicates.py CXR DATA [COPIES]

COPIES (100) images for each change, drawn by a fixed seed, are changed by Pillow and put beside all images of DATA, a folder with
train/ and perhaps test/. Prints the table of docs/data.md.
"""
import io
import json
import os
import random
import subprocess
import sys
import tempfile

from PIL import Image, ImageEnhance


def saved(image, quality):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("L")


def cut(image, share, x, y):
    w, h = int(image.width * share), int(image.height * share)
    left, top = int((image.width - w) * x), int((image.height - h) * y)
    return image.crop((left, top, left + w, top + h))


def gamma(image, g):
    return image.point([round(255 * (i / 255) ** g) for i in range(256)])


CHANGES = {
    "saved as JPEG of quality 30": lambda i: saved(i, 30),
    "saved as JPEG of quality 10": lambda i: saved(i, 10),
    "half the size": lambda i: i.resize((i.width // 2, i.height // 2), Image.BILINEAR),
    "contrast 0.75": lambda i: ImageEnhance.Contrast(i).enhance(0.75),
    "brightness 1.3": lambda i: ImageEnhance.Brightness(i).enhance(1.3),
    "gamma 0.6": lambda i: gamma(i, 0.6),
    "gamma 1.6": lambda i: gamma(i, 1.6),
    "cropped by 5 %, centre kept": lambda i: cut(i, 0.95, 0.5, 0.5),
    "cropped by 5 %, a corner kept": lambda i: cut(i, 0.95, 0, 0),
    "cropped by 10 %, centre kept": lambda i: cut(i, 0.9, 0.5, 0.5),
    "turned by 2 degrees": lambda i: i.rotate(2, Image.BILINEAR),
    "turned by 5 degrees": lambda i: i.rotate(5, Image.BILINEAR),
}


def make(folder, data, copies):
    names = [os.path.relpath(os.path.join(d, f), data) for d, _, files in sorted(os.walk(data)) for f in sorted(files)]
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.path.abspath(os.path.join(data, name)), path)
    drawn = random.Random(1).sample(names, copies * len(CHANGES))
    made = {}
    for k, change in enumerate(CHANGES.values()):
        for i, name in enumerate(drawn[k * copies:(k + 1) * copies]):
            copy = os.path.join(os.path.dirname(name), f"copy-{k}-{i}.jpeg")
            change(Image.open(os.path.join(data, name)).convert("L")).save(os.path.join(folder, copy), quality=90)
            made[copy] = (k, name)
    return made


def main():
    cxr, data, copies = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 100
    with tempfile.TemporaryDirectory() as folder:
        made = make(folder, data, copies)
        command = [cxr, "inspect", folder, "--model", "none", "--group-by", "none", "--format", "json"]
        out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    scores, others = {}, []
    for check in out["checks"]:
        if check["name"] not in ("near-duplicates", "look-alikes"):
            continue
        for finding in check["findings"]:
            a, b = (image["path"] for image in finding["images"])
            copy, other = (a, b) if a in made else (b, a)
            if copy in made and made[copy][1] == other:
                scores[copy] = finding["score"]
            elif a not in made and b not in made:
                others.append(finding["score"])
    print("| a copy that was | found as near duplicate |\n|---|---|")
    for k, change in enumerate(CHANGES):
        found = sum(score >= 0.9 for copy, score in scores.items() if made[copy][0] == k)
        print(f"| {change} | {100 * found / copies:.0f} % |")
    print(f"\nPairs of the set's own images: {sum(s >= 0.9 for s in others)} of 0.90 or more, {sum(s >= 0.85 for s in others)} of "
          f"0.85, {len(others)} of 0.80; {out['pairs_compared']} pairs were laid over each other.")


if __name__ == "__main__":
    main()
