/* When to abstain: distances against scikit-learn's probabilistic PCA, limits against numpy (fixtures/scope.json), each reason on
 * a picture that has it, and from end to end on phantoms. */
#include "compare.h"
#include "data/files.h"
#include "data/png.h"
#include "eval/judge.h"
#include "eval/scope_fit.h"
#include "golden.h"
#include <jansson.h>
#include <math.h>

/* Mean, axes and variances are kept as f32, 6e-8 of each; what an axis loses of a direction 1,000 times as long as the rest is
 * added to the rest. */
#define DISTANCE_TOLERANCE 2e-5
#define EIGEN_TOLERANCE    1e-6

enum { SIZE = 64, SEED = 11 };

static json_t *golden;
static char *dir;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static size_t read_rows(float *to, size_t room, const json_t *rows)
{
    const json_t *row, *x;
    size_t i, j, n = 0;
    json_array_foreach(rows, i, row) json_array_foreach(row, j, x)
    {
        assert_true(n < room);
        to[n++] = (float)json_number_value(x);
    }
    return n;
}

static void distances_are_those_of_scikit_learn(void **state)
{
    (void)state;
    enum { COUNT = 60, WIDTH = 16, AXES = 5, PROBES = 12 };
    const json_t *all = json_object_get(golden, "gaussian");
    float features[COUNT * WIDTH], probe[PROBES * WIDTH];
    assert_int_equal(read_rows(features, COUNT * WIDTH, json_object_get(all, "features")), COUNT * WIDTH);
    assert_int_equal(read_rows(probe, PROBES * WIDTH, json_object_get(all, "probe")), PROBES * WIDTH);
    cxr_scope *s;
    must(cxr_scope_describe(&s, features, COUNT, WIDTH, AXES, &error));
    assert_int_equal(s->axes, AXES);
    for (size_t k = 0; k < AXES; k++)
        assert_true(cxr_close((double)s->variance[k], json_real_value(json_array_get(json_object_get(all, "variance"), k)), 0.0,
                              EIGEN_TOLERANCE));
    assert_true(cxr_close((double)s->rest, json_real_value(json_object_get(all, "rest")), 0.0, EIGEN_TOLERANCE));
    for (size_t i = 0; i < PROBES; i++) {
        const double got = cxr_scope_distance(s, probe + i * WIDTH);
        const double want = json_real_value(json_array_get(json_object_get(all, "distance"), i));
        if (!cxr_close(got, want, 0.0, DISTANCE_TOLERANCE)) fail_msg("probe %zu: %.9g, scikit-learn %.9g", i, got, want);
    }
    cxr_scope_free(&s);
}

static void quantiles_are_those_of_numpy(void **state)
{
    (void)state;
    const json_t *row;
    size_t i;
    assert_true(json_array_size(json_object_get(golden, "quantiles")) >= 9);
    json_array_foreach(json_object_get(golden, "quantiles"), i, row)
    {
        double values[525];
        const json_t *list = json_object_get(row, "values");
        const size_t n = json_array_size(list);
        for (size_t j = 0; j < n; j++) values[j] = json_real_value(json_array_get(list, j));
        assert_true(cxr_scope_quantile(values, n, json_real_value(json_object_get(row, "share"))) ==
                    json_real_value(json_object_get(row, "quantile")));
    }
}

static void what_cannot_be_described(void **state)
{
    (void)state;
    float even[20 * 4], varied[20 * 4];
    cxr_scope *s = NULL;
    for (size_t i = 0; i < sizeof even / sizeof even[0]; i++) even[i] = 3.0f, varied[i] = (float)(i * i % 17);
    must(cxr_scope_describe(&s, varied, CXR_SCOPE_LEAST - 1, 4, 2, &error));
    assert_null(s);
    must(cxr_scope_describe(&s, even, 20, 4, 2, &error));
    assert_null(s);
    must(cxr_scope_describe(&s, varied, CXR_SCOPE_LEAST, 4, 32, &error));
    assert_int_equal(s->axes, 3); /* a direction is left for the rest */
    cxr_scope_free(&s);
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_scope_describe(&s, varied, 20, 4, 2, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        assert_true(fired == (s == NULL));
    }
    cxr_scope_free(&s);
}

