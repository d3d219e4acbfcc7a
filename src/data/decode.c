#include "data/decode.h"
#include "base/mem.h"
#include <inttypes.h>
#include <libexif/exif-data.h>
#include <limits.h>
#include <string.h>

#define MAX_SIDE (INT_MAX / 2) /* sums of coordinates stay within int */

static _Thread_local bool memory_lost;

void cxr_decode_memory_reset(void)
{
    memory_lost = false;
}

bool cxr_decode_memory_lost(void)
{
    return memory_lost;
}

static void *noted(void *p)
{
    if (p == NULL) memory_lost = true;
    return p;
}

void *cxr_decode_alloc(size_t size)
{
    return noted(cxr_mem_new(size, 1));
}

void *cxr_decode_calloc(size_t count, size_t size)
{
    return noted(cxr_mem_new(count, size));
}

void *cxr_decode_realloc(void *p, size_t size)
{
    return noted(cxr_mem_resize(p, size, 1));
}

cxr_status cxr_decode_check_size(const cxr_source *src, uint64_t width, uint64_t height, cxr_error *err)
{
    const uint64_t most = src->limits->max_pixels;
    if (width == 0 || height == 0) return cxr_fail(err, CXR_EDATA, "%s: the image has no pixels", src->name);
    if (width <= MAX_SIDE && height <= MAX_SIDE && height <= most / width) return CXR_OK;
    return cxr_fail(err, CXR_ELIMIT, "%s: %" PRIu64 " x %" PRIu64 " pixels, limit %" PRIu64 " pixels", src->name, width, height,
                    most);
}

static void *exif_alloc(ExifLong size)
{
    return cxr_decode_alloc(size);
}

static void *exif_realloc(void *p, ExifLong size)
{
    return cxr_decode_realloc(p, size);
}

static int orientation_of(ExifData *data)
{
    const ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (entry == NULL || entry->format != EXIF_FORMAT_SHORT || entry->components < 1 || entry->size < 2) return 1;
    const int value = exif_get_short(entry->data, exif_data_get_byte_order(data));
    return value >= 1 && value <= 8 ? value : 1;
}

cxr_status cxr_decode_orientation(int *orientation, const uint8_t *exif, size_t len, cxr_error *err)
{
    *orientation = 1;
    if (len > UINT_MAX) return CXR_OK;
    cxr_decode_memory_reset();
    ExifMem *memory = exif_mem_new(exif_alloc, exif_realloc, cxr_mem_free);
    ExifData *data = memory != NULL ? exif_data_new_mem(memory) : NULL;
    if (data != NULL) {
        exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); /* do not invent missing entries */
        exif_data_load_data(data, exif, (unsigned)len);
        *orientation = orientation_of(data);
    }
    exif_data_unref(data);
    exif_mem_unref(memory);
    return cxr_decode_memory_lost() ? cxr_mem_fail(err, "EXIF data") : CXR_OK;
}
