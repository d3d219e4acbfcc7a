/* How this room writes text: atomically, with a decimal point whatever locale the host has set, and figures as JSON. */
#ifndef CXR_REPORT_TEXT_H
#define CXR_REPORT_TEXT_H
#include "cxr/cxr.h"
#include <jansson.h>
#include <stdio.h>

/* Writes one kind of content; stream errors are left to the commit. */
typedef cxr_status (*cxr_text_body)(FILE *f, const void *content, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_write_text(const char *path, cxr_text_body body, const void *content, cxr_error *err);
/* Takes `value`; NULL is what exhausted memory makes of it. Indented, with a final newline. */
CXR_MUST_CHECK cxr_status cxr_write_json(const char *path, json_t *value, cxr_error *err);
/* The number with 9 digits after a comma; nothing after it when x is not finite. */
void cxr_put_number(FILE *f, double x);

/* JSON values are built without a look at each call: a NULL from exhausted memory makes the value that should hold it fail, up to
 * the whole object. This drops `value` unless it is complete. */
json_t *cxr_json_whole(json_t *value, bool complete);
json_t *cxr_json_number(double x); /* null when not finite */
/* null where it is no UTF-8, which JSON must be, and for NULL. */
json_t *cxr_json_text(const char *s);
/* [low, high]; null when either is not finite. */
json_t *cxr_json_interval(const double ci[2]);
/* {"value": x, "ci95": [low, high]} */
json_t *cxr_json_figure(double value, const double ci[2]);
#endif
