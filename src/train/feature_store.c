#include "train/feature_store.h"
#include "base/grant.h"
#include "base/log.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int cxr_train_views(const cxr_train_opts *o)
{
    if (!cxr_augment_is_random(&o->augment)) return 1;
    return o->cache_features;
}

/* ---- The key ---- */

static bool put(EVP_MD_CTX *ctx, const char *fmt, ...) CXR_PRINTF(2, 3);
static bool put(EVP_MD_CTX *ctx, const char *fmt, ...)
{
    char text[8192];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof text && EVP_DigestUpdate(ctx, text, (size_t)n + 1) == 1;
}

static bool put_settings(EVP_MD_CTX *ctx, const cxr_trainer *t, const cxr_form *form, const cxr_augment *augment, int views)
{
    const cxr_train_opts *o = t->opts;
    const cxr_preprocess *p = &t->model->preprocess;
    static const cxr_augment none = {0};
    const cxr_augment *a = augment == NULL ? &none : augment;
    bool ok =
        put(ctx, "features of cxr %s, %s, precision %d, deterministic %d, batch %d, threads %d", cxr_version(), form->name,
            (int)o->precision, (int)o->deterministic, o->batch_size, t->threads) &&
        put(ctx, "%s up to %s, resize %d to %d", t->model->arch, o->freeze, (int)p->rule, p->size) &&
        put(ctx, "flip %a rotate %a crop %a brightness %a contrast %a, seed %" PRIu64 ", views %d", (double)a->flip,
            (double)a->rotate_degrees, (double)a->crop_min_scale, (double)a->brightness, (double)a->contrast, o->seed, views) &&
        put(ctx, "zoom %a gamma %a noise %a jpeg %d erase %a", (double)a->zoom, (double)a->gamma, (double)a->noise,
            a->jpeg_quality, (double)a->erase);
    for (int i = 0; i < 3; i++) ok = ok && put(ctx, "mean %a std %a", (double)p->mean[i], (double)p->std[i]);
    return ok;
}

/* An image that cannot be looked at will be an error or left out when it is read. */
static bool put_images(EVP_MD_CTX *ctx, const cxr_subset *part)
{
    bool ok = true;
    for (size_t i = 0; i < part->count && ok; i++) {
        struct stat s = {0};
        (void)stat(part->paths[i], &s);
        ok = EVP_DigestUpdate(ctx, part->paths[i], strlen(part->paths[i]) + 1) == 1 &&
             put(ctx, "%" PRIdMAX " bytes, changed at %" PRIdMAX ".%09ld", (intmax_t)s.st_size, (intmax_t)s.st_mtim.tv_sec,
                 s.st_mtim.tv_nsec);
    }
    return ok;
}

static cxr_status key_of(uint8_t key[32], const cxr_trainer *t, const cxr_form *form, const cxr_subset *part,
                         const cxr_augment *augment, int views, cxr_error *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
                    put_settings(ctx, t, form, augment, views) &&
                    EVP_DigestUpdate(ctx, t->model->params, t->optim.first * sizeof(float)) == 1 && put_images(ctx, part) &&
                    EVP_DigestFinal_ex(ctx, key, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? CXR_OK : cxr_fail(err, CXR_EINTERNAL, "SHA-256 failed");
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

cxr_status cxr_feature_store_open(cxr_store **out, const cxr_trainer *t, const cxr_subset *part, const cxr_augment *augment,
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
    cxr_status st = disk ? key_of(so.key, t, &form, part, augment, views, err) : CXR_OK;
    if (st == CXR_OK) st = cxr_store_open(out, &so, err);
    if (st != CXR_OK) return st;
    cxr_log(t->hooks, CXR_DEBUG, "features: %zu x %zu bytes at %s are kept %s, %zu are there (%s)", so.count, so.record_bytes,
            o->freeze, disk ? o->cache_dir : "in memory", cxr_store_present(*out), form.name);
    return CXR_OK;
}
