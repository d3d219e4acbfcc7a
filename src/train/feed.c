#include "train/feed.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include <string.h>

struct cxr_feed {
    cxr_feed_opts o;
    cxr_loader *loader;
    cxr_tensor *input; /* pixels */
    uint8_t *pixels;   /* a batch whose unreadable images were taken out */
    int *labels;       /* of a batch */
    uint32_t *order;
    bool *unreadable; /* by image: it could not be read, and that was logged */
    uint64_t skipped;
};

/* A batch has room for the lone last image of an epoch; few images make no large batch. */
static size_t max_batch(const cxr_feed *f)
{
    const size_t full = (size_t)f->o.loader.batch_size + (f->o.shuffle ? 1 : 0);
    return f->o.part->count < full ? f->o.part->count : full;
}

cxr_status cxr_feed_open(cxr_feed **out, const cxr_feed_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_feed *f = cxr_mem_new(1, sizeof *f);
    if (f == NULL) return cxr_mem_fail(err, "the images' way to the network");
    f->o = *o;
    const int side = o->loader.preprocess->size;
    const size_t count = o->part->count, batch = max_batch(f);
    f->pixels = cxr_mem_new(batch * (size_t)side, (size_t)side);
    f->labels = cxr_mem_new(batch, sizeof *f->labels);
    f->order = cxr_mem_new(count, sizeof *f->order);
    f->unreadable = cxr_mem_new(count, sizeof *f->unreadable);
    cxr_status st = CXR_OK;
    if (f->pixels == NULL || f->labels == NULL || f->order == NULL || f->unreadable == NULL)
        st = cxr_mem_fail(err, "the images' way to the network");
    if (st == CXR_OK) st = o->backend->tensor_new(&f->input, CXR_U8, (int)batch, (cxr_shape){1, side, side}, err);
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
    f->o.backend->tensor_free(&f->input);
    cxr_mem_free(f->pixels);
    cxr_mem_free(f->labels);
    cxr_mem_free(f->order);
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

cxr_status cxr_feed_start(cxr_feed *f, uint64_t epoch, uint64_t done, cxr_error *err)
{
    const uint32_t count = (uint32_t)f->o.part->count;
    if (f->o.shuffle) {
        cxr_rng_permutation(cxr_rng_key(f->o.loader.seed, CXR_FOR_ORDER, epoch, 0), f->order, count);
    } else {
        for (uint32_t i = 0; i < count; i++) f->order[i] = i;
    }
    return cxr_loader_start(f->loader, f->order, count, (size_t)done, epoch, f->o.shuffle, err);
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

/* Puts the readable images of a batch into the input tensor; *n is how many. */
static cxr_status write_pixels(cxr_feed *f, const cxr_batch *b, int *n, cxr_error *err)
{
    const size_t side = (size_t)f->o.loader.preprocess->size, each = side * side;
    const uint8_t *from = b->pixels;
    *n = 0;
    for (int i = 0; i < b->n; i++) {
        if (b->errors[i].status == CXR_OK) {
            f->labels[(*n)++] = f->o.part->labels[b->index[i]];
            continue;
        }
        const cxr_status st = leave_out(f, b->index[i], &b->errors[i], err);
        if (st != CXR_OK) return st;
    }
    if (*n < b->n) {
        uint8_t *to = f->pixels;
        for (int i = 0; i < b->n; i++)
            if (b->errors[i].status == CXR_OK) to = (uint8_t *)memcpy(to, b->pixels + (size_t)i * each, each) + each;
        from = f->pixels;
    }
    return *n == 0 ? CXR_OK : f->o.backend->tensor_write(f->input, *n, from, err);
}

cxr_status cxr_feed_next(cxr_feed *f, cxr_features *out, double *waited, cxr_error *err)
{
    *out = (cxr_features){.labels = f->labels};
    cxr_batch b;
    cxr_status st = cxr_loader_next(f->loader, &b, waited, err);
    if (st != CXR_OK || b.n == 0) return st;
    out->used = b.n;
    out->first = f->o.part->keys[b.index[0]];
    st = write_pixels(f, &b, &out->n, err);
    if (st == CXR_OK && out->n > 0) st = f->o.backend->forward(f->o.frozen, f->input, 0, &out->x, err);
    return st;
}
