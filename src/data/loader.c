/* One mutex guards the ring. Work is handed out sample by sample, so that every thread helps with the batch that is needed
 * next; a thread may take a sample when its batch lies within `ahead` batches of those given back. The caller alone waits on
 * `done`, the threads wait on `work`. Pixels, indices and errors of a slot are written without the mutex by the one thread that
 * holds the sample, and read by the caller after the slot's count of finished samples is full. */
#include "data/loader.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/decoded.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define MAX_BATCH   4096
#define MAX_THREADS 1024
#define MAX_AHEAD   1024
#define MAX_SIZE    4096

typedef struct slot {
    uint8_t *pixels;
    uint32_t *index;
    cxr_error *errors;
    cxr_look *looks; /* NULL: not wanted */
    size_t finished;
} slot;

struct cxr_loader {
    cxr_loader_opts o;
    size_t image_bytes; /* all squares of one image */
    int views;
    cxr_decoded *images;
    slot *slots; /* o.ahead of them; batch b is in slot b % ahead */
    pthread_t *threads;
    int thread_count; /* running */

    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    bool closing;
    size_t busy; /* threads that hold a sample */

    /* The epoch: positions [0, count) of `order`, batches [0, batches). */
    uint32_t *order;
    size_t room, count, batches;
    uint64_t epoch;
    size_t start;    /* images of the epoch before order[0] */
    size_t next;     /* position that is handed out next */
    size_t returned; /* batches that the caller has given back */
    bool lent;       /* batch `returned` is with the caller */
};

/* ---- Threads ---- */

static size_t batch_of(const cxr_loader *l, size_t position)
{
    const size_t b = position / (size_t)l->o.batch_size;
    return b < l->batches ? b : l->batches - 1; /* a joined last image */
}

static size_t batch_images(const cxr_loader *l, size_t batch)
{
    const size_t first = batch * (size_t)l->o.batch_size;
    return batch + 1 < l->batches ? (size_t)l->o.batch_size : l->count - first;
}

static bool may_take(const cxr_loader *l)
{
    return l->next < l->count && batch_of(l, l->next) - l->returned < (size_t)l->o.ahead;
}

static bool crops(const cxr_loader_opts *o)
{
    return o->augment != NULL && o->augment->crop_min_scale > 0.0f;
}

/* The crop is of the image as it is; the other transforms are of the square. */
static cxr_status fill_cropped(const cxr_loader *l, uint8_t *pixels, uint32_t index, uint64_t key, cxr_error *err)
{
    cxr_image image;
    bool lent;
    cxr_status st = cxr_decoded_whole(l->images, index, &image, &lent, err);
    if (st == CXR_OK) st = cxr_image_to_input(pixels, &image, l->o.preprocess, l->o.augment, key, err);
    if (!lent) cxr_image_free(&image);
    return st;
}

static cxr_status fill_square(const cxr_loader *l, uint8_t *pixels, uint32_t index, uint64_t key, cxr_error *err)
{
    cxr_image square = {pixels, l->o.preprocess->size, l->o.preprocess->size};
    const cxr_status st = cxr_decoded_square(l->images, index, pixels, err);
    if (st != CXR_OK || l->o.augment == NULL) return st;
    return cxr_image_augment(&square, l->o.augment, key, err);
}

static cxr_status load(const cxr_loader *l, cxr_image *out, cxr_look *look, uint32_t index, cxr_error *err)
{
    const char *path = l->o.paths[index];
    double colour;
    if (look == NULL) return cxr_image_load(out, path, l->o.preprocess, &l->o.limits, err);
    const cxr_status st = cxr_image_load_coloured(out, &colour, path, l->o.preprocess, &l->o.limits, err);
    return st == CXR_OK ? cxr_look_at(look, out, colour, err) : st;
}

static cxr_status fill_squares(const cxr_loader *l, uint8_t *pixels, cxr_look *look, uint32_t index, cxr_error *err)
{
    cxr_image image;
    cxr_status st = load(l, &image, look, index, err);
    if (st == CXR_OK)
        st = l->o.squares != NULL ? l->o.squares->make(pixels, &image, l->o.preprocess, index, err)
                                  : cxr_image_to_input(pixels, &image, l->o.preprocess, NULL, 0, err);
    cxr_image_free(&image);
    return st;
}

static cxr_status fill_pixels(const cxr_loader *l, uint8_t *pixels, cxr_look *look, uint32_t index, uint64_t key,
                              cxr_error *err)
{
    if (l->o.squares != NULL || look != NULL) return fill_squares(l, pixels, look, index, err);
    return crops(&l->o) ? fill_cropped(l, pixels, index, key, err) : fill_square(l, pixels, index, key, err);
}

