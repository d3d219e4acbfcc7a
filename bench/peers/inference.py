"""Inference: the same trained model on the same images in ONNX Runtime, OpenVINO and PyTorch."""
import csv
import io
import os

import network
import numpy as np
import torch
from rounds import Missing, Row, fastest, interleave, timed
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
        self.openvino = {"f32": ov.convert_model(self.torch, example_input=example)}
        self.openvino["bf16"] = self.openvino["f32"]
        self.onnx = s.path("model.onnx")
        torch.onnx.export(self.torch, (example,), self.onnx, input_names=["x"], dynamic_axes={"x": {0: "n"}}, dynamo=False)

    def model(self, precision):
        if precision == "int8" and "int8" not in self.openvino:
            import glob

            import nncf

            files = sorted(glob.glob(os.path.join(self.s.data, "train", "*", "*")))
            files = files[::max(1, len(files) // 300)]
            x = network.images(files, SIZE)
            self.openvino["int8"] = nncf.quantize(self.openvino["f32"], nncf.Dataset([x[i:i + 1] for i in range(len(x))]))
        return self.openvino[precision]

    def compiled(self, precision, batch, **settings):
        model = self.model(precision).clone()
        model.reshape([batch, 3, SIZE, SIZE])
        hint = "bf16" if precision == "bf16" else "f32"
        options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": self.s.threads, **settings}
        return self.core.compile_model(model, "CPU", options)

    def openvino_one(self, precision, batch, **settings):
        """One request after the other."""
        import openvino as ov

        request = self.compiled(precision, batch, **settings).create_infer_request()
        request.set_input_tensor(ov.Tensor(np.ascontiguousarray(self.x[:batch])))
        return lambda: timed(request.infer)

    def openvino_streams(self, precision, batch, pieces):
        """The batch in pieces, two of them at a time."""
        import openvino as ov

        queue = ov.AsyncInferQueue(self.compiled(precision, batch // pieces, NUM_STREAMS="2"), 2)
        parts = [np.ascontiguousarray(x) for x in np.split(self.x[:batch], pieces)]

        def run():
            for part in parts:
                queue.start_async(part)
            queue.wait_all()

        return lambda: timed(run)

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
            model = torch.compile(model)

        def run():
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                return model(x)

        return lambda: timed(run)

    def rivals(self, precision, batch):
        found = {"OpenVINO, latency hint": self.openvino_one(precision, batch, PERFORMANCE_HINT="LATENCY", NUM_STREAMS="1")}
        if precision == "f32":
            found["ONNX Runtime"] = self.onnxruntime(batch)
        if batch > 1:
            found["OpenVINO, throughput hint"] = self.openvino_one(precision, batch, PERFORMANCE_HINT="THROUGHPUT")
            for pieces in (2, 4):
                name = f"OpenVINO, 2 streams of {batch // pieces}"
                found[name] = self.openvino_streams(precision, batch, pieces)
        return fastest(found)

    def information(self, precision, batch):
        """PyTorch's settings, for the reader."""
        if precision == "int8":
            return {}
        found = {"PyTorch eager": self.pytorch(precision, batch),
                 "PyTorch channels-last": self.pytorch(precision, batch, channels_last=True)}
        if not self.s.quick:
            found["PyTorch compiled"] = self.pytorch(precision, batch, channels_last=True, compiled=True)
        return found

    # ---- Equality ----

    def cxr_probabilities(self, precision):
        folder = os.path.join(self.s.data, "test")
        out = self.s.run("predict", "--model", self.s.model_for(precision), "--precision", precision, "--format", "csv", "--quiet",
                         "--threads", self.s.threads, folder)
        rows = {os.path.realpath(r[0]): (float(r[3]), r[1]) for r in list(csv.reader(io.StringIO(out)))[1:]}
        found = [rows[os.path.realpath(p)] for p in self.test]
        return np.array([p for p, _ in found]), [c for _, c in found]

    def torch_probabilities(self):
        return network.probabilities(lambda x: self.torch(torch.from_numpy(x)).numpy(), self.x)

    def openvino_probabilities(self, precision):
        model = self.compiled(precision, 1)
        return network.probabilities(lambda x: model(x)[0], self.x, batch=1)


def auroc(peers, p):
    from sklearn.metrics import roc_auc_score

    folders = sorted({os.path.basename(os.path.dirname(path)) for path in peers.test})
    return roc_auc_score([os.path.basename(os.path.dirname(path)) == folders[1] for path in peers.test], p)


def equality(peers, precision):
    """f32 beside PyTorch's f32; the others beside our own f32, with what OpenVINO loses for comparison."""
    p, decided = peers.cxr_probabilities(precision)
    reference = peers.torch_probabilities()
    if precision == "f32":
        return (f"largest difference from PyTorch {np.abs(p - reference).max():.1e}, "
                f"AUROC {auroc(peers, p):.4f} (PyTorch {auroc(peers, reference):.4f})")
    base, decided_base = peers.cxr_probabilities("f32")
    same = np.mean([a == b for a, b in zip(decided, decided_base)])
    theirs = peers.openvino_probabilities(precision)
    return (f"largest difference from f32 {np.abs(p - base).max():.1e}, same decision {100 * same:.1f} %, "
            f"AUROC {auroc(peers, p) - auroc(peers, base):+.4f} "
            f"(OpenVINO {np.abs(theirs - reference).max():.1e}, {auroc(peers, theirs) - auroc(peers, reference):+.4f})")


# ---- Rows ----

def inference(s, peers, precision, batch, goal):
    against = "best of ONNX Runtime, OpenVINO" if precision == "f32" else "OpenVINO " + precision
    work = f"inference {precision}, batch {batch}"
    row = Row(f"inference-{precision}-{batch}", work, against, goal, unit="images/s" if batch > 1 else "ms",
              per=batch if batch > 1 else None)
    ours = lambda: s.bench("forward", precision, batch, "--no-limit")
    ours()  # what cannot be measured shows before the peers take their time
    contenders = {"cxr": ours, **peers.rivals(precision, batch)}
    row.take(interleave(contenders, s.rounds))
    if batch > 1:
        row.information = interleave(peers.information(precision, batch), 3)
    row.limit = [s.bench("forward", precision, batch, field="share_of_limit")]
    row.equality = equality(peers, precision)
    return row


def int8_against_bf16(s):
    row = Row("inference-int8-bf16", "inference int8, batch 64", "cxr bf16", 1.85, unit="images/s", per=64)
    return row.take(interleave({name: lambda p=p: s.bench("forward", p, 64, "--no-limit")
                                for name, p in (("cxr", "int8"), ("cxr bf16", "bf16"))}, s.rounds))


def rows(s):
    made = []

    def peers():
        if not made:
            made.append(Peers(s))
        return made[0]

    goals = {("f32", 64): 1.75, ("bf16", 64): 1.0, ("int8", 64): 1.0, ("f32", 1): 1.0, ("bf16", 1): 1.0, ("int8", 1): 1.0}
    found = {f"inference-{p}-{n}": lambda p=p, n=n, g=g: inference(s, peers(), p, n, g) for (p, n), g in goals.items()}
    found["inference-int8-bf16"] = lambda: int8_against_bf16(s)
    return found
