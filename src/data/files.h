/* The images that a user's list of files and folders stands for. */
#ifndef CXR_DATA_FILES_H
#define CXR_DATA_FILES_H
#include "cxr/cxr.h"

typedef struct cxr_files {
    char **paths;
    size_t count, room;
} cxr_files;

/* Files as given, whatever their name; a folder's images (told by extension), recursively, in byte order of their paths. A path
 * that does not exist is kept: reading it gives the sentence. An empty folder is CXR_ENOINPUT, one nested more than 64 deep
 * CXR_ELIMIT. */
CXR_MUST_CHECK cxr_status cxr_files_list(cxr_files *out, const char *const *paths, size_t count, cxr_error *err);
void cxr_files_free(cxr_files *f); /* zeroes it */

/* True for .jpg, .jpeg and .png in any case; false for what cxr_is_ignored_name. */
bool cxr_is_image_name(const char *name);
/* Hidden, or the resource forks that a Mac's archiver leaves: not looked at, nor into. */
bool cxr_is_ignored_name(const char *name);
#endif