/* Reads one image into its place. */
static void fill(const cxr_loader *l, slot *s, size_t place, uint32_t index, uint64_t key)
{
    uint8_t *pixels = s->pixels + place * l->image_bytes;
    cxr_error *err = &s->errors[place];
    *err = (cxr_error){0};
    s->index[place] = index;
    const cxr_status st = fill_pixels(l, pixels, s->looks != NULL ? &s->looks[place] : NULL, index, key, err);
    if (st != CXR_OK) memset(pixels, 0, l->image_bytes);
}

static void *run_thread(void *arg)
{
    cxr_loader *l = arg;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->closing && !may_take(l)) pthread_cond_wait(&l->work, &l->mutex);
        if (l->closing) break;
        const size_t position = l->next++, batch = batch_of(l, position);
        slot *s = &l->slots[batch % (size_t)l->o.ahead];
        const uint32_t index = l->order[position];
        const uint64_t sample = l->o.replacement ? l->start + position : index;
        const uint64_t key = cxr_rng_key(l->o.seed, CXR_FOR_AUGMENT, l->epoch, sample);
        l->busy++;
        pthread_mutex_unlock(&l->mutex);
        fill(l, s, position - batch * (size_t)l->o.batch_size, index, key);
        pthread_mutex_lock(&l->mutex);
        l->busy--;
        s->finished++;
        if (s->finished == batch_images(l, batch) || l->busy == 0) pthread_cond_signal(&l->done);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Threads are born with every signal blocked: signals are the caller's. */
static cxr_status start_threads(cxr_loader *l, cxr_error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = 0;
    while (code == 0 && l->thread_count < l->o.threads) {
        code = pthread_create(&l->threads[l->thread_count], NULL, run_thread, l);
        l->thread_count += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == 0) return CXR_OK;
    return cxr_fail(err, CXR_EUNAVAILABLE, "loader thread %d of %d cannot start: %s", l->thread_count + 1, l->o.threads,
                    strerror(code));
}

/* ---- Opening and closing ---- */

static cxr_status check_options(const cxr_loader_opts *o, cxr_error *err)
{
    const struct {
        const char *name;
        int value, least, most;
    } ranges[] = {{"batch size", o->batch_size, 1, MAX_BATCH},
                  {"loader threads", o->threads, 1, MAX_THREADS},
                  {"batches ahead", o->ahead, 2, MAX_AHEAD},
                  {"image size", o->preprocess->size, 1, MAX_SIZE}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return cxr_fail(err, CXR_EUSAGE, "%s %d is outside %d..%d", ranges[i].name, ranges[i].value, ranges[i].least,
                            ranges[i].most);
    return CXR_OK;
}

static bool new_slots(cxr_loader *l)
{
    const size_t images = (size_t)l->o.batch_size + 1; /* one may be joined */
    l->slots = cxr_mem_new((size_t)l->o.ahead, sizeof *l->slots);
    l->threads = cxr_mem_new((size_t)l->o.threads, sizeof *l->threads);
    if (l->slots == NULL || l->threads == NULL) return false;
    for (int i = 0; i < l->o.ahead; i++) {
        slot *s = &l->slots[i];
        s->pixels = cxr_mem_new_aligned(images, l->image_bytes);
        s->index = cxr_mem_new(images, sizeof *s->index);
        s->errors = cxr_mem_new(images, sizeof *s->errors);
        s->looks = l->o.looks ? cxr_mem_new(images, sizeof *s->looks) : NULL;
        if (s->pixels == NULL || s->index == NULL || s->errors == NULL || (l->o.looks && s->looks == NULL)) return false;
    }
    return true;
}

static cxr_status open_images(cxr_loader *l, cxr_error *err)
{
    const cxr_decoded_opts o = {.paths = l->o.paths,
                                .contents = l->o.contents,
                                .count = l->o.count,
                                .preprocess = l->o.preprocess,
                                .limits = l->o.limits,
                                .whole = crops(&l->o),
                                .cache = l->o.cache,
                                .cache_dir = l->o.cache_dir,
                                .hooks = l->o.hooks};
    return cxr_decoded_open(&l->images, &o, err);
}

cxr_status cxr_loader_open(cxr_loader **out, const cxr_loader_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_status st = check_options(o, err);
    if (st != CXR_OK) return st;
    cxr_loader *l = cxr_mem_new(1, sizeof *l);
    if (l == NULL) return cxr_mem_fail(err, "the loader");
    l->o = *o;
    l->views = o->squares != NULL ? o->squares->count : 1;
    l->image_bytes = (size_t)o->preprocess->size * (size_t)o->preprocess->size * (size_t)l->views;
    pthread_mutex_init(&l->mutex, NULL); /* cannot fail with default attributes on Linux; nor can the next two */
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    st = open_images(l, err);
    if (st == CXR_OK) st = new_slots(l) ? start_threads(l, err) : cxr_mem_fail(err, "the loader's batches");
    if (st != CXR_OK) {
        cxr_loader_close(&l);
        return st;
    }
    *out = l;
    return CXR_OK;
}

void cxr_loader_close(cxr_loader **loader)
{
    if (loader == NULL || *loader == NULL) return;
    cxr_loader *l = *loader;
    pthread_mutex_lock(&l->mutex);
    l->closing = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < l->thread_count; i++) pthread_join(l->threads[i], NULL);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->mutex);
    for (int i = 0; l->slots != NULL && i < l->o.ahead; i++) {
        cxr_mem_free(l->slots[i].pixels);
        cxr_mem_free(l->slots[i].index);
        cxr_mem_free(l->slots[i].errors);
        cxr_mem_free(l->slots[i].looks);
    }
    cxr_decoded_close(&l->images);
    cxr_mem_free(l->slots);
    cxr_mem_free(l->threads);
    cxr_mem_free(l->order);
    cxr_mem_free(l);
    *loader = NULL;
}

