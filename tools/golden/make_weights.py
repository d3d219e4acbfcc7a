#!/usr/bin/env python3
"""Writes tests/fixtures/weights/: one small set of tensors in every form torch.save and safetensors write it, and files that
must be refused. Run with the peers' virtual environment: make_weights.py tests/fixtures/weights

expected.txt says what each good file holds, as PyTorch reads it back: per file `file NAME COUNT`, per tensor
`tensor NAME f|i RANK DIMS... VALUES...` (values in hexadecimal floats, after conversion to float32)."""
import collections, io, os, pickle, struct, sys, zipfile
import safetensors, safetensors.torch, torch

SEED = 20240607


def tensors():
    torch.manual_seed(SEED)
    base = torch.randn(4, 5)
    return collections.OrderedDict(
        [("conv.weight", torch.randn(2, 3, 2, 2)), ("bn.weight", torch.randn(3)), ("scalar", torch.tensor(0.1)),
         ("bn.num_batches_tracked", torch.tensor(7)), ("transposed", base.t()), ("slice", base[1:3, ::2]),
         ("shared", base), ("expanded", torch.randn(3, 1).expand(3, 4)), ("empty", torch.zeros(0, 3))])


def narrow():
    """Values at the edges of each type: subnormals, signed zero, largest."""
    half = torch.tensor([0, 0x8000, 1, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x7BFF, 0xFBFF, 0x3555], dtype=torch.int32)
    bf16 = torch.tensor([0, 0x8000, 1, 0x007F, 0x0080, 0x3F80, 0x7F7F, 0xFF7F, 0x3EAB], dtype=torch.int32)
    return collections.OrderedDict(
        [("f16", half.to(torch.int16).view(torch.float16)), ("bf16", bf16.to(torch.int16).view(torch.bfloat16)),
         ("f64", torch.tensor([1 / 3, -1e-40, 3.4e38, 0.1], dtype=torch.float64)),
         ("i64", torch.tensor([[1, -2]])), ("i32", torch.tensor([3], dtype=torch.int32)),
         ("i16", torch.tensor([3], dtype=torch.int16)), ("i8", torch.tensor([-3], dtype=torch.int8)),
         ("u8", torch.tensor([3], dtype=torch.uint8)), ("bool", torch.tensor([True, False]))])


def describe(out, name, state):
    out.append(f"file {name} {len(state)}")
    for key, t in state.items():
        kind = "f" if t.is_floating_point() else "i"
        values = [float(v).hex() for v in t.detach().to(torch.float32).contiguous().flatten()] if kind == "f" else []
        out.append(" ".join(["tensor", key, kind, str(t.dim()), *map(str, t.shape), *values]))


