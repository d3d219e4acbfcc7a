/* A synthetic radiograph as numbers: who the patient is, and how this picture of him was taken. Lengths are in half sides
 * of the picture, x to the right and y down from its centre; a side is 0 (left in the picture) or 1. */
#ifndef CXR_DATA_PHANTOM_H
#define CXR_DATA_PHANTOM_H
#include "data/image.h"

#define CXR_MAX_OPACITIES 5

typedef struct cxr_opacity {
    float x, y, rx, ry; /* centre and radii */
    float strength;     /* share of the air that is filled, 0..1 */
    float patchy;       /* 0 smooth .. 1 broken up */
    float fissure;      /* a lobar one ends sharply at this height; above any picture when it is none */
} cxr_opacity;

typedef struct cxr_patient {
    float trunk, neck;              /* half-widths */
    float top[2], base[2], wide[2]; /* lungs: apex, height of the diaphragm's dome, lateral edge */
    float medial;                   /* lungs: medial edge */
    float heart_x, heart_y, heart_rx, heart_ry;
    float rib_step, rib_start, rib_contrast, rib_fall;
    float clavicle, clavicle_rise;
    float spine, hilum, vessels; /* contrasts */
    float gas_x, gas;            /* stomach bubble */
    cxr_opacity opacity[CXR_MAX_OPACITIES];
    int opacities;
    uint64_t texture; /* key of the vessels' pattern */
} cxr_patient;

typedef struct cxr_exposure {
    int width, height;
    float x, y, turn, zoom; /* pose */
    float gamma, gain, black, noise, heel;
    float border[4]; /* black margins: left, top, right, bottom, share of the side */
    bool marker;     /* a letter of lead in a corner */
    uint64_t grain;  /* key of the noise */
} cxr_exposure;

/* `key` names the patient. */
void cxr_patient_draw(cxr_patient *p, uint64_t key, bool ill);
void cxr_exposure_draw(cxr_exposure *e, uint64_t key, int size);
CXR_MUST_CHECK cxr_status cxr_phantom_render(cxr_image *out, const cxr_patient *p, const cxr_exposure *e, cxr_error *err);
/* How much of what is seen at a place of the picture (shares of its sides) is lung, diseased or not, 0..1: what the heart hides is
 * none. */
float cxr_phantom_lung(const cxr_patient *p, const cxr_exposure *e, float across, float down);
#endif
