/* The report of an evaluation: what its sections share, and the sections in their order. Each writes what it finds in the
 * evaluation's folder, and nothing where a file is not there: what was not measured has no section. */
#ifndef CXR_PAGE_PAGE_H
#define CXR_PAGE_PAGE_H
#include "html/html.h"
#include "report/outcomes.h"
#include <jansson.h>

typedef struct cxr_page {
    cxr_html html;
    const cxr_model *model;
    const cxr_report_opts *o;
    const cxr_hooks *hooks;
    char *run;             /* folder of the run that made the model; NULL: unknown */
    json_t *metrics;       /* metrics.json */
    json_t *receipt;       /* of the model's training; NULL: it has none */
    cxr_outcomes outcomes; /* predictions.csv */
    cxr_csv split, ledger; /* of the run; no rows where there is none */
} cxr_page;

/* What was found, in four lines. */
void cxr_page_headline(cxr_page *p);
/* What the reader should know before believing it. */
void cxr_page_cautions(cxr_page *p);
/* Every figure; curves; confusion; calibration; operating points and the threshold explorer; subgroups. */
void cxr_page_figures(cxr_page *p);
void cxr_page_thresholds(cxr_page *p);
/* Perturbed images, images without lungs. */
void cxr_page_robustness(cxr_page *p);
/* The images that the model is most wrong about, with heat maps. */
CXR_MUST_CHECK cxr_status cxr_page_errors(cxr_page *p, cxr_error *err);
/* Split, leakage, training curves, receipt, readings. */
void cxr_page_origin(cxr_page *p);
/* TRIPOD+AI and CLAIM: what the program knows, and what the author must write. */
CXR_MUST_CHECK cxr_status cxr_page_checklists(cxr_page *p, cxr_error *err);

/* ---- Pieces ---- */

#define CXR_PAGE_TEXT 64 /* bytes of a number with its interval */

/* The number at metrics.json's NAME.value, NaN when undefined; and "0.980 (0.969 to 0.987)", or without the interval. */
double cxr_page_value(const cxr_page *p, const char *name);
const char *cxr_page_figure_text(const cxr_page *p, const char *name, char out[CXR_PAGE_TEXT]);
/* The same of an object {value, ci95} or a number. */
const char *cxr_page_number_text(const json_t *figure, char out[CXR_PAGE_TEXT]);
/* A member of an object: a text, "" where there is none; a number or an object's value, NaN where there is none. */
const char *cxr_page_text_of(const json_t *o, const char *key);
double cxr_page_number_of(const json_t *o, const char *key);
/* Two classes: the share of images that are positive. */
double cxr_page_prevalence(const cxr_page *p);
/* The evaluation's (or any) folder's file, read; NULL when it is not there or is no JSON. */
json_t *cxr_page_json(const char *folder, const char *name) CXR_MUST_CHECK;
/* Whether the evaluation's folder has the file. */
bool cxr_page_has(const cxr_page *p, const char *name);
/* False, and no rows, when it is not there or cannot be read. */
bool cxr_page_csv(cxr_csv *out, const char *folder, const char *name) CXR_MUST_CHECK;
/* The figure NAME.svg of a folder, if it is there. */
void cxr_page_plot(cxr_page *p, const char *folder, const char *name, const char *alt);
/* Columns of a table under other heads; numbers to four digits. columns and heads: NULL ends them. */
void cxr_page_table(cxr_page *p, const cxr_csv *csv, const char *caption, const char *const *columns, const char *const *heads);
#endif
