/* report.html of an evaluation: what it says is what the files say, it needs nothing else, and bad files give a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/model.h"
#include "report/outcomes.h"
#include "text.h"
#include "train/toy.h"
#include <jansson.h>

static cxr_model *model;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const classes[] = {"A", "B"};
    const cxr_train_opts o = toy_training("unused", "none", 1);
    return !toy_create() || cxr_model_build(&model, &o, classes, 2, NULL) != CXR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    toy_remove();
    return 0;
}

static cxr_run_opts quiet_run(void)
{
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    o.threads = 1;
    o.deterministic = true;
    return o;
}

static cxr_metrics *evaluated(const char *folder)
{
    cxr_evaluate_opts o;
    cxr_metrics *m = NULL;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.out = folder;
    o.run = quiet_run();
    must(cxr_evaluate(model, &o, NULL, &m, &error));
    return m;
}

static cxr_status reported(const char *folder, int errors)
{
    cxr_report_opts o;
    cxr_report_opts_default(&o);
    o.folder = folder;
    o.data = toy_path("data");
    o.errors = errors;
    o.run = quiet_run();
    return cxr_report(model, &o, NULL, &error);
}

static char *page_of(const char *folder)
{
    char *path = cxr_path_join(folder, "report.html"), *text = text_of_file(path);
    cxr_mem_free(path);
    assert_non_null(text);
    return text;
}

static size_t count(const char *page, const char *what)
{
    size_t n = 0;
    for (const char *at = page; (at = strstr(at, what)) != NULL; at += strlen(what)) n++;
    return n;
}

static void expect(const char *page, const char *text)
{
    if (strstr(page, text) == NULL) fail_msg("the page does not say: %s", text);
}

static double figure(const cxr_metrics *m, const char *name)
{
    for (int f = 0; f < CXR_METRICS; f++)
        if (strcmp(m->names[f], name) == 0) return m->value[f];
    fail_msg("no figure %s", name);
    return 0.0;
}

static void test_figures_are_those_of_the_evaluation(void **state)
{
    (void)state;
    const char *folder = toy_path("figures");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 3));
    char *page = page_of(folder), text[120];
    (void)snprintf(text, sizeof text, "<span>Area under the ROC</span><strong>%.3f</strong>", figure(m, "auroc"));
    expect(page, text);
    (void)snprintf(text, sizeof text, "<th scope=\"row\">A</th><td>%d (%.1f %%)</td><td>%d (%.1f %%)</td>",
                   (int)m->confusion[0], 100.0 * (double)m->confusion[0] / (double)(m->confusion[0] + m->confusion[1]),
                   (int)m->confusion[1], 100.0 * (double)m->confusion[1] / (double)(m->confusion[0] + m->confusion[1]));
    expect(page, text);
    assert_int_equal(count(page, "<section"), count(page, "</section>"));
    assert_int_equal(count(page, "<table"), count(page, "</table>"));
    free(page);
    cxr_metrics_free(&m);
}

static void test_a_page_fetches_nothing(void **state)
{
    (void)state;
    const char *folder = toy_path("alone");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 3));
    char *page = page_of(folder);
    assert_int_equal(count(page, "src=\""), count(page, "src=\"data:image/"));
    assert_int_equal(count(page, "href=\""), count(page, "href=\"#") + count(page, "href=\"data:,\""));
    assert_int_equal(count(page, "http:") + count(page, "https:"), 0);
    free(page);
    cxr_metrics_free(&m);
}

/* The scores that the page's script counts are those of predictions.csv, rising, by true class. */
static void test_scores_are_the_predictions(void **state)
{
    (void)state;
    const char *folder = toy_path("scores");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 0));
    char *page = page_of(folder);
    const char *mark = "<script type=\"application/json\" id=\"scores\">";
    const char *begin = strstr(page, mark) + strlen(mark);
    json_t *scores = json_loadb(begin, (size_t)(strstr(begin, "</script>") - begin), 0, NULL);
    cxr_outcomes o;
    must(cxr_outcomes_read(&o, folder, NULL, &error));
    for (int label = 0; label < 2; label++) {
        const json_t *list = json_object_get(scores, label == 1 ? "positive" : "negative");
        size_t n = 0, same = 0;
        for (size_t i = 0; i < o.all.n; i++) n += o.all.label[i] == label;
        assert_int_equal(json_array_size(list), n);
        assert_true(n > 0);
        for (size_t k = 0; k < n; k++) {
            const double score = json_real_value(json_array_get(list, k));
            assert_true(k == 0 || score >= json_real_value(json_array_get(list, k - 1)));
            for (size_t i = 0; i < o.all.n; i++)
                if (o.all.label[i] == label && o.all.probability[2 * i + 1] == (float)score) {
                    same++;
                    break;
                }
        }
        assert_int_equal(same, n);
    }
    json_decref(scores);
    cxr_outcomes_free(&o);
    free(page);
    cxr_metrics_free(&m);
}

