/* What a model can answer about, in its file: it comes back as the same numbers, and each way of being wrong has its sentence. */
#include "model/scratch.h"

#include "base/mem.h"
#include "model/model.h"
#include <math.h>

enum { WIDTH = 512, AXES = 3 };

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_scope *example(void)
{
    cxr_scope *s;
    must(cxr_scope_new(&s, WIDTH, AXES, &error));
    s->images = 2000;
    s->held = 525;
    cxr_bounds_default(&s->bounds);
    s->bounds.over = 0.1 + 0.2;
    for (int i = 0; i < CXR_SCOPE_PICTURE; i++) s->picture[i] = (uint8_t)(255 - i);
    for (int i = 0; i < WIDTH; i++) s->mean[i] = 1e5f / (float)(i + 3);
    for (int i = 0; i < AXES * WIDTH; i++) s->axis[i] = (float)(i % 7 - 3) / 50.0f;
    for (int i = 0; i < AXES; i++) s->variance[i] = 10.0f / (float)(i + 3);
    s->rest = 0.013f;
    s->limit = 1141.9;
    return s;
}

static void assert_same(const cxr_scope *a, const cxr_scope *b)
{
    assert_true(a->images == b->images && a->held == b->held && a->width == b->width && a->axes == b->axes);
    assert_memory_equal(&a->bounds, &b->bounds, sizeof a->bounds);
    assert_memory_equal(a->picture, b->picture, sizeof a->picture);
    assert_memory_equal(a->mean, b->mean, WIDTH * sizeof(float));
    assert_memory_equal(a->axis, b->axis, AXES * WIDTH * sizeof(float));
    assert_memory_equal(a->variance, b->variance, AXES * sizeof(float));
    assert_true(a->rest == b->rest && a->limit == b->limit);
}

static cxr_model *build(void)
{
    static const char *const names[2] = {"NORMAL", "PNEUMONIA"};
    cxr_train_opts o;
    cxr_model *m;
    cxr_train_opts_default(&o);
    must(cxr_model_build(&m, &o, names, 2, &error));
    return m;
}

/* Written whole, and as a file that is passed on. */
static void it_round_trips(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        cxr_model *m = build(), *back = NULL;
        if (half)
            must(cxr_model_save(m, in_scratch("none"), true, &error));
        else
            must(cxr_model_write(m, in_scratch("none"), NULL, 0, NULL, 0, &error));
        must(cxr_model_open(&back, in_scratch("none"), &error));
        assert_null(back->scope);
        cxr_model_close(&back);
        m->scope = example();
        if (half)
            must(cxr_model_save(m, in_scratch("some"), true, &error));
        else
            must(cxr_model_write(m, in_scratch("some"), NULL, 0, NULL, 0, &error));
        must(cxr_model_open(&back, in_scratch("some"), &error));
        assert_non_null(back->scope);
        assert_same(back->scope, m->scope);
        cxr_model_close(&back);
        cxr_model_close(&m);
    }
}

