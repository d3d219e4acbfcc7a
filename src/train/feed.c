#include "train/feed.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/mix.h"
#include <string.h>

struct cxr_feed {
    cxr_feed_opts o;
    cxr_loader *loader;
    cxr_tensor *input; /* pixels */
    uint8_t *pixels;   /* a batch whose unreadable images were taken out */
    int *labels;       /* of a batch */
    int *others;       /* likewise, of what was mixed in */
    bool *unreadable;  /* by image: it could not be read, and that was logged */
    uint64_t skipped;
    cxr_tensor *kept; /* features from the store */
    cxr_form form;
    uint8_t *images; /* a batch of records */
    bool full;       /* the store keeps nothing more; it said why */
    /* The epoch: `order`, of which the images before `at` were given. The loader holds `wanted`. */
    uint64_t view;
    size_t at;
    uint32_t *order, *wanted;
};

/* A batch has room for the lone last image of an epoch; few images make no large batch. */
static size_t max_batch(const cxr_feed *f)
{
    const size_t full = (size_t)f->o.loader.batch_size + (f->o.shuffle ? 1 : 0);
    return f->o.part->count < full ? f->o.part->count : full;
}

static cxr_status open_kept(cxr_feed *f, cxr_error *err)
{
    if (f->o.store == NULL) return CXR_OK;
    const cxr_status st = f->o.backend->keep_new(&f->kept, f->o.frozen, err);
    if (st != CXR_OK) return st;
    f->o.backend->keep_form(f->o.frozen, &f->form);
    f->images = cxr_mem_new(max_batch(f), f->form.image_bytes);
    return f->images == NULL ? cxr_mem_fail(err, "a batch of features") : CXR_OK;
}

cxr_status cxr_feed_open(cxr_feed **out, const cxr_feed_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_store *store = o->store;
    cxr_feed *f = cxr_mem_new(1, sizeof *f);
    if (f == NULL) {
        cxr_store_close(&store);
        return cxr_mem_fail(err, "the images' way to the network");
    }
    f->o = *o;
    const int side = o->loader.preprocess->size;
    const size_t count = o->part->count, batch = max_batch(f);
    f->pixels = cxr_mem_new(batch * (size_t)side, (size_t)side);
    f->labels = cxr_mem_new(batch, sizeof *f->labels);
    f->others = cxr_mem_new(batch, sizeof *f->others);
    f->order = cxr_mem_new(count, sizeof *f->order);
    f->wanted = cxr_mem_new(count, sizeof *f->wanted);
    f->unreadable = cxr_mem_new(count, sizeof *f->unreadable);
    cxr_status st = CXR_OK;
    if (f->pixels == NULL || f->labels == NULL || f->others == NULL || f->order == NULL || f->wanted == NULL ||
        f->unreadable == NULL)
        st = cxr_mem_fail(err, "the images' way to the network");
    if (st == CXR_OK) st = o->backend->tensor_new(&f->input, CXR_U8, (int)batch, (cxr_shape){1, side, side}, err);
    if (st == CXR_OK) st = open_kept(f, err);
    if (st == CXR_OK) st = cxr_loader_open(&f->loader, &o->loader, err);
    if (st != CXR_OK) cxr_feed_close(&f);
    *out = f;
    return st;
}

void cxr_feed_close(cxr_feed **feed)
{
    if (feed == NULL || *feed == NULL) return;
    cxr_feed *f = *feed;
    cxr_loader_close(&f->loader);
    cxr_store_close(&f->o.store);
    f->o.backend->tensor_free(&f->input);
    f->o.backend->tensor_free(&f->kept);
    cxr_mem_free(f->pixels);
    cxr_mem_free(f->labels);
    cxr_mem_free(f->others);
    cxr_mem_free(f->images);
    cxr_mem_free(f->order);
    cxr_mem_free(f->wanted);
    cxr_mem_free(f->unreadable);
    cxr_mem_free(f);
    *feed = NULL;
}

uint64_t cxr_feed_batches(const cxr_feed *f)
{
    const uint64_t size = (uint64_t)f->o.loader.batch_size, n = f->o.part->count;
    return f->o.shuffle && n % size == 1 && n > 1 ? n / size : (n + size - 1) / size;
}

