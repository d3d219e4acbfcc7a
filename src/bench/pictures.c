/* The data side: JPEGs in memory, and decoding and transforming them on a team of threads, each at its own pictures as the
 * loader's threads are. */
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench/work.h"
#include "data/phantom.h"
#include <pthread.h>

#define PHANTOMS     4
#define PHANTOM_SIDE 1024 /* as published radiographs, half a megabyte or so */
#define QUALITY      92
#define MAX_PICTURES 4096

static cxr_status make_phantom(cxr_buf *jpeg, uint64_t index, cxr_error *err)
{
    const uint64_t key = cxr_rng_key(1, CXR_FOR_PHANTOM, 0, index);
    cxr_patient patient;
    cxr_exposure exposure;
    cxr_image image;
    cxr_patient_draw(&patient, key, index % 2 == 1);
    cxr_exposure_draw(&exposure, key, PHANTOM_SIDE);
    cxr_status st = cxr_phantom_render(&image, &patient, &exposure, err);
    if (st == CXR_OK) st = cxr_image_encode_jpeg(jpeg, &image, QUALITY, "a phantom", err);
    cxr_image_free(&image);
    return st;
}

cxr_status cxr_pictures_open(cxr_pictures *p, const char *const *paths, size_t count, cxr_error *err)
{
    cxr_limits limits;
    cxr_limits_default(&limits);
    *p = (cxr_pictures){.names = count > 0 ? paths : NULL};
    if (count > MAX_PICTURES) return cxr_fail(err, CXR_EUSAGE, "%zu pictures to time with: at most %d", count, MAX_PICTURES);
    const size_t wanted = count > 0 ? count : PHANTOMS;
    p->files = cxr_mem_new(wanted, sizeof *p->files);
    if (p->files == NULL) return cxr_mem_fail(err, "pictures");
    cxr_status st = CXR_OK;
    for (; p->count < wanted && st == CXR_OK; p->count++)
        st = count > 0 ? cxr_buf_read(&p->files[p->count], paths[p->count], limits.max_bytes, err)
                       : make_phantom(&p->files[p->count], p->count, err);
    return st;
}

cxr_status cxr_picture_decode(cxr_image *out, const cxr_pictures *p, size_t index, const cxr_preprocess *target, cxr_error *err)
{
    cxr_limits limits;
    cxr_limits_default(&limits);
    const char *name = p->names != NULL ? p->names[index] : "a phantom";
    return cxr_image_decode(out, p->files[index].data, p->files[index].len, name, target, &limits, err);
}

void cxr_pictures_close(cxr_pictures *p)
{
    for (size_t i = 0; i < p->count; i++) cxr_buf_free(&p->files[i]);
    cxr_mem_free(p->files);
    *p = (cxr_pictures){0};
}

/* One thread's share: pictures from `first` on, round and round until `least` seconds are over. */
typedef struct share {
    const cxr_work_for *what;
    const cxr_image *images; /* NULL: decode */
    size_t first, done;
    uint8_t *input;
    cxr_status status;
    cxr_error err;
} share;

static cxr_status one_picture(share *s, size_t i)
{
    static const cxr_augment article = {.flip = 0.5f, .rotate_degrees = 10};
    const cxr_preprocess *pre = &s->what->model->preprocess;
    if (s->images != NULL) {
        const uint64_t key = cxr_rng_key(1, CXR_FOR_AUGMENT, 0, s->done);
        return cxr_image_to_input(s->input, &s->images[i], pre, &article, key, &s->err);
    }
    cxr_image image;
    const cxr_status st = cxr_picture_decode(&image, s->what->pictures, i, pre, &s->err);
    cxr_image_free(&image);
    return st;
}

static void *work_on_share(void *user)
{
    share *s = user;
    const double start = cxr_now();
    do {
        s->status = one_picture(s, (s->first + s->done) % s->what->pictures->count);
        s->done++;
    } while (s->status == CXR_OK && cxr_now() - start < s->what->opts->seconds);
    return NULL;
}

/* Runs the shares side by side; their sum of pictures over the time it took. */
static cxr_status run_shares(share *shares, int count, double *pictures_per_second, cxr_error *err)
{
    pthread_t threads[1024];
    int started = 0;
    double done = 0.0;
    const double start = cxr_now();
    while (started + 1 < count && pthread_create(&threads[started], NULL, work_on_share, &shares[started + 1]) == 0) started++;
    (void)work_on_share(&shares[0]);
    for (int i = 0; i < started; i++) (void)pthread_join(threads[i], NULL);
    const double seconds = cxr_now() - start;
    if (started + 1 < count) return cxr_fail(err, CXR_ENOMEM, "no memory for %d threads", count);
    for (int i = 0; i < count; i++) {
        if (shares[i].status != CXR_OK) return cxr_fail(err, shares[i].status, "%s", shares[i].err.text);
        done += (double)shares[i].done;
    }
    *pictures_per_second = done / seconds;
    return CXR_OK;
}

cxr_status cxr_pictures_time(const cxr_work_for *what, const cxr_image *images, double *seconds, cxr_error *err)
{
    const size_t side = (size_t)what->model->preprocess.size, count = (size_t)what->threads;
    share *shares = cxr_mem_new(count, sizeof *shares);
    uint8_t *inputs = cxr_mem_new(count, side * side);
    cxr_status st = shares != NULL && inputs != NULL ? CXR_OK : cxr_mem_fail(err, "a team of threads");
    double rate = 0.0;
    for (size_t i = 0; i < count && st == CXR_OK; i++)
        shares[i] = (share){.what = what, .images = images, .first = i, .input = inputs + i * side * side};
    if (st == CXR_OK) st = run_shares(shares, what->threads, &rate, err);
    if (st == CXR_OK) *seconds = what->batch / rate;
    cxr_mem_free(inputs);
    cxr_mem_free(shares);
    return st;
}