/* ---- Epochs ---- */

static cxr_status check_order(const cxr_loader *l, const uint32_t *order, size_t count, size_t start, cxr_error *err)
{
    if (start > count) return cxr_fail(err, CXR_EUSAGE, "epoch of %zu images cannot start at %zu", count, start);
    for (size_t i = start; i < count; i++)
        if (order[i] >= l->o.count)
            return cxr_fail(err, CXR_EUSAGE, "order names image %u of %zu", (unsigned)order[i], l->o.count);
    return CXR_OK;
}

/* With the mutex held: hands out nothing more and waits until no thread holds a sample. */
static void cancel(cxr_loader *l)
{
    l->next = l->count;
    while (l->busy > 0) pthread_cond_wait(&l->done, &l->mutex);
}

static cxr_status keep_order(cxr_loader *l, const uint32_t *order, size_t count, cxr_error *err)
{
    if (count > l->room) {
        uint32_t *grown = cxr_mem_resize(l->order, count, sizeof *grown);
        if (grown == NULL) return cxr_mem_fail(err, "the order of an epoch");
        l->order = grown;
        l->room = count;
    }
    if (count > 0) memcpy(l->order, order, count * sizeof *order);
    return CXR_OK;
}

cxr_status cxr_loader_start(cxr_loader *l, const uint32_t *order, size_t count, size_t start, uint64_t epoch, bool join_last,
                            cxr_error *err)
{
    cxr_status st = check_order(l, order, count, start, err);
    if (st != CXR_OK) return st;
    pthread_mutex_lock(&l->mutex);
    cancel(l);
    l->count = l->batches = l->next = l->returned = 0;
    l->lent = false;
    st = keep_order(l, order + start, count - start, err);
    if (st == CXR_OK) {
        const size_t size = (size_t)l->o.batch_size;
        l->count = count - start;
        l->batches = (l->count + size - 1) / size;
        if (join_last && l->batches > 1 && batch_images(l, l->batches - 1) == 1) l->batches--;
        l->epoch = epoch;
        l->start = start;
        for (int i = 0; i < l->o.ahead; i++) l->slots[i].finished = 0;
        pthread_cond_broadcast(&l->work);
    }
    pthread_mutex_unlock(&l->mutex);
    return st;
}

/* With the mutex held: gives the caller's batch back, so that its slot can be filled again. */
static void take_back(cxr_loader *l)
{
    if (!l->lent) return;
    l->slots[l->returned % (size_t)l->o.ahead].finished = 0;
    l->returned++;
    l->lent = false;
    pthread_cond_broadcast(&l->work);
}

/* Memory or a bug is no fault of the image: never to be skipped as unreadable. */
static cxr_status check_batch(const cxr_batch *b, cxr_error *err)
{
    for (int i = 0; i < b->n; i++)
        if (b->errors[i].status == CXR_ENOMEM || b->errors[i].status == CXR_EINTERNAL)
            return cxr_fail(err, b->errors[i].status, "%s", b->errors[i].text);
    return CXR_OK;
}

cxr_status cxr_loader_next(cxr_loader *l, cxr_batch *b, double *waited, cxr_error *err)
{
    *b = (cxr_batch){0};
    const double before = cxr_now();
    pthread_mutex_lock(&l->mutex);
    take_back(l);
    if (l->returned < l->batches) {
        const slot *s = &l->slots[l->returned % (size_t)l->o.ahead];
        const size_t n = batch_images(l, l->returned);
        while (s->finished < n) pthread_cond_wait(&l->done, &l->mutex);
        *b = (cxr_batch){
            .pixels = s->pixels, .index = s->index, .looks = s->looks, .errors = s->errors, .n = (int)n, .views = l->views};
        l->lent = true;
    }
    pthread_mutex_unlock(&l->mutex);
    if (waited != NULL) *waited += cxr_now() - before;
    return check_batch(b, err);
}
