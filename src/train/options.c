#include "train/options.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "train/phases.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, BOOLEAN, INT, U32, U64, FLOAT, DOUBLE, CHOICE, HEAD, TRIPLE, TEACHERS } kind;

typedef struct field {
    const char *name; /* in args.json; dashes instead of underscores on the command line */
    kind kind;
    size_t offset;
    double low, high; /* closed */
    const char *const *choices;
} field;

static const char *const optimizers[] = {"adam", "adamw", "sgd", NULL};
static const char *const schedules[] = {"constant", "cosine", "onecycle", NULL};
static const char *const devices[] = {"auto", "cpu", "cuda", "reference", NULL};
static const char *const precisions[] = {"f32", "bf16", "int8", "auto", NULL};
static const char *const caches[] = {"ram", "disk", "off", NULL};
static const char *const fits[] = {"none", "val", "perturbed", NULL};
static const char *const rules[] = {"squash", "fit", "crop", NULL};

#define AT(member) offsetof(cxr_train_opts, member)
#define TINY       1e-45 /* the least float above zero: "greater than 0" as a closed range */
#define ALMOST_ONE 0.99999994

static const field fields[] = {
    {"recipe", TEXT, AT(recipe), 0, 0, NULL},
    {"data", TEXT, AT(data), 0, 0, NULL},
    {"out", TEXT, AT(out), 0, 0, NULL},
    {"group_by", TEXT, AT(group_by), 0, 0, NULL},
    {"val_fraction", DOUBLE, AT(val_fraction), 0.01, 0.5, NULL},
    {"train_images", INT, AT(train_images), 0, 1e9, NULL},
    {"skip_unreadable", BOOLEAN, AT(skip_unreadable), 0, 1, NULL},
    {"max_pixels", U64, AT(limits.max_pixels), 1, 1e12, NULL},
    {"max_bytes", U64, AT(limits.max_bytes), 1, 1e12, NULL},
    {"max_scans", U32, AT(limits.max_scans), 1, 1e6, NULL},
    {"resize", CHOICE, AT(preprocess.rule), 0, 0, rules},
    {"size", INT, AT(preprocess.size), CXR_INPUT_LEAST, CXR_INPUT_MOST, NULL},
    {"early_sizes", TEXT, AT(early_sizes), 0, 0, NULL},
    {"mean", TRIPLE, AT(preprocess.mean), -CXR_MEAN_MOST, CXR_MEAN_MOST, NULL},
    {"std", TRIPLE, AT(preprocess.std), CXR_STD_LEAST, CXR_STD_MOST, NULL},
    {"flip", FLOAT, AT(augment.flip), 0, 1, NULL},
    {"rotate", FLOAT, AT(augment.rotate_degrees), 0, 180, NULL},
    {"crop_scale", FLOAT, AT(augment.crop_min_scale), 0, 1, NULL},
    {"brightness", FLOAT, AT(augment.brightness), 0, 1, NULL},
    {"contrast", FLOAT, AT(augment.contrast), 0, 1, NULL},
    {"zoom", FLOAT, AT(augment.zoom), 0, 0.9, NULL},
    {"gamma", FLOAT, AT(augment.gamma), 0, 9, NULL},
    {"noise", FLOAT, AT(augment.noise), 0, 1, NULL},
    {"jpeg_quality", INT, AT(augment.jpeg_quality), 0, 100, NULL},
    {"erase", FLOAT, AT(augment.erase), 0, 1, NULL},
    {"arch", TEXT, AT(arch), 0, 0, NULL},
    {"weights", TEXT, AT(weights), 0, 0, NULL},
    {"allow_missing", TEXT, AT(allow_missing), 0, 0, NULL},
    {"head", HEAD, AT(head), 1, CXR_WIDTH_MOST, NULL},
    {"dropout", FLOAT, AT(dropout), 0, ALMOST_ONE, NULL},
    {"freeze", TEXT, AT(freeze), 0, 0, NULL},
    {"optimizer", CHOICE, AT(optimizer), 0, 0, optimizers},
    {"lr", FLOAT, AT(lr), TINY, 1e3, NULL},
    {"layer_decay", FLOAT, AT(layer_decay), TINY, 1, NULL},
    {"weight_decay", FLOAT, AT(weight_decay), 0, 1e3, NULL},
    {"momentum", FLOAT, AT(momentum), 0, ALMOST_ONE, NULL},
    {"mixup", FLOAT, AT(mixup), 0, 1, NULL},
    {"cutmix", FLOAT, AT(cutmix), 0, 1, NULL},
    {"label_smoothing", FLOAT, AT(label_smoothing), 0, ALMOST_ONE, NULL},
    {"teachers", TEACHERS, AT(teachers), 0, 0, NULL},
    {"distil", FLOAT, AT(distil), 0, 1, NULL},
    {"distil_temperature", FLOAT, AT(distil_temperature), 0.1, 100, NULL},
    {"class_weights", BOOLEAN, AT(class_weights), 0, 1, NULL},
    {"balanced", BOOLEAN, AT(balanced), 0, 1, NULL},
    {"clip_norm", FLOAT, AT(clip_norm), 0, 1e6, NULL},
    {"ema", FLOAT, AT(ema), 0, ALMOST_ONE, NULL},
    {"swa", INT, AT(swa), 0, 100000, NULL},
    {"schedule", CHOICE, AT(schedule), 0, 0, schedules},
    {"epochs", INT, AT(epochs), 1, 100000, NULL},
    {"batch_size", INT, AT(batch_size), 2, 1024, NULL},
    {"early_stop", INT, AT(early_stop), 0, 100000, NULL},
    {"fit", CHOICE, AT(fit), 0, 0, fits},
    {"seed", U64, AT(seed), 0, 9.2e18, NULL},
    {"split_seed", U64, AT(split_seed), 0, 9.2e18, NULL},
    {"seeds", INT, AT(seeds), 1, CXR_MAX_SEEDS, NULL},
    {"then_distil", BOOLEAN, AT(then_distil), 0, 1, NULL},
    {"device", CHOICE, AT(device), 0, 0, devices},
    {"threads", INT, AT(threads), 0, 1024, NULL},
    {"checkpoint_seconds", DOUBLE, AT(checkpoint_seconds), 0, 1e9, NULL},
    {"precision", CHOICE, AT(precision), 0, 0, precisions},
    {"cache", CHOICE, AT(cache), 0, 0, caches},
    {"cache_dir", TEXT, AT(cache_dir), 0, 0, NULL},
    {"cache_features", INT, AT(cache_features), 0, 1024, NULL},
    {"deterministic", BOOLEAN, AT(deterministic), 0, 1, NULL},
    {"tensorboard", BOOLEAN, AT(tensorboard), 0, 1, NULL},
};
#define FIELDS (sizeof fields / sizeof fields[0])

