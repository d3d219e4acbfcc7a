/* The model file: everything survives a round trip bit for bit, and each way of being wrong has its status and sentence. */
#include "model/scratch.h"

#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"
#include <math.h>

static cxr_train_opts options(void)
{
    return (cxr_train_opts){.arch = "resnet18",
                            .preprocess = {CXR_RESIZE_FIT, 64, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
                            .head = {6, 5},
                            .head_count = 2,
                            .dropout = 0.3f,
                            .freeze = "layer3",
                            .seed = 7};
}

static const char *const names[3] = {"NORMAL", "PNEUMONIA", "L\xc3\xa4sion"};

static cxr_model *build(int classes)
{
    const cxr_train_opts o = options();
    cxr_error err = {0};
    cxr_model *m = NULL;
    if (cxr_model_build(&m, &o, names, classes, &err) != CXR_OK) fail_msg("%s", err.text);
    return m;
}

static void write_model(const cxr_model *m, const char *path)
{
    cxr_error err = {0};
    if (cxr_model_write(m, path, NULL, 0, NULL, 0, &err) != CXR_OK) fail_msg("%s", err.text);
}

/* The file's weights, with the tensor or key that a test will damage still whole. */
static cxr_weights weights_of(const cxr_model *m)
{
    cxr_weights w;
    cxr_error err = {0};
    write_model(m, in_scratch("m.safetensors"));
    if (cxr_weights_read(&w, in_scratch("m.safetensors"), &err) != CXR_OK) fail_msg("%s", err.text);
    return w;
}

static void assert_same_params(const cxr_model *a, const cxr_model *b)
{
    assert_int_equal(a->graph.param_count, b->graph.param_count);
    for (int i = 0; i < a->graph.param_count; i++) {
        const cxr_param *p = &a->graph.params[i], *q = &b->graph.params[i];
        assert_string_equal(p->name, q->name);
        assert_int_equal(p->count, q->count);
        assert_memory_equal(a->params + p->offset, b->params + q->offset, p->count * sizeof(float));
    }
}

static void round_trip(void **state)
{
    (void)state;
    cxr_model *m = build(3), *back = NULL;
    cxr_error err = {0};
    m->threshold = 0.1 + 0.2;
    m->temperature = 1.3 - 0.1;
    m->preprocess.mean[1] = 0x1.fffffep-3f;
    m->receipt = cxr_mem_strdup("{\"seed\":7}");
    write_model(m, in_scratch("trip"));
    if (cxr_model_open(&back, in_scratch("trip"), &err) != CXR_OK) fail_msg("%s", err.text);
    assert_string_equal(back->arch, "resnet18");
    assert_string_equal(back->freeze, "layer3");
    assert_string_equal(back->receipt, "{\"seed\":7}");
    assert_int_equal(back->head_count, 2);
    assert_memory_equal(back->head, m->head, sizeof m->head);
    assert_true(back->dropout == m->dropout && back->threshold == m->threshold && back->temperature == m->temperature);
    assert_int_equal(back->positive, -1);
    assert_int_equal(back->preprocess.rule, CXR_RESIZE_FIT);
    assert_int_equal(cxr_model_preprocess(back)->size, 64);
    assert_memory_equal(back->preprocess.mean, m->preprocess.mean, sizeof m->preprocess.mean);
    assert_memory_equal(back->preprocess.std, m->preprocess.std, sizeof m->preprocess.std);
    assert_int_equal(cxr_model_class_count(back), 3);
    for (int i = 0; i < 3; i++) assert_string_equal(cxr_model_class_name(back, i), names[i]);
    assert_null(cxr_model_class_name(back, 3));
    assert_null(cxr_model_class_name(back, -1));
    assert_same_params(m, back);
    cxr_model_close(&back);
    cxr_model_close(&m);
    assert_null(m);
    cxr_model_close(&m);
    cxr_model_close(NULL);
}

static void checkpoint_tensors_ride_along(void **state)
{
    (void)state;
    cxr_model *m = build(2), *back = NULL;
    const float moments[3] = {1, 2, 3};
    const cxr_weight_out extra = {.name = "optim.m", .data = moments, .rank = 1, .dims = {3}};
    const char *const meta[] = {"cxr.checkpoint", "{}"};
    cxr_error err = {0};
    assert_int_equal(cxr_model_write(m, in_scratch("check"), &extra, 1, meta, 1, &err), CXR_OK);
    cxr_weights w;
    assert_int_equal(cxr_weights_read(&w, in_scratch("check"), &err), CXR_OK);
    assert_string_equal(cxr_weights_meta(&w, "cxr.checkpoint"), "{}");
    assert_string_equal(cxr_weights_meta(&w, "format"), "pt");
    assert_memory_equal(cxr_weights_find(&w, "optim.m")->data, moments, sizeof moments);
    assert_int_equal(cxr_model_from_weights(&back, &w, "check", &err), CXR_OK);
    assert_int_equal(back->positive, 1);
    assert_same_params(m, back);
    cxr_weights_free(&w);
    cxr_model_close(&back);
    cxr_model_close(&m);
}

static void assert_refused(const cxr_weights *w, const char *part)
{
    cxr_model *m = NULL;
    cxr_error err = {0};
    assert_int_equal(cxr_model_from_weights(&m, w, "file", &err), CXR_EDATA);
    assert_null(m);
    if (strstr(err.text, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static char **meta_value(cxr_weights *w, const char *key)
{
    for (size_t i = 0; i < w->meta_count; i++)
        if (strcmp(w->meta[2 * i], key) == 0) return &w->meta[2 * i + 1];
    fail_msg("no key %s", key);
    return NULL;
}

static void damaged_metadata(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"cxr.version", "2", "format 2"},
        {"cxr.arch", "vgg16", "vgg16"},
        {"cxr.freeze", "layer9", "layer9"},
        {"cxr.head", "[6,0]", "cxr.head"},
        {"cxr.head", "[6,5", "cxr.head"},
        {"cxr.head", "[1,1,1,1,1,1,1,1,1]", "cxr.head"},
        {"cxr.head", "[7,5]", "fc.0.weight has shape (6, 512), the network needs (7, 512)"},
        {"cxr.dropout", "1.0", "dropout"},
        {"cxr.dropout", "\"no\"", "cxr.dropout"},
        {"cxr.classes", "[\"A\"]", "cxr.classes"},
        {"cxr.classes", "[\"A\",\"A\"]", "two classes"},
        {"cxr.classes", "[\"A\",\"\"]", "class 1"},
        {"cxr.classes", "[\"A\",3]", "cxr.classes"},
        {"cxr.classes", "[\"A\",\"B\",\"C\"]", "fc.8.weight"},
        {"cxr.preprocess", "{}", "cxr.preprocess"},
        {"cxr.preprocess", "{\"rule\":\"fit\",\"size\":9,\"channels\":3,\"mean\":[0,0,0],\"std\":[1,1,1]}", "cxr.preprocess"},
        {"cxr.preprocess", "{\"rule\":\"fit\",\"size\":64,\"channels\":3,\"mean\":[0,0,0],\"std\":[1,0,1]}", "deviation 0"},
        {"cxr.preprocess", "{\"rule\":\"no\",\"size\":64,\"channels\":3,\"mean\":[0,0,0],\"std\":[1,1,1]}", "cxr.preprocess"},
        {"cxr.positive", "2", "cxr.positive"},
        {"cxr.positive", "-1", "cxr.positive"},
        {"cxr.threshold", "1.5", "cxr.threshold"},
    };
    cxr_model *m = build(2);
    cxr_weights w = weights_of(m);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char **value = meta_value(&w, cases[i][0]), *old = *value;
        *value = cxr_mem_strdup(cases[i][1]);
        assert_refused(&w, cases[i][2]);
        cxr_mem_free(*value);
        *value = old;
    }
    for (size_t i = 1; i < w.meta_count; i++) { /* all but "format", the receipt's absence and the two texts matter */
        char *key = w.meta[2 * i];
        if (strcmp(key, "cxr.intended_use") == 0 || strcmp(key, "cxr.licence") == 0) continue;
        w.meta[2 * i] = cxr_mem_strdup("other");
        assert_refused(&w, strcmp(key, "cxr.version") == 0 ? "not a cxr model" : key);
        cxr_mem_free(w.meta[2 * i]);
        w.meta[2 * i] = key;
    }
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

/* A model that was not fitted has no such key, so that its file is what it was before there was one. */
static void damaged_temperatures(void **state)
{
    (void)state;
    static const char *const cases[] = {"",    "0",        "-1",   "1e-3",  "101", "1e309",
                                        "NaN", "Infinity", "null", "\"1\"", "[1]", "1 2"};
    cxr_model *m = build(2), *back = NULL;
    cxr_weights plain = weights_of(m);
    assert_null(cxr_weights_meta(&plain, "cxr.temperature"));
    cxr_weights_free(&plain);
    m->temperature = 2.0;
    cxr_weights w = weights_of(m);
    char **value = meta_value(&w, "cxr.temperature"), *old = *value;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *value = cxr_mem_strdup(cases[i]);
        assert_refused(&w, "file: the metadata cxr.temperature is missing or damaged");
        cxr_mem_free(*value);
    }
    *value = cxr_mem_strdup("0.01");
    assert_int_equal(cxr_model_from_weights(&back, &w, "file", NULL), CXR_OK);
    assert_true(cxr_model_temperature(back) == 0.01);
    cxr_mem_free(*value);
    *value = old;
    cxr_model_close(&back);
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

static void operating_points_round_trip(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "[]", "null", "{\"rule_out\":-0.1}", "{\"rule_in\":1.1}", "{\"rule_in\":\"1\"}", "{\"rule_out\":NaN}"};
    cxr_model *m = build(2), *back = NULL;
    cxr_weights plain = weights_of(m);
    assert_null(cxr_weights_meta(&plain, "cxr.operating_points"));
    assert_int_equal(cxr_model_from_weights(&back, &plain, "file", NULL), CXR_OK);
    assert_true(isnan(back->rule_out) && isnan(back->rule_in));
    cxr_model_close(&back);
    cxr_weights_free(&plain);
    m->rule_in = 0.1 + 0.2;
    cxr_weights w = weights_of(m);
    assert_int_equal(cxr_model_from_weights(&back, &w, "file", NULL), CXR_OK);
    assert_true(isnan(back->rule_out) && back->rule_in == 0.1 + 0.2);
    cxr_model_close(&back);
    char **value = meta_value(&w, "cxr.operating_points"), *old = *value;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *value = cxr_mem_strdup(cases[i]);
        assert_refused(&w, "file: the metadata cxr.operating_points is missing or damaged");
        cxr_mem_free(*value);
    }
    *value = old;
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

/* A calibrated model's ranges come back as the same floats; a file without any opens as not calibrated. */
static void peaks_round_trip(void **state)
{
    (void)state;
    cxr_model *m = build(2), *back = NULL;
    cxr_error err = {0};
    write_model(m, in_scratch("plain"));
    assert_int_equal(cxr_model_open(&back, in_scratch("plain"), &err), CXR_OK);
    for (int i = 0; i < back->graph.node_count; i++) assert_true(back->graph.nodes[i].peak == 0.0f);
    cxr_model_close(&back);
    for (int i = 2; i < m->graph.node_count; i += 3) m->graph.nodes[i].peak = 0.1f * (float)i;
    m->graph.nodes[2].peak = CXR_PEAK_MIN;
    m->graph.nodes[5].peak = CXR_PEAK_MAX;
    write_model(m, in_scratch("peaks"));
    if (cxr_model_open(&back, in_scratch("peaks"), &err) != CXR_OK) fail_msg("%s", err.text);
    for (int i = 0; i < back->graph.node_count; i++) assert_true(back->graph.nodes[i].peak == m->graph.nodes[i].peak);
    assert_same_params(m, back);
    cxr_model_close(&back);
    cxr_model_close(&m);
}

static void damaged_peaks(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "[1,2]",
                                        "7",
                                        "{\"relu\":1",
                                        "{\"relu\":1,\"relu\":2}",
                                        "{\"relu\":\"1\"}",
                                        "{\"relu\":null}",
                                        "{\"relu\":[1]}",
                                        "{\"relu\":0}",
                                        "{\"relu\":-1}",
                                        "{\"relu\":1e-13}",
                                        "{\"relu\":1e13}",
                                        "{\"relu\":1e39}",
                                        "{\"relu\":1e309}",
                                        "{\"relu\":NaN}",
                                        "{\"nobody\":1}",
                                        "{\"\":1}",
                                        "{\"relu\":1,\"layer9.0\":1}"};
    cxr_model *m = build(2), *back = NULL;
    m->graph.nodes[2].peak = 1.0f;
    cxr_weights w = weights_of(m);
    char **value = meta_value(&w, "cxr.peaks"), *old = *value;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *value = cxr_mem_strdup(cases[i]);
        assert_refused(&w, "file: the metadata cxr.peaks is missing or damaged");
        cxr_mem_free(*value);
    }
    *value = cxr_mem_strdup("{\"relu\":2.5}");
    assert_int_equal(cxr_model_from_weights(&back, &w, "file", NULL), CXR_OK);
    cxr_mem_free(*value);
    *value = old;
    cxr_model_close(&back);
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

