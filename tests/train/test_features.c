/* Features kept at the cut: runs with and without them compared bit for bit, broken off and resumed, found again on disk, and
 * refused when what they were made of has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "model/model.h"
#include "toy.h"
#include <fcntl.h>
#include <glob.h>
#include <math.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_train_opts toy_opts(const char *out, const char *freeze)
{
    cxr_train_opts o = toy_training(out, freeze, 4);
    o.deterministic = true;
    return o;
}

/* Watches a run: its epochs' figures, and how many features lay there at the start, as the log says for training and for
 * validation. Stops it after `stop` steps (0: never). */
typedef struct watch {
    cxr_epoch epochs[8];
    int count, steps, stop;
    long found[2];
    int stores;
} watch;

static void see_epoch(void *user, const cxr_epoch *e)
{
    watch *w = user;
    if (w->count < 8) w->epochs[w->count++] = *e;
}

static void see_step(void *user, const cxr_progress *p)
{
    (void)p;
    ((watch *)user)->steps++;
}

static bool enough(void *user)
{
    const watch *w = user;
    return w->stop > 0 && w->steps >= w->stop;
}

static void see_line(void *user, cxr_level level, const char *line)
{
    watch *w = user;
    const char *at = strstr(line, " are kept ");
    if (level != CXR_DEBUG || strncmp(line, "features: ", 10) != 0 || at == NULL || w->stores == 2) return;
    const char *comma = strrchr(line, ','); /* the layout's name has commas behind " are there" */
    const char *there = strstr(line, " are there");
    assert_non_null(there);
    while (comma > there) {
        do comma--;
        while (*comma != ',');
    }
    w->found[w->stores++] = strtol(comma + 1, NULL, 10);
}

static cxr_hooks watching(watch *w)
{
    return (cxr_hooks){.log = {see_line, w}, .progress = see_step, .epoch = see_epoch, .should_stop = enough, .user = w};
}

static watch train(const cxr_train_opts *o)
{
    watch w = {0};
    const cxr_hooks hooks = watching(&w);
    must(cxr_train(o, &hooks, NULL, &error));
    return w;
}

static void same_epochs(const watch *a, const watch *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const cxr_epoch *x = &a->epochs[i], *y = &b->epochs[i];
        if (!(x->train_loss == y->train_loss && x->val_loss == y->val_loss && x->val_accuracy == y->val_accuracy))
            fail_msg("epoch %d: training loss %.17g and %.17g, validation loss %.17g and %.17g", i + 1, x->train_loss,
                     y->train_loss, x->val_loss, y->val_loss);
    }
}

/* A kernel may sum in another order for a smaller batch, so where an image's features were computed in a batch of another size
 * than the one they are used in, they agree to rounding, 1e-7 of a value. Steps would multiply that without bound (a batch norm
 * over two images makes nearly a sign of their difference), so such runs are compared while they learn nothing. */
#define OTHER_BATCHES 1e-5
#define STANDSTILL    1e-30f

static void close_epochs(const watch *a, const watch *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const double x = a->epochs[i].train_loss, y = b->epochs[i].train_loss;
        if (!(fabs(x - y) <= OTHER_BATCHES)) fail_msg("epoch %d: training loss %.9g and %.9g", i + 1, x, y);
    }
}

static const char *const cuts[] = {"backbone", "layer3"};

/* With a view for each epoch nothing is read back in training, and validation is read back from the second epoch on. */
static void views_for_all_epochs_change_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        cxr_train_opts o = toy_opts(i == 0 ? "none0" : "none1", cuts[i]);
        o.cache = CXR_CACHE_OFF;
        const watch without = train(&o);
        assert_int_equal(without.stores, 0);
        o = toy_opts(i == 0 ? "kept0" : "kept1", cuts[i]);
        o.cache_features = 4;
        const watch with = train(&o);
        assert_int_equal(with.stores, 2);
        same_epochs(&without, &with);
    }
}

/* Epoch e sees view e % K: from epoch K on the views repeat, and so do losses of a network that learns nothing. */
static void views_come_around(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("around", "backbone");
    o.cache_features = 2;
    o.head_count = 0;
    o.lr = STANDSTILL;
    const watch w = train(&o);
    const double first = w.epochs[0].train_loss, second = w.epochs[1].train_loss;
    assert_true(first != second);
    /* Other batches, other sums: equal to rounding. */
    const double a = w.epochs[2].train_loss - first, b = w.epochs[3].train_loss - second;
    if (!(fabs(a) <= OTHER_BATCHES && fabs(b) <= OTHER_BATCHES))
        fail_msg("losses %.9g %.9g %.9g %.9g", first, second, w.epochs[2].train_loss, w.epochs[3].train_loss);
}

/* Without random transforms features are kept unasked, and they are those that each epoch would have computed: to the bit in
 * batches of one size, six of seven images. */
