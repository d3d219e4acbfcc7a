/* Models in service: each with what every worker needs to answer by it, made before the first request comes. A reload makes new
 * ones beside the old, which go when the last request that was given them is done. */
#ifndef CXR_SERVE_SERVED_H
#define CXR_SERVE_SERVED_H
#include "eval/engine.h"
#include "explain/probe.h"
#include <stdatomic.h>

#define CXR_SERVED_NAME 64
#define CXR_SERVED_ID   17 /* 16 hex digits of the file's SHA-256 */

/* What one worker computes with. */
typedef struct cxr_desk {
    cxr_engine engine;
    cxr_probe probe; /* zeros where the model is several, which have no heat map */
    uint8_t *pixels; /* of a micro-batch */
    float *map;
} cxr_desk;

typedef struct cxr_served {
    char name[CXR_SERVED_NAME], id[CXR_SERVED_ID];
    cxr_model *model;
    cxr_desk *desks; /* by worker */
    int desk_count;
    cxr_engine together; /* one image with the cores of several workers, to the bit as a desk does; zeros: there is none */
    atomic_int users;
} cxr_served;

/* All models that answer at one time. */
typedef struct cxr_menu {
    cxr_served *served[CXR_MAX_SERVED];
    int count;
} cxr_menu;

/* Opens, compiles and runs each model once, one thread for each worker. o->run: its batch size is that of a micro-batch. */
CXR_MUST_CHECK cxr_status cxr_menu_open(cxr_menu *out, const cxr_serve_opts *o, int workers, cxr_error *err);
/* NULL or "": the first. NULL when there is none of that name. Lent. */
cxr_served *cxr_menu_find(const cxr_menu *m, const char *name, size_t len);
void cxr_menu_close(cxr_menu *m); /* gives up its share of each; safe on zeros */

bool cxr_served_together(const cxr_served *s);
void cxr_served_keep(cxr_served *s);
void cxr_served_drop(cxr_served *s); /* the last one frees it */
#endif
