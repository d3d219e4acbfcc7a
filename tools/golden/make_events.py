"""Prints the records that tests/report/test_events.c holds: TensorBoard's own writer and protocol buffers.

usage: make_events.py        (needs tensorboard)
"""
import io

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

SCALARS = [("loss/train", 0.5), ("loss/val", 0.25), ("accuracy/val", 0.875), ("optimizer/lr", 1e-4), ("time/seconds", 2.0),
           ("time/images_per_second", 100.0)]


class Kept(io.BytesIO):
    def close(self):
        pass


def record(event):
    out = Kept()
    RecordWriter(out).write(event.SerializeToString())
    return ", ".join(f"0x{b:02x}" for b in out.getvalue())


first = event_pb2.Event(wall_time=1.5, file_version="brain.Event:2")
epoch = event_pb2.Event(wall_time=3.5, step=1)
for tag, x in SCALARS:
    epoch.summary.value.add(tag=tag, simple_value=x)
print(record(first))
print(record(epoch))
