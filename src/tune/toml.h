/* TOML as JSON values, so that what reads settings from args.json reads them from a TOML file too. toml++ parses (in toml.cpp,
 * the one C++ file); no exception leaves it. */
#ifndef CXR_TUNE_TOML_H
#define CXR_TUNE_TOML_H
#include "cxr/cxr.h"
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CXR_TOML_BYTES 65536 /* most of a file */
#define CXR_TOML_DOTS  2000  /* most of a file: as deep can tables nest by dotted keys */
#define CXR_TOML_DEPTH 4     /* most tables and arrays inside one another, the file itself counted */

typedef struct cxr_toml {
    json_t *root;  /* object */
    json_t *lines; /* object: where "key" and "table.key" and so on stand in the file, from 1 */
} cxr_toml;

/* `name` is for sentences. CXR_ELIMIT over a cap; CXR_EDATA names the line of what is no TOML, of a byte that is no printable
 * ASCII (strings have escapes for it), and of what no setting can be: dates, numbers that are not finite, text or keys with a
 * NUL. Free with cxr_toml_free. */
CXR_MUST_CHECK cxr_status cxr_toml_parse(cxr_toml *out, const char *text, size_t len, const char *name, cxr_error *err);
void cxr_toml_free(cxr_toml *t);
/* The line of a dotted key, or 0. */
int cxr_toml_line(const cxr_toml *t, const char *key);

#ifdef __cplusplus
}
#endif
#endif
