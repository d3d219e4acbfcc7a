/* What can be told of the files: whether they can be read, how many of which class, of what kind and size, and how turned. */
#include "base/mem.h"
#include "inspect/findings.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW_IMAGES 10   /* of a class in a split */
#define SHARE_GAP  0.10 /* between a class's shares of two splits */

cxr_status cxr_check_readable(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++)
        if (!cxr_scan_readable(s, i)) st = cxr_check_add(c, &i, 1, (double)NAN, s->images[i].unreadable, err);
    if (c->count > 0)
        cxr_check_say(c, CXR_VERDICT_PROBLEM, "%zu of %s cannot be read", c->count, cxr_counted(s->count, "image"));
    else
        cxr_check_say(c, CXR_VERDICT_OK, "all %s can be read", cxr_counted(s->count, "image"));
    return st;
}

/* ---- Classes ---- */

typedef struct sentence {
    char text[400];
    size_t used;
} sentence;

static void CXR_PRINTF(2, 3) append(sentence *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(s->text + s->used, sizeof s->text - s->used, format, args);
    va_end(args);
    if (n > 0) s->used = s->used + (size_t)n < sizeof s->text ? s->used + (size_t)n : sizeof s->text - 1;
}

static double share(const cxr_dataset *d, cxr_split split, int label)
{
    return (double)cxr_dataset_count(d, split, label) / (double)cxr_dataset_count(d, split, -1);
}

/* Classes whose share of a split is far from that of train, and such as a split has few images of. */
static void compare_shares(sentence *out, const cxr_dataset *d, cxr_split split)
{
    for (int k = 0; k < d->class_count; k++) {
        const size_t n = cxr_dataset_count(d, split, k);
        if (n < FEW_IMAGES)
            append(out, "%s%s of \"%.40s\" in %s", out->used > 0 ? "; " : "", cxr_counted(n, "image"), d->classes[k],
                   cxr_split_name(split));
        const double here = share(d, split, k), train = share(d, CXR_SPLIT_TRAIN, k);
        const bool told = d->class_count == 2 && k == 1; /* of two classes the other says the same */
        if (split == CXR_SPLIT_TRAIN || split == CXR_SPLIT_NONE || told || !(fabs(here - train) > SHARE_GAP)) continue;
        append(out, "%s\"%.40s\" is %.1f %% of train and %.1f %% of %s", out->used > 0 ? "; " : "", d->classes[k], 100 * train,
               100 * here, cxr_split_name(split));
    }
}

cxr_status cxr_check_classes(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    const cxr_dataset *d = s->data;
    sentence odd = {0};
    (void)err;
    for (int k = 0; k <= CXR_SPLIT_NONE; k++)
        if (cxr_dataset_count(d, (cxr_split)k, -1) > 0) compare_shares(&odd, d, (cxr_split)k);
    if (odd.used > 0)
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s", odd.text);
    else
        cxr_check_say(c, CXR_VERDICT_OK, "%d classes, each with as large a share of every split, to within %.0f points",
                      d->class_count, 100 * SHARE_GAP);
    return CXR_OK;
}

/* ---- Kinds ---- */

static bool same_kind(const cxr_image_info *a, const cxr_image_info *b)
{
    return strcmp(a->format, b->format) == 0 && strcmp(a->mode, b->mode) == 0 && a->depth == b->depth &&
           a->orientation == b->orientation;
}

static cxr_status count_kind(cxr_kinds *k, const cxr_image_info *info, int label, int classes, cxr_error *err)
{
    size_t i = 0;
    while (i < k->count && !same_kind(&k->rows[i].info, info)) i++;
    if (i == k->count) {
        cxr_kind *grown = cxr_mem_resize(k->rows, k->count + 1, sizeof *grown);
        if (grown == NULL) return cxr_mem_fail(err, "the kinds of files");
        k->rows = grown;
        k->rows[i] = (cxr_kind){.info = *info, .by_class = cxr_mem_new((size_t)classes, sizeof(size_t))};
        if (k->rows[i].by_class == NULL) return cxr_mem_fail(err, "the kinds of files");
        k->count++;
    }
    k->rows[i].count++;
    k->rows[i].by_class[label]++;
    return CXR_OK;
}

static int by_count(const void *a, const void *b)
{
    const size_t x = ((const cxr_kind *)a)->count, y = ((const cxr_kind *)b)->count;
    return (x < y) - (x > y);
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Least, median and largest of `n` sorted values' parts. */
static void three(int out[3], int64_t *sorted, size_t n)
{
    qsort(sorted, n, sizeof *sorted, by_value);
    const size_t at[3] = {0, n / 2, n - 1};
    for (int i = 0; i < 3; i++) out[i] = (int)sorted[at[i]];
}

static void measure_sizes(cxr_kinds *k, const cxr_scan *s, int64_t *values)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++)
        if (cxr_scan_readable(s, i)) values[n++] = ((int64_t)s->images[i].info.width << 32) | s->images[i].info.height;
    if (n == 0) return;
    qsort(values, n, sizeof *values, by_value);
    for (size_t i = 0; i < n; i++) k->sizes += i == 0 || values[i] != values[i - 1];
    n = 0;
    for (size_t i = 0; i < s->count; i++)
        if (cxr_scan_readable(s, i)) values[n++] = s->images[i].info.width;
    three(k->width, values, n);
    n = 0;
    for (size_t i = 0; i < s->count; i++)
        if (cxr_scan_readable(s, i)) values[n++] = s->images[i].info.height;
    three(k->height, values, n);
}

