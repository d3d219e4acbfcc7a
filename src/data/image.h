/* Pictures as one channel of 8-bit pixels, decoded from untrusted bytes, and the transforms that make them the network's
 * input. Every transform equals torchvision's on a PIL image of mode L to within 1 grey level (tests/data). */
#ifndef CXR_DATA_IMAGE_H
#define CXR_DATA_IMAGE_H
#include "base/file.h"

typedef struct cxr_image {
    uint8_t *pixels; /* row-major, no padding */
    int width, height;
} cxr_image;

/* A picture's file as it is, before it becomes one grey channel. */
typedef struct cxr_image_info {
    const char *format; /* "JPEG" or "PNG" */
    const char *mode;   /* "grey", "RGB", "CMYK", "palette", "grey and alpha", "RGB and alpha" */
    int depth;          /* bits of a channel or palette index */
    int width, height;  /* as stored, in front of the orientation */
    int orientation;    /* EXIF's 1..8, 1 when there is none */
} cxr_image_info;

/* Decodes JPEG (grey, RGB, CMYK/YCCK) or PNG (all depths, palette, alpha over black), told by content and not by name, with
 * EXIF orientation applied. Colour becomes luma (ITU-R 601, as PIL's convert("L"); of a YCbCr JPEG its own Y, which
 * differs only where RGB would clip); 16-bit keeps its high byte. `name` is for the sentence. CXR_EDATA when unreadable or
 * truncated, CXR_ELIMIT when over a limit. On failure *out is zeroed.
 *
 * target NULL: at full size. Else a JPEG is decoded at 1/2, 1/4 or 1/8 where both sides stay at least three times what the
 * resize rule then makes of them, as Pillow's draft() with a reducing gap of 3. It depends on nothing but the image and the
 * target, so that training and serving see the same pixels. */
CXR_MUST_CHECK cxr_status cxr_image_decode(cxr_image *out, const void *data, size_t len, const char *name,
                                           const cxr_preprocess *target, const cxr_limits *lim, cxr_error *err);
