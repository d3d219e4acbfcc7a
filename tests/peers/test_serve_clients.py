"""Public clients get from `cxr serve` what `cxr predict --deterministic` says, bit for bit: tritonclient's HTTP client, unchanged,
with its own JSON and binary tensors, and requests."""
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy
import requests
import tritonclient.http

MODEL = "cxr"
CLASSES = ["NORMAL", "PNEUMONIA"]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def start(program):
    server = subprocess.Popen([program, "serve", "--port", "0", "--threads", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True)
    for line in server.stderr:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        if found:
            return server, int(found[1])
    raise SystemExit("the server did not start")


def known(program, paths):
    rows = [json.loads(line) for line in run(program, "predict", "--deterministic", "-b", "1", "-f", "jsonl", *paths).splitlines()]
    return [numpy.array([r["probabilities"][c] for c in CLASSES], numpy.float32) for r in rows], [r["prediction"] for r in rows]


def check_health(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "cxr"
    metadata = client.get_model_metadata(MODEL)
    assert {t["name"] for t in metadata["outputs"]} == {"probabilities", "prediction", "status", "reason"}


def check_infer(client, files, probabilities, predictions, binary):
    tensor = tritonclient.http.InferInput("image", [len(files)], "BYTES")
    tensor.set_data_from_numpy(numpy.array(files, dtype=object), binary_data=True)
    wanted = [tritonclient.http.InferRequestedOutput(n, binary_data=binary) for n in ("probabilities", "prediction", "status")]
    for outputs in (wanted, None):
        reply = client.infer(MODEL, [tensor], outputs=outputs, request_id="r1")
        assert reply.get_response()["id"] == "r1"
        got = reply.as_numpy("probabilities").astype(numpy.float32)
        assert got.shape == (len(files), 2)
        assert got.tobytes() == numpy.stack(probabilities).tobytes()
        text = [v.decode() if isinstance(v, bytes) else v for v in reply.as_numpy("prediction")]
        assert text == predictions


def check_failure(client):
    tensor = tritonclient.http.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([b"no image"], dtype=object), binary_data=True)
    try:
        client.infer(MODEL, [tensor])
    except tritonclient.http.InferenceServerException as e:
        assert "neither a JPEG nor a PNG" in str(e)
        return
    raise AssertionError("a text passed as an image")


def check_requests(url, paths, files, probabilities):
    with requests.Session() as session:
        session.trust_env = False
        for data, p in zip(files, probabilities):
            reply = session.post(url + "/predict", data=data, headers={"Content-Type": "image/jpeg"}, timeout=60)
            assert reply.status_code == 200
            got = numpy.array([reply.json()["probabilities"][c] for c in CLASSES], numpy.float32)
            assert got.tobytes() == p.tobytes()
        form = [("file", (os.path.basename(path), open(path, "rb"), "image/jpeg")) for path in paths]
        rows = session.post(url + "/predict", files=form, timeout=60).json()["predictions"]
        assert [r["name"] for r in rows] == [os.path.basename(path) for path in paths]
        got = numpy.array([[r["probabilities"][c] for c in CLASSES] for r in rows], numpy.float32)
        assert got.tobytes() == numpy.stack(probabilities).tobytes()
        assert session.post(url + "/explain", data=files[0], timeout=60).content.startswith(b"\x89PNG")


def main(build):
    program = os.path.join(build, "..", "cxr")
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        run(program, "phantom", "--out", data, "--train", "1", "--val", "1", "--test", "4")
        paths = sorted(os.path.join(d, f) for d, _, names in os.walk(os.path.join(data, "test")) for f in names)
        files = [open(path, "rb").read() for path in paths]
        probabilities, predictions = known(program, paths)
        server, port = start(program)
        try:
            client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{port}")
            check_health(client)
            for binary in (True, False):
                check_infer(client, files, probabilities, predictions, binary)
            check_failure(client)
            check_requests(f"http://127.0.0.1:{port}", paths, files, probabilities)
            client.close()
        finally:
            server.terminate()
        assert server.wait(60) == 0


if __name__ == "__main__":
    main(sys.argv[1])