cxr_status cxr_kinds_count(cxr_kinds *k, const cxr_scan *s, cxr_error *err)
{
    *k = (cxr_kinds){0};
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < s->count && st == CXR_OK; i++)
        if (cxr_scan_readable(s, i))
            st = count_kind(k, &s->images[i].info, s->data->samples[i].label, s->data->class_count, err);
    if (st != CXR_OK) return st;
    if (k->count > 0) qsort(k->rows, k->count, sizeof *k->rows, by_count);
    int64_t *values = cxr_mem_new(s->count, sizeof *values);
    if (values == NULL) return cxr_mem_fail(err, "the sizes of images");
    measure_sizes(k, s, values);
    cxr_mem_free(values);
    return CXR_OK;
}

void cxr_kinds_free(cxr_kinds *k)
{
    for (size_t i = 0; i < k->count; i++) cxr_mem_free(k->rows[i].by_class);
    cxr_mem_free(k->rows);
    *k = (cxr_kinds){0};
}

cxr_status cxr_check_formats(cxr_checked *c, const cxr_scan *s, const cxr_kinds *k, cxr_error *err)
{
    cxr_status st = CXR_OK;
    char text[64], sizes[96];
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++) {
        if (!s->images[i].wrong_name) continue;
        (void)snprintf(text, sizeof text, "%s by content", s->images[i].info.format);
        st = cxr_check_add(c, &i, 1, (double)NAN, text, err);
    }
    if (st != CXR_OK || k->count == 0) return cxr_check_say(c, CXR_VERDICT_SKIPPED, "no image could be read"), st;
    if (k->sizes == 1)
        (void)snprintf(sizes, sizeof sizes, "%d x %d pixels", k->width[0], k->height[0]);
    else
        (void)snprintf(sizes, sizeof sizes, "%zu sizes, %d to %d wide, %d to %d high", k->sizes, k->width[0], k->width[2],
                       k->height[0], k->height[2]);
    const cxr_image_info *first = &k->rows[0].info;
    if (k->count == 1 && c->count == 0)
        cxr_check_say(c, CXR_VERDICT_OK, "all %s, %s, %d bits; %s", first->format, first->mode, first->depth, sizes);
    else
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s of files, most %s, %s, %d bits; %s; %s named as another format",
                      cxr_counted(k->count, "kind"), first->format, first->mode, first->depth, sizes,
                      cxr_counted(c->count, "file"));
    return CXR_OK;
}

cxr_status cxr_check_orientation(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    cxr_status st = CXR_OK;
    char text[64];
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++) {
        if (!cxr_scan_readable(s, i) || s->images[i].info.orientation == 1) continue;
        (void)snprintf(text, sizeof text, "orientation %d", s->images[i].info.orientation);
        st = cxr_check_add(c, &i, 1, (double)NAN, text, err);
    }
    if (c->count > 0)
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s turned or mirrored by EXIF; cxr does so, other programs may not",
                      cxr_counted(c->count, "image"));
    else
        cxr_check_say(c, CXR_VERDICT_OK, "no image is turned or mirrored by EXIF");
    return st;
}

/* ---- Groups ---- */

typedef struct member {
    const char *group;
    uint32_t image;
} member;

static int by_group(const void *a, const void *b)
{
    const member *x = a, *y = b;
    const int order = strcmp(x->group, y->group);
    return order != 0 ? order : (x->image > y->image) - (x->image < y->image);
}

static cxr_status add_crossing(cxr_checked *c, const cxr_dataset *d, const member *m, size_t n, uint32_t *images,
                               cxr_error *err)
{
    bool crosses = false;
    for (size_t i = 0; i < n; i++) {
        images[i] = m[i].image;
        crosses |= cxr_check_across(d, images[0], images[i]);
    }
    return crosses ? cxr_check_add(c, images, n, (double)NAN, m->group, err) : CXR_OK;
}

cxr_status cxr_check_groups(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    const cxr_dataset *d = s->data;
    member *m = cxr_mem_new(s->count, sizeof *m);
    uint32_t *images = cxr_mem_new(s->count, sizeof *images);
    cxr_status st = m == NULL || images == NULL ? cxr_mem_fail(err, "the groups") : CXR_OK;
    size_t groups = 0;
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++) m[i] = (member){d->samples[i].group, i};
    if (st == CXR_OK) qsort(m, s->count, sizeof *m, by_group);
    for (size_t i = 0, end; i < s->count && st == CXR_OK; i = end, groups++) {
        for (end = i + 1; end < s->count && strcmp(m[end].group, m[i].group) == 0;) end++;
        st = add_crossing(c, d, m + i, end - i, images, err);
    }
    cxr_mem_free(m);
    cxr_mem_free(images);
    if (c->count > 0)
        cxr_check_say(c, CXR_VERDICT_LOOK, "%zu of %s in more than one split (file-name group, unverified)", c->count,
                      cxr_counted(groups, "group"));
    else
        cxr_check_say(c, CXR_VERDICT_OK, "none of %s is in more than one split (file-name group, unverified)",
                      cxr_counted(groups, "group"));
    return st;
}
