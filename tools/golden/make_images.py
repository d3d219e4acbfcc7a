#!/usr/bin/env python3
"""Writes tests/fixtures/images: small JPEG and PNG files of every kind, what Pillow and torchvision make of them, and the
same for every transform. Deterministic; versions and seed are recorded in README.txt there.

decode.txt      FILE TOLERANCE                     one line per image of decode.pgm (PGMs, one after another)
scaled.txt      FILE TOLERANCE RULE SIZE          one line per image of scaled.pgm: decoded by draft() for that target
views.txt       SOURCE TOLERANCE RULE SIZE TTA    one line per image of views.pgm: the views of that --tta, one below another
transforms.txt  OPERATION SOURCE TOLERANCE ARGUMENTS...   one line per image of transforms.pgm; SOURCE indexes sources.pgm
perturb.txt     SOURCE RULE SIZE NAME              one line per image of perturb.pgm

Pillow up to 12 resizes rows, then columns; Pillow 13 takes the other order where it is cheaper, which moves a few pixels by
one level. cxr keeps the one order. The tolerance of a transform is the gap between Pillow's result and Pillow's result in
that order: 0 nearly everywhere.
"""
import ctypes
import io
import math
import pathlib
import struct
import sys
import zlib

import numpy as np
import PIL
import torchvision
import torchvision.transforms.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import InterpolationMode

import keyed_rng

SEED = 20240611
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "images"
rng = np.random.default_rng(SEED)


def pgm(pixels):
    pixels = np.asarray(pixels, dtype=np.uint8)
    return b"P5\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def picture(width, height, channels=1):
    """Smooth waves with noise: every grey level, edges, no structure that hides an error."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, c = rng.uniform(0.05, 0.6, 3)
        wave = np.sin(a * x + c) + np.cos(b * y - c) + 0.25 * rng.standard_normal((height, width))
        planes.append(np.clip(128 + 60 * wave, 0, 255).astype(np.uint8))
    return planes[0] if channels == 1 else np.stack(planes, axis=-1)


def mild(width, height):
    """Colour far from saturation, so that YCbCr to RGB never clips and luma has one meaning."""
    return (96 + picture(width, height, 3) // 4).astype(np.uint8)


# ---- PNG of any kind: Pillow reads them all but does not write them all ----

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def scanlines(samples, depth):
    rows = b""
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            packed = flat.astype(">u2").tobytes()
        elif depth == 8:
            packed = flat.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        rows += b"\0" + packed
    return rows


def png(samples, depth, colour, interlaced=False, before=(), after=()):
    height, width = samples.shape[:2]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        raw = b"".join(scanlines(p, depth) for p in passes if p.size)
    else:
        raw = scanlines(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(raw, 9)), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ---- What Pillow sees ----


def over_black(image):
    rgba = image.convert("RGBA")
    black = Image.new("RGB", image.size)
    black.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
    return black.convert("L")


def reference(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.uint16)
        high = (grey >> 8).astype(np.uint8)
        clear = image.info.get("transparency")
        return high if clear is None else np.where(grey == clear, 0, high)
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        return np.asarray(over_black(image))
    return np.asarray(image.convert("L"))


def jpeg(pixels, mode, **options):
    out = io.BytesIO()
    Image.fromarray(pixels, mode).save(out, "JPEG", **{"quality": 90, **options})
    return out.getvalue()


def ycck(pixels):
    """TurboJPEG stores CMYK as YCCK with Adobe's marker."""
    turbo = ctypes.CDLL("libturbojpeg.so.0")
    turbo.tjInitCompress.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(turbo.tjInitCompress())
    buffer, size = ctypes.c_void_p(), ctypes.c_ulong()
    height, width = pixels.shape[:2]
    source = pixels.tobytes()
    cmyk, full_colour = 11, 0
    assert turbo.tjCompress2(handle, source, width, 0, height, cmyk, ctypes.byref(buffer), ctypes.byref(size),
                             full_colour, 95, 0) == 0
    data = ctypes.string_at(buffer, size.value)
    turbo.tjFree(buffer)
    turbo.tjDestroy(handle)
    return data


