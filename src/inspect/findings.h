/* What the checks have found: a verdict, a sentence, and the images concerned. One form for all checks, so that the terminal,
 * inspect.json and inspect.html each write it by one piece of code. */
#ifndef CXR_INSPECT_FINDINGS_H
#define CXR_INSPECT_FINDINGS_H
#include "inspect/scan.h"

typedef struct cxr_finding {
    uint32_t *images; /* into the data set; owned */
    size_t count;
    double score; /* NaN: none */
    char *note;   /* owned; NULL: none */
} cxr_finding;

typedef struct cxr_checked {
    const char *name;   /* "near-duplicates" */
    const char *title;  /* "Near duplicates" */
    const char *method; /* how it is told, in a sentence or two */
    const char *score;  /* what findings' scores are; NULL: they have none */
    cxr_verdict verdict;
    char says[512];
    cxr_finding *findings;
    size_t count, room;
} cxr_checked;

CXR_MUST_CHECK cxr_status cxr_check_add(cxr_checked *c, const uint32_t *images, size_t count, double score, const char *note,
                                        cxr_error *err);
void cxr_check_say(cxr_checked *c, cxr_verdict verdict, const char *format, ...) CXR_PRINTF(3, 4);
void cxr_check_free(cxr_checked *c);
/* Whether two images are in different splits, and both in one. */
bool cxr_check_across(const cxr_dataset *d, uint32_t a, uint32_t b);
/* Whether any two of a finding's are. */
bool cxr_finding_across(const cxr_dataset *d, const cxr_finding *f);
const char *cxr_verdict_name(cxr_verdict v);
/* "1 image", "2 images": `singular` gets an s. Overwritten by the eighth call after it, on the same thread. */
const char *cxr_counted(size_t n, const char *singular);

/* ---- The checks; each fills its own ---- */

/* What kinds of files there are: one row per format, mode, depth and orientation, most frequent first. */
typedef struct cxr_kind {
    cxr_image_info info; /* its width and height mean nothing */
    size_t *by_class;    /* data->class_count; owned */
    size_t count;
} cxr_kind;
typedef struct cxr_kinds {
    cxr_kind *rows;
    size_t count;
    int width[3], height[3]; /* least, median, largest of the readable images */
    size_t sizes;            /* different ones */
} cxr_kinds;
CXR_MUST_CHECK cxr_status cxr_kinds_count(cxr_kinds *k, const cxr_scan *s, cxr_error *err);
void cxr_kinds_free(cxr_kinds *k);

CXR_MUST_CHECK cxr_status cxr_check_readable(cxr_checked *c, const cxr_scan *s, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_classes(cxr_checked *c, const cxr_scan *s, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_formats(cxr_checked *c, const cxr_scan *s, const cxr_kinds *k, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_orientation(cxr_checked *c, const cxr_scan *s, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_groups(cxr_checked *c, const cxr_scan *s, cxr_error *err);
/* Of pictures of one grey, and of such as look like most others of the set turned or inverted, or like none. */
CXR_MUST_CHECK cxr_status cxr_check_blank(cxr_checked *c, const cxr_scan *s, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_suspects(cxr_checked *c, const cxr_scan *s, cxr_error *err);
#endif
