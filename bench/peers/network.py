"""The peers' side of inference: a model that cxr trained, in torchvision; images as Pillow reads them."""
import json
import struct

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision.models import resnet18


def metadata(path):
    with open(path, "rb") as f:
        return json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]


def head(widths, classes, dropout=0.5):
    layers, width = [], 512
    for w in widths:
        layers += [nn.Linear(width, w), nn.BatchNorm1d(w), nn.ReLU(), nn.Dropout(dropout)]
        width = w
    return nn.Sequential(*layers, nn.Linear(width, classes), nn.LogSoftmax(1))


def load(path):
    """torchvision's ResNet-18 with the weights of a cxr model file."""
    weights = load_file(path)
    linear = [k for k in weights if k.startswith("fc.") and k.endswith(".weight") and weights[k].dim() == 2]
    linear.sort(key=lambda k: int(k.split(".")[1]))
    model = resnet18()
    model.fc = head([weights[k].shape[0] for k in linear[:-1]], weights[linear[-1]].shape[0])
    missing, extra = model.load_state_dict(weights, strict=False)
    wrong = [k for k in missing if not k.endswith("num_batches_tracked")] + list(extra)
    if wrong:
        raise RuntimeError(f"{path}: does not fit ResNet-18: {wrong[:3]}")
    return model.eval()


MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def image(path, size):
    """(3, size, size), as the network takes it: squashed, grey in three normalised channels."""
    grey = Image.open(path).convert("L").resize((size, size), Image.BILINEAR)
    x = np.asarray(grey, np.float32)[None] / np.float32(255)
    return (x - MEAN[:, None, None]) / STD[:, None, None]


def images(paths, size):
    return np.stack([image(p, size) for p in paths])


@torch.no_grad()
def probabilities(run, x, batch=16):
    """Of the second class; `run` takes and gives arrays of logarithms."""
    return np.concatenate([np.exp(run(x[i:i + batch]))[:, 1] for i in range(0, len(x), batch)])