def jpegs():
    grey, colour = picture(29, 23), mild(29, 23)
    same = np.repeat(grey[:, :, None], 3, axis=2)
    yield "grey.jpg", jpeg(grey, "L"), 0
    yield "grey_progressive.jpg", jpeg(grey, "L", progressive=True), 0
    yield "grey_as_ycc.jpg", jpeg(same, "RGB"), 1
    yield "grey_as_ycc_420.jpg", jpeg(same, "RGB", subsampling=2), 1
    yield "colour_444.jpg", jpeg(colour, "RGB", subsampling=0), 1
    yield "colour_420.jpg", jpeg(colour, "RGB", subsampling=2), 1
    yield "colour_progressive.jpg", jpeg(colour, "RGB", progressive=True), 1
    yield "rgb.jpg", jpeg(picture(29, 23, 3), "RGB", keep_rgb=True), 0
    yield "cmyk.jpg", jpeg(picture(29, 23, 4), "CMYK"), 0
    yield "ycck.jpg", ycck(picture(29, 23, 4)), 0
    yield "one_pixel.jpg", jpeg(picture(1, 1), "L"), 0
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif_{orientation}.jpg", jpeg(picture(19, 11), "L", exif=exif), 0


def pngs():
    def levels(depth, channels=1):
        shape = (13, 21) if channels == 1 else (13, 21, channels)
        return rng.integers(0, 1 << depth, shape)

    def palette(count):
        return chunk(b"PLTE", rng.integers(0, 256, 3 * count).astype(np.uint8).tobytes())

    for depth in (1, 2, 4, 8, 16):
        yield f"grey_{depth}.png", png(levels(depth), depth, 0), 0
    for depth in (1, 2, 4, 8):
        yield f"palette_{depth}.png", png(levels(depth), depth, 3, before=[palette(1 << depth)]), 0
    clear = chunk(b"tRNS", bytes([0, 64, 128, 255]))
    yield "palette_clear.png", png(levels(2), 2, 3, before=[palette(4), clear]), 0
    for depth in (8, 16):
        yield f"rgb_{depth}.png", png(levels(depth, 3), depth, 2), 0
        yield f"grey_alpha_{depth}.png", png(levels(depth, 2), depth, 4), 0
        yield f"rgba_{depth}.png", png(levels(depth, 4), depth, 6), 0
    samples = levels(8)
    yield "grey_clear.png", png(samples, 8, 0, before=[chunk(b"tRNS", struct.pack(">H", samples[3, 4]))]), 0
    samples = levels(16)
    yield "grey_clear_16.png", png(samples, 16, 0, before=[chunk(b"tRNS", struct.pack(">H", samples[3, 4]))]), 0
    samples = levels(8, 3)
    yield "rgb_clear.png", png(samples, 8, 2, before=[chunk(b"tRNS", struct.pack(">3H", *samples[3, 4]))]), 0
    yield "grey_8_interlaced.png", png(levels(8), 8, 0, True), 0
    yield "grey_1_interlaced.png", png(levels(1), 1, 0, True), 0
    yield "rgba_8_interlaced.png", png(levels(8, 4), 8, 6, True), 0
    yield "grey_16_interlaced.png", png(levels(16), 16, 0, True), 0
    yield "one_pixel.png", png(levels(8)[:1, :1], 8, 0), 0
    exif = chunk(b"eXIf", b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
    yield "exif_6.png", png(levels(8), 8, 0, before=[exif]), 0
    yield "exif_6_at_end.png", png(levels(8), 8, 0, after=[exif]), 0
    broken = bytearray(chunk(b"tEXt", b"Comment\0not what was meant"))
    broken[-1] ^= 1
    yield "damaged_comment.png", png(levels(8), 8, 0, before=[bytes(broken)]), 0


def repaired(data):
    """Pillow refuses a PNG for a damaged comment: its pixels are those of the file without the damage."""
    at = data.index(b"tEXt")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    end = at + 4 + length
    return data[:end] + struct.pack(">I", zlib.crc32(data[at:end])) + data[end + 4 :]


def write_decode():
    lines, images = [], b""
    for name, data, tolerance in [*jpegs(), *pngs()]:
        (OUT / name).write_bytes(data)
        lines.append(f"{name} {tolerance}")
        images += pgm(reference(data if name != "damaged_comment.png" else repaired(data)))
    (OUT / "mislabelled.jpg").write_bytes((OUT / "grey_8.png").read_bytes())
    lines.append("mislabelled.jpg 0")
    images += pgm(reference((OUT / "grey_8.png").read_bytes()))
    (OUT / "decode.txt").write_text("\n".join(lines) + "\n")
    (OUT / "decode.pgm").write_bytes(images)


# ---- Decoding at a fraction of the size ----


def large_jpegs():
    grey, colour = picture(211, 157), mild(173, 240)
    yield "large_grey.jpg", jpeg(grey, "L", quality=60)
    yield "large_progressive.jpg", jpeg(grey, "L", quality=60, progressive=True)
    yield "large_420.jpg", jpeg(colour, "RGB", quality=60, subsampling=2)
    yield "large_cmyk.jpg", jpeg(picture(160, 101, 4), "CMYK", quality=40)
    for orientation in (2, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"large_exif_{orientation}.jpg", jpeg(picture(203, 97), "L", quality=60, exif=exif)


def resized(width, height, name, size):
    """What the rule makes of the sides, before it cuts or pads."""
    if name == "squash":
        return size, size
    if name == "fit":
        return tuple(max(1, side) for side in ImageOps.contain(Image.new("L", (width, height)), (size, size)).size)
    return tuple(F.resize(Image.new("L", (width, height)), size).size)


def drafted(data, name, size):
    image = Image.open(io.BytesIO(data))
    turned = image.getexif().get(0x0112, 1) >= 5
    width, height = resized(*(image.size[::-1] if turned else image.size), name, size)
    image.draft("L", (3 * height, 3 * width) if turned else (3 * width, 3 * height))
    image.load()
    return ImageOps.exif_transpose(image).convert("L")


def write_scaled():
    lines, images = [], b""
    for file, data in large_jpegs():
        (OUT / file).write_bytes(data)
        for name in ("squash", "fit", "crop"):
            for size in (4, 8, 13, 16, 26, 33):
                want, tolerance = golden(drafted(data, name, size), "rule", [name, size])
                lines.append(f"{file} {tolerance} {name} {size}")
                images += pgm(want)
    (OUT / "scaled.txt").write_text("\n".join(lines) + "\n")
    (OUT / "scaled.pgm").write_bytes(images)


# ---- Transforms ----


def resize(image, width, height, *box):
    return image.resize((width, height), Image.BILINEAR, box=box or None)


def rule(image, name, size):
    if name == "squash":
        return F.resize(image, [size, size], InterpolationMode.BILINEAR, antialias=True)
    if name == "fit":
        return ImageOps.pad(image, (size, size), Image.BILINEAR, color=0)
    return F.center_crop(F.resize(image, size, InterpolationMode.BILINEAR, antialias=True), [size, size])


MASK = (1 << 64) - 1


def mix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def f32(value):
    return float(np.float32(value))


def zoom(image, factor):
    """About the centre: a smaller box of the image, or the smaller image on black."""
    width, height = image.size
    if factor >= 1:
        dx, dy = (width - width / factor) / 2, (height - height / factor) / 2
        return image.resize((width, height), Image.BILINEAR, (dx, dy, width - dx, height - dy))
    small = image.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.BILINEAR)
    out = Image.new("L", image.size, 0)
    out.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return out


def noise(image, sd, key):
    """The sum of the bytes of each pixel's random number, scaled to that standard deviation."""
    i = np.arange(image.width * image.height, dtype=np.uint64)
    parts = keyed_rng.u64(key, i).view(np.uint8).reshape(-1, 8).astype(float).sum(1)
    levels = np.asarray(image).reshape(-1) + 255 * sd * (parts - 1020) / 209.0207
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(image.height, image.width), "L")