void cxr_train_opts_default(cxr_train_opts *o)
{
    *o = (cxr_train_opts){.group_by = "auto",
                          .val_fraction = 0.1,
                          .augment = {.flip = 0.5f, .rotate_degrees = 10.0f},
                          .arch = "resnet18",
                          .head = {256, 128},
                          .head_count = 2,
                          .dropout = 0.5f,
                          .freeze = "backbone",
                          .lr = 1e-4f,
                          .layer_decay = 1.0f,
                          .momentum = 0.9f,
                          .distil = 0.5f,
                          .distil_temperature = 2.0f,
                          .epochs = 5,
                          .batch_size = 64,
                          .seed = 1,
                          .seeds = 1,
                          .checkpoint_seconds = 60.0,
                          .recipe = "article"};
    cxr_limits_default(&o->limits);
    cxr_preprocess_default(&o->preprocess);
}

/* The field's number k of its kind's count, as a double. Exact for what is range-checked; U64 is compared, never stored. */
static double number_at(const field *f, const void *at, int k)
{
    switch (f->kind) {
    case INT:
    case HEAD: return ((const int *)at)[k];
    case U32: return *(const uint32_t *)at;
    case U64: return (double)*(const uint64_t *)at;
    case FLOAT:
    case TRIPLE: return (double)((const float *)at)[k];
    case DOUBLE: return *(const double *)at;
    case TEXT:
    case BOOLEAN:
    case CHOICE:
    case TEACHERS: break;
    }
    return f->low;
}

static bool is_choice(const field *f, int value)
{
    int count = 0;
    while (f->choices[count] != NULL) count++;
    return value >= 0 && value < count;
}

