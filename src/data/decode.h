/* What the decoders share: one per format, limits checked before memory is taken, and memory that third-party libraries
 * draw from base/mem.h so that an allocation they lose is CXR_ENOMEM and never a picture that is silently different. */
#ifndef CXR_DATA_DECODE_H
#define CXR_DATA_DECODE_H
#include "data/image.h"

/* How often each value of chroma occurs, Cb and Cr apart. */
typedef struct cxr_chroma {
    uint32_t count[2][256];
} cxr_chroma;

typedef struct cxr_source {
    const uint8_t *data;
    size_t len;
    const char *name;             /* for sentences */
    const cxr_preprocess *target; /* what the image is for, or NULL: anything */
    const cxr_limits *limits;
    cxr_chroma *chroma; /* zeros, to be filled; NULL: nobody asks, and a JPEG's is not decoded */
} cxr_source;

/* On failure *out may hold pixels; the caller frees it. *info comes with orientation 1. */
CXR_MUST_CHECK cxr_status cxr_decode_jpeg(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_decode_png(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err);

/* CXR_ELIMIT unless width x height is 1..limit and no side is beyond half of int. */
CXR_MUST_CHECK cxr_status cxr_decode_check_size(const cxr_source *src, uint64_t width, uint64_t height, cxr_error *err);

/* The orientation tag of a TIFF structure that begins after `Exif\0\0`; 1 when absent or damaged. */
CXR_MUST_CHECK cxr_status cxr_decode_orientation(int *orientation, const uint8_t *exif, size_t len, cxr_error *err);

/* Luma of ITU-R 601 in PIL's integer form. */
static inline uint8_t cxr_luma(unsigned r, unsigned g, unsigned b)
{
    return (uint8_t)((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
}

/* Counts the chroma of a pixel (JFIF's Cb and Cr in 16 bits of fraction). */
static inline void cxr_chroma_add(cxr_chroma *to, int r, int g, int b)
{
    to->count[0][((128 << 16) + 32767 - 11059 * r - 21709 * g + 32768 * b) >> 16]++;
    to->count[1][((128 << 16) + 32767 + 32768 * r - 27439 * g - 5329 * b) >> 16]++;
}

/* a * b / 255, rounded. */
static inline unsigned cxr_mul255(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128u;
    return ((t >> 8) + t) >> 8;
}

/* Allocators for libraries. Whether one failed on this thread since the last reset tells a lost allocation from bad data. */
void cxr_decode_memory_reset(void);
bool cxr_decode_memory_lost(void);
void *cxr_decode_alloc(size_t size);
void *cxr_decode_calloc(size_t count, size_t size);
void *cxr_decode_realloc(void *p, size_t size);
#endif
