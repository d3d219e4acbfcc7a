#include "eval/judge.h"
#include <math.h>
#include <stdio.h>

_Static_assert(CXR_SCOPE_PICTURE == CXR_LOOK_PIXELS, "a scope's picture is a look's");

#define LITTLE 0.4 /* likeness; of 4,691 radiographs as they should be 1 in 500 has less */

static double gain(double turned, double upright)
{
    return turned >= LITTLE ? turned - upright : -2.0;
}

cxr_pose cxr_pose_of(const cxr_look *look, const uint8_t picture[CXR_LOOK_PIXELS])
{
    const double upright = cxr_look_likeness(look, 0, picture), left = cxr_look_likeness(look, 1, picture),
                 over = cxr_look_likeness(look, 2, picture), right = cxr_look_likeness(look, 3, picture);
    return (cxr_pose){upright, gain(fmax(left, right), upright), gain(over, upright)};
}

cxr_oddity cxr_look_oddity(const cxr_look *look, const cxr_bounds *bounds, const uint8_t *picture)
{
    if ((double)look->contrast < bounds->contrast) return CXR_ODD_BLANK;
    if ((double)look->colour > bounds->colour) return CXR_ODD_COLOUR;
    if ((double)look->page > bounds->page) return CXR_ODD_PAGE;
    if ((double)look->aspect > bounds->aspect) return CXR_ODD_ASPECT;
    if (picture == NULL) return CXR_ODD_NOTHING;
    const cxr_pose pose = cxr_pose_of(look, picture);
    if (pose.turned > bounds->turned) return CXR_ODD_TURNED;
    if (pose.over > bounds->over) return CXR_ODD_OVER;
    return pose.upright < bounds->inverted ? CXR_ODD_INVERTED : CXR_ODD_NOTHING;
}

double cxr_scope_distance(const cxr_scope *s, const float *features)
{
    double all = 0.0, along = 0.0, distance = 0.0;
    for (int i = 0; i < s->width; i++) {
        const double d = (double)features[i] - (double)s->mean[i];
        all += d * d;
    }
    for (int k = 0; k < s->axes; k++) {
        const float *axis = s->axis + (size_t)k * (size_t)s->width;
        double z = 0.0;
        for (int i = 0; i < s->width; i++) z += ((double)features[i] - (double)s->mean[i]) * (double)axis[i];
        along += z * z;
        distance += z * z / (double)s->variance[k];
    }
    return distance + fmax(all - along, 0.0) / (double)s->rest;
}

static double novelty_of(const cxr_model *m, const float *features)
{
    double sum = 0.0, members = 0.0;
    for (; m != NULL; m = m->next) {
        if (m->scope != NULL) {
            sum += cxr_scope_distance(m->scope, features) / m->scope->limit;
            members++;
        }
        features = features == NULL ? NULL : features + cxr_feature_width(m);
    }
    return members > 0.0 ? sum / members : (double)NAN;
}

/* What was measured stands beside what is accepted. */
static void explain(cxr_judgement *v, const cxr_look *look, const cxr_bounds *b, const uint8_t *picture)
{
    const cxr_pose pose = picture != NULL ? cxr_pose_of(look, picture) : (cxr_pose){0};
    char *to = v->text;
    const size_t room = sizeof v->text;
    switch (v->oddity) {
    case CXR_ODD_NOTHING: to[0] = '\0'; break;
    case CXR_ODD_BLANK:
        (void)snprintf(to, room, "blank: its grey levels deviate by %.1f, at least %.1f", (double)look->contrast, b->contrast);
        break;
    case CXR_ODD_COLOUR:
        (void)snprintf(to, room, "a colour picture: chroma spreads by %.1f, at most %.1f", (double)look->colour, b->colour);
        break;
    case CXR_ODD_PAGE:
        (void)snprintf(to, room, "a page: %.2f of it is one bright grey, at most %.2f", (double)look->page, b->page);
        break;
    case CXR_ODD_ASPECT:
        (void)snprintf(to, room, "long and narrow: sides of %.1f to 1, at most %.1f", (double)look->aspect, b->aspect);
        break;
    case CXR_ODD_TURNED:
        (void)snprintf(to, room, "turned: a quarter turn makes it more like the mean picture by %.2f, at most %.2f",
                       pose.turned, b->turned);
        break;
    case CXR_ODD_OVER:
        (void)snprintf(to, room, "upside down: half a turn makes it more like the mean picture by %.2f, at most %.2f",
                       pose.over, b->over);
        break;
    case CXR_ODD_INVERTED:
        (void)snprintf(to, room, "inverted: its likeness to the mean picture is %.2f, at least %.2f", pose.upright,
                       b->inverted);
        break;
    case CXR_ODD_FEATURES:
        (void)snprintf(to, room, "unlike the training images: %.2f times the largest distance that is accepted", v->novelty);
        break;
    }
}

bool cxr_has_scope(const cxr_model *m)
{
    for (; m != NULL; m = m->next)
        if (m->scope != NULL) return true;
    return false;
}

void cxr_judge(cxr_judgement *out, const cxr_model *m, const cxr_look *look, const float *features)
{
    cxr_bounds bounds;
    cxr_bounds_default(&bounds);
    const cxr_model *judge = m;
    while (judge != NULL && judge->scope == NULL) judge = judge->next;
    const uint8_t *picture = judge != NULL ? judge->scope->picture : NULL;
    if (judge != NULL) bounds = judge->scope->bounds;
    out->novelty = novelty_of(m, features);
    out->oddity = cxr_look_oddity(look, &bounds, picture);
    if (out->oddity == CXR_ODD_NOTHING && out->novelty > 1.0) out->oddity = CXR_ODD_FEATURES;
    explain(out, look, &bounds, picture);
}
