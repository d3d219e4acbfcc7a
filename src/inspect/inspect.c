/* cxr_inspect(): one pass over the images, the checks, and what is written of them. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "inspect/result.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cxr_checked blank_checks[CXR_CHECKS] = {
    [CXR_CHECK_READABLE] = {.name = "readable",
                            .title = "Unreadable files",
                            .method = "Every file is decoded as training would."},
    [CXR_CHECK_CLASSES] = {.name = "classes",
                           .title = "Classes",
                           .method =
                               "A class's share of a split that is more than 10 points from its share of train, or fewer than "
                               "10 images of it, deserve a look."},
    [CXR_CHECK_FORMATS] = {.name = "formats",
                           .title = "Kinds of files",
                           .method = "Format by content, channels and bits as stored. Where kinds differ by class, a model can "
                                     "learn the kind."},
    [CXR_CHECK_ORIENTATION] = {.name = "orientation",
                               .title = "EXIF orientation",
                               .method = "The tag in the file's EXIF data."},
    [CXR_CHECK_EXACT] = {.name = "duplicates",
                         .title = "Identical files",
                         .method = "Files with the same SHA-256. One on both sides of a split makes the figures too good."},
    [CXR_CHECK_NEAR] = {.name = "near-duplicates",
                        .title = "Near duplicates",
                        .method =
                            "Images with nearby fingerprints are laid over each other; from a correlation of their detail of "
                            "0.90 on they count as one picture, saved again, cropped, turned a little or in another exposure.",
                        .score = "correlation of detail"},
    [CXR_CHECK_ALIKE] = {.name = "look-alikes",
                         .title = "Look-alikes of different groups",
                         .method =
                             "The same correlation between 0.80 and 0.90, for images of different groups: often two films of "
                             "one patient, sometimes chance.",
                         .score = "correlation of detail"},
    [CXR_CHECK_LABELS] = {.name = "labels",
                          .title = "Label conflicts",
                          .method = "Identical files and near duplicates that have different labels.",
                          .score = "correlation of detail"},
    [CXR_CHECK_GROUPS] = {.name = "groups",
                          .title = "Groups in more than one split",
                          .method =
                              "File-name group, unverified: names are no proof of who the patient is, and some sets count anew "
                              "in each folder."},
    [CXR_CHECK_BLANK] = {.name = "blank",
                         .title = "Blank images",
                         .method = "A standard deviation of grey below 5 of 255.",
                         .score = "standard deviation of grey"},
    [CXR_CHECK_SUSPECTS] =
        {.name = "suspects",
         .title = "Inverted, turned, or no such film",
         .method = "Each image, its greys replaced by their ranks, is correlated with the mean of the set, with that "
                   "turned by quarters, and inverted. A correlation that is higher by 0.05 than upright makes a "
                   "suspect, and so does one below 0.2 in all positions.",
         .score = "difference of the correlations, or the best of them"},
    [CXR_CHECK_SHIFT] =
        {.name = "shift",
         .title = "Shift from train to test",
         .method = "A logistic regression on the features of a model's backbone tells test from train, in five folds "
                   "by group; its area under the ROC by out-of-fold scores. 0.5: they are alike to the model. A model "
                   "that was trained on these images knows them, and tells them more easily.",
         .score = "probability of being of test"},
};

void cxr_inspect_opts_default(cxr_inspect_opts *o)
{
    *o = (cxr_inspect_opts){.group_by = "auto"};
    cxr_run_opts_default(&o->run);
}

static int severity(cxr_verdict v)
{
    return v == CXR_VERDICT_PROBLEM ? 2 : v == CXR_VERDICT_LOOK ? 1 : 0;
}

cxr_verdict cxr_result_verdict(const cxr_result *r)
{
    cxr_verdict worst = CXR_VERDICT_OK;
    for (int k = 0; k < CXR_CHECKS; k++)
        if (severity(r->checks[k].verdict) > severity(worst)) worst = r->checks[k].verdict;
    return worst;
}

/* ---- Checks ---- */

