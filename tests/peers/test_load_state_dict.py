"""A model file loads with load_state_dict(strict=True) into torchvision's resnet18 whose fc is the same Sequential, and what
PyTorch saves of that network, in each of its formats, loads back with the same bits."""
import json
import os
import subprocess
import sys
import tempfile

import safetensors
import safetensors.torch
import torch
import torchvision

CLASSES = ["NORMAL", "PNEUMONIA"]


def network(widths, classes):
    model = torchvision.models.resnet18(weights=None)
    layers, width = [], 512
    for w in widths:
        layers += [torch.nn.Linear(width, w), torch.nn.BatchNorm1d(w), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
        width = w
    model.fc = torch.nn.Sequential(*layers, torch.nn.Linear(width, classes), torch.nn.LogSoftmax(dim=1))
    return model


def write_model(helpers, out, *foreign):
    subprocess.run([os.path.join(helpers, "write_model"), out, *foreign], check=True)
    with safetensors.safe_open(out, "pt") as f:
        return safetensors.torch.load_file(out), f.metadata()


def check_strict(state, meta):
    model = network(json.loads(meta["cxr.head"]), len(json.loads(meta["cxr.classes"])))
    model.load_state_dict(state, strict=True)
    loaded = model.state_dict()
    assert set(loaded) - set(state) == {k for k in loaded if k.endswith("num_batches_tracked")}
    assert all(torch.equal(loaded[k], v) and v.dtype == torch.float32 for k, v in state.items())
    with torch.no_grad():
        output = model.eval()(torch.zeros(1, 3, 128, 128))
    assert torch.isfinite(output).all() and abs(output.exp().sum() - 1) < 1e-5  # float32 softmax of two classes
    return model


def check_back(helpers, model, folder):
    """Another backbone, with PyTorch's batch counters, through each of PyTorch's formats."""
    torch.manual_seed(5)
    state = {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    files = {"zip.pth": {}, "legacy.pth": {"_use_new_zipfile_serialization": False}, "four.pth": {"pickle_protocol": 4}}
    for name, options in files.items():
        torch.save(state, os.path.join(folder, name), **options)
    safetensors.torch.save_file(state, os.path.join(folder, "all.safetensors"))
    for name in [*files, "all.safetensors"]:
        back, _ = write_model(helpers, os.path.join(folder, "back.safetensors"), os.path.join(folder, name))
        assert all(torch.equal(back[k], state[k]) for k in back if not k.startswith("fc.")), name


def main():
    with tempfile.TemporaryDirectory() as folder:
        state, meta = write_model(sys.argv[1], os.path.join(folder, "model.safetensors"))
        assert meta["format"] == "pt" and json.loads(meta["cxr.classes"]) == CLASSES
        check_back(sys.argv[1], check_strict(state, meta), folder)


main()