static cxr_status check_field(const field *f, const cxr_train_opts *o, cxr_error *err)
{
    const void *at = (const char *)o + f->offset;
    if (f->kind == CHOICE && !is_choice(f, *(const int *)at))
        return cxr_fail(err, CXR_EUSAGE, "%s has no value %d", f->name, *(const int *)at);
    const int count = f->kind == TRIPLE ? 3 : f->kind == HEAD ? o->head_count : 1;
    for (int k = 0; k < count; k++) {
        const double x = number_at(f, at, k);
        if (!(x >= f->low && x <= f->high))
            return cxr_fail(err, CXR_EUSAGE, "%s is %.9g, allowed %.9g to %.9g", f->name, x, f->low, f->high);
    }
    return CXR_OK;
}

const char *cxr_train_opts_fresh(const cxr_train_opts *o)
{
    if (o->teacher_count > 0) return "teachers";
    if (o->balanced) return "balanced";
    if (o->mixup > 0.0f) return "mixup";
    return o->cutmix > 0.0f ? "cutmix" : NULL;
}

static cxr_status check_averages(const cxr_train_opts *o, cxr_error *err)
{
    if (o->swa > o->epochs)
        return cxr_fail(err, CXR_EUSAGE, "swa is %d and epochs is %d: there are not that many to average", o->swa, o->epochs);
    if (o->swa > 0 && o->ema > 0.0f)
        return cxr_fail(err, CXR_EUSAGE, "swa is %d and ema is %g: the model is one average or the other, set one to 0", o->swa,
                        (double)o->ema);
    if (o->swa > 0 && o->early_stop > 0)
        return cxr_fail(err, CXR_EUSAGE, "swa is %d and early_stop is %d: which epochs are the last must be known before",
                        o->swa, o->early_stop);
    return CXR_OK;
}

static cxr_status check_phases(const cxr_train_opts *o, cxr_error *err)
{
    cxr_phases sizes, freezes;
    cxr_status st = cxr_size_phases(&sizes, o, err);
    if (st == CXR_OK) st = cxr_freeze_phases(&freezes, o, err);
    if (st == CXR_OK && o->cache_features > 0 && strcmp(freezes.at[0].value, "none") == 0)
        st = cxr_fail(err, CXR_EUSAGE, "cache_features is %d and freeze is none: without a frozen part nothing can be kept",
                      o->cache_features);
    return st;
}

cxr_status cxr_train_opts_check(const cxr_train_opts *o, cxr_error *err)
{
    if (o->data == NULL || o->out == NULL || *o->out == '\0')
        return cxr_fail(err, CXR_EUSAGE, "training needs a data set and a run folder");
    if (o->head_count < 0 || o->head_count > CXR_MAX_HEAD)
        return cxr_fail(err, CXR_EUSAGE, "a head has 0 to %d hidden layers, not %d", CXR_MAX_HEAD, o->head_count);
    if (o->teacher_count < 0 || o->teacher_count > CXR_MAX_TEACHERS)
        return cxr_fail(err, CXR_EUSAGE, "a model has 0 to %d teachers, not %d", CXR_MAX_TEACHERS, o->teacher_count);
    for (size_t i = 0; i < FIELDS; i++) {
        const cxr_status st = check_field(&fields[i], o, err);
        if (st != CXR_OK) return st;
    }
    if (o->precision == CXR_PRECISION_INT8)
        return cxr_fail(err, CXR_EUSAGE, "precision int8 is for trained models: train in f32, bf16 or auto, then quantize");
    if (o->cache_features > 0 && o->cache == CXR_CACHE_OFF)
        return cxr_fail(err, CXR_EUSAGE, "cache_features is %d and cache is off: one contradicts the other", o->cache_features);
    if (o->seeds > 1 && o->seed == 0 && o->split_seed == 0)
        return cxr_fail(err, CXR_EUSAGE, "several seeds begin at 1 or more: the first one also decides the split");
    if (o->then_distil && (o->seeds < 2 || o->seeds > CXR_MAX_TEACHERS || o->teacher_count > 0))
        return cxr_fail(err, CXR_EUSAGE, "then_distil takes 2 to %d seeds and no other teachers, not %d and %d",
                        CXR_MAX_TEACHERS, o->seeds, o->teacher_count);
    const char *fresh = cxr_train_opts_fresh(o);
    if (o->cache_features > 0 && fresh != NULL)
        return cxr_fail(err, CXR_EUSAGE,
                        "cache_features is %d with %s, which takes the pixels of each batch: nothing can be kept",
                        o->cache_features, fresh);
    const cxr_status st = check_averages(o, err);
    return st == CXR_OK ? check_phases(o, err) : st;
}

