#include "rows.h"
#include <string.h>

const char *const cxr_words_format[] = {"table", "csv", "json", "jsonl", NULL};

void cxr_rows_begin(cxr_rows *r, const cxr_model *model, unsigned format)
{
    *r = (cxr_rows){.model = model, .format = (cxr_row_format)format, .width = (int)strlen("prediction")};
    for (int k = 0; k < cxr_model_class_count(model); k++) {
        const int n = (int)strlen(cxr_model_class_name(model, k));
        if (n > r->width) r->width = n;
    }
    if (r->format == CXR_JSON) (void)printf("[");
}

void cxr_rows_end(const cxr_rows *r)
{
    if (r->format == CXR_JSON) (void)printf("%s]\n", r->good > 0 ? "\n" : "");
}

bool cxr_rows_next(cxr_rows *r, cxr_status status, const char *reason)
{
    if (status == CXR_OK) {
        r->good++;
        return true;
    }
    cxr_complain("%s", reason);
    r->bad++;
    return false;
}

void cxr_rows_json(cxr_rows *r, json_t *row, const char *path)
{
    if (row == NULL) {
        cxr_complain("%s: the name is not UTF-8, which JSON cannot hold; --format csv can", path);
        r->good--;
        r->bad++;
        return;
    }
    if (r->format == CXR_JSON) (void)printf("%s\n", r->good > 1 ? "," : "");
    (void)json_dumpf(row, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (r->format == CXR_JSONL) (void)putchar('\n');
    json_decref(row);
}
