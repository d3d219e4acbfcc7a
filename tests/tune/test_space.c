/* TOML spaces: what they draw, and what they refuse, by name, line and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "train/options.h"
#include "tune/space.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cxr_error error;

static cxr_space parsed(const char *text)
{
    cxr_space s;
    if (cxr_space_parse(&s, text, strlen(text), "space.toml", &error) != CXR_OK) fail_msg("%s", error.text);
    return s;
}

static const cxr_dimension *dimension(const cxr_space *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->dimensions[i].name, name) == 0) return &s->dimensions[i];
    fail_msg("%s is not searched", name);
    return NULL;
}

static double drawn_number(const cxr_space *s, const char *name, int trial)
{
    json_t *value = cxr_space_draw(s, dimension(s, name), trial);
    const double x = json_number_value(value);
    assert_true(json_is_number(value));
    json_decref(value);
    return x;
}

static const char ranges[] = "[search]\n"
                             "lr = { low = 1e-4, high = 1e-2, log = true }\n"
                             "dropout = { low = 0.0, high = 0.5 }\n"
                             "epochs = { low = 5, high = 20 }\n"
                             "batch-size = { low = 2, high = 256, log = true }\n"
                             "freeze = [\"none\", \"layer1\", \"layer2\"]\n"
                             "balanced = [true, false]\n";

static void settings_arrive(void **state)
{
    (void)state;
    cxr_space s =
        parsed("trials = 7\nseed = 9\nobjective = \"val_accuracy\"\nstopping = \"none\"\nmin_epochs = 4\n"
               "min_trials = 5\nepochs = 6\n[fixed]\nlr = 1\nweight-decay = 0.5\nhead = [8, 4]\n[search]\nsize = [32]\n");
    assert_int_equal(s.trials, 7);
    assert_true(s.seed == 9);
    assert_int_equal(s.objective, CXR_BY_ACCURACY);
    assert_int_equal(s.stopping, CXR_STOP_NONE);
    assert_int_equal(s.min_epochs, 4);
    assert_int_equal(s.min_trials, 5);
    cxr_train_opts o;
    json_t *drawn = NULL;
    cxr_train_opts_default(&o);
    o.data = "d", o.out = "o";
    assert_int_equal(cxr_space_apply(&s, 1, &o, &drawn, &error), CXR_OK);
    assert_true(o.epochs == 6 && o.lr == 1.0f && o.weight_decay == 0.5f && o.preprocess.size == 32);
    assert_true(o.head_count == 2 && o.head[0] == 8 && o.head[1] == 4);
    assert_true(o.batch_size == 64); /* named nowhere */
    assert_int_equal(json_object_size(drawn), 1);
    json_decref(drawn);
    cxr_space_free(&s);

    s = parsed("[search]\nlr = [1]\n");
    assert_true(s.trials == 20 && s.seed == 1 && s.objective == CXR_BY_LOSS && s.stopping == CXR_STOP_MEDIAN);
    assert_true(s.min_epochs == 3 && s.min_trials == 3);
    cxr_space_free(&s);
}

static void dimensions_keep_the_files_order(void **state)
{
    (void)state;
    static const char *const names[] = {"lr", "dropout", "epochs", "batch_size", "freeze", "balanced"};
    cxr_space s = parsed(ranges);
    assert_int_equal(s.count, 6);
    for (int i = 0; i < 6; i++) assert_string_equal(s.dimensions[i].name, names[i]);
    cxr_space_free(&s);
}

/* By a program in Python that shares the key and nothing else (as tools/golden/keyed_rng.py has it). */
static void draws_are_what_their_formula_says(void **state)
{
    (void)state;
    static const struct {
        int seed, trial;
        double lr, dropout, epochs, batch;
        const char *freeze;
        bool balanced;
    } want[] = {{1, 1, 0.000179, 0.3997, 16, 126, "none", true},  {1, 2, 0.004586, 0.0199, 17, 12, "layer1", false},
                {1, 3, 0.005277, 0.3082, 9, 156, "layer1", true}, {7, 1, 0.001156, 0.1647, 17, 19, "layer2", false},
                {7, 2, 0.003643, 0.2062, 6, 9, "layer1", true},   {7, 3, 0.001436, 0.3888, 10, 10, "layer2", true}};
    cxr_space s = parsed(ranges);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        s.seed = (uint64_t)want[i].seed;
        const int t = want[i].trial;
        /* Equal, not close: four digits hide what two logarithms may differ by. */
        assert_true(drawn_number(&s, "lr", t) == want[i].lr);
        assert_true(drawn_number(&s, "dropout", t) == want[i].dropout);
        assert_true(drawn_number(&s, "epochs", t) == want[i].epochs);
        assert_true(drawn_number(&s, "batch_size", t) == want[i].batch);
        json_t *freeze = cxr_space_draw(&s, dimension(&s, "freeze"), t);
        json_t *balanced = cxr_space_draw(&s, dimension(&s, "balanced"), t);
        assert_string_equal(json_string_value(freeze), want[i].freeze);
        assert_true(json_is_boolean(balanced) && json_is_true(balanced) == want[i].balanced);
        json_decref(freeze);
        json_decref(balanced);
    }
    cxr_space_free(&s);
}