/* The shortest decimal that reads back as the same float, as a double: 0.0001, not 9.99999975e-05. */
static double shortest(double x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtof(text, NULL) == (float)x) break;
    }
    return strtod(text, NULL);
}

static json_t *numbers_json(const field *f, const void *at, int count)
{
    json_t *list = json_array();
    for (int k = 0; k < count; k++) {
        const double x = number_at(f, at, k);
        (void)json_array_append_new(list, f->kind == HEAD ? json_integer((json_int_t)x) : json_real(shortest(x)));
    }
    return list;
}

static json_t *teachers_json(const cxr_train_opts *o)
{
    json_t *list = json_array();
    for (int i = 0; i < o->teacher_count; i++) (void)json_array_append_new(list, json_string(o->teachers[i]));
    return list;
}

static json_t *field_json(const field *f, const cxr_train_opts *o)
{
    const void *at = (const char *)o + f->offset;
    const char *text;
    switch (f->kind) {
    case TEXT: return memcpy(&text, at, sizeof text), text == NULL ? json_null() : json_string(text);
    case BOOLEAN: return json_boolean(*(const bool *)at);
    case CHOICE: return json_string(f->choices[*(const int *)at]);
    case INT: return json_integer(*(const int *)at);
    case U32: return json_integer(*(const uint32_t *)at);
    case U64: return json_integer((json_int_t) * (const uint64_t *)at);
    case FLOAT: return json_real(shortest((double)*(const float *)at));
    case DOUBLE: return json_real(*(const double *)at);
    case HEAD: return numbers_json(f, at, o->head_count);
    case TRIPLE: return numbers_json(f, at, 3);
    case TEACHERS: return teachers_json(o);
    }
    return NULL;
}

char *cxr_train_opts_json(const cxr_train_opts *o)
{
    json_t *root = json_object();
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < FIELDS; i++) ok = json_object_set_new(root, fields[i].name, field_json(&fields[i], o)) == 0;
    char *text = ok ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(root);
    return text;
}

static bool read_choice(const field *f, int *at, const json_t *value)
{
    const char *text = json_string_value(value);
    for (int i = 0; text != NULL && f->choices[i] != NULL; i++) {
        if (strcmp(text, f->choices[i]) != 0) continue;
        *at = i;
        return true;
    }
    return false;
}

static bool read_list(const field *f, cxr_train_opts *o, const json_t *value)
{
    const size_t n = json_array_size(value);
    if (!json_is_array(value) || (f->kind == TRIPLE ? n != 3 : n > CXR_MAX_HEAD)) return false;
    void *at = (char *)o + f->offset;
    for (size_t k = 0; k < n; k++) {
        const json_t *x = json_array_get(value, k);
        const double number = json_number_value(x);
        if (!json_is_number(x) || (f->kind == HEAD && !json_is_integer(x))) return false;
        if (!(number >= f->low && number <= f->high)) return false; /* before a cast could change it */
        if (f->kind == HEAD) ((int *)at)[k] = (int)json_integer_value(x);
        if (f->kind == TRIPLE) ((float *)at)[k] = (float)number;
    }
    if (f->kind == HEAD) o->head_count = (int)n;
    return true;
}

static bool read_teachers(cxr_train_opts *o, const json_t *value)
{
    const size_t n = json_array_size(value);
    if (!json_is_array(value) || n > CXR_MAX_TEACHERS) return false;
    for (size_t i = 0; i < n; i++)
        if ((o->teachers[i] = json_string_value(json_array_get(value, i))) == NULL) return false;
    o->teacher_count = (int)n;
    return true;
}

static bool read_integer(const field *f, void *at, const json_t *value)
{
    const json_int_t x = json_integer_value(value);
    if (!json_is_integer(value) || x < 0 || (double)x > f->high) return false;
    if (f->kind == INT) *(int *)at = (int)x;
    if (f->kind == U32) *(uint32_t *)at = (uint32_t)x;
    if (f->kind == U64) *(uint64_t *)at = (uint64_t)x;
    return true;
}

static bool read_field(const field *f, cxr_train_opts *o, const json_t *value)
{
    void *at = (char *)o + f->offset;
    const char *text = json_string_value(value);
    switch (f->kind) {
    case TEXT: return memcpy(at, &text, sizeof text), text != NULL || json_is_null(value);
    case BOOLEAN: return *(bool *)at = json_is_true(value), json_is_boolean(value);
    case CHOICE: return read_choice(f, at, value);
    case INT:
    case U32:
    case U64: return read_integer(f, at, value);
    case FLOAT: return *(float *)at = (float)json_number_value(value), json_is_number(value);
    case DOUBLE: return *(double *)at = json_number_value(value), json_is_number(value);
    case HEAD:
    case TRIPLE: return read_list(f, o, value);
    case TEACHERS: return read_teachers(o, value);
    }
    return false;
}