/* ---- Reasons ---- */

/* Bright in the middle and below, unlike any turn of itself. */
static void usual(uint8_t to[CXR_LOOK_PIXELS])
{
    for (int y = 0; y < CXR_LOOK_SIDE; y++)
        for (int x = 0; x < CXR_LOOK_SIDE; x++) to[y * CXR_LOOK_SIDE + x] = (uint8_t)(40 + 7 * y + (x > 5 && x < 10 ? 90 : 0));
}

static cxr_look good_look(void)
{
    cxr_look look = {.colour = 0.0f, .aspect = 1.2f, .contrast = 50.0f, .page = 0.2f};
    usual(look.small);
    return look;
}

static void turn(cxr_look *look)
{
    const cxr_look old = *look;
    for (int y = 0; y < CXR_LOOK_SIDE; y++)
        for (int x = 0; x < CXR_LOOK_SIDE; x++)
            look->small[y * CXR_LOOK_SIDE + x] = old.small[x * CXR_LOOK_SIDE + CXR_LOOK_SIDE - 1 - y];
}

static void every_look_has_its_oddity(void **state)
{
    (void)state;
    uint8_t picture[CXR_LOOK_PIXELS];
    cxr_bounds b;
    cxr_bounds_default(&b);
    usual(picture);
    cxr_look looks[8];
    for (int i = 0; i < 8; i++) looks[i] = good_look();
    looks[1].contrast = 9.9f;
    looks[2].colour = 4.1f;
    looks[3].page = 0.71f;
    looks[4].aspect = 4.1f;
    turn(&looks[5]);
    turn(&looks[6]);
    turn(&looks[6]);
    for (int i = 0; i < CXR_LOOK_PIXELS; i++) looks[7].small[i] = (uint8_t)(255 - looks[7].small[i]);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(cxr_look_oddity(&looks[i], &b, picture), i);
        assert_int_equal(cxr_look_oddity(&looks[i], &b, NULL), i < 5 ? i : CXR_ODD_NOTHING);
    }
    turn(&looks[5]);
    turn(&looks[5]);
    assert_int_equal(cxr_look_oddity(&looks[5], &b, picture), CXR_ODD_TURNED); /* the other way, too */
    looks[0].contrast = 10.0f;                                                 /* a bound itself is accepted */
    looks[0].colour = looks[0].aspect = 4.0f;
    assert_int_equal(cxr_look_oddity(&looks[0], &b, picture), CXR_ODD_NOTHING);
}

static cxr_model *build(void)
{
    static const char *const names[2] = {"NORMAL", "PNEUMONIA"};
    cxr_train_opts o;
    cxr_model *m;
    cxr_train_opts_default(&o);
    o.preprocess.size = SIZE;
    must(cxr_model_build(&m, &o, names, 2, &error));
    cxr_keyed_params(&m->graph, m->params, SEED);
    return m;
}

/* A scope whose distance of features that are all x is 512 x^2. */
static void give_scope(cxr_model *m, double limit)
{
    must(cxr_scope_new(&m->scope, 512, 0, &error));
    cxr_bounds_default(&m->scope->bounds);
    usual(m->scope->picture);
    m->scope->rest = 1.0f;
    m->scope->limit = limit;
}

static void features_of(float *to, float x)
{
    for (int i = 0; i < 512; i++) to[i] = x;
}

