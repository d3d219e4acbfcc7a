/* Whole searches on a toy data set: what they leave, and that one broken off anywhere ends like one that was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "train/toy.h"
#include <math.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* With seed 406, trials 1, 3 and 5 learn, 2 contradicts itself, and 4, at a rate that is too high, falls behind. */
static const char space[] = "trials = 5\nseed = 406\nepochs = 2\nmin_epochs = 1\nmin_trials = 2\n"
                            "[search]\nlr = [1e-3, 0.3]\ncache_features = [0, 2]\nfreeze = [\"none\", \"backbone\"]\n";
static const cxr_trial_state states[] = {CXR_TRIAL_DONE, CXR_TRIAL_FAILED, CXR_TRIAL_DONE, CXR_TRIAL_STOPPED, CXR_TRIAL_DONE};

/* toy_path lends its strings for a few calls only; these stay. */
static cxr_tune_opts toy_options(const char *out)
{
    static char data[64], folder[64], file[64];
    cxr_tune_opts o;
    cxr_tune_opts_default(&o);
    o.train = toy_training(out, "backbone", 2);
    (void)snprintf(data, sizeof data, "%s/data", toy_root);
    (void)snprintf(folder, sizeof folder, "%s/%s", toy_root, out);
    (void)snprintf(file, sizeof file, "%s/space.toml", toy_root);
    o.train.data = data;
    o.train.out = folder;
    o.space = file;
    return o;
}

static cxr_tune_opts toy_search(const char *out, const char *text)
{
    const cxr_tune_opts o = toy_options(out);
    must(cxr_file_write(o.space, text, strlen(text), &error));
    return o;
}

/* What the rows at the end say. */
typedef struct seen {
    int numbers[16], count;
    cxr_trial_state states[16]; /* of trial 1 first */
    double objectives[16];
    char reason[16][256];
} seen;

static void see(void *user, const cxr_trial *t)
{
    seen *s = user;
    s->numbers[s->count++] = t->number;
    s->states[t->number - 1] = t->state;
    s->objectives[t->number - 1] = t->objective;
    (void)snprintf(s->reason[t->number - 1], sizeof s->reason[0], "%s", t->reason != NULL ? t->reason : "");
    assert_true(t->count > 0 && t->names[0] != NULL && t->values[0] != NULL);
}

/* The folder's name is in the models' receipts, so compared searches are made under one name and moved. */
static void move(const char *to)
{
    assert_int_equal(rename(toy_path("search"), toy_path(to)), 0);
}

/* tune.csv without its seconds; to be freed. */
static char *timeless_table(const char *search)
{
    char name[128];
    cxr_buf file;
    (void)snprintf(name, sizeof name, "%s/tune.csv", search);
    must(cxr_buf_read(&file, toy_path(name), 1 << 20, &error));
    char *out = cxr_mem_new(file.len + 1, 1);
    size_t used = 0;
    int column = 0;
    for (size_t i = 0; i < file.len; i++) {
        const char c = (char)file.data[i];
        column = c == '\n' ? 0 : column + (c == ',');
        if (column != 4) out[used++] = c;
    }
    cxr_buf_free(&file);
    return out;
}

static void same_file(const char *a, const char *b, const char *name)
{
    char path[128], x[65], y[65];
    (void)snprintf(path, sizeof path, "%s/%s", a, name);
    must(cxr_sha256_file(toy_path(path), x, &error));
    (void)snprintf(path, sizeof path, "%s/%s", b, name);
    must(cxr_sha256_file(toy_path(path), y, &error));
    if (strcmp(x, y) != 0) fail_msg("%s differs between %s and %s", name, a, b);
}

static void same_search(const char *a, const char *b)
{
    static const char *const files[] = {"weights/best.safetensors", "weights/last.safetensors", "split.csv", "args.json"};
    char *x = timeless_table(a), *y = timeless_table(b);
    assert_string_equal(x, y);
    for (int i = 0; i < 5; i++)
        for (size_t k = 0; k < sizeof files / sizeof files[0] && states[i] != CXR_TRIAL_FAILED; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "trial-%03d/%s", i + 1, files[k]);
            same_file(a, b, name);
        }
    cxr_mem_free(x);
    cxr_mem_free(y);
}

