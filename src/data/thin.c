/* Few of many training images, for learning curves. The images stand in one line that depends on (key, seed) alone, classes
 * mixed in their shares all along it: a smaller number of images is always a part of a larger one. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/dataset.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    uint64_t order; /* within the class */
    double at;      /* in the line */
    size_t sample;
    int label;
} place;

static int by_class_and_order(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->label != y->label) return x->label < y->label ? -1 : 1;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

/* The r-th of a class of n images stands at (r + 1/2) / n, by which Webster's method (1832) shares out seats, but the first of
 * each class at the head of the line. */
static void line_up(place *places, size_t count)
{
    qsort(places, count, sizeof *places, by_class_and_order);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && places[end].label == places[first].label;) end++;
        for (size_t r = 1; r < end - first; r++) places[first + r].at = ((double)r + 0.5) / (double)(end - first);
    }
    qsort(places, count, sizeof *places, by_place);
}

cxr_status cxr_dataset_thin(cxr_dataset *d, size_t images, uint64_t seed, cxr_split_report *report, cxr_error *err)
{
    const size_t all = cxr_dataset_count(d, CXR_SPLIT_TRAIN, -1);
    if (images < (size_t)d->class_count || images > all)
        return cxr_fail(err, CXR_EUSAGE, "%s: training with %zu images: %d (one of each class) to %zu (the split) are possible",
                        d->root, images, d->class_count, all);
    place *places = cxr_mem_new(all, sizeof *places);
    if (places == NULL) return cxr_mem_fail(err, "the list of training images");
    const uint64_t key = cxr_rng_key(seed, CXR_FOR_THINNING, 0, 0);
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++)
        if (d->samples[i].split == CXR_SPLIT_TRAIN)
            places[count++] = (place){cxr_mix64(key ^ cxr_rng_name(d->samples[i].key)), 0.0, i, d->samples[i].label};
    line_up(places, count);
    for (size_t i = images; i < count; i++) d->samples[places[i].sample].split = CXR_SPLIT_NONE;
    cxr_mem_free(places);
    const size_t used = strlen(report->reason);
    (void)snprintf(report->reason + used, sizeof report->reason - used, "; %zu of %zu training images were drawn", images, all);
    return CXR_OK;
}