def recompress(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def erase(image, between):
    """torchvision's RandomErasing.get_params, a rectangle of ImageNet's mean grey."""
    for i in range(56, 96, 4):
        area = image.width * image.height * between(0.02, 0.33, i)
        ratio = math.exp(between(math.log(0.3), math.log(3.3), i + 1))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < image.height and w < image.width:
            top, left = int(between(0, image.height - h + 1, i + 2)), int(between(0, image.width - w + 1, i + 3))
            image.paste(114, (left, top, left + w, top + h))
            break
    return image


def augment(image, name, size, key, flip, degrees, scale, brightness, contrast, zooming, gamma, noisy, quality, erasing):
    """torchvision's functions with the numbers that the key stands for."""
    flip, degrees, scale, brightness, contrast = map(f32, (flip, degrees, scale, brightness, contrast))
    zooming, gamma, noisy, erasing = map(f32, (zooming, gamma, noisy, erasing))

    def number(i):
        return mix64(key ^ mix64(i))

    def between(low, high, i):
        return low + (high - low) * ((number(i) >> 40) / (1 << 24))

    if scale > 0:
        width, height = image.size
        for i in range(16, 56, 4):
            area = width * height * between(scale, 1, i)
            ratio = math.exp(between(math.log(3 / 4), math.log(4 / 3), i + 1))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top, left = int(between(0, height - h + 1, i + 2)), int(between(0, width - w + 1, i + 3))
                break
        else:
            w = round(height * 4 / 3) if width / height > 4 / 3 else width
            h = round(width / (3 / 4)) if width / height < 3 / 4 else height
            left, top = (width - w) // 2, (height - h) // 2
        image = F.resized_crop(image, top, left, h, w, [size, size], InterpolationMode.BILINEAR, antialias=True)
    else:
        image = rule(image, name, size)
    if zooming > 0:
        image = zoom(image, f32(between(1 - zooming, 1 + zooming, 4)))
    if between(0, 1, 0) < flip:
        image = F.hflip(image)
    image = F.rotate(image, f32(between(-degrees, degrees, 1)), InterpolationMode.NEAREST, fill=0)
    image = F.adjust_brightness(image, f32(between(1 - brightness, 1 + brightness, 2)))
    image = F.adjust_contrast(image, f32(between(1 - contrast, 1 + contrast, 3)))
    if gamma > 0:
        span = math.log(1 + gamma)
        image = F.adjust_gamma(image, f32(math.exp(between(-span, span, 5))))
    if noisy > 0:
        image = noise(image, f32(between(0, noisy, 6)), number(7))
    if quality > 0:
        image = recompress(image, quality + int(between(0, 101 - quality, 8)))
    return erase(image, between) if between(0, 1, 9) < erasing else image


def cases():
    sizes = [(32, 32), (61, 47), (1, 1), (13, 90), (90, 70), (60, 46), (7, 47), (61, 5), (300, 2)]
    for source in range(5):
        for size in sizes:
            yield ("resize", source, *size)
    boxes = [(0, 0, 30, 20), (3.25, 5.5, 50.75, 40.125), (10, 10, 11, 11), (0.3, 0.7, 60.9, 46.6), (20, 0, 61, 47)]
    for box in boxes:
        for size in [(32, 32), (9, 70)]:
            yield ("resize", 0, *size, *box)
    for source in range(5):
        for name in ("squash", "fit", "crop"):
            for size in (32, 45, 64):
                yield ("rule", source, name, size)
    for degrees in (0, 10, -10, 3.7, 45, 90, 180, 270, -90, 0.01, 359.9, 123.456, -7.25, 60, 30, -180, 725):
        yield ("rotate", 0, degrees)
        yield ("rotate", 1, degrees)
        yield ("rotate", 5, degrees)
    for source in (0, 1, 4):
        yield ("flip", source)
        for factor in (0, 0.25, 0.7, 0.999, 1, 1.3, 2):
            yield ("brightness", source, factor)
            yield ("contrast", source, factor)
    for i in range(24):
        key = mix64(SEED + i)
        crop = 0.3 if i % 2 else 0
        yield ("augment", i % 5, ("squash", "fit", "crop")[i % 3], 40, key, 0.5, 25, crop, 0.4, 0.3, 0, 0, 0, 0, 0)
        if i % 2 == 0:  # of a square: a level off by one before a contrast stays about that, not so before a JPEG
            yield ("augment", 1, "squash", 40, key, 0.5, 25, 0, 0, 0, 0, 0.5, 0.05, 60, 0.7)
            yield ("augment", i % 5, "squash", 40, key, 0.5, 10, 0, 0.2, 0.2, 0.3, 0, 0.1, 0, 0.7)
    for source in (0, 1, 4):
        for gamma in (0.25, 0.5, 0.9, 1, 1.5, 3):
            yield ("gamma", source, gamma)
        for factor in (0.1, 0.5, 0.77, 1, 1.01, 1.5, 4):
            yield ("zoom", source, factor)
        for quality in (1, 20, 50, 75, 90, 100):
            yield ("jpeg", source, quality)
        for sd in (0.01, 0.1, 1):
            yield ("noise", source, sd, mix64(SEED - source))


def transform(image, operation, arguments):
    if operation == "resize":
        return resize(image, *arguments)
    if operation == "rule":
        return rule(image, *arguments)
    if operation == "rotate":
        return F.rotate(image, f32(arguments[0]), InterpolationMode.NEAREST, fill=0)
    if operation == "flip":
        return F.hflip(image)
    if operation == "augment":
        return augment(image, *arguments)
    if operation == "gamma":
        return F.adjust_gamma(image, f32(arguments[0]))
    if operation == "zoom":
        return zoom(image, f32(arguments[0]))
    if operation == "jpeg":
        return recompress(image, *arguments)
    if operation == "views":
        return views(image, *arguments)
    if operation == "noise":
        return noise(image, f32(arguments[0]), arguments[1])
    enhance = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast}[operation]
    return enhance(image).enhance(f32(arguments[0]))


