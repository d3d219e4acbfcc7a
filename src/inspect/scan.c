#include "inspect/scan.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

/* What small pictures are made of: a JPEG much larger than that need not be decoded at full size. */
static const cxr_preprocess target = {.rule = CXR_RESIZE_SQUASH, .size = CXR_SMALL_SIDE};

typedef struct pass {
    cxr_scan *s;
    const cxr_limits *limits;
    const cxr_hooks *hooks;
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards the first failure */
    cxr_error failure;
} pass;

static bool is_named_as(const char *path, const char *format)
{
    const char *dot = strrchr(path, '.');
    const bool png = dot != NULL && strcasecmp(dot, ".png") == 0;
    const bool jpeg = dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
    return !(png || jpeg) || png == (strcmp(format, "PNG") == 0);
}

static cxr_status hash_content(cxr_scanned *image, const cxr_buf *file, cxr_error *err)
{
    cxr_hash h;
    cxr_hash_begin(&h);
    cxr_hash_bytes(&h, file->data, file->len);
    image->bytes = file->len;
    const cxr_status st = cxr_hash_end(&h, image->content, err);
    image->has_content = st == CXR_OK;
    return st;
}

static cxr_status keep_picture(cxr_scan *s, size_t i, const cxr_image *img, cxr_error *err)
{
    float tiny[CXR_TINY_PIXELS];
    uint8_t *small = s->small + i * CXR_SMALL_PIXELS;
    const cxr_status st = cxr_small_make(small, img, err);
    if (st != CXR_OK) return st;
    cxr_tiny_make(tiny, small);
    cxr_frequencies(s->frequencies[i], tiny);
    return CXR_OK;
}

static cxr_status read_image(const pass *p, size_t i, cxr_error *err)
{
    cxr_scan *s = p->s;
    cxr_scanned *image = &s->images[i];
    const char *path = s->data->samples[i].path;
    cxr_buf file = {0};
    cxr_image img = {0};
    cxr_status st = cxr_buf_read(&file, path, p->limits->max_bytes, err);
    if (st == CXR_OK) st = hash_content(image, &file, err);
    if (st == CXR_OK) st = cxr_image_decode_info(&img, &image->info, file.data, file.len, path, &target, p->limits, err);
    if (st == CXR_OK) st = keep_picture(s, i, &img, err);
    image->wrong_name = image->info.format != NULL && !is_named_as(path, image->info.format);
    cxr_image_free(&img);
    cxr_buf_free(&file);
    return st;
}

static void fail(pass *p, cxr_status st, const char *text)
{
    pthread_mutex_lock(&p->mutex);
    if (p->failure.status == CXR_OK) (void)cxr_fail(&p->failure, st, "%s", text);
    pthread_mutex_unlock(&p->mutex);
    atomic_store(&p->stop, true);
}

static void look(void *user, int worker, size_t i)
{
    pass *p = user;
    cxr_error why = {0};
    if (worker == 0 && cxr_stop_asked(p->hooks)) fail(p, CXR_ESTOPPED, "stopped while reading images");
    if (atomic_load(&p->stop)) return;
    const cxr_status st = read_image(p, i, &why);
    if (st == CXR_ENOMEM || st == CXR_EINTERNAL) { /* no fault of the image */
        fail(p, st, why.text);
    } else if (st != CXR_OK) {
        p->s->images[i].unreadable = cxr_mem_strdup(why.text);
        if (p->s->images[i].unreadable == NULL) fail(p, CXR_ENOMEM, "out of memory for a sentence");
    }
}

cxr_status cxr_scan_images(cxr_scan *s, const cxr_dataset *d, const cxr_limits *limits, int threads, const cxr_hooks *hooks,
                           cxr_error *err)
{
    *s = (cxr_scan){.data = d, .count = d->count};
    s->images = cxr_mem_new(d->count, sizeof *s->images);
    s->small = cxr_mem_new(d->count, CXR_SMALL_PIXELS);
    s->frequencies = cxr_mem_new(d->count, sizeof *s->frequencies);
    if (s->images == NULL || s->small == NULL || s->frequencies == NULL) return cxr_mem_fail(err, "the small pictures");
    pass p = {.s = s, .limits = limits, .hooks = hooks};
    pthread_mutex_init(&p.mutex, NULL); /* cannot fail with default attributes on Linux */
    cxr_parallel(cxr_workers(threads, d->count), d->count, look, &p);
    pthread_mutex_destroy(&p.mutex);
    return p.failure.status == CXR_OK ? CXR_OK : cxr_fail(err, p.failure.status, "%s", p.failure.text);
}

void cxr_scan_free(cxr_scan *s)
{
    for (size_t i = 0; s->images != NULL && i < s->count; i++) cxr_mem_free(s->images[i].unreadable);
    cxr_mem_free(s->images);
    cxr_mem_free(s->small);
    cxr_mem_free(s->frequencies);
    *s = (cxr_scan){0};
}
