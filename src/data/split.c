/* Which images are for training, validation and test. Carving walks the patients in an order that is a function of (patient,
 * seed) alone, so neither the order of files nor the machine matters, and takes each one that brings its classes nearer to
 * their share of images. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/dataset.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_FRACTION 0.15
#define LEAST_GIVEN   32 /* images of a given validation split that is large enough to select by */

typedef struct patient {
    uint64_t order;
    size_t first, images; /* a run of carving.samples */
} patient;

typedef struct share {
    size_t have, want; /* images carved so far, images aimed at */
    size_t left;       /* patients still in train */
} share;

typedef struct carving {
    cxr_dataset *d;
    cxr_sample **samples; /* of train, by patient, then class */
    size_t sample_count;
    patient *patients; /* in keyed order */
    size_t patient_count, carved;
    share *shares; /* one per class */
} carving;

static int by_group(const void *a, const void *b)
{
    const cxr_sample *x = *(cxr_sample *const *)a, *y = *(cxr_sample *const *)b;
    const int order = strcmp(x->group, y->group);
    if (order != 0) return order;
    return (x->label > y->label) - (x->label < y->label);
}

static int by_order(const void *a, const void *b)
{
    const patient *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first); /* byte order of names */
}

/* Steps through the classes of a patient: images [*at, *at + result) of the run share one label; 0 at the end. */
static size_t next_class(const carving *c, const patient *p, size_t *at, size_t images)
{
    *at += images;
    size_t n = 0;
    while (*at + n < p->images && c->samples[p->first + *at + n]->label == c->samples[p->first + *at]->label) n++;
    return n;
}

static share *share_of(const carving *c, const patient *p, size_t at)
{
    return &c->shares[c->samples[p->first + at]->label];
}