PILLOW_RESIZE = Image.Image.resize


def rows_then_columns(image, size, resample=None, box=None, reducing_gap=None):
    left, top, right, bottom = box or (0, 0, *image.size)
    rows = PILLOW_RESIZE(image, (size[0], image.height), resample, (left, 0, right, image.height))
    return PILLOW_RESIZE(rows, size, resample, (0, top, size[0], bottom))


def golden(image, operation, arguments):
    want = np.asarray(transform(image, operation, arguments)).astype(int)
    Image.Image.resize = rows_then_columns
    other = np.asarray(transform(image, operation, arguments)).astype(int)
    Image.Image.resize = PILLOW_RESIZE
    tolerance = abs(want - other).max()
    assert tolerance <= (2 if operation == "augment" else 1)
    return want, tolerance


def write_transforms():
    sources = [picture(61, 47), picture(40, 40), picture(3, 2), picture(17, 120), picture(1, 1), picture(33, 33)]
    (OUT / "sources.pgm").write_bytes(b"".join(pgm(s) for s in sources))
    lines, images = [], b""
    for operation, source, *arguments in cases():
        want, tolerance = golden(Image.fromarray(sources[source], "L"), operation, arguments)
        lines.append(" ".join(map(str, (operation, source, tolerance, *arguments))))
        images += pgm(want)
    (OUT / "transforms.txt").write_text("\n".join(lines) + "\n")
    (OUT / "transforms.pgm").write_bytes(images)


