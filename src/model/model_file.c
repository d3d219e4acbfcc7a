/* The model file: safetensors with torchvision's tensor names, and metadata keys "cxr.*" that say what the network is and
 * how its input is made. Values are JSON, except the plain texts cxr.arch and cxr.freeze. */
#include "base/mem.h"
#include "model/model.h"
#include "model/parts.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION "1"
#define META_MAX       24 /* pairs of a model's own metadata */

static const char intended_use[] = "Research and teaching. Not a medical device: never the basis of a clinical decision.";
static const char licence[] =
    "Set by the maker of this file; the starting weights and the training images keep their own terms.";

/* ---- Writing ---- */

typedef struct meta {
    const char *pairs[2 * META_MAX];
    size_t count;
    char *owned[META_MAX]; /* jansson's texts */
    size_t owned_count;
    bool failed;
} meta;

static void put(meta *m, const char *key, const char *value)
{
    m->pairs[2 * m->count] = key;
    m->pairs[2 * m->count + 1] = value;
    m->count++;
}

/* Takes `value`. Reals are written with 17 digits, which give the same double back. */
static void put_json(meta *m, const char *key, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    m->failed = m->failed || text == NULL;
    if (text == NULL) return;
    m->owned[m->owned_count++] = text;
    put(m, key, text);
}

static json_t *json_head(const cxr_model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->head_count; i++) (void)json_array_append_new(list, json_integer(m->head[i]));
    return list;
}

static json_t *json_classes(const cxr_model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->class_count; i++) (void)json_array_append_new(list, json_string(m->classes[i]));
    return list;
}

static json_t *json_preprocess(const cxr_preprocess *p)
{
    return json_pack("{s:s, s:i, s:i, s:[f, f, f], s:[f, f, f]}", "rule", cxr_rule_names[p->rule], "size", p->size, "channels",
                     3, "mean", (double)p->mean[0], (double)p->mean[1], (double)p->mean[2], "std", (double)p->std[0],
                     (double)p->std[1], (double)p->std[2]);
}

static bool calibrated(const cxr_model *m)
{
    for (int i = 0; i < m->graph.node_count; i++)
        if (m->graph.nodes[i].peak > 0.0f) return true;
    return false;
}

static json_t *json_peaks(const cxr_model *m)
{
    json_t *all = json_object();
    for (int i = 0; i < m->graph.node_count; i++) {
        const cxr_node *n = &m->graph.nodes[i];
        if (n->peak > 0.0f) (void)json_object_set_new(all, n->name, json_real((double)n->peak));
    }
    return all;
}

/* Those that there are. */
static json_t *json_points(const cxr_model *m)
{
    json_t *all = json_object();
    if (!isnan(m->rule_out)) (void)json_object_set_new(all, "rule_out", json_real(m->rule_out));
    if (!isnan(m->rule_in)) (void)json_object_set_new(all, "rule_in", json_real(m->rule_in));
    return all;
}

/* Leaves the name of each path in a tree of JSON values. */
static void strip_folders(json_t *value)
{
    const char *key, *slash = json_is_string(value) ? strrchr(json_string_value(value), '/') : NULL;
    size_t i;
    json_t *inner;
    if (slash != NULL) (void)json_string_set(value, slash + 1);
    json_object_foreach(value, key, inner) strip_folders(inner);
    json_array_foreach(value, i, inner) strip_folders(inner);
}

/* The receipt in a file that is passed on: it says what the model was made of, not where on its maker's disk that lay. */
static void put_receipt(meta *to, const char *receipt, bool whole)
{
    json_t *all = whole ? NULL : json_loads(receipt, JSON_REJECT_DUPLICATES, NULL);
    strip_folders(all);
    if (all != NULL)
        put_json(to, "cxr.receipt", all);
    else if (whole)
        put(to, "cxr.receipt", receipt);
}