static size_t gap(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* Every class of the patient keeps more than `reserve` patients in train without it. */
static bool can_spare(const carving *c, const patient *p, size_t reserve)
{
    for (size_t at = 0, n = next_class(c, p, &at, 0); n > 0; n = next_class(c, p, &at, n))
        if (share_of(c, p, at)->left <= reserve) return false;
    return true;
}

static bool comes_nearer(const carving *c, const patient *p)
{
    size_t before = 0, after = 0;
    for (size_t at = 0, n = next_class(c, p, &at, 0); n > 0; n = next_class(c, p, &at, n)) {
        const share *s = share_of(c, p, at);
        before += gap(s->have, s->want);
        after += gap(s->have + n, s->want);
    }
    return after < before;
}

static void take(carving *c, const patient *p, cxr_split to)
{
    for (size_t at = 0, n = next_class(c, p, &at, 0); n > 0; n = next_class(c, p, &at, n)) {
        share *s = share_of(c, p, at);
        s->have += n;
        s->left--;
    }
    for (size_t i = 0; i < p->images; i++) c->samples[p->first + i]->split = to;
    c->carved++;
}

/* A class whose patients are all larger than its share still gets one: the smallest that can be spared. */
static cxr_status take_smallest(carving *c, int label, cxr_split to, size_t reserve, cxr_error *err)
{
    const patient *best = NULL;
    for (size_t i = 0; i < c->patient_count; i++) {
        const patient *p = &c->patients[i];
        bool has_label = false;
        for (size_t at = 0, n = next_class(c, p, &at, 0); n > 0; n = next_class(c, p, &at, n))
            has_label = has_label || c->samples[p->first + at]->label == label;
        const bool in_train = c->samples[p->first]->split == CXR_SPLIT_TRAIN;
        if (has_label && in_train && can_spare(c, p, reserve) && (best == NULL || p->images < best->images)) best = p;
    }
    if (best == NULL)
        return cxr_fail(err, CXR_EDATA, "%s: class \"%s\" has too few patients (%zu) to take some for %s", c->d->root,
                        c->d->classes[label], c->shares[label].left, cxr_split_name(to));
    take(c, best, to);
    return CXR_OK;
}

static void list_patients(carving *c, uint64_t key)
{
    qsort(c->samples, c->sample_count, sizeof(cxr_sample *), by_group);
    for (size_t i = 0; i < c->sample_count; i++) {
        if (i == 0 || strcmp(c->samples[i]->group, c->samples[i - 1]->group) != 0)
            c->patients[c->patient_count++] =
                (patient){.order = cxr_mix64(key ^ cxr_rng_name(c->samples[i]->group)), .first = i};
        c->patients[c->patient_count - 1].images++;
    }
    for (size_t i = 0; i < c->patient_count; i++) {
        const patient *p = &c->patients[i];
        for (size_t at = 0, n = next_class(c, p, &at, 0); n > 0; n = next_class(c, p, &at, n)) share_of(c, p, at)->left++;
    }
    qsort(c->patients, c->patient_count, sizeof *c->patients, by_order);
}

static void carving_free(carving *c)
{
    cxr_mem_free(c->samples);
    cxr_mem_free(c->patients);
    cxr_mem_free(c->shares);
}

static cxr_status carving_new(carving *c, cxr_dataset *d, double fraction, uint64_t key, cxr_error *err)
{
    *c = (carving){.d = d};
    c->samples = cxr_mem_new(d->count, sizeof *c->samples);
    c->patients = cxr_mem_new(d->count, sizeof *c->patients);
    c->shares = cxr_mem_new((size_t)d->class_count, sizeof *c->shares);
    if (c->samples == NULL || c->patients == NULL || c->shares == NULL) {
        carving_free(c);
        return cxr_mem_fail(err, "the list of patients");
    }
    for (size_t i = 0; i < d->count; i++)
        if (d->samples[i].split == CXR_SPLIT_TRAIN) c->samples[c->sample_count++] = &d->samples[i];
    for (int k = 0; k < d->class_count; k++)
        c->shares[k].want = (size_t)llround(fraction * (double)cxr_dataset_count(d, CXR_SPLIT_TRAIN, k));
    list_patients(c, key);
    return CXR_OK;
}

/* Moves `fraction` of train's images to `to`, leaving each class at least `reserve` patients; says so at the end of `text`. */
static cxr_status carve(cxr_dataset *d, cxr_split to, double fraction, size_t reserve, uint64_t seed, char *text, size_t room,
                        cxr_error *err)
{
    carving c;
    cxr_status st = carving_new(&c, d, fraction, cxr_rng_key(seed, CXR_FOR_SPLIT, 0, (uint64_t)to), err);
    if (st != CXR_OK) return st;
    for (size_t i = 0; i < c.patient_count; i++)
        if (comes_nearer(&c, &c.patients[i]) && can_spare(&c, &c.patients[i], reserve)) take(&c, &c.patients[i], to);
    for (int k = 0; st == CXR_OK && k < d->class_count; k++)
        if (c.shares[k].have == 0) st = take_smallest(&c, k, to, reserve, err);
    const size_t used = strlen(text);
    (void)snprintf(text + used, room - used, "; %zu of %zu images (%zu of %zu patients) became %s",
                   cxr_dataset_count(d, to, -1), c.sample_count, c.carved, c.patient_count, cxr_split_name(to));
    carving_free(&c);
    return st;
}

/* Patients with images in more than one split. */
static cxr_status count_crossing(const cxr_dataset *d, size_t *crossing, cxr_error *err)
{
    const cxr_sample **s = cxr_mem_new(d->count, sizeof *s);
    if (s == NULL) return cxr_mem_fail(err, "the list of patients");
    for (size_t i = 0; i < d->count; i++) s[i] = &d->samples[i];
    qsort(s, d->count, sizeof *s, by_group);
    *crossing = 0;
    for (size_t i = 0, end; i < d->count; i = end) {
        bool crosses = false;
        for (end = i + 1; end < d->count && strcmp(s[end]->group, s[i]->group) == 0; end++)
            crosses = crosses || s[end]->split != s[i]->split;
        *crossing += crosses;
    }
    cxr_mem_free(s);
    return CXR_OK;
}

static void move_all(cxr_dataset *d, cxr_split from, cxr_split to)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->samples[i].split == from) d->samples[i].split = to;
}

cxr_status cxr_dataset_split(cxr_dataset *d, double val_fraction, uint64_t seed, cxr_split_report *report, cxr_error *err)
{
    *report = (cxr_split_report){0};
    if (!(val_fraction > 0.0 && val_fraction < 1.0))
        return cxr_fail(err, CXR_EUSAGE, "validation fraction %g is not between 0 and 1", val_fraction);
    cxr_status st = CXR_OK;
    char *text = report->reason;
    const size_t given = cxr_dataset_count(d, CXR_SPLIT_VAL, -1), room = sizeof report->reason;
    const bool from_nothing = !d->has_split[CXR_SPLIT_TRAIN];
    if (from_nothing) {
        (void)snprintf(text, room, "no split given");
        for (size_t i = 0; i < d->count; i++) d->samples[i].split = CXR_SPLIT_TRAIN;
        st = carve(d, CXR_SPLIT_TEST, TEST_FRACTION, 2, seed, text, room, err);
    } else if (given >= LEAST_GIVEN) {
        (void)snprintf(text, room, "validation as given: %zu images", given);
        return count_crossing(d, &report->crossing, err);
    } else if (given > 0) {
        (void)snprintf(text, room, "the given validation has %zu images, fewer than %d, and joined train", given, LEAST_GIVEN);
        move_all(d, CXR_SPLIT_VAL, CXR_SPLIT_TRAIN);
    } else {
        (void)snprintf(text, room, "no validation given");
    }
    if (st == CXR_OK) st = carve(d, CXR_SPLIT_VAL, val_fraction, 1, seed, text, room, err);
    if (st == CXR_OK) st = count_crossing(d, &report->crossing, err);
    report->carved = st == CXR_OK;
    return st;
}
