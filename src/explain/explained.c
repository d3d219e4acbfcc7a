#include "explain/explained.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "explain/outputs.h"
#include "model/model.h"
#include <stdio.h>

#define TEXT 320 /* of a figure's line, bytes */

static cxr_status make_folder_of(const char *path, cxr_error *err)
{
    char *folder = cxr_mem_printf("%.*s", (int)(cxr_path_name(path) - path - 1), path);
    if (folder == NULL) return cxr_mem_fail(err, path);
    const cxr_status st = cxr_path_is_folder(folder) ? CXR_OK : cxr_make_folders(folder, err);
    cxr_mem_free(folder);
    return st;
}

static const char *method_name(cxr_explain_method method)
{
    static const char *const names[] = {
        [CXR_GRAD_CAM] = "Grad-CAM", [CXR_GRAD_CAM_PP] = "Grad-CAM++", [CXR_OCCLUSION] = "Occlusion"};
    return names[method];
}

/* No probability is shown as certain. */
static const char *probability_text(char text[16], double p)
{
    (void)snprintf(text, 16, p > 0.999 ? "> 0.999" : p < 0.001 ? "< 0.001" : "%.3f", p);
    return text;
}

static void write_note(char note[TEXT], const cxr_explanation *e)
{
    static const char *const words[] = {"", "yes", "doubtful", "no"};
    bool empty = true;
    for (int i = 0; i < e->width * e->height; i++) empty &= !(e->map[i] > 0.0f);
    note[0] = '\0';
    if (e->trust != CXR_TRUST_UNKNOWN)
        (void)snprintf(note, TEXT, e->why == NULL ? "Trust: %s" : "Trust: %s (%s)", words[e->trust], e->why);
    else if (empty)
        (void)snprintf(note, TEXT, "The map is empty: nothing here speaks for the class.");
}

static cxr_status write_figure(const cxr_explained_to *to, const cxr_explained *x, cxr_error *err)
{
    const cxr_explanation *e = &x->e;
    char *const *classes = to->model->classes;
    char title[TEXT], subtitle[TEXT], place[TEXT] = "", note[TEXT], p[16];
    (void)probability_text(p, (double)e->probabilities[e->explained]);
    if (e->explained == e->predicted)
        (void)snprintf(title, sizeof title, "%.100s, probability %s", classes[e->explained], p);
    else
        (void)snprintf(title, sizeof title, "What speaks for %.100s, probability %s (predicted: %.100s)", classes[e->explained],
                       p, classes[e->predicted]);
    if (to->o->method != CXR_OCCLUSION) (void)snprintf(place, sizeof place, " at %s", to->o->layer);
    (void)snprintf(subtitle, sizeof subtitle, "%s%s, %d x %d; colours: share of the map's largest value",
                   method_name(to->o->method), place, e->width, e->height);
    write_note(note, e);
    const cxr_heat_figure f = {.title = title,
                               .subtitle = subtitle,
                               .note = note[0] != '\0' ? note : NULL,
                               .heat = {&to->model->preprocess, e->map, e->width, e->height}};
    return cxr_heat_figure_write(&f, e->path, &to->o->run.limits, x->figure, err);
}

static void write_files(const cxr_explained_to *to, cxr_explained *x)
{
    cxr_error *err = &x->error;
    cxr_status st = CXR_OK;
    char *stem = cxr_output_stem(to->o->out, x->e.path, to->common);
    if (stem != NULL) {
        x->figure = cxr_mem_printf("%s.png", stem);
        x->raw = cxr_mem_printf("%s.npy", stem);
        x->course = cxr_mem_printf("%s.curves.csv", stem);
    }
    if (x->figure == NULL || x->raw == NULL || x->course == NULL) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = make_folder_of(stem, err);
    if (st == CXR_OK) st = cxr_npy_write(x->raw, x->e.map, x->e.height, x->e.width, err);
    if (st == CXR_OK) st = write_figure(to, x, err);
    if (st == CXR_OK && to->o->curves) st = cxr_curves_write(x->course, &x->curves, err);
    x->error.status = st;
    x->e.figure = x->figure;
    x->e.raw = x->raw;
    x->e.curves = to->o->curves ? x->course : NULL;
    cxr_mem_free(stem);
}

typedef struct writing {
    const cxr_explained_to *to;
    cxr_explained *each;
} writing;

static void write_one(void *user, int worker, size_t i)
{
    (void)worker;
    const writing *w = user;
    if (w->each[i].e.status == CXR_OK) write_files(w->to, &w->each[i]);
}

cxr_status cxr_explained_write(const cxr_explained_to *to, cxr_explained *each, int n, cxr_error *err)
{
    writing w = {to, each};
    cxr_parallel(cxr_workers(to->threads, (size_t)n), (size_t)n, write_one, &w);
    for (int i = 0; i < n; i++) {
        const cxr_error *e = &each[i].error;
        if (e->status != CXR_OK) return cxr_fail(err, e->status, "%s", e->text);
    }
    return CXR_OK;
}

void cxr_explained_free(cxr_explained *x)
{
    cxr_mem_free(x->figure);
    cxr_mem_free(x->raw);
    cxr_mem_free(x->course);
    x->figure = x->raw = x->course = NULL;
}
