/* The shortcut check: figures of each way of hiding and what is said of them, on predictions made by hand; and the whole call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "data/hide.h"
#include "model/model.h"
#include "report/shortcut.h"
#include "train/toy.h"
#include <jansson.h>
#include <math.h>

enum { IMAGES = 40, NONE = 0, LUNGS, CHEST, SURROUNDINGS };

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    return !toy_create();
}

static int tear_down(void **state)
{
    (void)state;
    toy_remove();
    return 0;
}

/* Images are of class 0 and 1 in turn. A way whose skill is s ranks the first s images of each side right, and the others by chance:
 * all alike. */
static cxr_shortcut judged(const int skill[CXR_HIDINGS])
{
    static const char *names[] = {"A", "B"}, *paths[IMAGES * CXR_HIDINGS], *groups[IMAGES * CXR_HIDINGS];
    static char text[IMAGES][8];
    static int labels[IMAGES * CXR_HIDINGS];
    static float p[IMAGES * CXR_HIDINGS * 2];
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < CXR_HIDINGS; k++) {
            const int at = i * CXR_HIDINGS + k, label = i % 2;
            (void)snprintf(text[i], sizeof text[i], "%d", i);
            paths[at] = groups[at] = text[i];
            labels[at] = label;
            p[2 * at + 1] = i / 2 < skill[k] ? (label ? 0.9f : 0.1f) : 0.4f;
            p[2 * at] = 1.0f - p[2 * at + 1];
        }
    const cxr_scored scored = {
        .all =
            {.n = IMAGES * CXR_HIDINGS, .classes = 2, .class_names = names, .path = paths, .label = labels, .probability = p},
        .groups = groups,
        .views = CXR_HIDINGS};
    const cxr_model m = {.class_count = 2, .positive = 1, .threshold = 0.5};
    cxr_shortcut s;
    must(cxr_shortcut_compute(&s, &scored, &m, 1, &error));
    return s;
}

static void expect(const cxr_shortcut *s, const char *words)
{
    if (strstr(s->finding, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", s->finding, words);
}

/* With the first s of 20 on each side ranked right and the rest tied with each other, the area is 1 - (1 - s / 20)^2 / 2. */
static void findings_follow_the_figures(void **state)
{
    (void)state;
    cxr_shortcut s = judged((const int[]){20, 10, 0, 20});
    assert_int_equal(s.n, IMAGES);
    assert_float_equal(s.auroc[NONE], 1.0, 1e-9f);
    assert_float_equal(s.auroc[LUNGS], 0.875, 1e-9f);
    assert_float_equal(s.auroc[CHEST], 0.5, 1e-9f);
    assert_float_equal(s.accuracy[LUNGS], 0.75, 1e-9f); /* 0.4 calls class 0 */
    assert_float_equal(s.kept, 0.0, 1e-9f);
    expect(&s, "no better than chance");
    s = judged((const int[]){20, 20, 5, 20}); /* 0.71875 */
    assert_float_equal(s.kept, 0.4375, 1e-9f);
    expect(&s, "a part of what ranks");
    s = judged((const int[]){20, 20, 10, 0});
    assert_float_equal(s.kept, 0.75, 1e-9f);
    expect(&s, "most of what ranks");
    expect(&s, "AUROC 0.875 (");
    s = judged((const int[]){0, 0, 0, 0});
    assert_true(isnan(s.kept));
    expect(&s, "No answer");
}

/* A network of random weights on the toy set: what is hidden changes its figures, the files hold them, the ledger does not lose the
 * reading. */
static void the_whole_call(void **state)
{
    (void)state;
    static const char *const classes[] = {"A", "B"};
    const cxr_train_opts t = toy_training("unused", "none", 1);
    cxr_model *model = NULL;
    cxr_evaluate_opts o;
    cxr_shortcut s;
    cxr_metrics *plain = NULL;
    must(cxr_model_build(&model, &t, classes, 2, &error));
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.split = "val";
    o.run.threads = 1;
    o.run.deterministic = true;
    must(cxr_evaluate(model, &o, NULL, &plain, &error));
    o.out = toy_path("shortcut");
    must(cxr_evaluate_shortcut(model, &o, NULL, &s, &error));
    assert_int_equal(s.n, plain->n);
    assert_float_equal(s.auroc[NONE], cxr_metrics_value(plain, "auroc"), 1e-5f); /* of another batch */
    json_t *json = json_load_file(toy_path("shortcut/shortcut.json"), 0, NULL);
    json_t *chest = json_object_get(json_object_get(json, "hidden"), "chest");
    assert_true(json_number_value(json_object_get(json_object_get(chest, "auroc"), "value")) == s.auroc[CHEST]);
    assert_string_equal(json_string_value(json_object_get(json, "finding")), s.finding);
    json_decref(json);
    cxr_buf text;
    must(cxr_buf_read(&text, toy_path("shortcut/shortcut.csv"), 10000, &error));
    assert_memory_equal(text.data, "hidden,images,accuracy,balanced_accuracy,auroc,auroc_low,auroc_high\nnone,", 73);
    cxr_buf_free(&text);
    o.run.tta = CXR_TTA_FLIP;
    assert_int_equal(cxr_evaluate_shortcut(model, &o, NULL, &s, &error), CXR_EUSAGE);
    cxr_metrics_free(&plain);
    cxr_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_follow_the_figures),
        cmocka_unit_test(the_whole_call),
    };
    return cmocka_run_group_tests_name("shortcut", tests, set_up, tear_down);
}