uint64_t cxr_feed_skipped(const cxr_feed *f)
{
    return f->skipped;
}

static cxr_status leave_out(cxr_feed *f, uint32_t index, const cxr_error *cause, cxr_error *err)
{
    if (!f->o.skip_unreadable) return cxr_fail(err, cause->status, "%s", cause->text);
    if (!f->unreadable[index]) {
        cxr_log(f->o.hooks, CXR_WARNING, "skipped: %s", cause->text);
        f->skipped++;
    }
    f->unreadable[index] = true;
    return CXR_OK;
}

static void copy_readable(cxr_feed *f, const cxr_batch *b)
{
    const size_t side = (size_t)f->o.loader.preprocess->size, each = side * side;
    uint8_t *to = f->pixels;
    for (int i = 0; i < b->n; i++)
        if (b->errors[i].status == CXR_OK) to = (uint8_t *)memcpy(to, b->pixels + (size_t)i * each, each) + each;
}

/* Mixes the batch in f->pixels. */
static void mix(cxr_feed *f, cxr_features *out)
{
    const int side = f->o.loader.preprocess->size;
    cxr_mix how;
    cxr_mix_draw(&how, f->o.mixup, f->o.cutmix, side, cxr_rng_key(f->o.loader.seed, CXR_FOR_MIX, f->view, f->at));
    cxr_mix_apply(&how, f->pixels, out->n, side);
    for (int i = 0; i < out->n; i++) f->others[i] = f->labels[out->n - 1 - i];
    out->others = f->others;
    out->share = how.share;
}

/* Puts the readable images of a batch into the input tensor. */
static cxr_status write_pixels(cxr_feed *f, const cxr_batch *b, cxr_features *out, cxr_error *err)
{
    const bool mixed = f->o.mixup > 0.0f || f->o.cutmix > 0.0f;
    out->n = 0;
    for (int i = 0; i < b->n; i++) {
        if (b->errors[i].status == CXR_OK) {
            f->labels[out->n++] = f->o.part->labels[b->index[i]];
            continue;
        }
        const cxr_status st = leave_out(f, b->index[i], &b->errors[i], err);
        if (st != CXR_OK) return st;
    }
    const bool copied = mixed || out->n < b->n;
    if (copied) copy_readable(f, b);
    if (mixed) mix(f, out);
    return out->n == 0 ? CXR_OK : f->o.backend->tensor_write(f->input, out->n, copied ? f->pixels : b->pixels, err);
}

/* ---- The store ---- */

static size_t record_of(const cxr_feed *f, uint32_t index)
{
    return (size_t)f->view * f->o.part->count + index;
}

/* Images of the batch at the current position. */
static size_t batch_images(const cxr_feed *f)
{
    const size_t size = (size_t)f->o.loader.batch_size, left = f->o.part->count - f->at;
    return left <= size || (f->o.shuffle && left == size + 1) ? left : size;
}

/* Whether all that can be read of the batch at the current position is kept. */
static bool is_kept(const cxr_feed *f)
{
    if (f->o.store == NULL) return false;
    const uint32_t *index = f->order + f->at;
    for (size_t i = 0, n = batch_images(f); i < n; i++)
        if (!f->unreadable[index[i]] && !cxr_store_has(f->o.store, record_of(f, index[i]))) return false;
    return true;
}

/* The features of the batch at the current position from the store; false when one is absent after all. */
static bool gather(cxr_feed *f, int *n)
{
    const uint32_t *index = f->order + f->at;
    *n = 0;
    for (size_t i = 0, count = batch_images(f); i < count; i++) {
        if (f->unreadable[index[i]]) continue;
        if (!cxr_store_get(f->o.store, record_of(f, index[i]), f->images + (size_t)*n * f->form.image_bytes)) return false;
        f->labels[(*n)++] = f->o.part->labels[index[i]];
    }
    return true;
}

/* Keeps the features of the images of `b` that could be read. */
static cxr_status keep(cxr_feed *f, const cxr_batch *b, const cxr_tensor *features, cxr_error *err)
{
    const cxr_status st = f->o.backend->keep_save(features, f->kept, f->images, err);
    const uint8_t *image = f->images;
    bool all = true;
    for (int i = 0; i < b->n && st == CXR_OK; i++) {
        if (b->errors[i].status != CXR_OK) continue;
        cxr_store_put(f->o.store, record_of(f, b->index[i]), image);
        all = all && cxr_store_has(f->o.store, record_of(f, b->index[i]));
        image += f->form.image_bytes;
    }
    f->full = f->full || !all;
    return st;
}

