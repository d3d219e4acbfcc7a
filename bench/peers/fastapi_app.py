"""The model behind ONNX Runtime, FastAPI and uvicorn, as it is usually deployed: POST /predict with an image as the body. ONNX_MODEL is
the network, ONNX_THREADS the threads of one run of it."""
import io
import os

import network
import numpy as np
import onnxruntime
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

CLASSES = os.environ["ONNX_CLASSES"].split(",")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ["ONNX_THREADS"])
session = onnxruntime.InferenceSession(os.environ["ONNX_MODEL"], options, providers=["CPUExecutionProvider"])
size = session.get_inputs()[0].shape[2]
app = FastAPI()


def answer(data):
    x = network.image(io.BytesIO(data), size)[None]
    p = np.exp(session.run(None, {"x": x})[0][0])
    return {"probabilities": {name: float(v) for name, v in zip(CLASSES, p)}}


@app.post("/predict")
async def predict(request: Request):
    return await run_in_threadpool(answer, await request.body())