def good(folder, out):
    plain, small, module = tensors(), narrow(), torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    params = dict(module.named_parameters())
    save = lambda obj, name, **kw: torch.save(obj, os.path.join(folder, name), **kw)
    cases = {
        "zip.pth": (plain, plain, {}),
        "zip_protocol4.pth": (plain, plain, {"pickle_protocol": 4}),
        "zip_protocol5.pth": (plain, plain, {"pickle_protocol": 5}),
        "legacy.pth": (plain, plain, {"_use_new_zipfile_serialization": False}),
        "legacy_protocol4.pth": (plain, plain, {"_use_new_zipfile_serialization": False, "pickle_protocol": 4}),
        "zip_types.pth": (small, small, {}),
        "legacy_types.pth": (small, small, {"_use_new_zipfile_serialization": False}),
        "module.pth": (module.state_dict(), module.state_dict(), {}),
        "parameters.pth": (params, params, {}),
        "nested.pth": ({"epoch": 3, "lr": 0.1, "names": ["a", "b"], "big": 1 << 70, "state_dict": plain, "none": None}, plain, {}),
        "nested_model.pth": ({"model": module.state_dict(), "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
                             module.state_dict(), {}),
        "parallel.pth": ({"module." + k: v for k, v in plain.items()}, plain, {}),
    }
    for name, (obj, state, kw) in cases.items():
        save(obj, name, **kw)
        torch.load(os.path.join(folder, name), weights_only="protocol" not in name)
        describe(out, name, state)
    dense = {k: v.contiguous().clone() for k, v in {**plain, **small}.items()}
    path = os.path.join(folder, "all.safetensors")
    safetensors.torch.save_file(dense, path, metadata={"format": "pt", "note": "L\u00e4sion \"1\""})
    describe(out, "all.safetensors", dense)


class Call:
    def __init__(self, function, *args): self.call = (function, args)
    def __reduce__(self): return self.call


def rezip(source, target, change, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            for name, data in change(info.filename, old.read(info)): new.writestr(zipfile.ZipInfo(name), data, compression)


def bad(folder):
    at = lambda name: os.path.join(folder, name)
    source = at("module.pth")
    torch.save({"weight": torch.zeros(2), "x": Call(os.system, "touch /tmp/cxr-was-executed")}, at("bad_system.pth"))
    torch.save({"weight": torch.zeros(2), "x": Call(os.system, "touch /tmp/cxr-was-executed")}, at("bad_system_legacy.pth"),
               _use_new_zipfile_serialization=False)
    torch.save({"weight": torch.zeros(2), "x": Call(eval, "1")}, at("bad_eval4.pth"), pickle_protocol=4)
    torch.save(torch.nn.Linear(2, 2), at("bad_module.pth"))
    torch.save([torch.zeros(2)], at("bad_list.pth"))
    torch.save({"a": torch.tensor([1.0, float("nan"), 2.0])}, at("bad_nan.pth"))
    torch.save({"a": torch.tensor([1.0, 2.0, float("inf")]).half()}, at("bad_inf.pth"))
    torch.save({"a": torch.tensor([1e39], dtype=torch.float64)}, at("bad_f64_range.pth"))
    torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, at("bad_complex.pth"))
    rezip(source, at("bad_compressed.pth"), lambda n, d: [(n, d)], zipfile.ZIP_DEFLATED)
    rezip(source, at("bad_no_pickle.pth"), lambda n, d: [] if n.endswith("data.pkl") else [(n, d)])
    rezip(source, at("bad_two_pickles.pth"), lambda n, d: [(n, d), ("other/data.pkl", d)] if n.endswith("data.pkl") else [(n, d)])
    rezip(source, at("bad_no_storage.pth"), lambda n, d: [] if n.endswith("data/0") else [(n, d)])
    rezip(source, at("bad_short_storage.pth"), lambda n, d: [(n, d[:-4] if n.endswith("data/0") else d)])
    rezip(source, at("bad_duplicate.pth"), lambda n, d: [(n, d)] * (2 if n.endswith("data/0") else 1))
    rezip(source, at("bad_big_endian.pth"), lambda n, d: [(n, b"big" if n.endswith("byteorder") else d)])
    rezip(source, at("bad_trailing_pickle.pth"), lambda n, d: [(n, d + b"N." if n.endswith("data.pkl") else d)])
    data = bytearray(open(source, "rb").read())
    with zipfile.ZipFile(source) as z: info = next(i for i in z.infolist() if i.filename.endswith("data/0"))
    name_len, extra_len = struct.unpack_from("<HH", data, info.header_offset + 26)
    data[info.header_offset + 30 + name_len + extra_len] ^= 1
    open(at("bad_crc.pth"), "wb").write(data)
    data = bytearray(open(source, "rb").read())
    at_central = data.index(b"PK\x01\x02")
    while at_central >= 0:
        data[at_central + 8] |= 1
        at_central = data.find(b"PK\x01\x02", at_central + 4)
    open(at("bad_encrypted.pth"), "wb").write(data)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    out = [f"# torch {torch.__version__} safetensors {safetensors.__version__} python {sys.version.split()[0]} seed {SEED}"]
    good(folder, out)
    bad(folder)
    with open(os.path.join(folder, "expected.txt"), "w") as f: f.write("\n".join(out) + "\n")


main()