/* whole: with the receipt as it is. */
static void describe(meta *to, const cxr_model *m, bool whole)
{
    put(to, "format", "pt");
    put(to, "cxr.version", FORMAT_VERSION);
    put(to, "cxr.arch", m->arch);
    put_json(to, "cxr.head", json_head(m));
    put_json(to, "cxr.dropout", json_real((double)m->dropout));
    put_json(to, "cxr.classes", json_classes(m));
    put_json(to, "cxr.preprocess", json_preprocess(&m->preprocess));
    put_json(to, "cxr.threshold", json_real(m->threshold));
    if (!isnan(m->rule_out) || !isnan(m->rule_in)) put_json(to, "cxr.operating_points", json_points(m));
    if (m->temperature != 1.0) put_json(to, "cxr.temperature", json_real(m->temperature));
    put_json(to, "cxr.positive", json_integer(m->positive));
    put(to, "cxr.freeze", m->freeze);
    if (calibrated(m)) put_json(to, "cxr.peaks", json_peaks(m));
    if (m->scope != NULL) put_json(to, "cxr.scope", cxr_scope_json(m->scope));
    if (m->receipt != NULL) put_receipt(to, m->receipt, whole);
    put(to, "cxr.intended_use", intended_use);
    put(to, "cxr.licence", licence);
}

/* half: of what most of the bytes are; a norm's numbers and biases are few, and variances may be large. */
static void list_params(cxr_weight_out *to, const cxr_model *m, bool half)
{
    for (int i = 0; i < m->graph.param_count; i++) {
        const cxr_param *p = &m->graph.params[i];
        to[i] = (cxr_weight_out){.name = p->name, .data = m->params + p->offset, .half = half && p->rank > 1, .rank = p->rank};
        for (int d = 0; d < p->rank; d++) to[i].dims[d] = p->dims[d];
    }
}

static cxr_status write_all(const cxr_model *m, const meta *own, const char *path, bool half, const cxr_weight_out *extra,
                            size_t extra_count, const char *const *extra_meta, size_t extra_meta_count, cxr_error *err)
{
    const size_t count = (size_t)m->graph.param_count;
    cxr_weight_out *items = cxr_mem_new(count + extra_count, sizeof *items);
    const char **pairs = cxr_mem_new(2 * (own->count + extra_meta_count), sizeof *pairs);
    cxr_status st = CXR_OK;
    if (items == NULL || pairs == NULL) {
        st = cxr_mem_fail(err, "a model file's header");
    } else {
        list_params(items, m, half);
        if (extra_count > 0) memcpy(items + count, extra, extra_count * sizeof *extra);
        memcpy(pairs, own->pairs, 2 * own->count * sizeof *pairs);
        if (extra_meta_count > 0) memcpy(pairs + 2 * own->count, extra_meta, 2 * extra_meta_count * sizeof *pairs);
        st = cxr_safetensors_write(path, items, count + extra_count, pairs, own->count + extra_meta_count, err);
    }
    cxr_mem_free(pairs);
    cxr_mem_free(items);
    return st;
}

static cxr_status write_model(const cxr_model *m, const char *path, bool half, bool whole, const cxr_weight_out *extra,
                              size_t extra_count, const char *const *extra_meta, size_t extra_meta_count, cxr_error *err)
{
    if (m->next != NULL) return cxr_fail(err, CXR_EUSAGE, "%s: several models joined make no model file", path);
    meta own = {.count = 0};
    describe(&own, m, whole);
    const cxr_status st = own.failed ? cxr_mem_fail(err, "a model file's metadata")
                                     : write_all(m, &own, path, half, extra, extra_count, extra_meta, extra_meta_count, err);
    for (size_t i = 0; i < own.owned_count; i++) free(own.owned[i]);
    return st;
}

cxr_status cxr_model_write(const cxr_model *m, const char *path, const cxr_weight_out *extra, size_t extra_count,
                           const char *const *extra_meta, size_t extra_meta_count, cxr_error *err)
{
    return write_model(m, path, false, true, extra, extra_count, extra_meta, extra_meta_count, err);
}

