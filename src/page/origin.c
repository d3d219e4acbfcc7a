/* Where the figures come from: data and split, training, the receipt, and how often the split was read. */
#include "base/mem.h"
#include "data/dataset.h"
#include "eval/bootstrap.h"
#include "model/model.h"
#include "page/page.h"
#include "report/run.h"
#include <stdlib.h>
#include <string.h>

/* ---- Split ---- */

static cxr_split split_named(const char *name)
{
    cxr_split s = CXR_SPLIT_TRAIN;
    while (s < CXR_SPLIT_COUNT && strcmp(name, cxr_split_name(s)) != 0) s++;
    return s;
}

typedef struct tally {
    size_t groups[CXR_SPLIT_COUNT], crossing; /* groups in each split; in more than one */
} tally;

/* in: of each group, a bit for each split that it is in. */
static tally tally_of(const uint8_t *in, uint32_t count)
{
    tally t = {0};
    for (uint32_t g = 0; g < count; g++) {
        int splits = 0;
        for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++) {
            t.groups[s] += in[g] >> s & 1;
            splits += in[g] >> s & 1;
        }
        t.crossing += splits > 1;
    }
    return t;
}

/* False when there is no group column, or memory is exhausted. */
static bool count_groups(const cxr_csv *csv, tally *out)
{
    const int group = cxr_csv_column(csv, "group"), split = cxr_csv_column(csv, "split");
    if (csv->row_count < 2 || group < 0 || split < 0) return false;
    const size_t n = csv->row_count - 1;
    const char **names = cxr_mem_new(n, sizeof *names);
    cxr_clusters c = {0};
    for (size_t i = 0; names != NULL && i < n; i++) names[i] = csv->rows[i + 1][group];
    const bool numbered = names != NULL && cxr_clusters_open(&c, names, n, NULL) == CXR_OK;
    uint8_t *in = numbered ? cxr_mem_new(c.count, sizeof *in) : NULL;
    if (in != NULL) {
        for (size_t i = 0; i < n; i++) {
            const cxr_split s = split_named(csv->rows[i + 1][split]);
            if (s < CXR_SPLIT_COUNT) in[c.of[i]] |= (uint8_t)(1u << s);
        }
        *out = tally_of(in, c.count);
    }
    const bool ok = in != NULL;
    cxr_mem_free(in);
    cxr_clusters_close(&c);
    cxr_mem_free(names);
    return ok;
}

static size_t count_images(const cxr_csv *csv, cxr_split split, const char *label)
{
    const int at = cxr_csv_column(csv, "split"), of = cxr_csv_column(csv, "label");
    size_t n = 0;
    for (size_t r = 1; r < csv->row_count; r++)
        n += strcmp(csv->rows[r][at], cxr_split_name(split)) == 0 && (label == NULL || strcmp(csv->rows[r][of], label) == 0);
    return n;
}

static void split_rows(cxr_page *p, const tally *t)
{
    for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++) {
        cxr_html_markup(&p->html, "<tr><th scope=\"row\">%s</th><td>%zu</td><td>%zu</td>", cxr_split_name(s),
                        count_images(&p->split, s, NULL), t->groups[s]);
        for (int k = 0; k < p->model->class_count; k++)
            cxr_html_markup(&p->html, "<td>%zu</td>", count_images(&p->split, s, p->model->classes[k]));
        cxr_html_markup(&p->html, "</tr>\n");
    }
}

static void split_table(cxr_page *p)
{
    tally t;
    cxr_html *h = &p->html;
    if (!count_groups(&p->split, &t)) {
        cxr_html_markup(h,
                        "<p>The run that made this model is not beside it: which images it was trained on is not known here, "
                        "and leakage cannot be checked.</p>\n");
        return;
    }
    cxr_html_table_heads(h, "Images of each split, as trained");
    cxr_html_head(h, "Split");
    cxr_html_head(h, "Images");
    cxr_html_head(h, "Patients");
    for (int k = 0; k < p->model->class_count; k++) cxr_html_head(h, p->model->classes[k]);
    cxr_html_table_rows(h);
    split_rows(p, &t);
    cxr_html_table_end(h);
    cxr_html_markup(h,
                    "<p><span class=\"%s\">%zu</span> patients are in more than one split. Patients are file-name or table "
                    "groups: no proof of who they are. <code>cxr inspect</code> looks for duplicates across splits.</p>\n",
                    t.crossing == 0 ? "ok" : "look", t.crossing);
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
