/* A small data set of JPEGs on disk that a network can learn, and a folder to run in. */
#ifndef CXR_TESTS_TRAIN_TOY_H
#define CXR_TESTS_TRAIN_TOY_H
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/image.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char toy_root[] = "/tmp/cxr-toy-XXXXXX";

static inline int toy_unlink(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static inline void toy_remove(void)
{
    (void)nftw(toy_root, toy_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* "root/name", for a handful of calls at once. */
static inline const char *toy_path(const char *name)
{
    static char ring[8][256];
    static int at;
    char *path = ring[at++ % 8];
    (void)snprintf(path, sizeof ring[0], "%s/%s", toy_root, name);
    return path;
}

/* A small network, trained on the toy data into root/out by one thread. */
static inline cxr_train_opts toy_training(const char *out, const char *freeze, int epochs)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.data = toy_path("data");
    o.out = toy_path(out);
    o.preprocess.size = 32;
    o.head[0] = 16;
    o.head_count = 1;
    o.freeze = freeze;
    o.lr = 1e-3f;
    o.epochs = epochs;
    o.batch_size = 8;
    o.threads = 1;
    o.checkpoint_seconds = 0.0;
    return o;
}

/* Horizontal stripes are class A, vertical ones class B, with noise. */
static inline bool toy_image(const char *path, int label, uint64_t key)
{
    cxr_image img;
    if (cxr_image_new(&img, 40, 40, NULL) != CXR_OK) return false;
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < 40; x++) {
            const int stripe = ((label == 0 ? y : x) + (int)(key % 8)) / 5 % 2;
            img.pixels[y * 40 + x] = (uint8_t)(60 + 100 * stripe + (int)(cxr_rng_u64(key, (uint64_t)(y * 40 + x)) % 60));
        }
    const bool ok = cxr_image_write_jpeg(&img, path, 90, NULL) == CXR_OK;
    cxr_image_free(&img);
    return ok;
}

static inline bool toy_split(const char *split, int per_class)
{
    for (int label = 0; label < 2; label++) {
        char name[64], *folder;
        (void)snprintf(name, sizeof name, "data/%s/%c", split, 'A' + label);
        folder = cxr_path_join(toy_root, name);
        bool ok = folder != NULL && cxr_make_folders(folder, NULL) == CXR_OK;
        for (int i = 0; i < per_class && ok; i++) {
            (void)snprintf(name, sizeof name, "data/%s/%c/%d.jpeg", split, 'A' + label, i);
            ok = toy_image(toy_path(name), label,
                           cxr_rng_key(9, CXR_FOR_TEST, (uint64_t)split[1], (uint64_t)(label * 1000 + i)));
        }
        cxr_mem_free(folder);
        if (!ok) return false;
    }
    return true;
}

/* train/ 2 x 21 (with batches of 8: five and a remainder of two), val/ 2 x 16, test/ 2 x 5. */
static inline bool toy_create(void)
{
    return mkdtemp(toy_root) != NULL && toy_split("train", 21) && toy_split("val", 16) && toy_split("test", 5);
}
#endif