static cxr_status check_files(cxr_result *r, cxr_error *err)
{
    cxr_checked *c = r->checks;
    cxr_status st = cxr_check_readable(&c[CXR_CHECK_READABLE], &r->scan, err);
    if (st == CXR_OK) st = cxr_check_classes(&c[CXR_CHECK_CLASSES], &r->scan, err);
    if (st == CXR_OK) st = cxr_kinds_count(&r->kinds, &r->scan, err);
    if (st == CXR_OK) st = cxr_check_formats(&c[CXR_CHECK_FORMATS], &r->scan, &r->kinds, err);
    if (st == CXR_OK) st = cxr_check_orientation(&c[CXR_CHECK_ORIENTATION], &r->scan, err);
    if (st == CXR_OK) st = cxr_check_groups(&c[CXR_CHECK_GROUPS], &r->scan, err);
    if (st == CXR_OK) st = cxr_check_blank(&c[CXR_CHECK_BLANK], &r->scan, err);
    if (st == CXR_OK) st = cxr_check_suspects(&c[CXR_CHECK_SUSPECTS], &r->scan, err);
    return st;
}

static cxr_status check_duplicates(cxr_result *r, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_checked *c = r->checks;
    cxr_status st = cxr_duplicates_find(&r->duplicates, &r->scan, r->o->run.threads, hooks, err);
    if (st == CXR_OK) st = cxr_check_exact(&c[CXR_CHECK_EXACT], &r->scan, &r->duplicates, err);
    if (st == CXR_OK) st = cxr_check_near(&c[CXR_CHECK_NEAR], &r->scan, &r->duplicates, err);
    if (st == CXR_OK) st = cxr_check_alike(&c[CXR_CHECK_ALIKE], &r->scan, &r->duplicates, err);
    if (st == CXR_OK) st = cxr_check_labels(&c[CXR_CHECK_LABELS], &r->scan, &c[CXR_CHECK_EXACT], &c[CXR_CHECK_NEAR], err);
    return st;
}

static cxr_status examine(cxr_result *r, const cxr_hooks *hooks, cxr_error *err)
{
    const cxr_run_opts *run = &r->o->run;
    const double start = cxr_now();
    cxr_status st = cxr_scan_images(&r->scan, &r->data, &run->limits, run->threads, hooks, err);
    const double read = cxr_now();
    if (st == CXR_OK) st = check_files(r, err);
    if (st == CXR_OK) st = check_duplicates(r, hooks, err);
    const double compared = cxr_now();
    if (st == CXR_OK) st = cxr_check_shift(&r->checks[CXR_CHECK_SHIFT], &r->shift, &r->scan, r->o->model, run, hooks, err);
    if (st == CXR_OK)
        cxr_log(hooks, CXR_DEBUG, "reading %.1f s, comparing %.1f s, shift %.1f s", read - start, compared - read,
                cxr_now() - compared);
    return st;
}

/* ---- What is written ---- */