static void what_else_is_searched_changes_no_draw(void **state)
{
    (void)state;
    cxr_space all = parsed(ranges), one = parsed("[search]\nepochs = { low = 5, high = 20 }\n");
    for (int t = 1; t <= 50; t++) assert_true(drawn_number(&all, "epochs", t) == drawn_number(&one, "epochs", t));
    cxr_space_free(&all);
    cxr_space_free(&one);
}

#define DRAWS 20000

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's distance of u[0..DRAWS) from uniform on [0, 1]. */
static double distance(double *u)
{
    double d = 0.0;
    qsort(u, DRAWS, sizeof *u, by_value);
    for (int i = 0; i < DRAWS; i++) d = fmax(d, fmax(fabs(u[i] - (double)i / DRAWS), fabs(u[i] - (i + 1.0) / DRAWS)));
    return d;
}

/* 1.95 / sqrt(n) is passed by one fair sample in a thousand; the draws do not change. Four digits move no value by more than
 * 5e-4 of itself, which is below 1e-3 of either range. */
static void ranges_are_uniform(void **state)
{
    (void)state;
    static double u[DRAWS];
    const double most = 1.95 / sqrt(DRAWS) + 1e-3;
    cxr_space s = parsed(ranges);
    for (int i = 0; i < DRAWS; i++) {
        const double x = drawn_number(&s, "lr", i + 1);
        assert_true(x >= 1e-4 && x <= 1e-2);
        u[i] = log(x / 1e-4) / log(100.0);
    }
    assert_true(distance(u) < most);
    for (int i = 0; i < DRAWS; i++) {
        u[i] = drawn_number(&s, "dropout", i + 1) / 0.5;
        assert_true(u[i] >= 0.0 && u[i] <= 1.0);
    }
    assert_true(distance(u) < most);
    cxr_space_free(&s);
}

/* Chi-squared of `cells` counts that should be equal. */
static double chi_squared(const int *counts, int cells)
{
    const double want = (double)DRAWS / cells;
    double sum = 0.0;
    for (int i = 0; i < cells; i++) sum += (counts[i] - want) * (counts[i] - want) / want;
    return sum;
}

static void choices_are_equally_likely(void **state)
{
    (void)state;
    int epochs[16] = {0}, stages[3] = {0}, flags[2] = {0};
    cxr_space s = parsed(ranges);
    for (int t = 1; t <= DRAWS; t++) {
        json_t *freeze = cxr_space_draw(&s, dimension(&s, "freeze"), t),
               *flag = cxr_space_draw(&s, dimension(&s, "balanced"), t);
        const double x = drawn_number(&s, "epochs", t);
        assert_true(x >= 5 && x <= 20 && x == floor(x));
        epochs[(int)x - 5]++;
        stages[json_string_value(freeze)[0] == 'n' ? 0 : json_string_value(freeze)[5] - '0']++;
        flags[json_is_true(flag)]++;
        json_decref(freeze);
        json_decref(flag);
    }
    /* Quantiles of 0.999: chi-squared with 15, 2 and 1 degrees of freedom. */
    assert_true(chi_squared(epochs, 16) < 37.70);
    assert_true(chi_squared(stages, 3) < 13.82);
    assert_true(chi_squared(flags, 2) < 10.83);
    cxr_space_free(&s);
}

