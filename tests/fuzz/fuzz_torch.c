/* Any bytes as a weight file of unknown kind, and as the pickle of a torch stream, which a fuzzer seldom reaches through a
 * zip file's checksums: read whole and finite, or refused with a sentence and nothing left. */
#include "model/formats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size)
{
    cxr_weights w;
    cxr_error err = {0};
    const cxr_status st = cxr_weights_parse(&w, &(cxr_source){data, size, "input"}, &err);
    if (st != CXR_OK && (err.status != st || err.text[0] == '\0' || w.items != NULL)) abort();
    size_t floats = 0;
    for (size_t i = 0; i < w.count; i++) {
        if (w.items[i].data == NULL) continue;
        floats += w.items[i].count;
        for (size_t j = 0; j < w.items[i].count; j++)
            if (!isfinite(w.items[i].data[j])) abort();
    }
    if (floats > 4 * size) abort();
    cxr_weights_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preamble[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."
                                   "\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    parse(data, size);
    uint8_t *stream = malloc(sizeof preamble - 1 + size);
    if (stream == NULL) abort();
    memcpy(stream, preamble, sizeof preamble - 1);
    if (size > 0) memcpy(stream + sizeof preamble - 1, data, size);
    parse(stream, sizeof preamble - 1 + size);
    free(stream);
    return 0;
}