static void damaged_tensors(void **state)
{
    (void)state;
    cxr_model *m = build(2);
    cxr_weights w = weights_of(m);
    cxr_weight *bn = (cxr_weight *)cxr_weights_find(&w, "layer2.0.bn1.running_var");
    bn->name[0] = 'k';
    assert_refused(&w, "1 tensors of the model are missing: layer2.0.bn1.running_var");
    bn->name[0] = 'l';
    bn->dims[0]--;
    assert_refused(&w, "layer2.0.bn1.running_var has shape (127), the network needs (128)");
    bn->dims[0]++;
    float *data = bn->data;
    bn->data = NULL;
    assert_refused(&w, "holds integers");
    bn->data = data;
    w.items = cxr_mem_resize(w.items, w.count + 1, sizeof *w.items);
    w.items[w.count++] = (cxr_weight){.name = cxr_mem_strdup("layer5.weight")};
    assert_refused(&w, "1 tensors are not part of the model: layer5.weight");
    (void)snprintf(w.items[w.count - 1].name, 14, "optim.weights");
    cxr_model *back = NULL;
    assert_int_equal(cxr_model_from_weights(&back, &w, "file", NULL), CXR_OK);
    cxr_model_close(&back);
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

static void bad_options(void **state)
{
    (void)state;
    cxr_train_opts o[9];
    for (size_t i = 0; i < 9; i++) o[i] = options();
    o[0].arch = "resnet50";
    o[1].freeze = "layer0";
    o[2].head_count = 9;
    o[3].head[1] = 0;
    o[4].dropout = 1.0f;
    o[5].dropout = (float)strtod("nan", NULL);
    o[6].preprocess.size = 31;
    o[7].preprocess.size = 1025;
    o[8].preprocess.std[2] = 0;
    cxr_model *m = NULL;
    for (size_t i = 0; i < 9; i++) {
        cxr_error err = {0};
        assert_int_equal(cxr_model_build(&m, &o[i], names, 2, &err), CXR_EUSAGE);
        assert_null(m);
        assert_true(err.text[0] != '\0');
    }
    const cxr_train_opts good = options();
    assert_int_equal(cxr_model_build(&m, &good, names, 1, NULL), CXR_EUSAGE);
    assert_int_equal(cxr_model_build(&m, &good, (const char *const[]){"A", "A"}, 2, NULL), CXR_EDATA);
    assert_int_equal(cxr_model_build(&m, &good, (const char *const[]){"A", "\xff"}, 2, NULL), CXR_EDATA);
}

static void numbered_classes(void **state)
{
    (void)state;
    const cxr_train_opts o = options();
    cxr_model *m = NULL;
    assert_int_equal(cxr_model_new(&m, &o, 2, NULL), CXR_OK);
    assert_string_equal(cxr_model_class_name(m, 0), "0");
    assert_string_equal(cxr_model_class_name(m, 1), "1");
    assert_true(cxr_model_threshold(m) == 0.5 && cxr_model_temperature(m) == 1.0);
    cxr_model_close(&m);
}

typedef struct totals {
    uint64_t parameters, trainable;
    double gflop;
    int rows;
} totals;

static void add_row(void *user, const cxr_layer *layer)
{
    totals *t = user;
    t->rows++;
    t->parameters += layer->parameters;
    t->gflop += layer->gflop;
    if (layer->trainable) t->trainable += layer->parameters;
}

/* torchvision: resnet18 has 11,689,512 parameters, 513,000 of them in fc; layer4 has 8,393,728. */
static void summary_counts(void **state)
{
    (void)state;
    const uint64_t backbone = 11689512 - 513000, head = 512 * 6 + 6 + 2 * 6 + 6 * 5 + 5 + 2 * 5 + 5 * 2 + 2;
    cxr_model *m = build(2);
    totals t = {0};
    cxr_model_summary(m, add_row, &t);
    assert_int_equal(t.rows, m->graph.node_count);
    assert_int_equal(t.parameters, backbone + head);
    assert_int_equal(t.trainable, 8393728 + head);
    assert_true(t.gflop > 0.2 && t.gflop < 0.4); /* 3.63 GFLOP at 224 x 224; (64 / 224)^2 of it */
    cxr_model_close(&m);
}

/* ---- Start from foreign weights ---- */

static char lines[4096];

static void keep_line(void *user, cxr_level level, const char *line)
{
    (void)user;
    if (level == CXR_WARNING) (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

/* A torchvision-like file of m's backbone: without tensor `skip`, with its own fc and counters. */
static void write_foreign(const cxr_model *m, const char *path, const char *skip)
{
    static cxr_weight_out items[160];
    static const float zeros[8];
    size_t count = 0;
    for (int i = 0; i < m->graph.param_count; i++) {
        const cxr_param *p = &m->graph.params[i];
        if (strncmp(p->name, "fc.", 3) == 0 || strcmp(p->name, skip) == 0) continue;
        items[count] = (cxr_weight_out){.name = p->name, .data = m->params + p->offset, .rank = p->rank};
        for (int d = 0; d < p->rank; d++) items[count].dims[d] = p->dims[d];
        count++;
    }
    items[count++] = (cxr_weight_out){.name = "fc.weight", .data = zeros, .rank = 2, .dims = {2, 4}};
    items[count++] = (cxr_weight_out){.name = "bn1.num_batches_tracked", .data = zeros, .rank = 0};
    items[count++] = (cxr_weight_out){.name = "extra.weight", .data = zeros, .rank = 1, .dims = {3}};
    assert_int_equal(cxr_safetensors_write(path, items, count, NULL, 0, NULL), CXR_OK);
}

static void backbone_loads(void **state)
{
    (void)state;
    const cxr_hooks hooks = {.log = {.write = keep_line}};
    cxr_train_opts o = options();
    cxr_model *from = build(2), *to = NULL, *fresh = NULL;
    o.seed = 8;
    assert_int_equal(cxr_model_build(&to, &o, names, 2, NULL), CXR_OK);
    assert_int_equal(cxr_model_build(&fresh, &o, names, 2, NULL), CXR_OK);
    write_foreign(from, in_scratch("foreign"), "layer4.1.conv2.weight");
    cxr_error err = {0};
    lines[0] = '\0';
    assert_int_equal(cxr_model_load_backbone(to, in_scratch("foreign"), NULL, &hooks, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "1 tensors that resnet18 needs are missing: layer4.1.conv2.weight"));
    assert_int_equal(cxr_model_load_backbone(to, in_scratch("foreign"), "layer3.*", &hooks, &err), CXR_EDATA);
    assert_int_equal(cxr_model_load_backbone(to, in_scratch("foreign"), "layer4.*", &hooks, &err), CXR_OK);
    assert_non_null(strstr(lines, "1 missing tensors start from random values: layer4.1.conv2.weight"));
    assert_non_null(strstr(lines, "1 tensors are not part of resnet18 and were left out: extra.weight"));
    for (int i = 0; i < to->graph.param_count; i++) {
        const cxr_param *p = &to->graph.params[i];
        const bool kept = strncmp(p->name, "fc.", 3) == 0 || strcmp(p->name, "layer4.1.conv2.weight") == 0;
        assert_memory_equal(to->params + p->offset, (kept ? fresh : from)->params + p->offset, p->count * sizeof(float));
    }
    o.weights = in_scratch("foreign");
    o.allow_missing = "layer3.*";
    cxr_model *started = NULL;
    assert_int_equal(cxr_model_start(&started, &o, names, 2, &hooks, &err), CXR_EDATA);
    assert_null(started);
    o.allow_missing = "layer4.*";
    assert_int_equal(cxr_model_start(&started, &o, names, 2, &hooks, &err), CXR_OK);
    assert_memory_equal(started->params, to->params, to->graph.float_count * sizeof(float));
    cxr_model_close(&started);
    cxr_model_close(&from);
    cxr_model_close(&to);
    cxr_model_close(&fresh);
}

static void not_a_model(void **state)
{
    (void)state;
    cxr_model *m = build(2), *back = NULL;
    cxr_error err = {0};
    write_foreign(m, in_scratch("foreign"), "");
    assert_int_equal(cxr_model_open(&back, in_scratch("foreign"), &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "a weight file, but not a cxr model"));
    assert_int_equal(cxr_model_open(&back, in_scratch("absent"), &err), CXR_ENOINPUT);
    assert_int_equal(cxr_model_open(&back, scratch, &err), CXR_EDATA);
    assert_null(back);
    cxr_model_close(&m);
}

static void nan_is_never_written(void **state)
{
    (void)state;
    cxr_model *m = build(2);
    cxr_error err = {0};
    write_model(m, in_scratch("old"));
    const int files = files_in_scratch();
    const cxr_param *p = &m->graph.params[cxr_graph_find_param(&m->graph, "fc.4.bias")];
    m->params[p->offset + 2] = (float)strtod("nan", NULL);
    assert_int_equal(cxr_model_write(m, in_scratch("old"), NULL, 0, NULL, 0, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "fc.4.bias"));
    assert_non_null(strstr(err.text, "index 2"));
    assert_int_equal(files_in_scratch(), files);
    cxr_model *back = NULL;
    assert_int_equal(cxr_model_open(&back, in_scratch("old"), NULL), CXR_OK);
    cxr_model_close(&back);
    cxr_model_close(&m);
}

static void cannot_create(void **state)
{
    (void)state;
    cxr_model *m = build(2);
    assert_int_equal(cxr_model_write(m, "/nonexistent/m.safetensors", NULL, 0, NULL, 0, NULL), CXR_ECREATE);
    cxr_model_close(&m);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_model *m = build(2), *back = NULL;
    cxr_weights w = weights_of(m);
    bool fired = true;
    for (long n = 0; fired; n++) { /* the network's part, each one */
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_model_from_weights(&back, &w, "file", NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        assert_true((back == NULL) == fired);
        cxr_model_close(&back);
    }
    fired = true;
    for (long n = 0; fired; n += 61) { /* the whole, sampled: it reads 45 MB each time */
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_model_open(&back, in_scratch("m.safetensors"), NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_model_close(&back);
    }
    fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_model_write(m, in_scratch("m.safetensors"), NULL, 0, NULL, 0, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (fired) assert_true(st == CXR_ENOMEM || st == CXR_EIO); /* EIO: no memory to name the folder to flush */
        if (!fired) assert_int_equal(st, CXR_OK);
    }
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),           cmocka_unit_test(checkpoint_tensors_ride_along),
        cmocka_unit_test(damaged_metadata),     cmocka_unit_test(damaged_tensors),
        cmocka_unit_test(peaks_round_trip),     cmocka_unit_test(damaged_peaks),
        cmocka_unit_test(damaged_temperatures), cmocka_unit_test(operating_points_round_trip),
        cmocka_unit_test(bad_options),          cmocka_unit_test(numbered_classes),
        cmocka_unit_test(summary_counts),       cmocka_unit_test(backbone_loads),
        cmocka_unit_test(not_a_model),          cmocka_unit_test(nan_is_never_written),
        cmocka_unit_test(cannot_create),        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
