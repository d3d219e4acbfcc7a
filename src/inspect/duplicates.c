#include "inspect/duplicates.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FEW 256 /* images among which the nearest are candidates, however far */

/* ---- The same bytes ---- */

typedef struct content {
    const uint8_t *hash;
    uint32_t image;
} content;

static int by_content(const void *a, const void *b)
{
    const content *x = a, *y = b;
    const int order = memcmp(x->hash, y->hash, 32);
    return order != 0 ? order : (x->image > y->image) - (x->image < y->image);
}

static cxr_status find_exact(cxr_duplicates *d, const cxr_scan *s, cxr_error *err)
{
    content *c = cxr_mem_new(s->count, sizeof *c);
    size_t n = 0;
    if (c == NULL) return cxr_mem_fail(err, "the duplicates");
    for (uint32_t i = 0; i < s->count; i++) {
        d->first[i] = i;
        if (s->images[i].has_content) c[n++] = (content){s->images[i].content, i};
    }
    qsort(c, n, sizeof *c, by_content);
    for (size_t i = 1; i < n; i++)
        if (memcmp(c[i].hash, c[i - 1].hash, 32) == 0) d->first[c[i].image] = d->first[c[i - 1].image];
    cxr_mem_free(c);
    return CXR_OK;
}

/* ---- Candidates ---- */

/* What is compared: one image of each content that could be read. */
typedef struct search {
    const cxr_scan *s;
    const cxr_hooks *hooks;
    uint32_t *image; /* count */
    uint64_t *print;
    size_t count;
    int radius;
    uint32_t (*near)[CXR_CANDIDATES]; /* of each: places in `image`, UINT32_MAX where there are fewer */
    cxr_pair *pairs;
    size_t pair_count;
    atomic_bool stop;
} search;

static int by_float(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static cxr_status take_fingerprints(search *q, const cxr_duplicates *d, cxr_error *err)
{
    const cxr_scan *s = q->s;
    float middle[CXR_HASH_BITS] = {0}, *column = cxr_mem_new(s->count, sizeof *column);
    if (column == NULL) return cxr_mem_fail(err, "the fingerprints");
    for (uint32_t i = 0; i < s->count; i++)
        if (cxr_scan_readable(s, i) && d->first[i] == i) q->image[q->count++] = i;
    for (int k = 0; k < CXR_HASH_BITS && q->count > 0; k++) {
        for (size_t i = 0; i < q->count; i++) column[i] = s->frequencies[q->image[i]][k];
        qsort(column, q->count, sizeof *column, by_float);
        middle[k] = column[q->count / 2];
    }
    for (size_t i = 0; i < q->count; i++) q->print[i] = cxr_fingerprint(s->frequencies[q->image[i]], middle);
    q->radius = q->count <= FEW ? CXR_HASH_BITS : CXR_RADIUS;
    cxr_mem_free(column);
    return CXR_OK;
}

/* The nearest by fingerprint, the earlier of equals. */
static void find_nearest(void *user, int worker, size_t i)
{
    search *q = user;
    uint32_t *near = q->near[i];
    int bits[CXR_CANDIDATES], have = 0;
    if (worker == 0 && cxr_stop_asked(q->hooks)) atomic_store(&q->stop, true);
    if (atomic_load(&q->stop)) return;
    for (size_t j = 0; j < q->count; j++) {
        const int apart = __builtin_popcountll(q->print[i] ^ q->print[j]);
        if (j == i || apart > q->radius || (have == CXR_CANDIDATES && apart >= bits[have - 1])) continue;
        int at = have < CXR_CANDIDATES ? have++ : have - 1;
        for (; at > 0 && bits[at - 1] > apart; at--) {
            bits[at] = bits[at - 1];
            near[at] = near[at - 1];
        }
        bits[at] = apart;
        near[at] = (uint32_t)j;
    }
    for (; have < CXR_CANDIDATES; have++) near[have] = UINT32_MAX;
}

static int by_images(const void *a, const void *b)
{
    const cxr_pair *x = a, *y = b;
    if (x->a != y->a) return (x->a > y->a) - (x->a < y->a);
    return (x->b > y->b) - (x->b < y->b);
}

/* Each pair once, whichever of the two found it. */
static void list_pairs(search *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->count; i++)
        for (int k = 0; k < CXR_CANDIDATES && q->near[i][k] != UINT32_MAX; k++) {
            const uint32_t a = q->image[i], b = q->image[q->near[i][k]];
            q->pairs[n++] = (cxr_pair){a < b ? a : b, a < b ? b : a, 0.0f};
        }
    qsort(q->pairs, n, sizeof *q->pairs, by_images);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_images(&q->pairs[i], &q->pairs[i - 1]) != 0) q->pairs[q->pair_count++] = q->pairs[i];
}