cxr_status cxr_model_save(const cxr_model *m, const char *path, bool half, cxr_error *err)
{
    return write_model(m, path, half, false, NULL, 0, NULL, 0, err);
}

/* ---- Reading ---- */

static cxr_status bad_meta(const char *path, const char *key, cxr_error *err)
{
    return cxr_fail(err, CXR_EDATA, "%s: the metadata %s is missing or damaged", path, key);
}

/* The parsed value of a key; NULL when it is missing or not JSON. */
static json_t *get_json(const cxr_weights *w, const char *key)
{
    const char *text = cxr_weights_meta(w, key);
    return text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

static bool get_number(const cxr_weights *w, const char *key, double *out)
{
    json_t *value = get_json(w, key);
    const bool ok = json_is_number(value);
    if (ok) *out = json_number_value(value);
    json_decref(value);
    return ok;
}

static bool get_int(const json_t *value, int lo, int hi, int *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < lo || json_integer_value(value) > hi) return false;
    *out = (int)json_integer_value(value);
    return true;
}

static bool read_head(cxr_train_opts *o, const cxr_weights *w)
{
    json_t *list = get_json(w, "cxr.head");
    bool ok = json_is_array(list) && json_array_size(list) <= CXR_MAX_HEAD;
    o->head_count = ok ? (int)json_array_size(list) : 0;
    for (int i = 0; ok && i < o->head_count; i++) ok = get_int(json_array_get(list, (size_t)i), 1, 65536, &o->head[i]);
    json_decref(list);
    return ok;
}

static bool read_triple(float out[3], const json_t *list)
{
    if (json_array_size(list) != 3) return false;
    for (size_t i = 0; i < 3; i++) {
        if (!json_is_number(json_array_get(list, i))) return false;
        out[i] = (float)json_number_value(json_array_get(list, i));
    }
    return true;
}

static bool read_preprocess(cxr_preprocess *p, const cxr_weights *w)
{
    json_t *all = get_json(w, "cxr.preprocess");
    const char *rule = json_string_value(json_object_get(all, "rule"));
    int channels, known = 0;
    while (rule != NULL && known < 3 && strcmp(rule, cxr_rule_names[known]) != 0) known++;
    p->rule = (cxr_resize_rule)known;
    const bool ok = rule != NULL && known < 3 && get_int(json_object_get(all, "size"), 32, 1024, &p->size) &&
                    get_int(json_object_get(all, "channels"), 3, 3, &channels) &&
                    read_triple(p->mean, json_object_get(all, "mean")) && read_triple(p->std, json_object_get(all, "std"));
    json_decref(all);
    return ok;
}

/* Reads everything but the class names, which need their count first. */
static cxr_status read_opts(cxr_train_opts *o, const cxr_weights *w, const char *path, cxr_error *err)
{
    double dropout;
    o->arch = cxr_weights_meta(w, "cxr.arch");
    o->freeze = cxr_weights_meta(w, "cxr.freeze");
    if (o->arch == NULL) return bad_meta(path, "cxr.arch", err);
    if (o->freeze == NULL) return bad_meta(path, "cxr.freeze", err);
    if (!read_head(o, w)) return bad_meta(path, "cxr.head", err);
    if (!get_number(w, "cxr.dropout", &dropout)) return bad_meta(path, "cxr.dropout", err);
    if (!read_preprocess(&o->preprocess, w)) return bad_meta(path, "cxr.preprocess", err);
    o->dropout = (float)dropout;
    return CXR_OK;
}