static void a_whole_logarithmic_range_reaches_both_ends(void **state)
{
    (void)state;
    int counts[3] = {0};
    cxr_space s = parsed("[search]\nbatch_size = { low = 2, high = 4, log = true }\n");
    for (int t = 1; t <= DRAWS; t++) counts[(int)drawn_number(&s, "batch_size", t) - 2]++;
    for (int i = 0; i < 3; i++) {
        const double want = DRAWS * log((i + 3.0) / (i + 2.0)) / log(5.0 / 2.0);
        assert_true(fabs(counts[i] - want) < 4.0 * sqrt(want)); /* four standard deviations */
    }
    cxr_space_free(&s);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *reason;
    } bad[] = {
        {"", "", "nothing under [search]"},
        {"trials = 3\n[fixed]\nlr = 1\n", "", "nothing under [search]"},
        {"trials = 0\n[search]\nlr = [1]", "line 1: trials: ", "whole number from 1 to 10000"},
        {"trials = 2.5\n[search]\nlr = [1]", "line 1: trials: ", "whole number"},
        {"\n\ntrials = \"many\"\n[search]\nlr = [1]", "line 3: trials: ", "whole number"},
        {"seed = -1\n[search]\nlr = [1]", "line 1: seed: ", "from 0 on"},
        {"objective = \"auroc\"\n[search]\nlr = [1]", "line 1: objective: ", "val_loss"},
        {"objective = \"perturbed_loss\"\n[fixed]\nfit = \"val\"\n[search]\nlr = [1]", "", "sets the option fit itself"},
        {"stopping = true\n[search]\nlr = [1]", "line 1: stopping: ", "median"},
        {"min_trials = 0\n[search]\nlr = [1]", "line 1: min_trials: ", "from 1"},
        {"lr = 1e-3\n[search]\nsize = [32]", "line 1: lr: ", "under [fixed] or [search]"},
        {"[serach]\nlr = [1]", "line 1: serach: ", "no setting"},
        {"search = 3", "line 1: search: ", "table"},
        {"[[search]]\nlr = [1]", "line 1: search: ", "table"},
        {"[search]\nrl = [1]", "line 2: search.rl: ", "not an option"},
        {"[fixed]\nwieght-decay = 1\n[search]\nlr = [1]", "line 2: fixed.wieght-decay: ", "not an option"},
        {"[search]\ndata = [\"d\"]", "line 2: search.data: ", "command line"},
        {"[fixed]\nout = \"d\"\n[search]\nlr = [1]", "line 2: fixed.out: ", "command line"},
        {"[fixed]\nseeds = 3\n[search]\nlr = [1]", "line 2: fixed.seeds: ", "a trial is one run"},
        {"[search]\nsplit-seed = [1, 2]", "line 2: search.split-seed: ", "validation images"},
        {"[search]\nseed = [1, 2]", "line 2: search.seed: ", "validation images"},
        {"[search]\nval-fraction = { low = 0.1, high = 0.2 }", "line 2: search.val-fraction: ", "validation images"},
        {"[search]\nlr = [1]\nlr = [2]", "line 3: ", "redefine"},
        {"[search]\nweight_decay = [1]\nweight-decay = [2]", "weight_decay: ", "given twice"},
        {"[fixed]\nlr = 1\n[search]\nlr = [2]", "lr: ", "given twice"},
        {"epochs = 2\n[fixed]\nepochs = 3\n[search]\nlr = [2]", "epochs: ", "given twice"},
        {"epochs = 0\n[search]\nlr = [2]", "line 1: epochs: ", "from 1 to 100000"},
        {"[fixed]\nlr = 1001\n[search]\nsize = [32]", "line 2: fixed.lr: ", "above 0 and up to 1000"},
        {"[fixed]\nlr = \"1\"\n[search]\nsize = [32]", "line 2: fixed.lr: ", "a number"},
        {"[fixed]\ndropout = 1\n[search]\nsize = [32]", "line 2: fixed.dropout: ", "from 0 to below 1"},
        {"[fixed]\nbatch-size = 64.0\n[search]\nsize = [32]", "line 2: fixed.batch-size: ", "whole number from 2 to 1024"},
        {"[fixed]\nbatch-size = 4294967360\n[search]\nsize = [32]", "line 2: fixed.batch-size: ", "whole number"},
        {"[fixed]\nbalanced = 1\n[search]\nsize = [32]", "line 2: fixed.balanced: ", "true or false"},
        {"[fixed]\noptimizer = \"adamm\"\n[search]\nsize = [32]", "line 2: fixed.optimizer: ", "adam, adamw, sgd"},
        {"[fixed]\narch = \"vgg\"\n[search]\nsize = [32]", "line 2: fixed.arch: ", "vgg"},
        {"[search]\nlr = 1e-3", "line 2: search.lr: ", "list of choices or a range"},
        {"[search]\nlr = []", "line 2: search.lr: ", "0 choices"},
        {"[search]\nlr = [1, 2, 0]", "line 2: search.lr: choice 3: ", "above 0"},
        {"[search]\nfreeze = [\"none\", \"layer5\"]", "line 2: search.freeze: choice 2: ", "layer5"},
        {"[search]\nhead = [16, 32]", "line 2: search.head: choice 1: ", "list of at most 8"},
        {"[search]\nhead = [[16], [65537]]", "line 2: search.head: choice 2: ", "from 1 to 65536"},
        {"[search]\nlr = { low = 1e-3, high = 1e-4 }", "line 2: search.lr: ", "low must be less"},
        {"[search]\nepochs = { low = 3, high = 3 }", "line 2: search.epochs: ", "low must be less"},
        {"[search]\nlr = { low = 0, high = 1 }", "line 2: search.lr: low: ", "above 0"},
        {"[search]\nlr = { low = 1, high = 1001 }", "line 2: search.lr: high: ", "up to 1000"},
        {"[search]\nnoise = { low = 0, high = 1, log = true }", "line 2: search.noise: ", "cannot begin at 0"},
        {"[search]\nepochs = { low = 1.5, high = 3 }", "line 2: search.epochs: low: ", "whole number"},
        {"[search]\nlr = { low = 1 }", "line 2: search.lr: ", "low = ..., high = ..."},
        {"[search]\nlr = { low = 1, hihg = 2 }", "line 2: search.lr: ", "needs low and high"},
        {"[search]\nlr = { low = 1, high = 2, step = 1 }", "line 2: search.lr: ", "low = ..., high = ..."},
        {"[search]\nlr = { low = 1, high = 2, log = 10 }", "line 2: search.lr: ", "true or false"},
        {"[search]\nfreeze = { low = 1, high = 2 }", "line 2: search.freeze: ", "list its values"},
        {"[search]\n\"l\\nr\" = [1]", "line 2: search.l?r: ", "not an option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cxr_space s;
        if (cxr_space_parse(&s, bad[i].text, strlen(bad[i].text), "space.toml", &error) != CXR_EDATA)
            fail_msg("accepted: %s", bad[i].text);
        if (strstr(error.text, "space.toml: ") != error.text || strstr(error.text, bad[i].line) == NULL ||
            strstr(error.text, bad[i].reason) == NULL)
            fail_msg("%s\nsaid: %s", bad[i].text, error.text);
        assert_true(s.fixed == NULL && s.searched == NULL);
    }
}