# ---- Perturbations ----

# As src/data/perturb.c has them, in its order; the numbers are written again here so that a change of one is seen.
PERTURBATIONS = [
    ("none", lambda i, k: i),
    ("contrast 0.5", lambda i, k: F.adjust_contrast(i, f32(0.5))),
    ("contrast 0.75", lambda i, k: F.adjust_contrast(i, f32(0.75))),
    ("contrast 1.33", lambda i, k: F.adjust_contrast(i, f32(1.33))),
    ("brightness 0.7", lambda i, k: F.adjust_brightness(i, f32(0.7))),
    ("brightness 1.3", lambda i, k: F.adjust_brightness(i, f32(1.3))),
    ("gamma 0.6", lambda i, k: F.adjust_gamma(i, f32(0.6))),
    ("gamma 1.6", lambda i, k: F.adjust_gamma(i, f32(1.6))),
    ("zoom 0.8", lambda i, k: zoom(i, f32(0.8))),
    ("crop 0.8", lambda i, k: crop(i, f32(0.8), 0.5)),
    ("crop 0.6", lambda i, k: crop(i, f32(0.6), 0.5)),
    ("crop 0.8 top left", lambda i, k: crop(i, f32(0.8), 0)),
    ("crop 0.8 bottom right", lambda i, k: crop(i, f32(0.8), 1)),
    ("rotate -10", lambda i, k: F.rotate(i, -10, InterpolationMode.NEAREST, fill=0)),
    ("rotate 10", lambda i, k: F.rotate(i, 10, InterpolationMode.NEAREST, fill=0)),
    ("noise 0.03", lambda i, k: noise(i, f32(0.03), k)),
    ("noise 0.06", lambda i, k: noise(i, f32(0.06), k)),
    ("jpeg 30", lambda i, k: recompress(i, 30)),
    ("jpeg 10", lambda i, k: recompress(i, 10)),
    ("half resolution", lambda i, k: coarsen(i, 0.5)),
    ("black border", lambda i, k: border(i, f32(0.1))),
]