/* ---- Epochs ---- */

static void make_order(cxr_feed *f, uint64_t epoch)
{
    const uint32_t count = (uint32_t)f->o.part->count;
    const uint64_t key = cxr_rng_key(f->o.loader.seed, CXR_FOR_ORDER, epoch, 0);
    if (f->o.loader.replacement) {
        cxr_subset_draw_balanced(f->o.part, f->order, key);
    } else if (f->o.shuffle) {
        cxr_rng_permutation(key, f->order, count);
    } else {
        for (uint32_t i = 0; i < count; i++) f->order[i] = i;
    }
}

/* Sets the loader to work on the batches from the current position on that are not kept. */
static cxr_status start_loader(cxr_feed *f, cxr_error *err)
{
    if (f->o.store == NULL) return cxr_loader_start(f->loader, f->order, f->o.part->count, f->at, f->view, f->o.shuffle, err);
    const size_t from = f->at;
    size_t count = 0;
    for (size_t n; f->at < f->o.part->count; f->at += n) {
        n = batch_images(f);
        if (is_kept(f)) continue;
        memcpy(f->wanted + count, f->order + f->at, n * sizeof *f->wanted);
        count += n;
    }
    f->at = from;
    return cxr_loader_start(f->loader, f->wanted, count, 0, f->view, f->o.shuffle, err);
}

/* The batch at the current position by way of the loader. */
static cxr_status compute(cxr_feed *f, cxr_features *out, double *waited, cxr_error *err)
{
    cxr_batch b;
    cxr_status st = cxr_loader_next(f->loader, &b, waited, err);
    if (st == CXR_OK) st = write_pixels(f, &b, out, err);
    if (st != CXR_OK || out->n == 0) return st;
    out->pixels = f->input;
    st = f->o.backend->forward(f->o.frozen, f->input, 0, &out->x, err);
    if (st == CXR_OK && f->o.store != NULL) st = keep(f, &b, out->x, err);
    return st;
}

/* Computes what is not kept of the current view in the batches of the epoch that saw it first. */
static cxr_status complete_view(cxr_feed *f, cxr_error *err)
{
    make_order(f, f->view);
    f->at = 0;
    cxr_status st = start_loader(f, err);
    while (st == CXR_OK && !f->full && f->at < f->o.part->count && !cxr_stop_asked(f->o.hooks)) {
        cxr_features unused;
        const size_t n = batch_images(f);
        if (!is_kept(f)) st = compute(f, &unused, NULL, err);
        f->at += n;
    }
    return st;
}

cxr_status cxr_feed_start(cxr_feed *f, uint64_t epoch, uint64_t done, cxr_error *err)
{
    const bool again = f->o.views > 0 && epoch >= (uint64_t)f->o.views;
    f->view = f->o.views > 0 ? epoch % (uint64_t)f->o.views : epoch;
    cxr_status st = again && f->o.store != NULL && !f->full ? complete_view(f, err) : CXR_OK;
    make_order(f, epoch);
    f->at = (size_t)done;
    if (st == CXR_OK) st = start_loader(f, err);
    return st;
}

cxr_status cxr_feed_next(cxr_feed *f, cxr_features *out, double *waited, cxr_error *err)
{
    *out = (cxr_features){.labels = f->labels};
    if (f->at == f->o.part->count) return CXR_OK;
    out->used = (int)batch_images(f);
    out->first = f->o.part->keys[f->order[f->at]];
    bool kept = is_kept(f);
    cxr_status st = CXR_OK;
    if (kept && !gather(f, &out->n)) { /* a damaged file: from here on it is known */
        kept = false;
        st = start_loader(f, err);
    }
    if (st == CXR_OK && !kept) st = compute(f, out, waited, err);
    if (st == CXR_OK && kept && out->n > 0) {
        st = f->o.backend->keep_load(f->kept, out->n, f->images, err);
        out->x = f->kept;
    }
    f->at += (size_t)out->used;
    return st;
}