/* Alone each value is right; only a draw shows that they contradict each other. */
static void a_contradiction_is_a_refused_draw(void **state)
{
    (void)state;
    cxr_space s = parsed("[search]\nfreeze = [\"none\", \"layer2\"]\ncache_features = [0, 2]\n");
    int refused = 0, taken = 0;
    for (int t = 1; t <= 40; t++) {
        cxr_train_opts o;
        json_t *drawn = NULL;
        cxr_train_opts_default(&o);
        o.data = "d", o.out = "o";
        const cxr_status st = cxr_space_apply(&s, t, &o, &drawn, &error);
        assert_int_equal(st, strcmp(o.freeze, "none") == 0 && o.cache_features == 2 ? CXR_EUSAGE : CXR_OK);
        assert_int_equal(json_object_size(drawn), 2);
        *(st == CXR_OK ? &taken : &refused) += 1;
        json_decref(drawn);
    }
    assert_true(refused > 0 && taken > 0);
    cxr_space_free(&s);
}

static void a_perturbed_objective_is_fitted(void **state)
{
    (void)state;
    cxr_space s = parsed("objective = \"perturbed_auroc\"\n[search]\nlr = [1]\n");
    cxr_train_opts o;
    json_t *drawn = NULL;
    cxr_train_opts_default(&o);
    o.data = "d", o.out = "o";
    assert_int_equal(cxr_space_apply(&s, 1, &o, &drawn, &error), CXR_OK);
    assert_int_equal(o.fit, CXR_FIT_PERTURBED);
    assert_string_equal(cxr_objective_name(s.objective), "perturbed_auroc");
    json_decref(drawn);
    cxr_space_free(&s);
}

static void the_example_is_a_space(void **state)
{
    (void)state;
    cxr_space s;
    if (cxr_space_read(&s, FIXTURES "/../../examples/tune.toml", &error) != CXR_OK) fail_msg("%s", error.text);
    for (int t = 1; t <= s.trials; t++) {
        cxr_train_opts o;
        json_t *drawn = NULL;
        cxr_train_opts_default(&o);
        o.data = "d", o.out = "o";
        if (cxr_space_apply(&s, t, &o, &drawn, &error) != CXR_OK) fail_msg("%s", error.text);
        json_decref(drawn);
    }
    cxr_space_free(&s);
    assert_int_equal(cxr_space_read(&s, "/nowhere/space.toml", &error), CXR_ENOINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_arrive),
        cmocka_unit_test(dimensions_keep_the_files_order),
        cmocka_unit_test(draws_are_what_their_formula_says),
        cmocka_unit_test(what_else_is_searched_changes_no_draw),
        cmocka_unit_test(ranges_are_uniform),
        cmocka_unit_test(choices_are_equally_likely),
        cmocka_unit_test(a_whole_logarithmic_range_reaches_both_ends),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_contradiction_is_a_refused_draw),
        cmocka_unit_test(a_perturbed_objective_is_fitted),
        cmocka_unit_test(the_example_is_a_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
