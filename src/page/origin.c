/* Where the figures come from: data and split, training, the receipt, and how often the split was read. */
#include "base/mem.h"
#include "data/dataset.h"
#include "model/model.h"
#include "page/page.h"
#include "report/run.h"
#include <stdlib.h>
#include <string.h>

/* ---- Split ---- */

typedef struct member {
    const char *group;
    int split;
} member;

static int by_group(const void *a, const void *b)
{
    return strcmp(((const member *)a)->group, ((const member *)b)->group);
}

static int split_named(const char *name)
{
    for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++)
        if (strcmp(name, cxr_split_name(s)) == 0) return (int)s;
    return -1;
}

/* Groups in each split, and how many are in more than one. False when memory is exhausted. */
static bool count_groups(const cxr_csv *csv, size_t groups[CXR_SPLIT_COUNT], size_t *crossing)
{
    const int group = cxr_csv_column(csv, "group"), split = cxr_csv_column(csv, "split");
    member *members = cxr_mem_new(csv->row_count, sizeof *members);
    size_t n = 0;
    if (members == NULL) return false;
    for (size_t r = 1; r < csv->row_count; r++) {
        const int s = split_named(csv->rows[r][split]);
        if (s >= 0) members[n++] = (member){csv->rows[r][group], s};
    }
    if (n > 0) qsort(members, n, sizeof *members, by_group);
    for (size_t i = 0, next; i < n; i = next) {
        bool in[CXR_SPLIT_COUNT] = {false};
        int splits = 0;
        for (next = i; next < n && strcmp(members[next].group, members[i].group) == 0; next++) in[members[next].split] = true;
        for (int s = 0; s < CXR_SPLIT_COUNT; s++) {
            groups[s] += in[s];
            splits += in[s];
        }
        *crossing += splits > 1;
    }
    cxr_mem_free(members);
    return true;
}

static size_t count_images(const cxr_csv *csv, cxr_split split, const char *label)
{
    const int at = cxr_csv_column(csv, "split"), of = cxr_csv_column(csv, "label");
    size_t n = 0;
    for (size_t r = 1; r < csv->row_count; r++)
        n += strcmp(csv->rows[r][at], cxr_split_name(split)) == 0 && (label == NULL || strcmp(csv->rows[r][of], label) == 0);
    return n;
}

static void split_rows(cxr_page *p, const size_t groups[CXR_SPLIT_COUNT])
{
    for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++) {
        cxr_html_markup(&p->html, "<tr><th scope=\"row\">%s</th><td>%zu</td><td>%zu</td>", cxr_split_name(s),
                        count_images(&p->split, s, NULL), groups[s]);
        for (int k = 0; k < p->model->class_count; k++)
            cxr_html_markup(&p->html, "<td>%zu</td>", count_images(&p->split, s, p->model->classes[k]));
        cxr_html_markup(&p->html, "</tr>\n");
    }
}

static void split_table(cxr_page *p)
{
    size_t groups[CXR_SPLIT_COUNT] = {0}, crossing = 0;
    cxr_html *h = &p->html;
    if (p->split.row_count == 0 || cxr_csv_column(&p->split, "group") < 0 || !count_groups(&p->split, groups, &crossing)) {
        cxr_html_markup(h,
                        "<p>The run that made this model is not beside it: which images it was trained on is not known here, "
                        "and leakage cannot be checked.</p>\n");
        return;
    }
    cxr_html_markup(h, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Split\"><table>\n<caption>Images of "
                       "each split, as trained</caption>\n<thead><tr><th scope=\"col\">Split</th><th scope=\"col\">Images</th>"
                       "<th scope=\"col\">Patients</th>");
    for (int k = 0; k < p->model->class_count; k++) {
        cxr_html_markup(h, "<th scope=\"col\">");
        cxr_html_text(h, p->model->classes[k]);
        cxr_html_markup(h, "</th>");
    }
    cxr_html_markup(h, "</tr></thead>\n<tbody>\n");
    split_rows(p, groups);
    cxr_html_table_end(h);
    cxr_html_markup(h,
                    "<p><span class=\"%s\">%zu</span> patients are in more than one split. Patients are file-name or table "
                    "groups: no proof of who they are. <code>cxr inspect</code> looks for duplicates across splits.</p>\n",
                    crossing == 0 ? "ok" : "look", crossing);
}

/* ---- Receipt ---- */

static void receipt_row(cxr_page *p, const char *name, const json_t *value)
{
    char *text = json_is_string(value) ? cxr_mem_strdup(json_string_value(value)) : NULL;
    char *dumped = text == NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
    const char *const cells[] = {name, text != NULL ? text : dumped != NULL ? dumped : "", NULL};
    cxr_html_row(&p->html, cells);
    cxr_mem_free(text);
    free(dumped);
}

static void receipt(cxr_page *p)
{
    static const char *const heads[] = {"Setting", "Value", NULL};
    const char *name;
    json_t *value;
    cxr_html_markup(&p->html, "<h3 id=\"receipt\">Receipt</h3>\n");
    if (p->receipt == NULL) {
        cxr_html_markup(&p->html, "<p>The model file says nothing of its training.</p>\n");
        return;
    }
    cxr_html_markup(&p->html, "<details><summary>Every setting of the training, and the data's fingerprint</summary>\n");
    cxr_html_table(&p->html, "As the model file records it", heads);
    json_object_foreach(p->receipt, name, value) if (strcmp(name, "args") != 0) receipt_row(p, name, value);
    json_object_foreach(json_object_get(p->receipt, "args"), name, value) receipt_row(p, name, value);
    cxr_html_table_end(&p->html);
    cxr_html_markup(&p->html, "</details>\n");
}

static void ledger(cxr_page *p)
{
    static const char *const columns[] = {"time", "model", "data", "split", "images", "correct", NULL}, *const heads[] = {
                                                                                                            "Time",   "Model",
                                                                                                            "Data",   "Split",
                                                                                                            "Images", "Correct",
                                                                                                            NULL};
    if (p->ledger.row_count < 2) return;
    cxr_html_markup(&p->html,
                    "<h3 id=\"readings\">Readings</h3>\n<p>Each time a split was measured with this run's models. The more "
                    "often test was looked at while choices were open, the less its figures say.</p>\n");
    cxr_page_table(p, &p->ledger, "The run's ledger", columns, heads);
}

void cxr_page_origin(cxr_page *p)
{
    cxr_html_section(&p->html, "origin", "Data and training");
    split_table(p);
    cxr_page_plot(p, p->run, CXR_RUN_PLOT, "Training and validation loss, and validation accuracy, by epoch.");
    receipt(p);
    ledger(p);
    cxr_html_section_end(&p->html);
}
