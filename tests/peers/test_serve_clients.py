"""Public clients get from `cxr serve` what `cxr predict --deterministic` says, bit for bit: tritonclient's HTTP client, unchanged,
with its own JSON and binary tensors, and requests. Prometheus' own parser reads the server's figures, which are those of what was
asked, and its description is OpenAPI, which replies keep to."""
import json
import os
import re
import subprocess
import sys
import tempfile

import jsonschema
import numpy
import openapi_spec_validator
import prometheus_client.parser
import requests
import tritonclient.http

MODEL = "cxr"
CLASSES = ["NORMAL", "PNEUMONIA"]
web = requests.Session()
web.trust_env = False  # no proxy


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
    for data, p in zip(files, probabilities):
        reply = web.post(url + "/predict", data=data, headers={"Content-Type": "image/jpeg"}, timeout=60)
        assert reply.status_code == 200
        got = numpy.array([reply.json()["probabilities"][c] for c in CLASSES], numpy.float32)
        assert got.tobytes() == p.tobytes()
    form = [("file", (os.path.basename(path), open(path, "rb"), "image/jpeg")) for path in paths]
    rows = web.post(url + "/predict", files=form, timeout=60).json()["predictions"]
    assert [r["name"] for r in rows] == [os.path.basename(path) for path in paths]
    got = numpy.array([[r["probabilities"][c] for c in CLASSES] for r in rows], numpy.float32)
    assert got.tobytes() == numpy.stack(probabilities).tobytes()
    assert web.post(url + "/explain", data=files[0], timeout=60).content.startswith(b"\x89PNG")


def described(description, path, answer):
    """Whether the answer keeps to what is said of it."""
    content = description["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.Draft202012Validator({**content["schema"], "components": description["components"]}).validate(answer)


def check_description(url, path):
    description = web.get(url + "/openapi.json", timeout=60).json()
    openapi_spec_validator.validate(description)
    data = open(path, "rb").read()
    for route in ("/predict", "/explain"):
        one = web.post(url + route, data=data, headers={"Accept": "application/json"}, timeout=60)
        form = [("file", ("good", data, "image/jpeg")), ("file", ("bad", b"no image", "image/jpeg"))]
        many = web.post(url + route, files=form, timeout=60)
        for reply in (one, many):
            assert reply.status_code == 200
            described(description, route, reply.json())
        assert [row["status"] == "error" for row in many.json()["predictions"]] == [False, True]


def families(url):
    text = web.get(url + "/metrics", timeout=60).text
    return {f.name: f for f in prometheus_client.parser.text_string_to_metric_families(text)}


def total(figures, name, **labels):
    wanted = labels.items()
    return sum(s.value for f in figures.values() for s in f.samples if s.name == name and wanted <= s.labels.items())


def check_histogram(family):
    assert family.type == "histogram"
    buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
    assert len(buckets) > 2 and buckets == sorted(buckets) and [b[1] for b in buckets] == sorted(b[1] for b in buckets)
    assert buckets[-1] == (float("inf"), next(s.value for s in family.samples if s.name.endswith("_count")))


def check_metrics(url, path):
    data = open(path, "rb").read()
    before = families(url)
    for body in (data, data, data, b"no image"):
        web.post(url + "/predict", data=body, timeout=60)
    web.get(url + "/nowhere", timeout=60)
    after = families(url)
    types = {"cxr_requests": "counter", "cxr_request_seconds": "histogram", "cxr_queue_images": "gauge", "cxr_images": "counter",
             "cxr_batch_images": "histogram", "cxr_connections": "gauge", "cxr_connections_cut": "counter", "cxr_model_info": "gauge"}
    assert {name: f.type for name, f in after.items()} == types
    assert all(f.documentation for f in after.values())

    def more(name, **labels):
        return total(after, name, **labels) - total(before, name, **labels)

    assert more("cxr_requests_total", path="/predict", code="200") == 3
    assert more("cxr_requests_total", path="/predict", code="400") == 1
    assert more("cxr_requests_total", path="none", code="404") == 1
    assert more("cxr_requests_total", path="/metrics", code="200") == 1
    assert more("cxr_requests_total") == 6
    assert more("cxr_request_seconds_count") == 3 and more("cxr_request_seconds_sum") > 0
    assert more("cxr_images_total") == more("cxr_batch_images_sum") == more("cxr_batch_images_count") == 4
    assert total(after, "cxr_queue_images") == 0 and total(after, "cxr_connections") >= 1
    for name in ("cxr_request_seconds", "cxr_batch_images"):
        check_histogram(after[name])
    model_id = web.post(url + "/predict", data=data, timeout=60).json()["model_id"]
    assert [s.labels for s in after["cxr_model_info"].samples] == [{"model": MODEL, "id": model_id}]


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
            check_metrics(f"http://127.0.0.1:{port}", paths[0])
            check_description(f"http://127.0.0.1:{port}", paths[0])
            client.close()
        finally:
            server.terminate()
        assert server.wait(60) == 0


if __name__ == "__main__":
    main(sys.argv[1])