static const field *find_field(const char *name)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

cxr_option_kind cxr_train_opts_kind(const char *name)
{
    const field *f = find_field(name);
    if (f == NULL) return CXR_OPTION_UNKNOWN;
    if (f->kind == INT || f->kind == U32 || f->kind == U64) return CXR_OPTION_WHOLE;
    return f->kind == FLOAT || f->kind == DOUBLE ? CXR_OPTION_REAL : CXR_OPTION_OTHER;
}

static const char *noun(kind k)
{
    switch (k) {
    case TEXT: return "text";
    case BOOLEAN: return "true or false";
    case INT:
    case U32:
    case U64: return "a whole number";
    case FLOAT:
    case DOUBLE: return "a number";
    case CHOICE: return "one of";
    case HEAD: return "a list of at most 8 whole numbers";
    case TRIPLE: return "a list of three numbers";
    case TEACHERS: return "a list of at most 16 model files";
    }
    return "";
}

/* What a field accepts, for a sentence after "must be". */
static void describe(const field *f, char *out, size_t room)
{
    size_t used = (size_t)snprintf(out, room, "%s", noun(f->kind));
    for (int i = 0; f->kind == CHOICE && f->choices[i] != NULL && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s %s", i > 0 ? "," : "", f->choices[i]);
    if (f->low == f->high || f->kind == BOOLEAN || used >= room) return;
    if (f->low == TINY)
        (void)snprintf(out + used, room - used, " above 0 and up to %.9g", f->high);
    else if (f->high == ALMOST_ONE)
        (void)snprintf(out + used, room - used, " from %.9g to below 1", f->low);
    else
        (void)snprintf(out + used, room - used, " from %.9g to %.9g", f->low, f->high);
}

cxr_status cxr_train_opts_set(cxr_train_opts *o, const char *name, const json_t *value, cxr_error *err)
{
    char expected[160];
    const field *f = find_field(name);
    if (f == NULL) return cxr_fail(err, CXR_EUSAGE, "%s is not an option of training", name);
    if (read_field(f, o, value) && check_field(f, o, NULL) == CXR_OK) return CXR_OK;
    describe(f, expected, sizeof expected);
    return cxr_fail(err, CXR_EUSAGE, "%s must be %s", name, expected);
}

/* What an earlier version had no option for keeps its default, which is to do as that version did. */
static cxr_status read_fields(cxr_train_opts *o, json_t *root, const char *path, cxr_error *err)
{
    if (json_object_size(root) == 0) return cxr_fail(err, CXR_EDATA, "%s: not the arguments of a run", path);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const field *f = find_field(key);
        if (f == NULL) return cxr_fail(err, CXR_EDATA, "%s: \"%s\" is not an option of this version", path, key);
        if (!read_field(f, o, value)) return cxr_fail(err, CXR_EDATA, "%s: \"%s\" has a wrong value", path, key);
    }
    return CXR_OK;
}

cxr_status cxr_train_opts_read(cxr_saved_opts *out, const char *path, cxr_error *err)
{
    *out = (cxr_saved_opts){0};
    cxr_buf text;
    cxr_status st = cxr_buf_read(&text, path, 1u << 20, err);
    if (st != CXR_OK) return st;
    json_error_t why = {0};
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
    cxr_buf_free(&text);
    if (root == NULL) return cxr_fail(err, CXR_EDATA, "%s: line %d: %s", path, why.line, why.text);
    cxr_train_opts_default(&out->opts);
    out->json = root;
    st = read_fields(&out->opts, root, path, err);
    cxr_error why_not = {0};
    if (st == CXR_OK) st = cxr_train_opts_check(&out->opts, &why_not);
    if (why_not.status != CXR_OK) st = cxr_fail(err, st == CXR_ENOMEM ? st : CXR_EDATA, "%s: %s", path, why_not.text);
    if (st != CXR_OK) cxr_saved_opts_free(out);
    return st;
}

void cxr_saved_opts_free(cxr_saved_opts *s)
{
    json_decref(s->json);
    *s = (cxr_saved_opts){0};
}