static void a_search_leaves_its_table_and_runs(void **state)
{
    (void)state;
    const cxr_tune_opts o = toy_search("search", space);
    seen s = {0};
    must(cxr_tune(&o, NULL, see, &s, &error));
    assert_int_equal(s.count, 5);
    for (int i = 0; i < 5; i++)
        if (s.states[i] != states[i]) fail_msg("trial %d has state %d: %s", i + 1, (int)s.states[i], s.reason[i]);
    for (int i = 1; i < 4; i++) assert_true(s.objectives[s.numbers[i - 1] - 1] <= s.objectives[s.numbers[i] - 1]);
    assert_true(s.numbers[4] == 2 && isnan(s.objectives[1])); /* what failed is last */
    assert_non_null(strstr(s.reason[1], "cache_features is 2 and freeze is none"));
    static const char *const there[] = {"space.toml", "base.json", "tune.json", "trial-001/args.json", "trial-004/results.png"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "search/%s", there[i]);
        if (!cxr_path_exists(toy_path(name))) fail_msg("no %s", name);
    }
    assert_false(cxr_path_exists(toy_path("search/trial-002")));
    char *table = timeless_table("search");
    assert_true(strncmp(table, "trial,state,epochs,val_loss,lr,cache_features,freeze,reason\n", 60) == 0);
    assert_non_null(strstr(table, "\n4,stopped,1,"));
    cxr_mem_free(table);
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_ECREATE);
    assert_non_null(strstr(error.text, "already holds a search"));
    move("unbroken");
}

/* A trial is the run that cxr_train makes of its settings. */
static void a_trial_is_an_ordinary_run(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("search/trial-001", "backbone", 2);
    o.lr = 1e-3f;
    must(cxr_train(&o, NULL, NULL, &error));
    same_file("unbroken", "search", "trial-001/weights/best.safetensors");
    same_file("unbroken", "search", "trial-001/args.json");
    move("trained");
}

/* Asks to stop after every `every` steps, in whatever trial. */
typedef struct breaker {
    int every, steps;
    bool die; /* rather, as abruptly as kill -9: at the question that follows epoch `epochs` of the search */
    int epochs, at;
} breaker;

static void count_step(void *user, const cxr_progress *p)
{
    (void)p;
    ((breaker *)user)->steps++;
}

static void count_epoch(void *user, const cxr_epoch *e)
{
    (void)e;
    ((breaker *)user)->epochs++;
}

static bool stop_now(void *user)
{
    const breaker *b = user;
    if (b->die && b->epochs == b->at) _exit(9);
    return b->every > 0 && b->steps >= b->every;
}

static cxr_hooks breaking(breaker *b)
{
    return (cxr_hooks){.progress = count_step, .epoch = count_epoch, .should_stop = stop_now, .user = b};
}

static void stopped_and_resumed_equals_unbroken(void **state)
{
    (void)state;
    cxr_tune_opts o = toy_search("search", space);
    cxr_status st = CXR_ESTOPPED;
    int parts = 0;
    seen s = {0};
    for (; st == CXR_ESTOPPED && parts < 100; parts++) {
        breaker b = {.every = 4}; /* of 6 steps an epoch */
        const cxr_hooks hooks = breaking(&b);
        st = cxr_tune(&o, &hooks, see, &s, &error);
        o.resume = true;
        o.train.threads = 0;
    }
    must(st);
    assert_true(parts > 5);
    assert_int_equal(s.count, 5);
    move("stopped");
    same_search("unbroken", "stopped");
}

static int be_the_victim(const char *root, int at)
{
    (void)snprintf(toy_root, sizeof toy_root, "%s", root);
    const cxr_tune_opts o = toy_options("search");
    breaker b = {.die = true, .at = at};
    const cxr_hooks hooks = breaking(&b);
    return cxr_tune(&o, &hooks, NULL, NULL, NULL) == CXR_OK ? 0 : 1;
}

/* The fifth epoch is the one after which trial 4 is to be stopped: it is saved, the verdict is not. */
static void killed_before_the_verdict_is_written(void **state)
{
    (void)state;
    cxr_tune_opts o = toy_search("search", space);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_tune", toy_root, "5", (char *)NULL); /* OpenMP's threads do not survive fork */
        _exit(127);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 9);
    assert_true(cxr_path_exists(toy_path("search/trial-004/args.json")));
    o.resume = true;
    o.train.threads = 0;
    must(cxr_tune(&o, NULL, NULL, NULL, &error));
    move("killed");
    same_search("unbroken", "killed");
}

static void a_loss_that_is_not_a_number_is_a_row(void **state)
{
    (void)state;
    cxr_tune_opts o = toy_search("search", "trials = 2\nseed = 0\nepochs = 6\n[fixed]\noptimizer = \"sgd\"\nfreeze = \"none\"\n"
                                           "[search]\nlr = [1e-3, 1e3]\n");
    seen s = {0};
    must(cxr_tune(&o, NULL, see, &s, &error));
    assert_true(s.states[0] == CXR_TRIAL_DONE && s.states[1] == CXR_TRIAL_FAILED);
    if (strstr(s.reason[1], "the loss is ") == NULL && strstr(s.reason[1], "NaN or an infinity") == NULL)
        fail_msg("%s", s.reason[1]);
    move("diverged");
}