static void lay_over(void *user, int worker, size_t i)
{
    search *q = user;
    cxr_pair *p = &q->pairs[i];
    if (worker == 0 && cxr_stop_asked(q->hooks)) atomic_store(&q->stop, true);
    if (!atomic_load(&q->stop)) p->likeness = cxr_likeness(cxr_scan_small(q->s, p->a), cxr_scan_small(q->s, p->b));
}

static int by_likeness(const void *a, const void *b)
{
    const cxr_pair *x = a, *y = b;
    if (x->likeness != y->likeness) return x->likeness < y->likeness ? 1 : -1;
    return by_images(a, b);
}

static cxr_status find_near(cxr_duplicates *d, search *q, int threads, cxr_error *err)
{
    cxr_parallel(cxr_workers(threads, q->count), q->count, find_nearest, q);
    if (!atomic_load(&q->stop)) {
        list_pairs(q);
        cxr_log(q->hooks, CXR_DEBUG, "%zu pairs of images are laid over each other", q->pair_count);
        cxr_parallel(cxr_workers(threads, q->pair_count), q->pair_count, lay_over, q);
    }
    if (atomic_load(&q->stop)) return cxr_fail(err, CXR_ESTOPPED, "stopped while comparing images");
    d->compared = q->pair_count;
    for (size_t i = 0; i < q->pair_count; i++)
        if ((double)q->pairs[i].likeness >= CXR_LOOK_ALIKE) q->pairs[d->count++] = q->pairs[i];
    qsort(q->pairs, d->count, sizeof *q->pairs, by_likeness);
    d->pairs = q->pairs;
    q->pairs = NULL;
    return CXR_OK;
}

cxr_status cxr_duplicates_find(cxr_duplicates *d, const cxr_scan *s, int threads, const cxr_hooks *hooks, cxr_error *err)
{
    *d = (cxr_duplicates){.first = cxr_mem_new(s->count, sizeof *d->first)};
    search q = {.s = s, .hooks = hooks};
    q.image = cxr_mem_new(s->count, sizeof *q.image);
    q.print = cxr_mem_new(s->count, sizeof *q.print);
    q.near = cxr_mem_new(s->count, sizeof *q.near);
    q.pairs = cxr_mem_new(s->count, CXR_CANDIDATES * sizeof *q.pairs);
    const bool fits = d->first != NULL && q.image != NULL && q.print != NULL && q.near != NULL && q.pairs != NULL;
    cxr_status st = fits ? find_exact(d, s, err) : cxr_mem_fail(err, "the duplicates");
    if (st == CXR_OK) st = take_fingerprints(&q, d, err);
    if (st == CXR_OK) st = find_near(d, &q, threads, err);
    cxr_mem_free(q.image);
    cxr_mem_free(q.print);
    cxr_mem_free(q.near);
    cxr_mem_free(q.pairs);
    return st;
}

void cxr_duplicates_free(cxr_duplicates *d)
{
    cxr_mem_free(d->first);
    cxr_mem_free(d->pairs);
    *d = (cxr_duplicates){0};
}

/* ---- Checks ---- */