static cxr_status write_files(const cxr_result *r, const char *json, cxr_error *err)
{
    if (r->o->out == NULL) return CXR_OK;
    cxr_status st = cxr_make_folders(r->o->out, err);
    char *object = cxr_path_join(r->o->out, "inspect.json"), *page = cxr_path_join(r->o->out, "inspect.html");
    if (st == CXR_OK && (object == NULL || page == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_file_write(object, json, strlen(json), err);
    if (st == CXR_OK) st = cxr_result_page(r, page, err);
    cxr_mem_free(object);
    cxr_mem_free(page);
    return st;
}

char *cxr_finding_line(const cxr_result *r, const cxr_finding *f)
{
    char *line = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&line, &len);
    if (out == NULL) return NULL;
    const char *gap = "";
    if (!isnan(f->score)) (void)fprintf(out, "%.3f", f->score), gap = "  ";
    if (f->note != NULL) (void)fprintf(out, "%s%s", gap, f->note), gap = "  ";
    for (size_t i = 0; i < f->count; i++, gap = "  ") {
        const cxr_sample *s = &r->data.samples[f->images[i]];
        if (f->note == NULL || strstr(f->note, s->key) == NULL) (void)fprintf(out, "%s%s", gap, s->key); /* a reason names it */
    }
    const bool whole = fclose(out) == 0;
    char *copy = whole ? cxr_mem_strdup(line) : NULL;
    free(line);
    return copy;
}

/* ---- What the caller sees ---- */

static cxr_status show_check(cxr_data_check *to, const cxr_result *r, const cxr_checked *c, cxr_error *err)
{
    char **lines = cxr_mem_new(c->count, sizeof *lines), *says = cxr_mem_strdup(c->says);
    *to = (cxr_data_check){.name = c->name, .verdict = c->verdict, .says = says, .lines = (const char *const *)lines};
    if (lines == NULL || says == NULL) return cxr_mem_fail(err, "the findings");
    for (size_t i = 0; i < c->count; i++, to->line_count++)
        if ((lines[i] = cxr_finding_line(r, &c->findings[i])) == NULL) return cxr_mem_fail(err, "the findings");
    return CXR_OK;
}

static cxr_status show_classes(cxr_inspection *i, const cxr_dataset *d, cxr_error *err)
{
    char **names = cxr_mem_new((size_t)d->class_count, sizeof *names);
    i->class_names = (const char *const *)names;
    i->counts = cxr_mem_new((size_t)d->class_count, sizeof *i->counts);
    if (names == NULL || i->counts == NULL) return cxr_mem_fail(err, "the classes");
    for (; i->classes < d->class_count; i->classes++) {
        const int k = i->classes;
        if ((names[k] = cxr_mem_strdup(d->classes[k])) == NULL) return cxr_mem_fail(err, "the classes");
        for (int s = 0; s <= CXR_SPLIT_NONE; s++) i->counts[k][s] = cxr_dataset_count(d, (cxr_split)s, k);
    }
    return CXR_OK;
}

static cxr_status show(cxr_inspection *i, const cxr_result *r, cxr_error *err)
{
    i->images = r->data.count;
    i->verdict = cxr_result_verdict(r);
    cxr_status st = show_classes(i, &r->data, err);
    i->checks = cxr_mem_new(CXR_CHECKS, sizeof *i->checks);
    if (st == CXR_OK && i->checks == NULL) st = cxr_mem_fail(err, "the checks");
    for (int k = 0; k < CXR_CHECKS && st == CXR_OK; k++) st = show_check(&i->checks[i->check_count++], r, &r->checks[k], err);
    if (st == CXR_OK && (i->json = cxr_result_json(r)) == NULL) st = cxr_mem_fail(err, "the findings as JSON");
    return st;
}

void cxr_inspection_free(cxr_inspection **inspection)
{
    if (inspection == NULL || *inspection == NULL) return;
    cxr_inspection *i = *inspection;
    for (size_t k = 0; i->checks != NULL && k < i->check_count; k++) {
        for (size_t n = 0; n < i->checks[k].line_count; n++) cxr_mem_free((char *)(uintptr_t)i->checks[k].lines[n]);
        cxr_mem_free((void *)(uintptr_t)i->checks[k].lines);
        cxr_mem_free((char *)(uintptr_t)i->checks[k].says);
    }
    for (int k = 0; k < i->classes; k++) cxr_mem_free((char *)(uintptr_t)i->class_names[k]);
    cxr_mem_free((void *)(uintptr_t)i->class_names);
    cxr_mem_free(i->counts);
    cxr_mem_free(i->checks);
    cxr_mem_free(i->json);
    cxr_mem_free(i);
    *inspection = NULL;
}

static void result_free(cxr_result *r)
{
    for (int k = 0; k < CXR_CHECKS; k++) cxr_check_free(&r->checks[k]);
    cxr_shift_free(&r->shift);
    cxr_duplicates_free(&r->duplicates);
    cxr_kinds_free(&r->kinds);
    cxr_scan_free(&r->scan);
    cxr_dataset_close(&r->data);
}

cxr_status cxr_inspect(const cxr_inspect_opts *opts, const cxr_hooks *hooks, cxr_inspection **out, cxr_error *err)
{
    cxr_result r = {.o = opts};
    *out = NULL;
    if (opts->data == NULL) return cxr_fail(err, CXR_EUSAGE, "no data set is named");
    memcpy(r.checks, blank_checks, sizeof r.checks);
    cxr_status st = cxr_dataset_open(&r.data, opts->data, opts->group_by, err);
    if (st == CXR_OK && opts->split_file != NULL) st = cxr_split_read(&r.data, opts->split_file, err);
    if (st == CXR_OK && r.data.count > UINT32_MAX / 2) st = cxr_fail(err, CXR_ELIMIT, "%s: too many images", opts->data);
    if (st == CXR_OK) st = examine(&r, hooks, err);
    cxr_inspection *i = st == CXR_OK ? cxr_mem_new(1, sizeof *i) : NULL;
    if (st == CXR_OK) st = i == NULL ? cxr_mem_fail(err, "the inspection") : show(i, &r, err);
    if (st == CXR_OK) st = write_files(&r, i->json, err);
    result_free(&r);
    if (st != CXR_OK) cxr_inspection_free(&i);
    *out = i;
    return st;
}