/* The higher, the better, and read from a finished run as from a resumed one. */
static void perturbed_images_can_be_what_counts(void **state)
{
    (void)state;
    cxr_tune_opts o = toy_search("search", "trials = 2\nseed = 0\nepochs = 1\nobjective = \"perturbed_auroc\"\n"
                                           "[search]\nlr = [1e-3, 1e-30]\n");
    seen s = {0};
    must(cxr_tune(&o, NULL, see, &s, &error));
    assert_int_equal(s.count, 2);
    for (int i = 0; i < 2; i++) assert_true(s.objectives[i] >= 0.0 && s.objectives[i] <= 1.0);
    assert_true(s.objectives[s.numbers[0] - 1] >= s.objectives[s.numbers[1] - 1]);
    char *table = timeless_table("search");
    assert_true(strncmp(table, "trial,state,epochs,perturbed_auroc,", 35) == 0);
    cxr_mem_free(table);
    move("perturbed");
}

static void what_is_resumed_must_be_what_was_begun(void **state)
{
    (void)state;
    static const char one[] = "trials = 1\nepochs = 1\n[search]\nlr = { low = 1e-4, high = 1e-3 }\n";
    static const char two[] = "trials = 2\nepochs = 1\n[search]\nlr = { low = 1e-4, high = 1e-3 }\n";
    static const char other[] = "trials = 2\nepochs = 1\n[search]\nlr = { low = 1e-4, high = 2e-3 }\n";
    cxr_tune_opts o = toy_search("search", one);
    seen s = {0};
    must(cxr_tune(&o, NULL, NULL, NULL, &error));
    o.resume = true;
    must(cxr_file_write(toy_path("search/space.toml"), other, strlen(other), &error));
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "space.toml was changed"));
    must(cxr_file_write(toy_path("search/space.toml"), two, strlen(two), &error));
    assert_int_equal(rename(toy_path("data/val/A/3.jpeg"), toy_path("aside.jpeg")), 0);
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "the images changed"));
    assert_int_equal(rename(toy_path("aside.jpeg"), toy_path("data/val/A/3.jpeg")), 0);
    FILE *held = fopen(toy_path("search/space.toml"), "r");
    assert_true(held != NULL && flock(fileno(held), LOCK_EX | LOCK_NB) == 0);
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_EUNAVAILABLE);
    (void)fclose(held);
    must(cxr_tune(&o, NULL, see, &s, &error)); /* one trial more */
    assert_int_equal(s.count, 2);
    o.train.out = toy_path("nowhere");
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_ENOINPUT);
}

static cxr_status no_weights(void *user, const char *name, const char *arch, char **path, cxr_error *err)
{
    assert_string_equal(arch, "resnet18");
    *path = NULL;
    if (strcmp(name, "none") == 0) return ++*(int *)user, CXR_OK;
    return cxr_fail(err, CXR_ENOINPUT, "no weights are called %s", name);
}

/* What is wrong with the machine, or with every trial, ends the search; nothing is left behind where nothing began. */
static void what_no_trial_can_help_ends_the_search(void **state)
{
    (void)state;
    int asked = 0;
    cxr_tune_opts o = toy_search("weights", "trials = 2\nepochs = 1\n[fixed]\nweights = \"none\"\n[search]\nlr = [1e-3]\n");
    o.weights = no_weights;
    o.user = &asked;
    must(cxr_tune(&o, NULL, NULL, NULL, &error));
    assert_int_equal(asked, 2);
    o = toy_search("ends", "[fixed]\nweights = \"some\"\n[search]\nlr = [1e-3]\n");
    o.weights = no_weights;
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_ENOINPUT);
    assert_non_null(strstr(error.text, "trial 1: no weights are called some"));
    o = toy_search("never", "[fixed]\ncache_features = 2\nfreeze = \"none\"\n[search]\nlr = [1e-3]\n");
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "no trial is possible"));
    o = toy_search("never", "[search]\nlr = [1e-3]\n");
    const char *data = o.train.data;
    o.train.data = toy_path("nodata");
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_ENOINPUT);
    o.train.data = data;
    o.space = NULL;
    assert_int_equal(cxr_tune(&o, NULL, NULL, NULL, &error), CXR_EUSAGE);
    assert_false(cxr_path_exists(toy_path("never")));
}

int main(int argc, char **argv)
{
    if (argc == 3) return be_the_victim(argv[1], atoi(argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_leaves_its_table_and_runs),     cmocka_unit_test(a_trial_is_an_ordinary_run),
        cmocka_unit_test(stopped_and_resumed_equals_unbroken),    cmocka_unit_test(killed_before_the_verdict_is_written),
        cmocka_unit_test(a_loss_that_is_not_a_number_is_a_row),   cmocka_unit_test(perturbed_images_can_be_what_counts),
        cmocka_unit_test(what_is_resumed_must_be_what_was_begun), cmocka_unit_test(what_no_trial_can_help_ends_the_search),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
