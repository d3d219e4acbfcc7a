/* cxr_report(): opens what an evaluation left, and writes the page section by section. */
#include "page/page.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "report/run.h"
#include <math.h>
#include <string.h>

void cxr_report_opts_default(cxr_report_opts *o)
{
    *o = (cxr_report_opts){.errors = 12};
    cxr_run_opts_default(&o->run);
}

/* ---- Pieces ---- */

json_t *cxr_page_json(const char *folder, const char *name)
{
    char *path = cxr_path_join(folder, name);
    json_t *o = path == NULL ? NULL : json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    cxr_mem_free(path);
    return o;
}

bool cxr_page_csv(cxr_csv *out, const char *folder, const char *name)
{
    *out = (cxr_csv){0};
    char *path = folder == NULL ? NULL : cxr_path_join(folder, name);
    const bool ok = path != NULL && cxr_path_exists(path) && cxr_csv_read(out, path, NULL) == CXR_OK;
    cxr_mem_free(path);
    return ok;
}

const char *cxr_page_text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static const json_t *value_of(const json_t *figure)
{
    return json_is_object(figure) ? json_object_get(figure, "value") : figure;
}

double cxr_page_number_of(const json_t *o, const char *key)
{
    const json_t *value = value_of(json_object_get(o, key));
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

bool cxr_page_has(const cxr_page *p, const char *name)
{
    char *path = cxr_path_join(p->o->folder, name);
    const bool found = path != NULL && cxr_path_exists(path);
    cxr_mem_free(path);
    return found;
}

double cxr_page_value(const cxr_page *p, const char *name)
{
    return cxr_page_number_of(p->metrics, name);
}

const char *cxr_page_number_text(const json_t *figure, char out[CXR_PAGE_TEXT])
{
    const json_t *value = value_of(figure);
    const json_t *ci = json_object_get(figure, "ci95"), *low = json_array_get(ci, 0), *high = json_array_get(ci, 1);
    if (!json_is_number(value))
        (void)snprintf(out, CXR_PAGE_TEXT, "not defined");
    else if (json_is_number(low) && json_is_number(high))
        (void)snprintf(out, CXR_PAGE_TEXT, "%.3f (%.3f to %.3f)", json_number_value(value), json_number_value(low),
                       json_number_value(high));
    else
        (void)snprintf(out, CXR_PAGE_TEXT, "%.3f", json_number_value(value));
    return out;
}

const char *cxr_page_figure_text(const cxr_page *p, const char *name, char out[CXR_PAGE_TEXT])
{
    return cxr_page_number_text(json_object_get(p->metrics, name), out);
}

void cxr_page_plot(cxr_page *p, const char *folder, const char *name, const char *alt)
{
    char *path = folder == NULL ? NULL : cxr_mem_printf("%s/%s.svg", folder, name);
    if (path != NULL && cxr_path_exists(path)) {
        cxr_html_markup(&p->html, "<figure class=\"plot\">");
        cxr_html_picture_file(&p->html, path, alt);
        cxr_html_markup(&p->html, "</figure>\n");
    }
    cxr_mem_free(path);
}

/* A number of a file to four digits; else the text as it is. */
static const char *cell(const char *text, char out[CXR_PAGE_TEXT])
{
    char *end;
    const double x = strtod(text, &end);
    if (*text == '\0') return "–";
    if (*end != '\0' || strchr(text, '.') == NULL) return text;
    (void)snprintf(out, CXR_PAGE_TEXT, fabs(x) < 1000.0 ? "%.4f" : "%.6g", x);
    return out;
}

void cxr_page_table(cxr_page *p, const cxr_csv *csv, const char *caption, const char *const *columns, const char *const *heads)
{
    enum { MOST = 16 };
    int at[MOST], count = 0;
    for (; columns[count] != NULL && count < MOST - 1; count++)
        if ((at[count] = cxr_csv_column(csv, columns[count])) < 0) return;
    cxr_html_table(&p->html, caption, heads);
    for (size_t r = 1; r < csv->row_count; r++) {
        const char *cells[MOST] = {0};
        char texts[MOST][CXR_PAGE_TEXT];
        for (int i = 0; i < count; i++) cells[i] = cell(csv->rows[r][at[i]], texts[i]);
        cxr_html_row(&p->html, cells);
    }
    cxr_html_table_end(&p->html);
}

/* ---- The page ---- */

static cxr_status open_inputs(cxr_page *p, cxr_error *err)
{
    const cxr_status st = cxr_outcomes_read(&p->outcomes, p->o->folder, NULL, err);
    if (st != CXR_OK) return st;
    p->metrics = cxr_page_json(p->o->folder, "metrics.json");
    if (!json_is_object(p->metrics))
        return cxr_fail(err, CXR_EDATA, "%s/metrics.json: missing or not JSON: cxr evaluate writes it", p->o->folder);
    const char *receipt = p->model->receipt;
    p->receipt = receipt == NULL ? NULL : json_loads(receipt, JSON_REJECT_DUPLICATES, NULL);
    p->run = p->model->path == NULL ? NULL : cxr_run_of_model(p->model->path);
    (void)!cxr_page_csv(&p->split, p->run, CXR_RUN_SPLIT);
    (void)!cxr_page_csv(&p->ledger, p->run, CXR_RUN_LEDGER);
    return CXR_OK;
}

/* To the sections that are there. */
static void contents(cxr_page *p)
{
    const struct {
        const char *id, *title;
        bool there;
    } links[] = {{"figures", "Figures", true},
                 {"thresholds", "Operating points", p->model->positive >= 0},
                 {"robustness", "Robustness", cxr_page_has(p, "robustness.csv")},
                 {"shortcut", "Lungs", cxr_page_has(p, "shortcut.csv")},
                 {"errors", "Worst errors", true},
                 {"origin", "Data and training", true},
                 {"tripod", "TRIPOD+AI", true},
                 {"claim", "CLAIM", true}};
    cxr_html_markup(&p->html, "<nav aria-label=\"Contents\"><ul>\n");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].there) cxr_html_markup(&p->html, "<li><a href=\"#%s\">%s</a></li>\n", links[i].id, links[i].title);
    cxr_html_markup(&p->html, "</ul></nav>\n");
}

