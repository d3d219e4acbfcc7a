#include "train/feature_store.h"
#include "base/grant.h"
#include "base/hash.h"
#include "base/log.h"
#include "train/options.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int cxr_train_views(const cxr_train_opts *o)
{
    if (cxr_train_opts_fresh(o) != NULL) return 0;
    if (!cxr_augment_is_random(&o->augment)) return 1;
    return o->cache_features;
}

/* ---- The key ---- */

static void put(cxr_hash *h, const char *fmt, ...) CXR_PRINTF(2, 3);
static void put(cxr_hash *h, const char *fmt, ...)
{
    char text[512]; /* more than any of the lines below takes */
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cxr_hash_text(h, text);
}

static void put_settings(cxr_hash *h, const cxr_trainer *t, const cxr_form *form, const cxr_augment *augment, int views)
{
    const cxr_train_opts *o = t->opts;
    const cxr_preprocess *p = &t->preprocess;
    const cxr_limits *most = &o->limits; /* an image beyond them has no features */
    static const cxr_augment none = {0};
    const cxr_augment *a = augment == NULL ? &none : augment;
    cxr_hash_text(h, form->name);
    cxr_hash_text(h, t->freezes.at[t->freeze].value);
    put(h, "features of cxr %s, precision %d, deterministic %d, batch %d, threads %d", cxr_version(), (int)o->precision,
        (int)o->deterministic, o->batch_size, t->threads);
    put(h, "%s, resize %d to %d", t->model->arch, (int)p->rule, p->size);
    put(h, "limits %" PRIu64 " %" PRIu64 " %" PRIu64, (uint64_t)most->max_pixels, (uint64_t)most->max_bytes,
        (uint64_t)most->max_scans);
    put(h, "seed %" PRIu64 ", views %d", o->seed, views);
    cxr_hash_bytes(h, a, sizeof *a); /* whole, so that no transform is forgotten: members of 4 bytes, none between them */
    for (int i = 0; i < 3; i++) put(h, "mean %a std %a", (double)p->mean[i], (double)p->std[i]);
}

static cxr_status key_of(uint8_t key[32], const cxr_trainer *t, const cxr_form *form, const cxr_subset *part,
                         const cxr_augment *augment, int views, cxr_error *err)
{
    cxr_hash h;
    cxr_hash_begin(&h);
    put_settings(&h, t, form, augment, views);
    cxr_hash_bytes(&h, t->model->params, t->optim.first * sizeof(float));
    for (size_t i = 0; i < part->count; i++) cxr_hash_text(&h, part->contents[i]);
    return cxr_hash_end(&h, key, err);
}

/* ---- Opening ---- */

static bool fits_memory(const cxr_trainer *t, const cxr_store_opts *o)
{
    const double need = (double)o->count * (double)o->record_bytes, most = 0.5 * (double)cxr_memory_grant();
    if (need <= most) return true;
    cxr_log(t->hooks, CXR_WARNING,
            "features are computed each epoch: keeping them takes %.1f GB, more than half of this machine's memory (or --cache "
            "disk)",
            1e-9 * need);
    return false;
}

cxr_status cxr_feature_store_open(cxr_store **out, const cxr_trainer *t, cxr_subset *part, const cxr_augment *augment,
                                  int views, cxr_error *err)
{
    *out = NULL;
    const cxr_train_opts *o = t->opts;
    const bool disk = o->cache == CXR_CACHE_DISK;
    if (t->optim.first_param == 0 || views == 0 || o->cache == CXR_CACHE_OFF || (disk && o->cache_dir == NULL)) return CXR_OK;
    cxr_form form;
    t->backend->keep_form(t->frozen, &form);
    cxr_store_opts so = {.dir = disk ? o->cache_dir : NULL,
                         .kind = "features",
                         .count = (size_t)views * part->count,
                         .record_bytes = form.image_bytes,
                         .hooks = t->hooks};
    if (!disk && !fits_memory(t, &so)) return CXR_OK;
    cxr_status st = disk ? cxr_subset_read(part, &o->limits, err) : CXR_OK;
    if (st == CXR_OK && disk) st = key_of(so.key, t, &form, part, augment, views, err);
    if (st == CXR_OK) st = cxr_store_open(out, &so, err);
    if (st != CXR_OK) return st;
    cxr_log(t->hooks, CXR_DEBUG, "features: %zu x %zu bytes at %s are kept %s, %zu are there (%s)", so.count, so.record_bytes,
            t->freezes.at[t->freeze].value, disk ? o->cache_dir : "in memory", cxr_store_present(*out), form.name);
    return CXR_OK;
}
