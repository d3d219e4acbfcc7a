/* Tables as CSV, RFC 4180: read whole into rows of strings (libcsv underneath), written field by field. */
#ifndef CXR_DATA_CSV_H
#define CXR_DATA_CSV_H
#include "cxr/cxr.h"
#include <stdio.h>

typedef struct cxr_csv {
    char ***rows;  /* rows[0] is the header */
    size_t *lines; /* line of the file where each row starts, from 1 */
    size_t row_count;
    size_t columns; /* every row has as many */
} cxr_csv;
/* CXR_EDATA names file and line when a row's length differs from the header's, a quote is open, or a NUL is found, and when
 * there is no header or one that names a column twice. Empty lines are skipped, as is a byte order mark. */
CXR_MUST_CHECK cxr_status cxr_csv_read(cxr_csv *out, const char *path, cxr_error *err);
/* The same from memory; `name` is for the sentence. */
CXR_MUST_CHECK cxr_status cxr_csv_parse(cxr_csv *out, const void *data, size_t len, const char *name, cxr_error *err);
void cxr_csv_free(cxr_csv *csv);
int cxr_csv_column(const cxr_csv *csv, const char *name); /* -1: none */
/* Writes one field, quoted when it must be. */
void cxr_csv_put(FILE *f, const char *text);
#endif
