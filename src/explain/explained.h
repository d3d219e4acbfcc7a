/* One image's explanation on its way to the caller's row, and the files written of it by several threads. */
#ifndef CXR_EXPLAIN_EXPLAINED_H
#define CXR_EXPLAIN_EXPLAINED_H
#include "explain/curves.h"

typedef struct cxr_explained {
    cxr_explanation e;
    cxr_error image; /* why it has no explanation */
    cxr_error error; /* why a file could not be written */
    int compared;    /* maps of random networks that could be compared */
    cxr_curves curves;
    char *figure, *raw, *course; /* names of files, owned */
} cxr_explained;

typedef struct cxr_explained_to {
    const cxr_model *model;
    const cxr_explain_opts *o; /* with a folder */
    size_t common;             /* bytes of the folders that the images' paths share */
    int threads;
} cxr_explained_to;

/* Writes the files of those that have a map, and names them in `e`. */
CXR_MUST_CHECK cxr_status cxr_explained_write(const cxr_explained_to *to, cxr_explained *each, int n, cxr_error *err);
void cxr_explained_free(cxr_explained *x); /* what it owns */
#endif