def crop(image, share, place):
    width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
    return F.crop(image, int(place * (image.height - height)), int(place * (image.width - width)), height, width)


def coarsen(image, factor):
    small = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(small, Image.BILINEAR).resize(image.size, Image.BILINEAR)


def border(image, share):
    dx, dy = round(image.width * share), round(image.height * share)
    pixels = np.asarray(image)[dy : image.height - dy, dx : image.width - dx]
    return Image.fromarray(np.pad(pixels, ((dy, dy), (dx, dx))), "L")


def write_perturbed():
    """All of them of each source, with Pillow's resizing in cxr's order: a level off before a JPEG would not stay one."""
    Image.Image.resize = rows_then_columns
    small, tall, wide = picture(61, 47), picture(40, 70), picture(29, 23)
    large = np.asarray(Image.fromarray(wide, "L").resize((400, 320), Image.BILINEAR))
    (OUT / "perturb_sources.pgm").write_bytes(b"".join(pgm(s) for s in (small, tall, wide)))
    lines, images = [], b""
    for number, (pixels, name, size) in enumerate([(small, "squash", 32), (tall, "fit", 40), (large, "crop", 36), (large, "squash", 33)]):
        image = Image.fromarray(pixels, "L")
        for which, (title, change) in enumerate(PERTURBATIONS):
            shorter = min(image.size) if which else 0
            reduced = image if shorter <= 256 else image.resize([round(n * (256 / shorter)) for n in image.size], Image.BILINEAR)
            key = int(keyed_rng.key(1, keyed_rng.PERTURBATION, which, number))
            lines.append(f"{number} {name} {size} {title}")
            images += pgm(rule(change(reduced, key), name, size))
    Image.Image.resize = PILLOW_RESIZE
    (OUT / "perturb.txt").write_text("\n".join(lines) + "\n")
    (OUT / "perturb.pgm").write_bytes(images)


# ---- Views of test-time augmentation ----


def views(image, name, size, tta):
    def windows(larger, *places):
        square = rule(image, name, round(size * larger))
        crops = F.five_crop(square, [size, size])
        return [crops[place] for place in places]

    out = [rule(image, name, size)]
    if tta == 2:
        out += windows(8 / 7, 4) + windows(4 / 3, 4)
    if tta == 3:
        out += windows(8 / 7, 0, 1, 2, 3, 4)
    return Image.fromarray(np.concatenate([np.asarray(v) for w in out for v in (w, F.hflip(w))]), "L")


def write_views():
    sources = [picture(61, 47), picture(40, 120), picture(150, 150), picture(3, 2)]
    lines, images = [], b""
    for source, pixels in enumerate(sources):
        for name in ("squash", "fit", "crop"):
            for size in (9, 14, 21):
                for tta in (1, 2, 3):
                    want, tolerance = golden(Image.fromarray(pixels, "L"), "views", [name, size, tta])
                    lines.append(f"{source} {tolerance} {name} {size} {tta}")
                    images += pgm(want)
    (OUT / "views_sources.pgm").write_bytes(b"".join(pgm(s) for s in sources))
    (OUT / "views.txt").write_text("\n".join(lines) + "\n")
    (OUT / "views.pgm").write_bytes(images)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_decode()
    write_transforms()
    write_scaled()
    write_perturbed()
    write_views()
    versions = f"Python {sys.version.split()[0]}, Pillow {PIL.__version__}, torchvision {torchvision.__version__}, numpy {np.__version__}"
    (OUT / "README.txt").write_text(f"Written by tools/golden/make_images.py with seed {SEED} and {versions}.\n")


if __name__ == "__main__":
    main()