static cxr_status build(cxr_model **out, const cxr_train_opts *o, const json_t *list, const char *path, cxr_error *err)
{
    const size_t count = json_array_size(list);
    if (count < 2 || count > CXR_CLASSES_MAX) return bad_meta(path, "cxr.classes", err);
    const char *names[CXR_CLASSES_MAX];
    for (size_t i = 0; i < count; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (names[i] == NULL) return bad_meta(path, "cxr.classes", err);
    }
    cxr_error why = {0};
    const cxr_status st = cxr_model_blank(out, o, names, (int)count, &why);
    if (st == CXR_OK) return CXR_OK;
    return cxr_fail(err, st == CXR_EUSAGE ? CXR_EDATA : st, "%s: %s", path, why.text);
}

/* A point that the file does not name stays NaN. */
static bool read_point(double *out, const json_t *all, const char *name)
{
    const json_t *value = json_object_get(all, name);
    if (value == NULL) return true;
    *out = json_is_number(value) ? json_number_value(value) : -1.0;
    return *out >= 0.0 && *out <= 1.0;
}

/* Files of models that were not fitted, and older ones, have none. */
static cxr_status read_points(cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    if (cxr_weights_meta(w, "cxr.operating_points") == NULL) return CXR_OK;
    json_t *all = get_json(w, "cxr.operating_points");
    const bool ok = json_is_object(all) && m->positive >= 0 && read_point(&m->rule_out, all, "rule_out") &&
                    read_point(&m->rule_in, all, "rule_in");
    json_decref(all);
    return ok ? CXR_OK : bad_meta(path, "cxr.operating_points", err);
}

static cxr_status read_decision(cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    json_t *positive = get_json(w, "cxr.positive");
    const bool ok = get_int(positive, -1, m->class_count - 1, &m->positive);
    json_decref(positive);
    if (!ok || (m->positive < 0) != (m->class_count > 2)) return bad_meta(path, "cxr.positive", err);
    if (!get_number(w, "cxr.threshold", &m->threshold) || !(m->threshold >= 0 && m->threshold <= 1))
        return bad_meta(path, "cxr.threshold", err);
    if (cxr_weights_meta(w, "cxr.temperature") != NULL &&
        !(get_number(w, "cxr.temperature", &m->temperature) && m->temperature >= CXR_COLDEST && m->temperature <= CXR_HOTTEST))
        return bad_meta(path, "cxr.temperature", err);
    const char *receipt = cxr_weights_meta(w, "cxr.receipt");
    if (receipt == NULL) return CXR_OK;
    m->receipt = cxr_mem_strdup(receipt);
    return m->receipt == NULL ? cxr_mem_fail(err, "a model's receipt") : CXR_OK;
}

static cxr_node *node_named(cxr_model *m, const char *name)
{
    for (int i = 0; i < m->graph.node_count; i++)
        if (strcmp(m->graph.nodes[i].name, name) == 0) return &m->graph.nodes[i];
    return NULL;
}

/* What int8 needs; a file that was not calibrated has none. */
static cxr_status read_peaks(cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    if (cxr_weights_meta(w, "cxr.peaks") == NULL) return CXR_OK;
    json_t *all = get_json(w, "cxr.peaks"), *value;
    const char *name;
    bool ok = json_is_object(all);
    json_object_foreach(all, name, value)
    {
        cxr_node *node = node_named(m, name);
        const float peak = (float)json_number_value(value); /* 0 of anything but a number */
        ok = ok && node != NULL && peak >= CXR_PEAK_MIN && peak <= CXR_PEAK_MAX;
        if (ok) node->peak = peak;
    }
    json_decref(all);
    return ok ? CXR_OK : bad_meta(path, "cxr.peaks", err);
}

/* Files of models that were not fitted, and older ones, have none. */
static cxr_status read_scope(cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    const char *text = cxr_weights_meta(w, "cxr.scope");
    if (text == NULL) return CXR_OK;
    if (strlen(text) > CXR_SCOPE_TEXT)
        return cxr_fail(err, CXR_ELIMIT, "%s: the metadata cxr.scope has %zu bytes, limit %zu", path, strlen(text),
                        CXR_SCOPE_TEXT);
    cxr_error why = {0};
    json_t *all = get_json(w, "cxr.scope");
    const cxr_status st = cxr_scope_read(&m->scope, all, (int)cxr_feature_width(m), &why);
    json_decref(all);
    return st == CXR_OK ? st : cxr_fail(err, st, "%s: the metadata cxr.scope is damaged: %s", path, why.text);
}