/* Findings between splits come first. */
static size_t bring_forward(cxr_checked *c, const cxr_dataset *d)
{
    size_t across = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (!cxr_finding_across(d, &c->findings[i])) continue;
        const cxr_finding f = c->findings[i];
        memmove(&c->findings[across + 1], &c->findings[across], (i - across) * sizeof f);
        c->findings[across++] = f;
    }
    return across;
}

static void say_duplicates(cxr_checked *c, size_t across, const char *what)
{
    if (c->count == 0)
        cxr_check_say(c, CXR_VERDICT_OK, "no %s", what);
    else if (across > 0)
        cxr_check_say(c, CXR_VERDICT_PROBLEM, "%s, %zu across splits", cxr_counted(c->count, what), across);
    else
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s, none across splits", cxr_counted(c->count, what));
}

typedef struct member {
    uint32_t first, image;
} member;

static int by_first(const void *a, const void *b)
{
    const member *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

cxr_status cxr_check_exact(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err)
{
    cxr_status st = CXR_OK;
    member *m = cxr_mem_new(s->count, sizeof *m);
    uint32_t *images = cxr_mem_new(s->count, sizeof *images);
    if (m == NULL || images == NULL) st = cxr_mem_fail(err, "the duplicates");
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++) m[i] = (member){d->first[i], i};
    if (st == CXR_OK) qsort(m, s->count, sizeof *m, by_first);
    for (size_t i = 0, end; i < s->count && st == CXR_OK; i = end) {
        for (end = i; end < s->count && m[end].first == m[i].first; end++) images[end - i] = m[end].image;
        if (end - i > 1) st = cxr_check_add(c, images, end - i, (double)NAN, NULL, err);
    }
    cxr_mem_free(m);
    cxr_mem_free(images);
    say_duplicates(c, bring_forward(c, s->data), "repeated file");
    return st;
}

cxr_status cxr_check_near(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < d->count && st == CXR_OK; i++)
        if ((double)d->pairs[i].likeness >= CXR_SAME_PICTURE)
            st = cxr_check_add(c, (uint32_t[]){d->pairs[i].a, d->pairs[i].b}, 2, (double)d->pairs[i].likeness, NULL, err);
    say_duplicates(c, bring_forward(c, s->data), "near duplicate");
    return st;
}

cxr_status cxr_check_alike(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < d->count && st == CXR_OK; i++) {
        const cxr_pair *p = &d->pairs[i];
        const bool one_group = strcmp(s->data->samples[p->a].group, s->data->samples[p->b].group) == 0;
        if ((double)p->likeness < CXR_SAME_PICTURE && !one_group)
            st = cxr_check_add(c, (uint32_t[]){p->a, p->b}, 2, (double)p->likeness, NULL, err);
    }
    const size_t across = bring_forward(c, s->data);
    if (c->count == 0)
        cxr_check_say(c, CXR_VERDICT_OK, "no images of different groups that look like one patient's");
    else
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s of different groups that may be one patient's, %zu across splits",
                      cxr_counted(c->count, "pair"), across);
    return st;
}

static cxr_status add_conflicts(cxr_checked *c, const cxr_dataset *d, const cxr_checked *from, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < from->count && st == CXR_OK; i++) {
        const cxr_finding *f = &from->findings[i];
        bool differ = false;
        for (size_t k = 1; k < f->count; k++) differ |= d->samples[f->images[k]].label != d->samples[f->images[0]].label;
        if (differ) st = cxr_check_add(c, f->images, f->count, f->score, NULL, err);
    }
    return st;
}

cxr_status cxr_check_labels(cxr_checked *c, const cxr_scan *s, const cxr_checked *exact, const cxr_checked *near,
                            cxr_error *err)
{
    cxr_status st = add_conflicts(c, s->data, exact, err);
    if (st == CXR_OK) st = add_conflicts(c, s->data, near, err);
    if (c->count > 0)
        cxr_check_say(c, CXR_VERDICT_PROBLEM, "%s with different labels", cxr_counted(c->count, "duplicate"));
    else
        cxr_check_say(c, CXR_VERDICT_OK, "no duplicates with different labels");
    return st;
}
