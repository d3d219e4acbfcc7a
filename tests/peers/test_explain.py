"""cxr explain with the model that comes with cxr, against PyTorch's own gradients in float64 on the same network: maps before they
are resized, to 1e-4 of an element or the map's root mean square."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import safetensors
import safetensors.torch
import torch
import torchvision
from PIL import Image

TOLERANCE = 1e-4
MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "cxr-pneumonia-resnet18.safetensors")
IMAGES = 4


def network():
    with safetensors.safe_open(MODEL, "pt") as f:
        meta = f.metadata()
    model, layers, width = torchvision.models.resnet18(weights=None), [], 512
    for w in json.loads(meta["cxr.head"]):
        layers += [torch.nn.Linear(width, w), torch.nn.BatchNorm1d(w), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
        width = w
    model.fc = torch.nn.Sequential(*layers, torch.nn.Linear(width, 2), torch.nn.LogSoftmax(dim=1))
    state = safetensors.torch.load_file(MODEL)
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.double().eval(), json.loads(meta["cxr.preprocess"])


def normalized(grey, pre):
    mean, std = (np.float32(pre[k]).astype(np.float64).reshape(3, 1, 1) for k in ("mean", "std"))
    return torch.tensor((grey[None] / 255.0 - mean) / std)[None]


def maps(model, x, k, layer):
    """Grad-CAM and Grad-CAM++ of class k, for the logit."""
    kept = {}
    hooks = [
        getattr(model, layer).register_forward_hook(lambda m, i, o: kept.update(a=o)),
        model.fc[-2].register_forward_hook(lambda m, i, o: kept.update(y=o)),
    ]
    model(x)
    for h in hooks:
        h.remove()
    a, y = kept["a"], kept["y"]
    (g,) = torch.autograd.grad(y[0, k], [a])
    a = a.detach()
    below = 2 * g**2 + a.sum((2, 3), keepdim=True) * g**3
    alpha = torch.where(g != 0, g**2 / torch.where(below != 0, below, 1.0), 0.0)
    plus = (alpha * torch.relu(g)).sum((2, 3), keepdim=True)
    return {
        "grad-cam": torch.relu((g.mean((2, 3), keepdim=True) * a).sum(1))[0].numpy(),
        "grad-cam++": torch.relu((plus * a).sum(1))[0].numpy(),
    }


def occlusion(model, grey, k, pre, cells=16, patch=2):
    side = grey.shape[0] // cells
    fill = np.floor(grey.mean() + 0.5)

    def logit(g):
        kept = {}
        hook = model.fc[-2].register_forward_hook(lambda m, i, o: kept.update(y=o))
        with torch.no_grad():
            model(normalized(g, pre))
        hook.remove()
        return float(kept["y"][0, k])

    whole, drops, times = logit(grey), np.zeros((cells, cells)), np.zeros((cells, cells))
    for r in range(cells - patch + 1):
        for c in range(cells - patch + 1):
            g = grey.copy()
            g[r * side : (r + patch) * side, c * side : (c + patch) * side] = fill
            drops[r : r + patch, c : c + patch] += whole - logit(g)
            times[r : r + patch, c : c + patch] += 1
    return {"occlusion": drops / times}


def picture(i, size):
    """Smooth, of the network's own size, so that nothing is resized: two dark fields and noise."""
    r = np.random.default_rng(i)
    y, x = np.mgrid[0:size, 0:size] / size
    lungs = sum(np.exp(-(((x - c) / 0.12) ** 2) - ((y - 0.45) / 0.25) ** 2) for c in (0.3, 0.7))
    grey = 150 - 110 * lungs + 25 * np.sin(40 * y + 3 * i) * lungs + r.normal(0, 6, (size, size))
    return np.clip(grey + 20 * i * (np.hypot(x - 0.3, y - 0.6) < 0.15), 0, 255).astype(np.uint8)


def compare(name, got, ref):
    gap = np.abs(got - ref) / np.maximum(np.abs(ref), np.sqrt((ref**2).mean()))
    assert gap.shape == ref.shape and gap.max() <= TOLERANCE, f"{name}: {gap.max()}"  # NaN fails
    print(f"{name}: {gap.max():.2g}")


def explain(folder, *options):
    program = os.path.join(sys.argv[1], "..", "cxr")
    command = [program, "explain", "-q", "-m", MODEL, "-o", os.path.join(folder, "out"), "-f", "json", *options]
    done = subprocess.run([*command, os.path.join(folder, "in")], check=True, capture_output=True)
    return json.loads(done.stdout)


def main():
    model, pre = network()
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "in"))
        pictures = [picture(i, pre["size"]) for i in range(IMAGES)]
        for i, p in enumerate(pictures):
            Image.fromarray(p).save(os.path.join(folder, "in", f"{i}.png"))
        for layer in ("layer2", "layer3", "layer4"):
            for k, name in enumerate(("NORMAL", "PNEUMONIA")):
                ref = [maps(model, normalized(p.astype(np.float64), pre), k, layer) for p in pictures]
                for method in ref[0]:
                    rows = explain(folder, "--method", method, "--layer", layer, "--class", name)
                    got = [np.load(r["map"]).astype(np.float64) for r in rows]
                    compare(f"{method} {layer} {name}", np.stack(got), np.stack([r[method] for r in ref]))
        rows = explain(folder, "--method", "occlusion", "--class", "PNEUMONIA")
        ref = occlusion(model, pictures[1].astype(np.float64), 1, pre)
        compare("occlusion", np.load(rows[1]["map"]).astype(np.float64), ref["occlusion"])


main()