static void verdicts_name_the_reason(void **state)
{
    (void)state;
    float features[2 * 512];
    cxr_model *m = build(), *other = build();
    cxr_look look = good_look();
    cxr_judgement v;
    cxr_judge(&v, m, &look, NULL);
    assert_true(v.oddity == CXR_ODD_NOTHING && isnan(v.novelty) && v.text[0] == '\0');
    turn(&look);
    cxr_judge(&v, m, &look, NULL); /* nobody knows how it should stand */
    assert_int_equal(v.oddity, CXR_ODD_NOTHING);
    give_scope(m, 512.0);
    features_of(features, 1.0f);
    cxr_judge(&v, m, &look, features);
    assert_int_equal(v.oddity, CXR_ODD_TURNED);
    assert_non_null(strstr(v.text, "turned: a quarter turn makes it more like the mean picture by "));
    look = good_look();
    cxr_judge(&v, m, &look, features);
    assert_true(v.oddity == CXR_ODD_NOTHING && v.novelty == 1.0);
    features_of(features, 1.5f);
    cxr_judge(&v, m, &look, features);
    assert_true(v.oddity == CXR_ODD_FEATURES && v.novelty == 2.25);
    assert_string_equal(v.text, "unlike the training images: 2.25 times the largest distance that is accepted");
    must(cxr_model_join(m, &other, &error)); /* without a scope: it has no say */
    features_of(features + 512, 9.0f);
    cxr_judge(&v, m, &look, features);
    assert_true(v.novelty == 2.25);
    give_scope(m->next, 512.0);
    features_of(features + 512, 0.0f);
    cxr_judge(&v, m, &look, features);
    assert_true(v.novelty == 1.125 && v.oddity == CXR_ODD_FEATURES);
    cxr_model_close(&m);
}

/* ---- From end to end ---- */

#define PHANTOMS 40

typedef struct list {
    char names[PHANTOMS][256];
    const char *paths[PHANTOMS];
} list;

static void list_phantoms(list *to, const char *part)
{
    cxr_files files;
    char folder[256];
    const char *const from = folder;
    (void)snprintf(folder, sizeof folder, "%s/phantoms/%s", dir, part);
    must(cxr_files_list(&files, &from, 1, &error));
    assert_int_equal(files.count, PHANTOMS);
    for (size_t i = 0; i < PHANTOMS; i++) {
        (void)snprintf(to->names[i], sizeof to->names[i], "%s", files.paths[i]);
        to->paths[i] = to->names[i];
    }
    cxr_files_free(&files);
}

typedef struct answer {
    size_t count, abstained;
    char reason[160];
    double novelty;
} answer;

static void keep(void *user, const cxr_prediction *p)
{
    answer *a = user;
    assert_int_equal(p->status, CXR_OK);
    assert_non_null(p->probabilities);
    assert_true(p->abstain == (p->reason[0] != '\0'));
    a->count++;
    a->abstained += p->abstain;
    a->novelty = p->novelty;
    (void)snprintf(a->reason, sizeof a->reason, "%s", p->reason);
}

static answer predict(const cxr_model *m, const char *const *paths, size_t count)
{
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    answer a = {0};
    must(cxr_predict(m, paths, count, &o, NULL, keep, &a, &error));
    assert_int_equal(a.count, count);
    return a;
}

/* The reason for a changed copy of a phantom. */
static answer predict_changed(const cxr_model *m, const char *path, void (*change)(uint8_t *rgb, size_t pixels))
{
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_image img;
    char copy[256];
    const char *const from = copy;
    must(cxr_image_load(&img, path, NULL, &limits, &error));
    const size_t n = (size_t)img.width * (size_t)img.height;
    uint8_t *rgb = cxr_mem_new(n, 3);
    assert_non_null(rgb);
    for (size_t i = 0; i < 3 * n; i++) rgb[i] = img.pixels[i / 3];
    change(rgb, n);
    (void)snprintf(copy, sizeof copy, "%s/changed.png", dir);
    png_write(copy, rgb, img.width, img.height, 3);
    cxr_mem_free(rgb);
    cxr_image_free(&img);
    return predict(m, &from, 1);
}

static void negate(uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < 3 * pixels; i++) rgb[i] = (uint8_t)(255 - rgb[i]);
}

static void redden(uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) rgb[3 * i + 1] = (uint8_t)(rgb[3 * i + 1] / 2);
}

