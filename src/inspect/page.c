/* inspect.html: what was found, with pictures. */
#include "base/mem.h"
#include "html/html.h"
#include "inspect/result.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIDE     176 /* pixels of a picture's longer side */
#define QUALITY  80
#define PICTURED 24 /* findings of a check that are shown with pictures */
#define TOGETHER 6  /* pictures of one finding: the first and the last, which are of the splits that it is in */

static const char *verdict_class(cxr_verdict v)
{
    return v == CXR_VERDICT_SKIPPED ? "faint" : cxr_verdict_name(v);
}

/* What a check that found nothing has to say is in the table. */
static bool has_section(const cxr_result *r, int k)
{
    return r->checks[k].count > 0 || k == CXR_CHECK_CLASSES || k == CXR_CHECK_FORMATS ||
           (k == CXR_CHECK_SHIFT && r->shift.known);
}

static void verdict_table(cxr_html *h, const cxr_result *r)
{
    cxr_html_table(h, "The checks", (const char *const[]){"Check", "Verdict", "What was found", NULL});
    for (int k = 0; k < CXR_CHECKS; k++) {
        const cxr_checked *c = &r->checks[k];
        cxr_html_markup(h, "<tr><th scope=\"row\">");
        if (has_section(r, k))
            cxr_html_markup(h, "<a href=\"#%s\">%s</a>", c->name, c->title);
        else
            cxr_html_text(h, c->title);
        cxr_html_markup(h, "</th><td class=\"%s\">%s</td><td>", verdict_class(c->verdict), cxr_verdict_name(c->verdict));
        cxr_html_text(h, c->says);
        cxr_html_markup(h, "</td></tr>\n");
    }
    cxr_html_table_end(h);
}

static void method_table(cxr_html *h, const cxr_result *r)
{
    cxr_html_section(h, "methods", "How it is told");
    cxr_html_table(h, "The measures and limits of each check", (const char *const[]){"Check", "How it is told", NULL});
    for (int k = 0; k < CXR_CHECKS; k++) cxr_html_row(h, (const char *const[]){r->checks[k].title, r->checks[k].method, NULL});
    cxr_html_table_end(h);
    cxr_html_section_end(h);
}

/* ---- Tables of one check ---- */

static void count_cells(cxr_html *h, const char *head, const size_t *counts, int classes)
{
    size_t sum = 0;
    cxr_html_markup(h, "<tr><th scope=\"row\">");
    cxr_html_text(h, head);
    cxr_html_markup(h, "</th>");
    for (int k = 0; k < classes; sum += counts[k++]) cxr_html_markup(h, "<td>%zu</td>", counts[k]);
    cxr_html_markup(h, "<td>%zu</td></tr>\n", sum);
}

/* A table with a column for each class and one for all; `first` heads the rows. False: no memory, and no table. */
static bool begin_counts(cxr_html *h, const char *caption, const char *first, const cxr_dataset *d)
{
    const char **heads = cxr_mem_new((size_t)d->class_count + 3, sizeof *heads);
    if (heads == NULL) return false;
    heads[0] = first;
    for (int k = 0; k < d->class_count; k++) heads[1 + k] = d->classes[k];
    heads[1 + d->class_count] = "all";
    cxr_html_table(h, caption, heads);
    cxr_mem_free(heads);
    return true;
}

static void class_table(cxr_html *h, const cxr_dataset *d)
{
    size_t *counts = cxr_mem_new((size_t)d->class_count, sizeof *counts);
    if (counts != NULL && begin_counts(h, "Images by split and class", "Split", d)) {
        for (int s = 0; s <= CXR_SPLIT_NONE; s++) {
            if (cxr_dataset_count(d, (cxr_split)s, -1) == 0) continue;
            for (int k = 0; k < d->class_count; k++) counts[k] = cxr_dataset_count(d, (cxr_split)s, k);
            count_cells(h, cxr_split_name((cxr_split)s), counts, d->class_count);
        }
        cxr_html_table_end(h);
    }
    cxr_mem_free(counts);
}

static void kind_table(cxr_html *h, const cxr_result *r)
{
    const cxr_kinds *k = &r->kinds;
    if (k->count == 0 || !begin_counts(h, "Readable images by kind of file and class", "Kind", &r->data)) return;
    for (size_t i = 0; i < k->count; i++) {
        char head[96];
        const cxr_image_info *info = &k->rows[i].info;
        (void)snprintf(head, sizeof head, "%s, %s, %d bits, orientation %d", info->format, info->mode, info->depth,
                       info->orientation);
        count_cells(h, head, k->rows[i].by_class, r->data.class_count);
    }
    cxr_html_table_end(h);
    cxr_html_markup(h, "<p>%zu %s; width %d to %d, median %d; height %d to %d, median %d.</p>\n", k->sizes,
                    k->sizes == 1 ? "size" : "different sizes", k->width[0], k->width[2], k->width[1], k->height[0],
                    k->height[2], k->height[1]);
}

static void shift_row(cxr_html *h, const char *name, double auroc, const double ci[2])
{
    char value[64] = "not defined", interval[64] = "";
    if (isfinite(auroc)) (void)snprintf(value, sizeof value, "%.3f", auroc);
    if (isfinite(ci[0])) (void)snprintf(interval, sizeof interval, "%.3f to %.3f", ci[0], ci[1]);
    cxr_html_row(h, (const char *const[]){name, value, interval, NULL});
}

