/* Any bytes as a table: either refused, or rows that all have as many fields, each a string. */
#include "data/csv.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cxr_csv csv;
    cxr_error err = {0};
    if (cxr_csv_parse(&csv, data, size, "input", &err) != CXR_OK) {
        if (err.text[0] == '\0' || csv.rows != NULL) abort();
        return 0;
    }
    size_t bytes = 0;
    for (size_t r = 0; r < csv.row_count; r++)
        for (size_t c = 0; c < csv.columns; c++) bytes += strlen(csv.rows[r][c]);
    if (bytes > size || csv.row_count == 0) abort();
    cxr_csv_free(&csv);
    return 0;
}