/* The same; *info is filled as far as the file could be read. NULL: nobody asks. */
CXR_MUST_CHECK cxr_status cxr_image_decode_info(cxr_image *out, cxr_image_info *info, const void *data, size_t len,
                                                const char *name, const cxr_preprocess *target, const cxr_limits *lim,
                                                cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_image_load(cxr_image *out, const char *path, const cxr_preprocess *target, const cxr_limits *lim,
                                         cxr_error *err);
/* The same picture, and how coloured it is: the mean distance of Cb from its mean, plus that of Cr, in grey levels. 0 where there
 * is no colour or one even tint, 6 and more in photographs. Of a JPEG it costs the decoding of chroma. */
CXR_MUST_CHECK cxr_status cxr_image_decode_coloured(cxr_image *out, double *colour, const void *data, size_t len,
                                                    const char *name, const cxr_preprocess *target, const cxr_limits *lim,
                                                    cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_image_load_coloured(cxr_image *out, double *colour, const char *path,
                                                  const cxr_preprocess *target, const cxr_limits *lim, cxr_error *err);
/* The image so large that its longer side is `side` pixels: for people to look at. */
CXR_MUST_CHECK cxr_status cxr_image_thumbnail(cxr_image *out, const char *path, int side, const cxr_limits *lim,
                                              cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_image_new(cxr_image *out, int width, int height, cxr_error *err);
void cxr_image_free(cxr_image *img); /* zeroes it */
/* A grey JPEG of that quality (1..100), in memory or written atomically. `name` is for the sentence. */
CXR_MUST_CHECK cxr_status cxr_image_encode_jpeg(cxr_buf *out, const cxr_image *img, int quality, const char *name,
                                                cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_image_write_jpeg(const cxr_image *img, const char *path, int quality, cxr_error *err);

/* A region of an image, in pixels, edges may be fractional; as PIL's resize(box=). */
typedef struct cxr_box {
    double left, top, right, bottom;
} cxr_box;
/* Bilinear with antialias (triangle filter scaled with the reduction), 8-bit fixed point as PIL's Image.resize. box NULL: the
 * whole image. `out` is allocated. */
CXR_MUST_CHECK cxr_status cxr_image_resize(cxr_image *out, const cxr_image *in, int width, int height, const cxr_box *box,
                                           cxr_error *err);
/* The preprocessing's resize rule: the network's square input. */
CXR_MUST_CHECK cxr_status cxr_image_prepare(cxr_image *out, const cxr_image *in, const cxr_preprocess *pre, cxr_error *err);
/* Several inputs of one image: `make` writes `count` squares, one after another. `image` numbers it in its list. */
typedef struct cxr_squares {
    int count;
    cxr_status (*make)(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err);
} cxr_squares;

/* In place. */
void cxr_image_flip(cxr_image *img);                     /* horizontally */
void cxr_image_brightness(cxr_image *img, float factor); /* PIL ImageEnhance.Brightness */
void cxr_image_contrast(cxr_image *img, float factor);   /* PIL ImageEnhance.Contrast   */
void cxr_image_gamma(cxr_image *img, float gamma);       /* torchvision's adjust_gamma() on PIL images, gamma > 0 */
/* Adds noise of that standard deviation, as a share of the grey range: the sum of eight uniform numbers, close to normal. */
void cxr_image_noise(cxr_image *img, float sd, uint64_t key);
/* About the centre, counter-clockwise, nearest neighbour, black fill, same size: torchvision's rotate() on PIL images. */
CXR_MUST_CHECK cxr_status cxr_image_rotate(cxr_image *img, float degrees, cxr_error *err);
/* Scales about the centre (bilinear, antialiased), factor > 0, same size: the edges leave the picture, or black comes in. */
CXR_MUST_CHECK cxr_status cxr_image_zoom(cxr_image *img, float factor, cxr_error *err);
/* What remains of it after it was saved as a JPEG of that quality, 1..100. */
CXR_MUST_CHECK cxr_status cxr_image_recompress(cxr_image *img, int quality, cxr_error *err);

/* Reduced to `factor` (0..1) of its sides and enlarged again: what a coarser copy still shows. */
CXR_MUST_CHECK cxr_status cxr_image_coarsen(cxr_image *img, float factor, cxr_error *err);
/* Blackens `share` (0..0.5) of the sides at each edge. */
void cxr_image_border(cxr_image *img, float share);

/* A rectangle of whole pixels. */
typedef struct cxr_crop {
    int left, top, width, height;
} cxr_crop;
void cxr_image_fill(cxr_image *img, const cxr_crop *part, uint8_t grey); /* `part` lies inside the image */

/* The transforms drawn for one image by a key. `crop` is the whole image unless `cropped`. */
typedef struct cxr_draw {
    cxr_crop crop; /* then squashed to the input size, whatever the rule, as torchvision's RandomResizedCrop */
    bool cropped, flip, erase;
    float degrees, zoom, brightness, contrast, gamma;
    float noise; /* standard deviation, share of the grey range */
    uint64_t noise_key;
    int quality; /* of the JPEG that it is saved as; 0: it is not */
} cxr_draw;
void cxr_draw_make(cxr_draw *out, const cxr_augment *aug, int width, int height, uint64_t key);

/* Whether two keys can give two pictures. */
bool cxr_augment_is_random(const cxr_augment *aug);

/* The transforms but the crop, on a square that the rule has made. In place. */
CXR_MUST_CHECK cxr_status cxr_image_augment(cxr_image *square, const cxr_augment *aug, uint64_t key, cxr_error *err);
/* Resizes by the rule and, when `aug` is not NULL, applies its transforms with the numbers of `key`. out->width and
 * out->height are pre->size and out->pixels is the caller's, size * size bytes. */
CXR_MUST_CHECK cxr_status cxr_image_to_input(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre,
                                             const cxr_augment *aug, uint64_t key, cxr_error *err);
#endif