static void without_augmentation_nothing_changes(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("plain", "layer3");
    o.augment = (cxr_augment){0};
    o.batch_size = 7;
    const watch with = train(&o);
    assert_int_equal(with.stores, 2);
    o.out = toy_path("plain-off");
    o.cache = CXR_CACHE_OFF;
    const watch without = train(&o);
    same_epochs(&without, &with);
    assert_true(with.epochs[3].train_loss < with.epochs[0].train_loss);
    o.lr = STANDSTILL;
    o.batch_size = 8;
    o.out = toy_path("uneven-off");
    const watch uneven_without = train(&o);
    o.cache = CXR_CACHE_RAM;
    o.out = toy_path("uneven");
    const watch uneven = train(&o);
    close_epochs(&uneven_without, &uneven);
}

static void same_model(const char *a, const char *b)
{
    char x[65], y[65], path[512];
    (void)snprintf(path, sizeof path, "%s/weights/last.safetensors", a);
    must(cxr_sha256_file(path, x, &error));
    (void)snprintf(path, sizeof path, "%s/weights/last.safetensors", b);
    must(cxr_sha256_file(path, y, &error));
    assert_string_equal(x, y);
}

/* Views that were only in memory are computed again in the batches that computed them first. 6 steps an epoch: broken off in a
 * view's first epoch, at its end, and in epochs that see views again. The runs have one name, which the receipt holds. */
static void resumed_equals_unbroken(void **state)
{
    (void)state;
    static const int stops[] = {0, 3, 6, 14, 21};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        cxr_train_opts o = toy_opts("run", "layer3");
        o.cache_features = 2;
        watch w = {.stop = stops[i]};
        const cxr_hooks hooks = watching(&w);
        const cxr_status st = cxr_train(&o, &hooks, NULL, &error);
        assert_int_equal(st, stops[i] == 0 ? CXR_OK : CXR_ESTOPPED);
        if (stops[i] > 0) must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
        char name[32];
        (void)snprintf(name, sizeof name, "stopped%d", stops[i]);
        assert_int_equal(rename(toy_path("run"), toy_path(name)), 0);
        if (stops[i] > 0) same_model(toy_path("stopped0"), toy_path(name));
    }
}

static cxr_train_opts on_disk(const char *out)
{
    cxr_train_opts o = toy_opts(out, "layer3");
    o.cache = CXR_CACHE_DISK;
    o.cache_dir = toy_path("cache");
    o.cache_features = 2;
    return o;
}

static void a_later_run_finds_them_on_disk(void **state)
{
    (void)state;
    cxr_train_opts o = on_disk("disk1");
    const watch first = train(&o);
    assert_true(first.stores == 2 && first.found[0] == 0 && first.found[1] == 0);
    o.out = toy_path("disk2");
    const watch second = train(&o);
    assert_true(second.found[0] == 2 * 42 && second.found[1] == 32);
    same_epochs(&first, &second);
    o.out = toy_path("disk3");
    o.lr = 2e-3f; /* nothing that features depend on */
    const watch other_lr = train(&o);
    assert_int_equal(other_lr.found[0], 2 * 42);
    o.out = toy_path("disk4");
    o.seed = 2; /* the backbone starts from other random weights */
    const watch other_weights = train(&o);
    assert_true(other_weights.stores == 2 && other_weights.found[0] == 0 && other_weights.found[1] == 0);
}

/* Changes the pixels of a JPEG by the first number of its first quantisation table; its size and times stay. */
static void change_picture(const char *path)
{
    cxr_buf file;
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    must(cxr_buf_read(&file, path, 1 << 20, &error));
    const uint8_t *table = memmem(file.data, file.len, "\xff\xdb", 2);
    assert_non_null(table);
    file.data[table - file.data + 5] ^= 3;
    FILE *f = fopen(path, "r+b");
    assert_true(f != NULL && fwrite(file.data, 1, file.len, f) == file.len && fflush(f) == 0);
    assert_int_equal(futimens(fileno(f), (const struct timespec[]){before.st_atim, before.st_mtim}), 0);
    assert_int_equal(fclose(f), 0);
    cxr_buf_free(&file);
}

/* Images are told by content: one that was replaced is seen though its name, size and time say nothing, in training and in
 * validation, and the run is that of a cache that never saw the old one. */
static void changed_images_are_not_found(void **state)
{
    (void)state;
    cxr_train_opts o = on_disk("pixels1");
    change_picture(toy_path("data/train/A/3.jpeg"));
    const watch training = train(&o);
    assert_true(training.stores == 2 && training.found[0] == 0 && training.found[1] == 32);
    o.out = toy_path("pixels2");
    change_picture(toy_path("data/val/B/5.jpeg"));
    const watch validation = train(&o);
    assert_true(validation.found[0] == 2 * 42 && validation.found[1] == 0);
    o = toy_opts("pixels3", "layer3");
    o.cache_features = 2;
    const watch ram = train(&o);
    same_epochs(&ram, &validation);
}

