/* Any bytes as a safetensors file: read whole and finite, or refused with a sentence and nothing left. */
#include "model/formats.h"
#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cxr_weights w = {0};
    cxr_error err = {0};
    const cxr_status st = cxr_safetensors_parse(&w, &(cxr_source){data, size, "input"}, &err);
    if (st != CXR_OK && (err.status != st || err.text[0] == '\0')) abort();
    size_t floats = 0;
    for (size_t i = 0; st == CXR_OK && i < w.count; i++) {
        if (w.items[i].data == NULL) continue;
        floats += w.items[i].count;
        for (size_t j = 0; j < w.items[i].count; j++)
            if (!isfinite(w.items[i].data[j])) abort();
    }
    if (floats > size) abort(); /* no type is smaller than a byte, and none overlap */
    cxr_weights_free(&w);
    return 0;
}