#define HEAD "path,label,prediction,probability_A,probability_B,group\n"

/* Three wrong ones, of which the second is the surest; an image that is not in the data set has no picture. */
static void test_errors_come_by_confidence(void **state)
{
    (void)state;
    const char *folder = toy_path("errors");
    cxr_metrics *m = evaluated(folder);
    cxr_outcomes o;
    char rows[1024];
    must(cxr_outcomes_read(&o, folder, NULL, &error));
    assert_true(o.all.n >= 4 && o.all.label[0] == 0 && o.all.label[1] == 0 && o.all.label[2] == 0);
    (void)snprintf(rows, sizeof rows,
                   HEAD "%s,A,B,0.4,0.6,g1\n%s,A,B,0.1,0.9,g2\n%s,A,A,0.7,0.3,g3\ntest/gone<b>.png,B,A,0.8,0.2,g4\n",
                   o.all.path[0], o.all.path[1], o.all.path[2]);
    char *first = strdup(o.all.path[0]), *surest = strdup(o.all.path[1]);
    cxr_outcomes_free(&o);
    char *file = cxr_path_join(folder, "predictions.csv");
    must(cxr_file_write(file, rows, strlen(rows), &error));
    must(reported(folder, 12));
    char *page = page_of(folder), *gallery = strstr(page, "<ul class=\"gallery\">");
    expect(page, "3 of 4 images are called wrong");
    assert_non_null(gallery);
    assert_int_equal(count(gallery, "<li>"), 2);
    assert_int_equal(count(gallery, "alt=\"The radiograph\""), 2);
    assert_int_equal(count(gallery, "data:image/png"), 2);
    assert_true(strstr(gallery, surest) < strstr(gallery, first));
    assert_null(strstr(page, "gone<b>"));
    must(reported(folder, 1));
    free(page);
    page = page_of(folder);
    assert_int_equal(count(strstr(page, "<ul class=\"gallery\">"), "<li>"), 1);
    free(page);
    free(first);
    free(surest);
    cxr_mem_free(file);
    cxr_metrics_free(&m);
}

static void test_a_section_is_there_when_its_file_is(void **state)
{
    (void)state;
    const char *folder = toy_path("sections");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 0));
    char *page = page_of(folder), *file = cxr_path_join(folder, "robustness.csv");
    assert_null(strstr(page, "<section id=\"robustness\">"));
    assert_null(strstr(page, "#robustness"));
    free(page);
    const char *rows = "perturbation,accuracy,balanced_accuracy,sensitivity,specificity,auroc\n<i>,0.123456,1,1,1,\n";
    must(cxr_file_write(file, rows, strlen(rows), &error));
    must(reported(folder, 0));
    page = page_of(folder);
    expect(page, "<section id=\"robustness\">");
    expect(page, "<a href=\"#robustness\">");
    expect(page, "<th scope=\"row\">&lt;i&gt;</th><td>0.1235</td>");
    assert_null(strstr(page, "<section id=\"shortcut\">"));
    free(page);
    cxr_evaluate_opts o;
    cxr_shortcut s;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.out = folder;
    o.run = quiet_run();
    must(cxr_evaluate_shortcut(model, &o, NULL, &s, &error));
    must(reported(folder, 0));
    page = page_of(folder);
    expect(page, "<section id=\"shortcut\">");
    assert_int_equal(count(page, s.finding), 2); /* among the cautions and above the table */
    free(page);
    cxr_mem_free(file);
    cxr_metrics_free(&m);
}