static void images_that_were_only_touched_are_found(void **state)
{
    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, toy_path("data/train/A/3.jpeg"), NULL, 0), 0);
    const cxr_train_opts o = on_disk("touched");
    const watch w = train(&o);
    assert_true(w.found[0] == 2 * 42 && w.found[1] == 32);
}

/* Damage in every feature file: the records are computed again, and the run is the same. */
static void damaged_files_change_nothing(void **state)
{
    (void)state;
    glob_t files;
    char pattern[256];
    (void)snprintf(pattern, sizeof pattern, "%s/features-*.cache", toy_path("cache"));
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *f = fopen(files.gl_pathv[i], "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, -5000, SEEK_END), 0); /* inside a record */
        assert_true(fputc('x', f) != EOF && fputc('y', f) != EOF && fclose(f) == 0);
    }
    globfree(&files);
    cxr_train_opts o = toy_opts("damaged", "layer3");
    o.cache_features = 2;
    const watch ram = train(&o);
    o = on_disk("damaged2");
    const watch disk = train(&o);
    assert_int_equal(disk.found[0], 2 * 42);
    same_epochs(&ram, &disk);
}

/* Unreadable images have no record; they are left out of what is kept as of what is computed. */
static void unreadable_images_stay_out(void **state)
{
    (void)state;
    const char *bad = toy_path("data/train/A/bad.jpeg");
    must(cxr_file_write(bad, "not an image", 12, &error));
    cxr_train_opts o = toy_opts("skip1", "layer3");
    o.skip_unreadable = true;
    o.lr = STANDSTILL;
    o.augment = (cxr_augment){0};
    const watch with = train(&o);
    o.out = toy_path("skip2");
    o.cache = CXR_CACHE_OFF;
    const watch without = train(&o);
    assert_int_equal(unlink(bad), 0);
    close_epochs(&without, &with);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("bad", "backbone");
    o.cache_features = 1;
    o.cache = CXR_CACHE_OFF;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = toy_opts("bad", "none");
    o.cache_features = 1;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = toy_opts("bad", "backbone");
    o.precision = CXR_PRECISION_INT8;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = toy_opts("bare", "none");
    o.epochs = 1;
    o.augment = (cxr_augment){0};
    const watch w = train(&o);
    assert_int_equal(w.stores, 0); /* nothing is frozen: nothing is kept */
}

/* Epochs that share a writing leave the files that each epoch's own writing leaves. */
static void shared_writing_leaves_the_same_files(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        cxr_train_opts o = toy_opts("run", "layer3");
        o.recipe = "test"; /* args are in the receipt: they must not differ */
        o.checkpoint_seconds = shared == 1 ? 1e9 : 0.0;
        (void)train(&o);
        assert_int_equal(rename(toy_path("run"), toy_path(shared == 1 ? "shared" : "each")), 0);
    }
    char line[2][256];
    FILE *a = fopen(toy_path("each/results.csv"), "r"), *b = fopen(toy_path("shared/results.csv"), "r");
    assert_true(a != NULL && b != NULL);
    int rows = 0;
    while (fgets(line[0], sizeof line[0], a) != NULL) {
        assert_non_null(fgets(line[1], sizeof line[1], b));
        rows++;
        if (rows == 1) continue;
        double x[4], y[4]; /* epoch, losses, accuracy; times differ */
        assert_int_equal(sscanf(line[0], "%lf,%lf,%lf,%lf", &x[0], &x[1], &x[2], &x[3]), 4);
        assert_int_equal(sscanf(line[1], "%lf,%lf,%lf,%lf", &y[0], &y[1], &y[2], &y[3]), 4);
        assert_memory_equal(x, y, sizeof x);
    }
    assert_int_equal(rows, 5);
    (void)fclose(a);
    (void)fclose(b);
    static const char *const models[] = {"best", "last"};
    for (int i = 0; i < 2; i++) {
        cxr_model *m[2] = {NULL, NULL};
        for (int k = 0; k < 2; k++) {
            char path[256];
            (void)snprintf(path, sizeof path, "%s/weights/%s.safetensors", toy_path(k == 1 ? "shared" : "each"), models[i]);
            must(cxr_model_open(&m[k], path, &error));
        }
        assert_memory_equal(m[0]->params, m[1]->params, m[0]->graph.float_count * sizeof(float));
        cxr_model_close(&m[0]);
        cxr_model_close(&m[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_for_all_epochs_change_nothing),
        cmocka_unit_test(views_come_around),
        cmocka_unit_test(without_augmentation_nothing_changes),
        cmocka_unit_test(resumed_equals_unbroken),
        cmocka_unit_test(a_later_run_finds_them_on_disk),
        cmocka_unit_test(changed_images_are_not_found),
        cmocka_unit_test(images_that_were_only_touched_are_found),
        cmocka_unit_test(damaged_files_change_nothing),
        cmocka_unit_test(unreadable_images_stay_out),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(shared_writing_leaves_the_same_files),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
