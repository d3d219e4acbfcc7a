/* Recipes: named settings to start from. */
#include "train/options.h"
#include <string.h>

static void finetune(cxr_train_opts *o)
{
    o->augment =
        (cxr_augment){.flip = 0.5f, .rotate_degrees = 10.0f, .crop_min_scale = 0.2f, .brightness = 0.3f, .contrast = 0.3f};
    o->head_count = 0;
    o->freeze = "none";
    o->optimizer = CXR_ADAMW;
    o->lr = 5e-4f;
    o->weight_decay = 0.05f;
    o->schedule = CXR_ONECYCLE;
    o->mixup = 0.2f;
    o->label_smoothing = 0.05f;
    o->class_weights = true;
    o->ema = 0.99f;
    o->epochs = 10;
    o->fit = CXR_FIT_PERTURBED;
}

/* What the defaults hold already. */
static void article(cxr_train_opts *o)
{
    (void)o;
}

static const struct {
    const char *name;
    void (*apply)(cxr_train_opts *o);
} recipes[] = {{"finetune", finetune}, {"article", article}};

#define RECIPES (sizeof recipes / sizeof recipes[0])

cxr_status cxr_train_opts_recipe(cxr_train_opts *o, const char *name, cxr_error *err)
{
    for (size_t i = 0; i < RECIPES; i++) {
        if (strcmp(recipes[i].name, name) != 0) continue;
        cxr_train_opts_default(o);
        recipes[i].apply(o);
        o->recipe = recipes[i].name;
        return CXR_OK;
    }
    return cxr_fail(err, CXR_EUSAGE, "no recipe is called %s", name);
}