static cxr_status check_missing(const cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    cxr_name_list names = {0};
    for (int i = 0; i < m->graph.param_count; i++)
        if (cxr_weights_find(w, m->graph.params[i].name) == NULL) cxr_name_list_add(&names, m->graph.params[i].name);
    if (names.count == 0) return CXR_OK;
    return cxr_fail(err, CXR_EDATA, "%s: %d tensors of the model are missing: %s", path, names.count,
                    cxr_name_list_text(&names));
}

/* A checkpoint adds tensors "optim.*"; PyTorch's state_dict adds batch counters. Anything else is not ours. */
static cxr_status check_unexpected(const cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    cxr_name_list names = {0};
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->items[i].name;
        const bool known = strncmp(name, "optim.", 6) == 0 || cxr_is_batch_counter(name);
        if (!known && cxr_graph_find_param(&m->graph, name) < 0) cxr_name_list_add(&names, name);
    }
    if (names.count == 0) return CXR_OK;
    return cxr_fail(err, CXR_EDATA, "%s: %d tensors are not part of the model: %s", path, names.count,
                    cxr_name_list_text(&names));
}

static cxr_status load_params(cxr_model *m, const cxr_weights *w, const char *path, cxr_error *err)
{
    cxr_status st = check_missing(m, w, path, err);
    if (st == CXR_OK) st = check_unexpected(m, w, path, err);
    for (int i = 0; i < m->graph.param_count && st == CXR_OK; i++) {
        const cxr_param *p = &m->graph.params[i];
        st = cxr_model_load_param(m, p, w, cxr_weights_find(w, p->name), path, err);
    }
    return st;
}

cxr_status cxr_model_from_weights(cxr_model **out, const cxr_weights *w, const char *path, cxr_error *err)
{
    *out = NULL;
    const char *version = cxr_weights_meta(w, "cxr.version");
    if (version == NULL)
        return cxr_fail(err, CXR_EDATA, "%s: a weight file, but not a cxr model: it does not say its architecture and classes",
                        path);
    if (strcmp(version, FORMAT_VERSION) != 0)
        return cxr_fail(err, CXR_EDATA, "%s: model format %.20s; this cxr reads format " FORMAT_VERSION, path, version);
    cxr_train_opts o = {0};
    cxr_status st = read_opts(&o, w, path, err);
    if (st != CXR_OK) return st;
    json_t *classes = get_json(w, "cxr.classes");
    cxr_model *m = NULL;
    st = build(&m, &o, classes, path, err);
    json_decref(classes);
    if (st == CXR_OK) st = load_params(m, w, path, err);
    if (st == CXR_OK) st = read_decision(m, w, path, err);
    if (st == CXR_OK) st = read_points(m, w, path, err);
    if (st == CXR_OK) st = read_peaks(m, w, path, err);
    if (st == CXR_OK) st = read_scope(m, w, path, err);
    if (st == CXR_OK) {
        *out = m;
    } else {
        cxr_model_close(&m);
    }
    return st;
}

cxr_status cxr_model_open(cxr_model **out, const char *path, cxr_error *err)
{
    *out = NULL;
    cxr_weights w;
    cxr_status st = cxr_weights_open(&w, path, err);
    if (st == CXR_OK) st = cxr_model_from_weights(out, &w, path, err);
    cxr_weights_free(&w);
    if (st != CXR_OK) return st;
    (*out)->path = cxr_mem_strdup(path);
    if ((*out)->path != NULL) return CXR_OK;
    cxr_model_close(out);
    return cxr_mem_fail(err, "a file name");
}