static void test_what_is_known_of_the_checklists(void **state)
{
    (void)state;
    const char *folder = toy_path("lists");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 0));
    char *page = page_of(folder);
    expect(page, "<section id=\"tripod\">");
    expect(page, "<section id=\"claim\">");
    expect(page, "Author must complete");
    expect(page, "The model file says nothing of its training.");
    expect(page, "squashed to 32 x 32 pixels");
    free(page);
    cxr_metrics_free(&m);
}

/* Of a model that lies in its run: images and patients of each split, and patients that cross. */
static void test_the_split_is_the_runs(void **state)
{
    (void)state;
    static const char split[] = "path,label,split,group\n1,A,train,p1\n2,A,train,p1\n3,B,train,p2\n4,B,val,p2\n5,A,test,p3\n"
                                "6,B,test,p1\n7,B,none,p4\n";
    const char *folder = toy_path("split"), *file = toy_path("run/weights/best.safetensors");
    cxr_metrics *m = evaluated(folder);
    must(cxr_make_folders(toy_path("run/weights"), &error));
    must(cxr_file_write(toy_path("run/args.json"), "{}", 2, &error));
    must(cxr_file_write(toy_path("run/split.csv"), split, strlen(split), &error));
    must(cxr_model_save(model, file, false, &error));
    cxr_model *of_run = NULL, *plain = model;
    must(cxr_model_open(&of_run, file, &error));
    model = of_run;
    must(reported(folder, 0));
    model = plain;
    char *page = page_of(folder);
    expect(page, "<th scope=\"row\">train</th><td>3</td><td>2</td><td>2</td><td>1</td>");
    expect(page, "<th scope=\"row\">val</th><td>1</td><td>1</td><td>0</td><td>1</td>");
    expect(page, "<th scope=\"row\">test</th><td>2</td><td>2</td><td>1</td><td>1</td>");
    expect(page, "<span class=\"look\">2</span> patients are in more than one split");
    free(page);
    cxr_model_close(&of_run);
    cxr_metrics_free(&m);
}

static void test_bad_folders(void **state)
{
    (void)state;
    assert_int_equal(reported(NULL, 0), CXR_EUSAGE);
    assert_int_equal(reported(toy_path("data"), 101), CXR_EUSAGE);
    assert_int_equal(reported(toy_path("data"), 0), CXR_ENOINPUT);
    assert_non_null(strstr(error.text, "predictions.csv"));
    const char *folder = toy_path("bad");
    cxr_metrics *m = evaluated(folder);
    must(reported(folder, 0));
    char *metrics = cxr_path_join(folder, "metrics.json"), *before = page_of(folder);
    must(cxr_file_write(metrics, "{", 1, &error));
    assert_int_equal(reported(folder, 0), CXR_EDATA);
    assert_non_null(strstr(error.text, "metrics.json: missing or not JSON"));
    char *after = page_of(folder);
    assert_string_equal(before, after);
    free(before);
    free(after);
    cxr_mem_free(metrics);
    cxr_metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_are_those_of_the_evaluation),
        cmocka_unit_test(test_a_page_fetches_nothing),
        cmocka_unit_test(test_scores_are_the_predictions),
        cmocka_unit_test(test_errors_come_by_confidence),
        cmocka_unit_test(test_a_section_is_there_when_its_file_is),
        cmocka_unit_test(test_what_is_known_of_the_checklists),
        cmocka_unit_test(test_the_split_is_the_runs),
        cmocka_unit_test(test_bad_folders),
    };
    return cmocka_run_group_tests_name("report", tests, set_up, tear_down);
}
