/* cxr_runs(): what a run folder's files say, what is left out, and what is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/options.h"
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULTS "epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second\n"

static char folder[] = "/tmp/cxr-runs-XXXXXX";
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static void put(const char *run, const char *name, const char *text)
{
    char path[300], *slash;
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, run, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    must(cxr_make_folders(path, &error));
    *slash = '/';
    must(cxr_file_write(path, text, strlen(text), &error));
}

static void put_args(const char *run, uint64_t seed, int seeds, const char *early_sizes)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.data = "d";
    o.out = "o";
    o.seed = seed;
    o.seeds = seeds;
    o.early_sizes = early_sizes;
    char *text = cxr_train_opts_json(&o);
    assert_non_null(text);
    put(run, "args.json", text);
    free(text);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s, (void)type, (void)at;
    return remove(path);
}

static int make_folder(void **state)
{
    (void)state;
    (void)strcpy(folder, "/tmp/cxr-runs-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void keep_line(void *user, cxr_level level, const char *line)
{
    char *log = user;
    assert_int_equal(level, CXR_DEBUG);
    (void)strncat(log, line, 3000 - strlen(log) - 1);
    (void)strcat(log, "\n");
}

static cxr_run_list *listed(char log[4000])
{
    const cxr_hooks hooks = {.log = {keep_line, log}};
    cxr_run_list *runs = NULL;
    log[0] = '\0';
    must(cxr_runs(folder, &hooks, &runs, &error));
    return runs;
}

static void check_path(const cxr_run_row *r, const char *name)
{
    assert_string_equal(r->path + strlen(folder) + 1, name);
}

static void a_run_is_read_from_its_files(void **state)
{
    (void)state;
    char log[4000];
    put_args("a", 7, 1, "96:1");
    put("a", "results.csv",
        RESULTS "1,0.9,0.1,0.99,1e-4,1,1\n2,0.8,0.6,0.7,1e-4,1,1\n3,0.7,0.5,0.8,1e-4,1,1\n4,0.6,0.5,0.9,1e-4,1,1\n");
    put("a", "ledger.csv", "time,model,data,split,images,correct\nx,m,d,test,4,3\nx,m,d,val,4,3\nx,m,d,test,4,3\n");
    put("a", "test/metrics.json",
        "{\"accuracy\": {\"value\": 0.75}, \"balanced_accuracy\": {\"value\": 0.5}, \"auroc\": {\"value\": null}}");
    cxr_run_list *runs = listed(log);
    const cxr_run_row *r = &runs->rows[0];
    assert_true(runs->count == 1 && runs->skipped == 0);
    check_path(r, "a");
    assert_string_equal(r->recipe, "article");
    assert_string_equal(r->arch, "resnet18");
    assert_true(r->seed == 7 && r->epochs_done == 4 && r->epochs == 5);
    assert_true(r->best_epoch == 3 && r->val_loss == 0.5 && r->val_accuracy == 0.8); /* epoch 1 was of smaller images */
    assert_true(r->test_accuracy == 0.75 && r->test_balanced_accuracy == 0.5 && isnan(r->test_auroc));
    assert_int_equal(r->test_readings, 2);
    assert_int_equal(strlen(r->started), strlen("2026-01-31T23:59:59Z"));
    assert_string_equal(log, "");
    cxr_runs_free(&runs);
    assert_null(runs);
    cxr_runs_free(NULL);
}

/* A search's trials and seeds lie a folder deeper; what is no run is told. */
static void folders_are_looked_into(void **state)
{
    (void)state;
    char log[4000];
    put_args("b/trial-002", 1, 1, NULL);
    put_args("b/trial-001", 1, 1, NULL);
    put_args("seeds", 1, 3, NULL);
    put_args("seeds/seed-1", 1, 1, NULL);
    put_args("whole", 1, 1, NULL);
    put_args("whole/inner", 1, 1, NULL); /* a run's own folders are its own */
    put("foreign", "args.json", "{\"lr\": 1, \"gpu\": 0}");
    put("half", "args.json", "{\"recipe\": \"art");
    put_args("torn", 1, 1, NULL);
    put("torn", "results.csv", RESULTS "1,0.9,0.1");
    put("images", "1.png", "");
    put(".hidden", "args.json", "{");
    cxr_run_list *runs = listed(log);
    static const char *const want[] = {"b/trial-001", "b/trial-002", "seeds/seed-1", "whole"};
    assert_int_equal(runs->count, 4);
    for (size_t i = 0; i < 4; i++) check_path(&runs->rows[i], want[i]);
    assert_int_equal(runs->skipped, 3);
    assert_true(strstr(log, "left out: ") != NULL && strstr(log, "foreign/args.json") != NULL);
    assert_true(strstr(log, "half/args.json") != NULL && strstr(log, "torn/results.csv") != NULL);
    cxr_runs_free(&runs);
}

static void what_is_not_known_is_not_made_up(void **state)
{
    (void)state;
    char log[4000];
    put_args("a", 1, 1, NULL);
    put("a", "ledger.csv", "time,images\nx,1\n");
    put("a", "test/metrics.json", "{\"accuracy\": {\"value\": 0.75}, \"evaluation\": {\"split\": \"val\"}}");
    put_args("b", 1, 1, NULL);
    put("b", "results.csv", RESULTS "1,nan,nan,0.5,1e-4,1,1\n");
    put("b", "test/metrics.json", "{");
    cxr_run_list *runs = listed(log);
    const cxr_run_row *a = &runs->rows[0], *b = &runs->rows[1];
    assert_int_equal(runs->count, 2);
    assert_true(a->epochs_done == 0 && a->best_epoch == 0 && isnan(a->val_loss) && isnan(a->test_accuracy));
    assert_int_equal(a->test_readings, -1);
    assert_true(b->epochs_done == 1 && b->best_epoch == 0 && isnan(b->val_loss) && isnan(b->test_accuracy));
    assert_int_equal(b->test_readings, 0);
    assert_non_null(strstr(log, "a/ledger.csv: no column \"split\""));
    assert_non_null(strstr(log, "b/test/metrics.json: line 1"));
    cxr_runs_free(&runs);
}

static void no_run_is_told(void **state)
{
    (void)state;
    cxr_run_list *runs;
    assert_int_equal(cxr_runs(folder, NULL, &runs, &error), CXR_ENOINPUT);
    assert_non_null(strstr(error.text, "holds no run"));
    assert_null(runs);
    assert_int_equal(cxr_runs("/nowhere", NULL, &runs, &error), CXR_ENOINPUT);
    assert_non_null(strstr(error.text, "/nowhere: no such folder"));
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    put_args("a", 1, 1, NULL);
    put("a", "results.csv", RESULTS "1,0.9,0.1,0.99,1e-4,1,1\n");
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_run_list *runs;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_runs(folder, NULL, &runs, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (!fired || st != CXR_OK) assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK); /* libcsv tries some again */
        assert_true((runs == NULL) == (st != CXR_OK));
        cxr_runs_free(&runs);
    }
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_run_is_read_from_its_files),     IN_A_FOLDER(folders_are_looked_into),
        IN_A_FOLDER(what_is_not_known_is_not_made_up), IN_A_FOLDER(no_run_is_told),
        IN_A_FOLDER(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
