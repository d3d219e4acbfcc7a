/* Writing a data set of phantoms: folders, patients and names as in the published set. */
#include "data/phantom.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>

#define QUALITY      92
#define MAX_IMAGES   1000000
#define MAX_PICTURES 3 /* of one patient */

void cxr_phantom_opts_default(cxr_phantom_opts *o)
{
    *o = (cxr_phantom_opts){.train = 240, .val = 24, .test = 80, .size = 256, .seed = 1};
}

static cxr_status check_options(const cxr_phantom_opts *o, cxr_error *err)
{
    if (o->out == NULL || *o->out == '\0') return cxr_fail(err, CXR_EUSAGE, "phantoms need a folder to be written to");
    const int counts[] = {o->train, o->val, o->test};
    for (int i = 0; i < 3; i++)
        if (counts[i] < 0 || counts[i] > MAX_IMAGES)
            return cxr_fail(err, CXR_EUSAGE, "%d phantoms are outside 0..%d", counts[i], MAX_IMAGES);
    if (o->train == 0) return cxr_fail(err, CXR_EUSAGE, "phantoms to train on: at least 1 is needed");
    if (o->size < 64 || o->size > 4096) return cxr_fail(err, CXR_EUSAGE, "phantom size %d is outside 64..4096", o->size);
    return CXR_OK;
}

/* Creates the folder, or accepts an empty one. */
static cxr_status make_empty_folder(const char *path, cxr_error *err)
{
    const cxr_status st = cxr_make_folders(path, err);
    if (st != CXR_OK) return st;
    DIR *dir = opendir(path);
    if (dir == NULL) return cxr_fail(err, CXR_ECREATE, "%s: cannot read folder: %s", path, strerror(errno));
    bool is_empty = true;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) is_empty = false;
    (void)closedir(dir);
    return is_empty ? CXR_OK : cxr_fail(err, CXR_ECREATE, "%s: not empty; nothing was written", path);
}

static cxr_status write_picture(const char *folder, const cxr_patient *p, uint64_t key, int size, bool ill, int patient,
                                int picture, cxr_error *err)
{
    cxr_exposure e;
    cxr_image img = {0};
    cxr_exposure_draw(&e, key, size);
    char *path = ill ? cxr_mem_printf("%s/person%d_%d.jpeg", folder, patient, picture)
                     : cxr_mem_printf("%s/IM-%04d-%04d.jpeg", folder, patient, picture);
    if (path == NULL) return cxr_mem_fail(err, "a file name");
    cxr_status st = cxr_phantom_render(&img, p, &e, err);
    if (st == CXR_OK) st = cxr_image_write_jpeg(&img, path, QUALITY, err);
    cxr_image_free(&img);
    cxr_mem_free(path);
    return st;
}

/* `count` pictures of patients numbered on from *patient, which no other split or class shares. */
static cxr_status write_class(const cxr_phantom_opts *o, const char *split, bool ill, int count, int *patient, cxr_error *err)
{
    char *folder = cxr_mem_printf("%s/%s/%s", o->out, split, ill ? "PNEUMONIA" : "NORMAL");
    if (folder == NULL) return cxr_mem_fail(err, "a folder name");
    cxr_status st = cxr_make_folders(folder, err);
    for (int done = 0; st == CXR_OK && done < count; ++*patient) {
        const uint64_t key = cxr_rng_key(o->seed, CXR_FOR_PHANTOM, ill, (uint64_t)*patient);
        cxr_patient p;
        cxr_patient_draw(&p, cxr_rng_u64(key, 0), ill);
        const int pictures = 1 + (int)(cxr_rng_u64(key, 1) % MAX_PICTURES);
        for (int i = 1; st == CXR_OK && i <= pictures && done < count; i++, done++)
            st = write_picture(folder, &p, cxr_rng_u64(key, 1 + (uint64_t)i), o->size, ill, *patient, i, err);
    }
    cxr_mem_free(folder);
    return st;
}

cxr_status cxr_phantom(const cxr_phantom_opts *opts, cxr_error *err)
{
    cxr_status st = check_options(opts, err);
    if (st == CXR_OK) st = make_empty_folder(opts->out, err);
    const struct {
        const char *name;
        int count;
    } splits[] = {{"train", opts->train}, {"val", opts->val}, {"test", opts->test}};
    int patient[2] = {1, 1};
    for (int s = 0; st == CXR_OK && s < 3; s++)
        for (int ill = 0; st == CXR_OK && splits[s].count > 0 && ill < 2; ill++)
            st = write_class(opts, splits[s].name, ill == 1, splits[s].count, &patient[ill], err);
    return st;
}
