/* Requests that no honest client sends, made from tables: damaged lines, lengths that lie, forms and tensors that are none,
 * images cut off, paths that climb, names that are not ours. */
#ifndef CXR_TESTS_SERVE_HOSTILE_H
#define CXR_TESTS_SERVE_HOSTILE_H
#include "base/file.h"
#include "base/mem.h"

#define HOSTILE_MOST 1024

typedef struct hostile {
    char label[96];
    uint8_t *bytes;
    size_t len;
    int status;  /* that is wanted; 0: any of 400 to 499 */
    bool broken; /* no request as yet, or an unfinished one: nothing follows, and closing without a reply is as good */
} hostile;

typedef struct hostiles {
    hostile all[HOSTILE_MOST];
    int count;
} hostiles;

/* Add to the table. `image` is a whole file; hostile_image cuts it so many times. */
void hostile_lengths(hostiles *t);
void hostile_lines(hostiles *t);
void hostile_ends(hostiles *t);
void hostile_sizes(hostiles *t);
void hostile_chunks(hostiles *t);
void hostile_types(hostiles *t, const cxr_buf *image);
void hostile_forms(hostiles *t);
void hostile_tensors(hostiles *t);
void hostile_image(hostiles *t, const char *name, const cxr_buf *image, int cuts, const char *path);
void hostile_bomb(hostiles *t, const char *name, const cxr_buf *image, const char *path);
void hostile_paths(hostiles *t);
void hostile_senders(hostiles *t);
void hostile_free(hostiles *t);
#endif