static void shift_table(cxr_html *h, const cxr_result *r)
{
    const cxr_shift *x = &r->shift;
    if (!x->known) return;
    cxr_html_table(h, "Telling test from train", (const char *const[]){"Among", "AUROC", "95 % interval", NULL});
    shift_row(h, "all images", x->auroc, x->ci95);
    for (int k = 0; k < r->data.class_count; k++) shift_row(h, r->data.classes[k], x->class_auroc[k], x->class_ci95[k]);
    cxr_html_table_end(h);
}

/* ---- Findings ---- */

static void show_picture(cxr_html *h, const cxr_result *r, uint32_t i)
{
    cxr_image picture;
    cxr_error why = {0};
    const cxr_sample *s = &r->data.samples[i];
    if (cxr_image_thumbnail(&picture, s->path, SIDE, &r->o->run.limits, &why) == CXR_OK)
        cxr_html_picture(h, &picture, QUALITY, s->key);
    else
        cxr_html_element(h, "p", why.text);
    cxr_image_free(&picture);
}

static void caption(cxr_html *h, const cxr_result *r, const cxr_finding *f)
{
    cxr_html_markup(h, "<p>");
    if (!isnan(f->score)) cxr_html_markup(h, "<strong>%.3f</strong> ", f->score);
    if (f->note != NULL) cxr_html_element(h, "strong", f->note);
    for (size_t i = 0; i < f->count; i++) {
        cxr_html_markup(h, i > 0 || f->note != NULL || !isnan(f->score) ? "<br>" : "");
        cxr_html_text(h, r->data.samples[f->images[i]].key);
    }
    cxr_html_markup(h, "</p>");
}

static void gallery(cxr_html *h, const cxr_result *r, const cxr_checked *c)
{
    cxr_html_markup(h, "<ul class=\"gallery\">\n");
    for (size_t i = 0; i < c->count && i < PICTURED; i++) {
        const cxr_finding *f = &c->findings[i];
        cxr_html_markup(h, f->count > 1 ? "<li><div class=\"pair\">" : "<li><div>");
        for (size_t k = 0; k < f->count; k++)
            if (k < TOGETHER / 2 || k + TOGETHER / 2 >= f->count) show_picture(h, r, f->images[k]);
        cxr_html_markup(h, "</div>");
        caption(h, r, f);
        cxr_html_markup(h, "</li>\n");
    }
    cxr_html_markup(h, "</ul>\n");
}

static cxr_status list_rest(cxr_html *h, const cxr_result *r, const cxr_checked *c, size_t from, cxr_error *err)
{
    if (from >= c->count) return CXR_OK;
    cxr_html_markup(h, "<details><summary>%zu %s</summary>\n<ul>\n", c->count - from, from > 0 ? "more" : "in all");
    for (size_t i = from; i < c->count; i++) {
        char *line = cxr_finding_line(r, &c->findings[i]);
        if (line == NULL) return cxr_mem_fail(err, "the page");
        cxr_html_element(h, "li", line);
        cxr_mem_free(line);
    }
    cxr_html_markup(h, "</ul>\n</details>\n");
    return CXR_OK;
}

static cxr_status show_check(cxr_html *h, const cxr_result *r, cxr_check_kind k, cxr_error *err)
{
    const cxr_checked *c = &r->checks[k];
    cxr_html_section(h, c->name, c->title);
    cxr_html_markup(h, "<p><span class=\"%s\">%s</span>: ", verdict_class(c->verdict), cxr_verdict_name(c->verdict));
    cxr_html_text(h, c->says);
    cxr_html_markup(h, ".</p>\n");
    if (c->score != NULL && c->count > 0)
        cxr_html_markup(h, "<p class=\"faint\">The number under a picture is the %s.</p>\n", c->score);
    if (k == CXR_CHECK_CLASSES) class_table(h, &r->data);
    if (k == CXR_CHECK_FORMATS) kind_table(h, r);
    if (k == CXR_CHECK_SHIFT) shift_table(h, r);
    const bool pictured = k != CXR_CHECK_READABLE && k != CXR_CHECK_FORMATS && c->count > 0;
    if (pictured) gallery(h, r, c);
    const cxr_status st = list_rest(h, r, c, pictured ? PICTURED : 0, err);
    cxr_html_section_end(h);
    return st;
}

cxr_status cxr_result_page(const cxr_result *r, const char *path, cxr_error *err)
{
    cxr_html h;
    cxr_status st = cxr_html_open(&h, path, "A look at a data set", err);
    if (st != CXR_OK) return st;
    cxr_html_markup(&h, "<h1>A look at ");
    cxr_html_text(&h, cxr_path_name(r->o->data));
    const cxr_verdict v = cxr_result_verdict(r);
    cxr_html_markup(&h, "</h1>\n<p class=\"faint\">%s by cxr %s, before training. Verdict: <span class=\"%s\">%s</span>.</p>\n",
                    cxr_counted(r->data.count, "image"), cxr_version(), verdict_class(v), cxr_verdict_name(v));
    verdict_table(&h, r);
    for (int k = 0; k < CXR_CHECKS && st == CXR_OK; k++)
        if (has_section(r, k)) st = show_check(&h, r, (cxr_check_kind)k, err);
    method_table(&h, r);
    if (st == CXR_OK) st = cxr_html_commit(&h, err);
    cxr_html_discard(&h);
    return st;
}