static cxr_status sections(cxr_page *p, cxr_error *err)
{
    cxr_page_headline(p);
    contents(p);
    cxr_page_cautions(p);
    cxr_page_figures(p);
    cxr_page_thresholds(p);
    cxr_page_robustness(p);
    cxr_status st = cxr_page_errors(p, err);
    if (st != CXR_OK) return st;
    cxr_page_origin(p);
    return cxr_page_checklists(p, err);
}

static cxr_status write_page(cxr_page *p, cxr_error *err)
{
    char *path = cxr_path_join(p->o->folder, "report.html");
    cxr_status st = path == NULL ? cxr_mem_fail(err, "a file name") : cxr_html_open(&p->html, path, "Evaluation report", err);
    if (st == CXR_OK) st = sections(p, err);
    if (st == CXR_OK)
        st = cxr_html_commit(&p->html, err);
    else
        cxr_html_discard(&p->html);
    cxr_mem_free(path);
    return st;
}

cxr_status cxr_report(const cxr_model *model, const cxr_report_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    if (o->folder == NULL) return cxr_fail(err, CXR_EUSAGE, "a report needs the folder of an evaluation");
    if (o->errors < 0 || o->errors > 100) return cxr_fail(err, CXR_EUSAGE, "errors %d: 0 to 100 are shown", o->errors);
    cxr_page p = {.model = model, .o = o, .hooks = hooks};
    cxr_status st = open_inputs(&p, err);
    if (st == CXR_OK) st = write_page(&p, err);
    cxr_outcomes_free(&p.outcomes);
    cxr_csv_free(&p.split);
    cxr_csv_free(&p.ledger);
    json_decref(p.metrics);
    json_decref(p.receipt);
    cxr_mem_free(p.run);
    return st;
}