static void turn_round(uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < 3 * pixels / 2; i++) {
        const uint8_t old = rgb[i];
        rgb[i] = rgb[3 * pixels - 1 - i];
        rgb[3 * pixels - 1 - i] = old;
    }
}

static void scramble(uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) memset(rgb + 3 * i, i % 7 < 3 ? 255 : rgb[3 * i], 3);
}

static void starts_with(const answer *a, const char *reason)
{
    if (a->abstained != 1 || strncmp(a->reason, reason, strlen(reason)) != 0) fail_msg("%s: \"%s\"", reason, a->reason);
}

static void a_fitted_model_knows_its_phantoms(void **state)
{
    (void)state;
    static list train, val;
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    cxr_model *m = build();
    list_phantoms(&train, "train");
    list_phantoms(&val, "val");
    must(cxr_scope_fit(&m->scope, m, train.paths, PHANTOMS, val.paths, PHANTOMS, &o, NULL, &error));
    assert_true(m->scope->images == PHANTOMS && m->scope->held == PHANTOMS && m->scope->axes == PHANTOMS / 4);
    assert_int_equal(predict(m, val.paths, PHANTOMS).abstained, 0); /* of so few none lies beyond */
    answer a = predict_changed(m, val.paths[3], negate);
    starts_with(&a, "inverted: ");
    a = predict_changed(m, val.paths[3], redden);
    starts_with(&a, "a colour picture: ");
    a = predict_changed(m, val.paths[3], turn_round);
    starts_with(&a, "upside down: ");
    a = predict_changed(m, val.paths[3], scramble);
    starts_with(&a, "unlike the training images: ");
    assert_true(a.novelty > 1.0);
    cxr_scope *again;
    must(cxr_scope_fit(&again, m, train.paths, PHANTOMS, val.paths, PHANTOMS, &o, NULL, &error));
    assert_true(again->limit == m->scope->limit);
    assert_memory_equal(again->axis, m->scope->axis, 512 * PHANTOMS / 4 * sizeof(float));
    cxr_scope_free(&again);
    cxr_model_close(&m);
}

/* An image that cannot be read has a reason of its own, and no part in a fit. */
static void unreadable_images(void **state)
{
    (void)state;
    static list train;
    char bad[256];
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    cxr_model *m = build();
    list_phantoms(&train, "train");
    scratch_write(dir, "bad.png", "no image");
    (void)snprintf(bad, sizeof bad, "%s/bad.png", dir);
    train.paths[0] = bad;
    const char *const only[1] = {bad};
    must(cxr_scope_fit(&m->scope, m, train.paths, PHANTOMS, train.paths, PHANTOMS, &o, NULL, &error));
    assert_true(m->scope->images == PHANTOMS - 1 && m->scope->held == PHANTOMS - 1);
    cxr_scope_free(&m->scope);
    must(cxr_scope_fit(&m->scope, m, train.paths, PHANTOMS, only, 1, &o, NULL, &error));
    assert_null(m->scope);
    cxr_model_close(&m);
}

static int set_up(void **state)
{
    (void)state;
    char out[256];
    cxr_phantom_opts o;
    cxr_phantom_opts_default(&o);
    dir = scratch_new();
    (void)snprintf(out, sizeof out, "%s/phantoms", dir);
    o.out = out;
    o.train = o.val = PHANTOMS / 2;
    o.test = 0;
    o.size = SIZE;
    must(cxr_phantom(&o, &error));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_those_of_scikit_learn),
        cmocka_unit_test(quantiles_are_those_of_numpy),
        cmocka_unit_test(what_cannot_be_described),
        cmocka_unit_test(every_look_has_its_oddity),
        cmocka_unit_test(verdicts_name_the_reason),
        cmocka_unit_test(a_fitted_model_knows_its_phantoms),
        cmocka_unit_test(unreadable_images),
    };
    golden = json_load_file(FIXTURES "/scope.json", 0, NULL);
    if (golden == NULL) return CXR_SKIP;
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    json_decref(golden);
    return failed;
}
