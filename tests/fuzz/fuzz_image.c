/* Any bytes, for any target or none: a decoded image has pixels within the limits, can be resized by every rule, and a failure
 * leaves nothing. */
#include "data/image.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(const uint8_t *data, size_t size, cxr_preprocess pre, bool scaled)
{
    static uint8_t input[32 * 32];
    const cxr_limits limits = {.max_pixels = 1u << 18, .max_bytes = 1u << 20, .max_scans = 20};
    cxr_image img;
    cxr_error err = {0};
    const cxr_status st = cxr_image_decode(&img, data, size, "input", scaled ? &pre : NULL, &limits, &err);
    if (st != CXR_OK) {
        if (img.pixels != NULL || err.status != st || err.text[0] == '\0') abort();
        return;
    }
    if (img.width < 1 || img.height < 1 || (uint64_t)img.width * (uint64_t)img.height > limits.max_pixels) abort();
    if (cxr_image_to_input(input, &img, &pre, NULL, 0, &err) != CXR_OK) abort();
    cxr_image_free(&img);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    pre.size = 32;
    try(data, size, pre, false);
    for (int rule = CXR_RESIZE_SQUASH; rule <= CXR_RESIZE_CROP; rule++) {
        pre.rule = (cxr_resize_rule)rule;
        try(data, size, pre, true);
    }
    return 0;
}
