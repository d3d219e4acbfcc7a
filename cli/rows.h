/* Rows about images on standard output: what predict and explain print alike. */
#ifndef CXR_CLI_ROWS_H
#define CXR_CLI_ROWS_H
#include "shared.h"
#include <jansson.h>

typedef enum cxr_row_format { CXR_TABLE, CXR_CSV, CXR_JSON, CXR_JSONL } cxr_row_format;
extern const char *const cxr_words_format[];

#define CXR_OPTION_FORMAT(F)                                                                                                   \
    {                                                                                                                          \
        F, .name = "format", .letter = 'f', .words = cxr_words_format,                                                         \
           .help = "aligned columns, quoted as RFC 4180 says, one array of objects, or one object per line"                    \
    }

typedef struct cxr_rows {
    const cxr_model *model;
    cxr_row_format format;
    int width;        /* of the widest class name, and of "prediction" */
    size_t good, bad; /* images with a row, without */
} cxr_rows;

/* Before the verb's own head, and after its last row. */
void cxr_rows_begin(cxr_rows *r, const cxr_model *model, unsigned format);
void cxr_rows_end(const cxr_rows *r);
/* Counts an image. False: it has no row, and the reason is told. */
bool cxr_rows_next(cxr_rows *r, cxr_status status, const char *reason);
/* Prints an object and frees it. NULL, of a path that is not UTF-8: tells that instead, and the image counts as bad. */
void cxr_rows_json(cxr_rows *r, json_t *row, const char *path);
#endif
