/* Any bytes as a space: refused with a sentence and nothing left, or a space whose every draw the options take. */
#include "train/options.h"
#include "tune/space.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cxr_space s;
    cxr_error err = {0};
    const cxr_status st = cxr_space_parse(&s, (const char *)data, size, "input", &err);
    if (st != CXR_OK) {
        if (err.status != st || err.text[0] == '\0' || s.fixed != NULL || s.searched != NULL) abort();
        return 0;
    }
    if (s.count < 1 || s.trials < 1) abort();
    for (int t = 1; t <= 3; t++) {
        cxr_train_opts o;
        json_t *drawn = NULL;
        cxr_train_opts_default(&o);
        o.data = "d";
        o.out = "o";
        const cxr_status taken = cxr_space_apply(&s, t, &o, &drawn, &err);
        if ((taken != CXR_OK && taken != CXR_EUSAGE) || json_object_size(drawn) != (size_t)s.count) abort();
        json_decref(drawn);
    }
    cxr_space_free(&s);
    return 0;
}
