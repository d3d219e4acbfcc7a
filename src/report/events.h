/* TensorBoard's event file of a run: its epochs as scalars, for `tensorboard --logdir runs`. Each record is a length, a protocol
 * buffer (tensorflow/core/util/event.proto, summary.proto) and the checksums of both (tensorflow/core/lib/io/record_writer.cc). */
#ifndef CXR_REPORT_EVENTS_H
#define CXR_REPORT_EVENTS_H
#include "cxr/cxr.h"

/* Makes the file at `path` hold the `count` epochs: appends those that are not in it yet, after cutting off what a killed writer
 * left of a record. Readers may have it open: what was written whole is never written again, also when epochs are done again
 * after a resume. now: seconds since 1970, when the last epoch ended. */
CXR_MUST_CHECK cxr_status cxr_events_write(const char *path, const cxr_epoch *epochs, size_t count, double now, cxr_error *err);
#endif
