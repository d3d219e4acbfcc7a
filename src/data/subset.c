#include "data/subset.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

cxr_status cxr_subset_open(cxr_subset *out, const cxr_dataset *d, cxr_split split, cxr_error *err)
{
    const size_t room = split == CXR_SPLIT_NONE ? d->count : cxr_dataset_count(d, split, -1);
    *out = (cxr_subset){.paths = cxr_mem_new(room, sizeof *out->paths),
                        .keys = cxr_mem_new(room, sizeof *out->keys),
                        .groups = cxr_mem_new(room, sizeof *out->groups),
                        .labels = cxr_mem_new(room, sizeof *out->labels)};
    if (out->paths == NULL || out->keys == NULL || out->groups == NULL || out->labels == NULL) {
        cxr_subset_close(out);
        return cxr_mem_fail(err, "the list of images");
    }
    for (size_t i = 0; i < d->count; i++) {
        const cxr_sample *s = &d->samples[i];
        if (split != CXR_SPLIT_NONE && s->split != split) continue;
        out->paths[out->count] = s->path;
        out->keys[out->count] = s->key;
        out->groups[out->count] = s->group;
        out->labels[out->count++] = s->label;
    }
    return CXR_OK;
}

cxr_status cxr_subset_read(cxr_subset *s, const cxr_limits *limits, cxr_error *err)
{
    if (s->contents != NULL) return CXR_OK;
    s->contents = cxr_mem_new(s->count, sizeof *s->contents);
    if (s->contents == NULL) return cxr_mem_fail(err, "the list of images");
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < s->count && st == CXR_OK; i++) {
        cxr_buf file;
        cxr_error cause = {0}; /* whoever needs the image will meet it */
        const cxr_status read = cxr_buf_read(&file, s->paths[i], limits->max_bytes, &cause);
        if (read == CXR_OK) st = cxr_sha256(file.data, file.len, s->contents[i], err);
        if (read == CXR_ENOMEM) st = cxr_fail(err, read, "%s", cause.text);
        cxr_buf_free(&file);
    }
    return st;
}

/* Any image is drawn, and kept with the share that makes the classes equal: the rarest always. */
void cxr_subset_draw_balanced(const cxr_subset *s, uint32_t *order, uint64_t key)
{
    double images[CXR_MAX_CLASSES] = {0}, fewest = (double)s->count;
    for (size_t i = 0; i < s->count; i++) images[s->labels[i]] += 1.0;
    for (size_t i = 0; i < s->count; i++) fewest = images[s->labels[i]] < fewest ? images[s->labels[i]] : fewest;
    uint64_t draw = 0;
    for (size_t taken = 0; taken < s->count; draw += 2) {
        const uint32_t i = cxr_rng_below(key, draw, (uint32_t)s->count);
        if ((double)cxr_rng_uniform(key, draw + 1) * images[s->labels[i]] < fewest) order[taken++] = i;
    }
}

void cxr_subset_close(cxr_subset *s)
{
    cxr_mem_free(s->paths);
    cxr_mem_free(s->keys);
    cxr_mem_free(s->groups);
    cxr_mem_free(s->labels);
    cxr_mem_free(s->contents);
    *s = (cxr_subset){0};
}
