/* What a model's card says beyond the protocol's metadata: how probabilities are to be read, and what the model was made of. Of
 * paths in its receipt only names are told. */
#include "base/file.h"
#include "model/parts.h"
#include "serve/server.h"
#include <math.h>

static json_t *training_json(const char *receipt)
{
    static const char *const kept[] = {"recipe", "epochs", "seed"};
    json_t *all = receipt != NULL ? json_loads(receipt, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *args = json_object_get(all, "args"), *out = json_object();
    const char *data = json_string_value(json_object_get(args, "data"));
    (void)json_object_set(out, "cxr", json_object_get(all, "cxr")); /* what is missing is left out */
    (void)json_object_set(out, "data_sha256", json_object_get(all, "data_sha256"));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        (void)json_object_set(out, kept[i], json_object_get(args, kept[i]));
    if (data != NULL) (void)json_object_set_new(out, "data", json_string(cxr_path_name(data)));
    json_decref(all);
    return out;
}

void cxr_card_add(json_t *parameters, const cxr_model *m)
{
    (void)json_object_set_new(parameters, "rule", json_string(cxr_rule_names[m->preprocess.rule]));
    (void)json_object_set_new(parameters, "temperature", json_real(m->temperature));
    (void)json_object_set_new(parameters, "calibrated", json_boolean(m->temperature != 1.0));
    if (isfinite(m->rule_out)) (void)json_object_set_new(parameters, "rule_out", json_real(m->rule_out));
    if (isfinite(m->rule_in)) (void)json_object_set_new(parameters, "rule_in", json_real(m->rule_in));
    (void)json_object_set_new(parameters, "training", training_json(m->receipt));
}
