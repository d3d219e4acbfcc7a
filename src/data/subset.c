#include "data/subset.h"
#include "base/mem.h"

cxr_status cxr_subset_open(cxr_subset *out, const cxr_dataset *d, cxr_split split, cxr_error *err)
{
    const size_t room = split == CXR_SPLIT_NONE ? d->count : cxr_dataset_count(d, split, -1);
    *out = (cxr_subset){.paths = cxr_mem_new(room, sizeof *out->paths),
                        .keys = cxr_mem_new(room, sizeof *out->keys),
                        .labels = cxr_mem_new(room, sizeof *out->labels)};
    if (out->paths == NULL || out->keys == NULL || out->labels == NULL) {
        cxr_subset_close(out);
        return cxr_mem_fail(err, "the list of images");
    }
    for (size_t i = 0; i < d->count; i++) {
        const cxr_sample *s = &d->samples[i];
        if (split != CXR_SPLIT_NONE && s->split != split) continue;
        out->paths[out->count] = s->path;
        out->keys[out->count] = s->key;
        out->labels[out->count++] = s->label;
    }
    return CXR_OK;
}

void cxr_subset_close(cxr_subset *s)
{
    cxr_mem_free(s->paths);
    cxr_mem_free(s->keys);
    cxr_mem_free(s->labels);
    *s = (cxr_subset){0};
}
