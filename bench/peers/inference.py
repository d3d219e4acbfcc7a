"""Inference: the same trained model on the same images in ONNX Runtime, OpenVINO and PyTorch."""
import csv
import functools
import glob
import io
import json
import os

import network
import numpy as np
import torch
from rounds import Measurement, Row, fastest, interleave, timed
from setting import SIZE


class Peers:
    """The trained model in each peer; made once for all rows."""

    def __init__(self, s):
        import openvino as ov

        self.s = s
        torch.set_num_threads(s.threads)
        self.test = s.test_images()
        self.x = network.images(self.test, SIZE)
        self.torch = network.load(s.model)
        self.core = ov.Core()
        example = torch.from_numpy(self.x[:1])
        self.float = ov.convert_model(self.torch, example_input=example)
        self.onnx = s.path("model.onnx")
        torch.onnx.export(self.torch, (example,), self.onnx, input_names=["x"], dynamic_axes={"x": {0: "n"}}, dynamo=False)
        self.reference = network.probabilities(lambda x: self.torch(torch.from_numpy(x)).numpy(), self.x)
        facts = network.metadata(s.model)
        classes = np.array(json.loads(facts["cxr.classes"]))
        self.decisions = classes[(self.reference >= float(facts["cxr.threshold"])).astype(int)]

    @functools.cached_property
    def quantized(self):
        import nncf

        files = sorted(glob.glob(os.path.join(self.s.data, "train", "*", "*")))
        x = network.images(files[::max(1, len(files) // 300)], SIZE)
        return nncf.quantize(self.float, nncf.Dataset([x[i:i + 1] for i in range(len(x))]))

    # ---- Contenders ----

    def compiled(self, precision, batch, hint=None, **settings):
        """hint: what OpenVINO computes in where the model does not say it: beside int8, either float."""
        model = (self.quantized if precision == "int8" else self.float).clone()
        model.reshape([batch, 3, SIZE, SIZE])
        options = {"INFERENCE_PRECISION_HINT": hint or precision, "INFERENCE_NUM_THREADS": self.s.threads, **settings}
        return self.core.compile_model(model, "CPU", options)

    def openvino_one(self, *model, **settings):
        """One request after the other."""
        import openvino as ov

        batch = model[1]
        request = self.compiled(*model, PERFORMANCE_HINT="LATENCY", NUM_STREAMS="1", **settings).create_infer_request()
        request.set_input_tensor(ov.Tensor(np.ascontiguousarray(self.x[:batch])))
        return lambda: timed(request.infer)

    def openvino_pieces(self, precision, batch, hint, pieces, **settings):
        """The batch in pieces, as many of them at a time as OpenVINO wants."""
        import openvino as ov

        queue = ov.AsyncInferQueue(self.compiled(precision, batch // pieces, hint, PERFORMANCE_HINT="THROUGHPUT", **settings))
        parts = [np.ascontiguousarray(x) for x in np.split(self.x[:batch], pieces)]

        def run():
            for part in parts:
                queue.start_async(part)
            queue.wait_all()

        return lambda: timed(run)

    def openvino(self, precision, batch):
        found = {}
        for hint in ("f32", "bf16") if precision == "int8" else (precision,):
            beside = f" with {hint}" if precision == "int8" else ""
            found[f"OpenVINO{beside}, latency hint"] = self.openvino_one(precision, batch, hint)
            for pieces in (2, 4, 8, 64) if batch > 1 else ():
                name = f"OpenVINO{beside}, throughput hint, {pieces} × {batch // pieces}"
                found[name] = self.openvino_pieces(precision, batch, hint, pieces)
                if self.s.threads == 2 and pieces < 8:
                    found[name + ", 2 streams"] = self.openvino_pieces(precision, batch, hint, pieces, NUM_STREAMS="2")
        return found

    def onnxruntime(self, batch):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.s.threads
        session = onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])
        x = {"x": np.ascontiguousarray(self.x[:batch])}
        return lambda: timed(lambda: session.run(None, x))

    def pytorch(self, precision, batch, channels_last=False, compiled=False):
        model, x = self.torch, torch.from_numpy(self.x[:batch])
        if channels_last:
            model = network.load(self.s.model).to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        if compiled:
            torch._inductor.config.freezing = True  # weights as constants, laid out ahead
            model = torch.compile(model)

        def run():
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                return model(x)

        return lambda: timed(run)

    def rivals(self, precision, batch):
        others = {"ONNX Runtime": self.onnxruntime(batch)} if precision == "f32" else {}
        return fastest({**self.openvino(precision, batch), **others})

    def information(self, precision, batch):
        """PyTorch's settings, for the reader."""
        if precision == "int8":
            return {}
        found = {"PyTorch eager": self.pytorch(precision, batch),
                 "PyTorch channels-last": self.pytorch(precision, batch, channels_last=True)}
        if batch > 1 and not self.s.quick:
            found["PyTorch compiled"] = self.pytorch(precision, batch, channels_last=True, compiled=True)
        return found

    # ---- Equality ----

    def cxr_probabilities(self, precision, batch):
        folder = os.path.join(self.s.data, "test")
        out = self.s.run("predict", "--model", self.s.model_for(precision), "--precision", precision, "--format", "csv", "--quiet",
                         "--threads", self.s.threads, "--batch-size", batch, folder)
        rows = {os.path.realpath(r[0]): (float(r[3]), r[1]) for r in list(csv.reader(io.StringIO(out)))[1:]}
        p, decided = zip(*(rows[os.path.realpath(path)] for path in self.test))
        return np.array(p), np.array(decided)

    def openvino_probabilities(self, precision):
        model = self.compiled(precision, 1, "f32" if precision == "int8" else precision)
        return network.probabilities(lambda x: model(x)[0], self.x, batch=1)

    def auroc(self, p):
        from sklearn.metrics import roc_auc_score

        folders = sorted({os.path.basename(os.path.dirname(path)) for path in self.test})
        return roc_auc_score([os.path.basename(os.path.dirname(path)) == folders[1] for path in self.test], p)


# Largest change of a probability, least share of equal decisions, largest loss of AUROC.
TOLERANCE = {"f32": (1e-4, 1.0, 1e-4), "bf16": (2e-2, 0.995, 0.002), "int8": (5e-2, 0.99, 0.002)}


def equality(peers, precision, batch):
    """cxr beside PyTorch's f32 on the test images, and OpenVINO beside the same: (cells, whether the tolerances hold)."""
    p, decided = peers.cxr_probabilities(precision, batch)
    theirs, auroc = peers.openvino_probabilities(precision), peers.auroc(peers.reference)
    change, same, loss = np.abs(p - peers.reference).max(), np.mean(decided == peers.decisions), auroc - peers.auroc(p)
    most, least, lost = TOLERANCE[precision]
    cells = [f"{change:.1e}", f"{most:g}", f"{100 * same:.2f} %", f"{100 * least:g} %", f"{peers.auroc(p):.4f}", f"{loss:+.4f}",
             f"{lost:g}", f"{np.abs(theirs - peers.reference).max():.1e}", f"{auroc - peers.auroc(theirs):+.4f}"]
    return {"cells": cells, "met": bool(change <= most and same >= least and loss <= lost)}


# ---- Rows ----

def inference(s, peers, row, precision, batch):
    ours = lambda *o, **f: s.bench("forward", precision, batch, *o, **f)
    ours("--no-limit")  # what cannot be measured shows before the peers take their time
    row.take(interleave({"cxr": lambda: ours("--no-limit"), **peers.rivals(precision, batch)}, s.rounds))
    row.information = interleave(peers.information(precision, batch), min(s.rounds, 3))
    row.limit = [ours(field="share_of_limit")]
    row.equality = equality(peers, precision, batch)


def int8_against_bf16(s, row):
    row.take(interleave({name: lambda p=p: s.bench("forward", p, 64, "--no-limit") for name, p in (("cxr", "int8"), ("cxr bf16", "bf16"))},
                        s.rounds))


GOALS = {("f32", 64): 1.75, ("bf16", 64): 1.0, ("int8", 64): 1.0, ("f32", 1): 1.0, ("bf16", 1): 1.0, ("int8", 1): 1.0}


def row(precision, batch):
    against = "best of ONNX Runtime, OpenVINO" if precision == "f32" else "OpenVINO " + precision
    shown = {"unit": "images/s", "per": batch} if batch > 1 else {}
    return Row(f"inference-{precision}-{batch}", f"inference {precision}, batch {batch}", against, GOALS[precision, batch],
               least_share=0.92 if (precision, batch) == ("bf16", 64) else None, **shown)


def measurements(s):
    peers = functools.lru_cache(lambda: Peers(s))
    found = [Measurement(f"inference-{p}-{n}", [row(p, n)], lambda row, p=p, n=n: inference(s, peers(), row, p, n)) for p, n in GOALS]
    own = Row("inference-int8-bf16", "inference int8, batch 64", "cxr bf16", 1.85, unit="images/s", per=64)
    found.insert(3, Measurement(own.key, [own], lambda row: int8_against_bf16(s, row)))
    return found
