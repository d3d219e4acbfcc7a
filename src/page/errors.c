/* The images that the model is most wrong about: those called wrong, the most confident first, each beside its heat map. */
#include "base/mem.h"
#include "data/dataset.h"
#include "explain/figure.h"
#include "model/model.h"
#include "page/page.h"
#include <stdlib.h>
#include <string.h>

#define SIDE    320 /* of a picture on the page, pixels */
#define QUALITY 80

typedef struct wrong {
    size_t image;
    float probability; /* of the true class */
    const char *file;  /* lent by the data set; NULL: it is not there */
} wrong;

typedef struct gallery {
    cxr_page *page;
    const wrong *wrongs;
    size_t at, count;
} gallery;

static int most_wrong_first(const void *a, const void *b)
{
    const wrong *x = a, *y = b;
    if (x->probability != y->probability) return x->probability < y->probability ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

static size_t find_wrongs(const cxr_outcomes *o, wrong *out)
{
    const cxr_predictions *all = &o->all;
    size_t count = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (o->decided[i] == all->label[i]) continue;
        out[count++] = (wrong){i, all->probability[i * (size_t)all->classes + (size_t)all->label[i]], NULL};
    }
    if (count > 0) qsort(out, count, sizeof *out, most_wrong_first);
    return count;
}

static int by_key(const void *key, const void *sample)
{
    return strcmp(key, ((const cxr_sample *)sample)->key);
}

/* Those whose files are there come first; returns how many. */
static size_t find_files(wrong *wrongs, size_t n, const cxr_outcomes *o, const cxr_dataset *d)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const cxr_sample *s = bsearch(o->all.path[wrongs[i].image], d->samples, d->count, sizeof *d->samples, by_key);
        wrongs[i].file = s == NULL ? NULL : s->path;
        if (s != NULL) wrongs[found++] = wrongs[i];
    }
    return found;
}

/* ---- Pictures ---- */

static void caption(cxr_page *p, const wrong *w)
{
    const cxr_predictions *all = &p->outcomes.all;
    const int decided = p->outcomes.decided[w->image], label = all->label[w->image];
    cxr_html_markup(&p->html, "<p><strong>");
    cxr_html_text(&p->html, all->class_names[label]);
    cxr_html_markup(&p->html, "</strong> called <strong>");
    cxr_html_text(&p->html, all->class_names[decided]);
    cxr_html_markup(&p->html, "</strong> with probability %.3f<br>",
                    (double)all->probability[w->image * (size_t)all->classes + (size_t)decided]);
    cxr_html_text(&p->html, all->path[w->image]);
    cxr_html_markup(&p->html, "</p>\n");
}

/* An image that was measured and cannot be shown now is a line of text: the page's figures are none the worse for it. */
static void show(const gallery *g, const wrong *w, const cxr_explanation *e)
{
    cxr_page *p = g->page;
    const cxr_limits *limits = &p->o->run.limits;
    cxr_image picture = {0};
    cxr_buf overlay = {0};
    cxr_error why = {0};
    cxr_html_markup(&p->html, "<li>");
    if (cxr_image_thumbnail(&picture, w->file, SIDE, limits, &why) != CXR_OK) {
        cxr_html_element(&p->html, "p", why.text);
    } else {
        cxr_html_markup(&p->html, "<div class=\"pair\">");
        cxr_html_picture(&p->html, &picture, QUALITY, "The radiograph");
        const cxr_heat heat = {&p->model->preprocess, e == NULL ? NULL : e->map, e == NULL ? 0 : e->width,
                               e == NULL ? 0 : e->height};
        if (e != NULL && e->status == CXR_OK && cxr_heat_overlay_png(&overlay, &heat, w->file, limits, SIDE, &why) == CXR_OK)
            cxr_html_picture_bytes(&p->html, "image/png", overlay.data, overlay.len,
                                   "The same under the heat map of the class that was called");
        cxr_html_markup(&p->html, "</div>");
    }
    caption(p, w);
    cxr_html_markup(&p->html, "</li>\n");
    cxr_buf_free(&overlay);
    cxr_image_free(&picture);
}

static void show_explained(void *user, const cxr_explanation *e)
{
    gallery *g = user;
    if (g->at < g->count) show(g, &g->wrongs[g->at], e);
    g->at++;
}

static cxr_status show_all(gallery *g, cxr_error *err)
{
    cxr_page *p = g->page;
    const char **files = cxr_mem_new(g->count, sizeof *files);
    if (files == NULL) return cxr_mem_fail(err, "the worst errors");
    for (size_t i = 0; i < g->count; i++) files[i] = g->wrongs[i].file;
    cxr_explain_opts o;
    cxr_explain_opts_default(&o);
    o.run = p->o->run;
    cxr_html_markup(&p->html, "<ul class=\"gallery\">\n");
    cxr_status st = CXR_OK;
    if (p->model->next == NULL) {
        st = cxr_explain(p->model, files, g->count, &o, p->hooks, show_explained, g, err);
    } else {
        for (size_t i = 0; i < g->count; i++) show(g, &g->wrongs[i], NULL);
    }
    cxr_html_markup(&p->html, "</ul>\n");
    cxr_mem_free(files);
    return st;
}

static cxr_status gallery_of(cxr_page *p, wrong *wrongs, size_t count, cxr_error *err)
{
    cxr_dataset d = {0};
    cxr_status st = cxr_dataset_open(&d, p->o->data, "auto", err);
    if (st == CXR_OK) {
        gallery g = {p, wrongs, 0, find_files(wrongs, count, &p->outcomes, &d)};
        if (g.count > (size_t)p->o->errors) g.count = (size_t)p->o->errors;
        if (g.count > 0) st = show_all(&g, err);
    }
    cxr_dataset_close(&d);
    return st;
}

cxr_status cxr_page_errors(cxr_page *p, cxr_error *err)
{
    wrong *wrongs = cxr_mem_new(p->outcomes.all.n, sizeof *wrongs);
    if (wrongs == NULL) return cxr_mem_fail(err, "the worst errors");
    const size_t count = find_wrongs(&p->outcomes, wrongs);
    cxr_status st = CXR_OK;
    cxr_html_section(&p->html, "errors", "Worst errors");
    cxr_html_markup(&p->html, "<p>%zu of %zu images are called wrong%s.</p>\n", count, p->outcomes.all.n,
                    count == 0 ? ""
                               : "; first those that the model is surest about. Left the radiograph, right under its heat map "
                                 "(Grad-CAM at layer4): where the model saw what speaks for the class it called. A map says "
                                 "where, not whether that is a good reason; <code>cxr explain --check</code> tests it");
    if (count > 0 && p->o->data != NULL && p->o->errors > 0) st = gallery_of(p, wrongs, count, err);
    cxr_html_section_end(&p->html);
    cxr_mem_free(wrongs);
    return st;
}