static void a_copy_is_its_own(void **state)
{
    (void)state;
    cxr_scope *s = example(), *copy = NULL;
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_scope_copy(&copy, s, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    assert_same(copy, s);
    assert_true(copy->mean != s->mean && copy->axis != s->axis && copy->variance != s->variance);
    cxr_scope_free(&s);
    cxr_scope_free(&copy);
    assert_null(copy);
}

/* ---- Damage ---- */

static void refused(const json_t *all, const char *part)
{
    cxr_scope *s;
    cxr_error err = {0};
    assert_int_equal(cxr_scope_read(&s, all, WIDTH, &err), CXR_EDATA);
    assert_null(s);
    if (strstr(err.text, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void each_key_is_needed(void **state)
{
    (void)state;
    cxr_scope *s = example(), *back = NULL;
    json_t *all = cxr_scope_json(s), *value;
    const char *key;
    void *next;
    assert_int_equal(json_object_size(all), 17);
    must(cxr_scope_read(&back, all, WIDTH, &error));
    assert_same(back, s);
    cxr_scope_free(&back);
    json_object_foreach_safe(all, next, key, value)
    {
        json_t *less = json_copy(all), *other = json_copy(all);
        (void)json_object_del(less, key);
        refused(less, key);
        (void)json_object_set_new(other, key, json_null());
        refused(other, key);
        (void)json_object_set_new(other, key, json_string("no number, nor base64 of the length"));
        refused(other, key);
        json_decref(less);
        json_decref(other);
    }
    refused(NULL, "it needs the numbers");
    value = json_array();
    refused(value, "it needs the numbers");
    json_decref(value);
    assert_int_equal(cxr_scope_read(&back, all, WIDTH / 2, &error), CXR_EDATA); /* another network's */
    json_decref(all);
    cxr_scope_free(&s);
}

static void numbers_have_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
    } cases[] = {{"colour", -0.1}, {"colour", 256}, {"aspect", 0.9}, {"contrast", 129}, {"page", 1.1}, {"inverted", -2},
                 {"turned", 2.1},  {"over", -2.1},  {"rest", 0},     {"rest", 1e31},    {"limit", 0},  {"limit", 1.1e300}};
    cxr_scope *s = example();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *all = cxr_scope_json(s);
        (void)json_object_set_new(all, cases[i].key, json_real(cases[i].value));
        refused(all, cases[i].key);
        json_decref(all);
    }
    static const struct {
        const char *key;
        json_int_t value;
    } counts[] = {{"images", 0}, {"held", 0}, {"axes", -1}, {"axes", CXR_SCOPE_AXES + 1}, {"width", 511}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        json_t *all = cxr_scope_json(s);
        (void)json_object_set_new(all, counts[i].key, json_integer(counts[i].value));
        refused(all, "it needs the numbers");
        json_decref(all);
    }
    cxr_scope_free(&s);
}

static void arrays_are_looked_at(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        cxr_scope *s = example();
        if (i == 0) s->mean[7] = NAN;
        if (i == 1) s->mean[WIDTH - 1] = INFINITY;
        if (i == 2) s->axis[AXES * WIDTH - 1] = 3.0f;
        if (i == 3) s->axis[0] = INFINITY;
        if (i == 4) s->variance[AXES - 1] = 0.0f;
        json_t *all = cxr_scope_json(s);
        refused(all, "mean, axis or variance is out of range");
        json_decref(all);
        cxr_scope_free(&s);
    }
    cxr_scope *s = example();
    json_t *all = cxr_scope_json(s);
    char *text = cxr_mem_strdup(json_string_value(json_object_get(all, "axis")));
    text[50] = '!';
    (void)json_object_set_new(all, "axis", json_string(text));
    refused(all, "axis is not base64 of 6144 bytes");
    text[50] = ' '; /* which the library would step over */
    (void)json_object_set_new(all, "axis", json_string(text));
    refused(all, "axis is not base64 of 6144 bytes");
    memset(text + strlen(text) - 4, ' ', 4); /* and these, too: fewer bytes would be left */
    text[50] = 'A';
    (void)json_object_set_new(all, "axis", json_string(text));
    refused(all, "axis is not base64 of 6144 bytes");
    cxr_mem_free(text);
    json_decref(all);
    cxr_scope_free(&s);
}

/* In a file: the sentence names it, and what is too long is not parsed. */
static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    cxr_model *m = build(), *back = NULL;
    cxr_weights w;
    m->scope = example();
    must(cxr_model_write(m, in_scratch("damaged"), NULL, 0, NULL, 0, &error));
    must(cxr_weights_read(&w, in_scratch("damaged"), &error));
    for (size_t i = 0; i < w.meta_count; i++) {
        if (strcmp(w.meta[2 * i], "cxr.scope") != 0) continue;
        char *old = w.meta[2 * i + 1];
        w.meta[2 * i + 1] = cxr_mem_strdup("{\"images\":7");
        assert_int_equal(cxr_model_from_weights(&back, &w, "file", &error), CXR_EDATA);
        assert_non_null(strstr(error.text, "file: the metadata cxr.scope is damaged: it needs the numbers images"));
        cxr_mem_free(w.meta[2 * i + 1]);
        w.meta[2 * i + 1] = cxr_mem_new(CXR_SCOPE_TEXT + 2, 1);
        memset(w.meta[2 * i + 1], ' ', CXR_SCOPE_TEXT + 1);
        assert_int_equal(cxr_model_from_weights(&back, &w, "file", &error), CXR_ELIMIT);
        assert_string_equal(error.text, "file: the metadata cxr.scope has 262145 bytes, limit 262144");
        cxr_mem_free(w.meta[2 * i + 1]);
        w.meta[2 * i + 1] = old;
        must(cxr_model_from_weights(&back, &w, "file", &error));
        assert_same(back->scope, m->scope);
    }
    assert_non_null(back);
    cxr_model_close(&back);
    cxr_weights_free(&w);
    cxr_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_round_trips),       cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(each_key_is_needed),   cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(arrays_are_looked_at), cmocka_unit_test(a_damaged_file_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
