/* Splitting: patients stay together, classes keep their shares, and the result depends on patients and seed alone. */
#include "base/rng.h"
#include "data/dataset.h"
#include "data/scratch.h"
#include <math.h>

static char *dir;

static int set_up(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

/* A table of `patients` per class with 1..most images each, rows shuffled by `shuffle`; `split` NULL: no such column. Every
 * `mixed`-th patient has images of both classes (0: none). */
static char *write_table(const int patients[2], int most, int mixed, const char *split, uint64_t shuffle)
{
    char *rows[2000];
    uint32_t order[2000], n = 0;
    for (int c = 0; c < 2; c++)
        for (int p = 0; p < patients[c]; p++) {
            const int images =
                1 + (int)(cxr_rng_u64(cxr_rng_key(3, CXR_FOR_TEST, (uint64_t)c, (uint64_t)p), 0) % (uint64_t)most);
            for (int i = 0; i < images; i++) {
                const int label = mixed > 0 && p % mixed == 0 && i % 2 == 1 ? 1 - c : c;
                assert_true(n < 2000);
                rows[n++] = cxr_mem_printf("c%dp%03d_%d.png,%s,c%dp%d%s%s\n", c, p, i, label == 0 ? "well" : "sick", c, p,
                                           split == NULL ? "" : ",", split == NULL ? "" : split);
            }
        }
    cxr_rng_permutation(cxr_rng_key(shuffle, CXR_FOR_TEST, 1, 0), order, n);
    char *path = cxr_path_join(dir, "t.csv");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(split == NULL ? "path,label,group\n" : "path,label,group,split\n", f);
    for (uint32_t i = 0; i < n; i++) (void)fputs(rows[order[i]], f);
    assert_int_equal(fclose(f), 0);
    for (uint32_t i = 0; i < n; i++) cxr_mem_free(rows[i]);
    return path;
}

static cxr_dataset table_of(const int patients[2], int most, int mixed, const char *split, uint64_t shuffle)
{
    cxr_dataset d;
    cxr_error err = {0};
    char *path = write_table(patients, most, mixed, split, shuffle);
    if (cxr_dataset_open(&d, path, "auto", &err) != CXR_OK) fail_msg("%s", err.text);
    cxr_mem_free(path);
    return d;
}

static cxr_split_report split_well(cxr_dataset *d, double fraction, uint64_t seed)
{
    cxr_split_report report;
    cxr_error err = {0};
    if (cxr_dataset_split(d, fraction, seed, &report, &err) != CXR_OK) fail_msg("%s", err.text);
    return report;
}

static void expect_patients_whole(const cxr_dataset *d)
{
    for (size_t i = 0; i < d->count; i++)
        for (size_t j = i + 1; j < d->count; j++)
            if (strcmp(d->samples[i].group, d->samples[j].group) == 0)
                assert_int_equal(d->samples[i].split, d->samples[j].split);
}

/* Images in excess or lacking are fewer than one patient's. */
static void expect_share(const cxr_dataset *d, cxr_split split, size_t of, double fraction, int label, int most)
{
    const double got = (double)cxr_dataset_count(d, split, label), want = fraction * (double)of;
    assert_true(got >= 1.0);
    assert_true(got > want - most && got < want + most);
}

static void patients_never_cross(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const int patients[2] = {20 + (int)seed, 60};
        const int mixed = seed % 4 == 3 ? 7 : 0;
        cxr_dataset d = table_of(patients, 5, mixed, NULL, seed);
        const cxr_split_report report = split_well(&d, 0.2, seed);
        assert_true(report.carved);
        assert_int_equal(report.crossing, 0);
        assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_NONE, -1), 0);
        expect_patients_whole(&d);
        for (int c = 0; c < 2; c++) {
            size_t all = 0;
            for (int s = 0; s < CXR_SPLIT_COUNT; s++) all += cxr_dataset_count(&d, (cxr_split)s, c);
            expect_share(&d, CXR_SPLIT_TEST, all, 0.15, c, 5);
            expect_share(&d, CXR_SPLIT_VAL, all - cxr_dataset_count(&d, CXR_SPLIT_TEST, c), 0.2, c, 5);
            assert_true(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, c) > 0);
        }
        cxr_dataset_close(&d);
    }
}

static void the_order_of_rows_does_not_matter(void **state)
{
    (void)state;
    const int patients[2] = {40, 70};
    cxr_dataset a = table_of(patients, 4, 5, NULL, 1), b = table_of(patients, 4, 5, NULL, 2);
    (void)split_well(&a, 0.1, 9);
    (void)split_well(&b, 0.1, 9);
    assert_int_equal(a.count, b.count);
    size_t differ = 0;
    for (size_t i = 0; i < a.count; i++) {
        assert_string_equal(a.samples[i].key, b.samples[i].key);
        assert_int_equal(a.samples[i].split, b.samples[i].split);
    }
    (void)split_well(&b, 0.1, 10);
    for (size_t i = 0; i < a.count; i++) differ += a.samples[i].split != b.samples[i].split;
    assert_true(differ > 0); /* but the seed does */
    (void)split_well(&b, 0.1, 9);
    for (size_t i = 0; i < a.count; i++) assert_int_equal(a.samples[i].split, b.samples[i].split); /* and no memory of it */
    cxr_dataset_close(&a);
    cxr_dataset_close(&b);
}

/* Patients of class c1 stay where they were when class c0, whose names come before, gets new ones. */
static void new_patients_elsewhere_change_nothing_here(void **state)
{
    (void)state;
    cxr_dataset a = table_of((int[]){40, 70}, 1, 0, "train", 1), b = table_of((int[]){60, 70}, 1, 0, "train", 1);
    (void)split_well(&a, 0.1, 9);
    (void)split_well(&b, 0.1, 9);
    for (size_t i = 40; i < 110; i++) {
        assert_string_equal(a.samples[i].key, b.samples[i + 20].key);
        assert_int_equal(a.samples[i].split, b.samples[i + 20].split);
    }
    cxr_dataset_close(&a);
    cxr_dataset_close(&b);
}

static size_t add_images(const char *folder, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s/person%d_%d.png", folder, i / 2, i);
        scratch_write(dir, name, "");
    }
    return (size_t)count;
}

static cxr_dataset folders(int val_each, int test_from)
{
    scratch_empty(dir);
    for (int c = 0; c < 2; c++) {
        const char *const train = c == 0 ? "train/a" : "train/b", *const val = c == 0 ? "val/a" : "val/b";
        (void)add_images(train, 0, 100);
        (void)add_images(val, 1000, val_each);
        (void)add_images(c == 0 ? "test/a" : "test/b", test_from, 20);
    }
    cxr_dataset d;
    cxr_error err = {0};
    if (cxr_dataset_open(&d, dir, "auto", &err) != CXR_OK) fail_msg("%s", err.text);
    return d;
}

static void given_splits_stay(void **state)
{
    (void)state;
    cxr_dataset d = folders(16, 2000); /* 32 for validation: just enough */
    cxr_split_report report = split_well(&d, 0.1, 1);
    assert_false(report.carved);
    assert_string_equal(report.reason, "validation as given: 32 images");
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1), 200);
    cxr_dataset_close(&d);
    d = folders(8, 90); /* the published set's 16; persons 45..49 of both classes are in train and in test */
    report = split_well(&d, 0.1, 1);
    assert_true(report.carved);
    assert_string_equal(report.reason, "the given validation has 16 images, fewer than 32, and joined train; "
                                       "20 of 216 images (10 of 108 patients) became val");
    assert_int_equal(report.crossing, 10);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TEST, -1), 40);
    for (int c = 0; c < 2; c++) assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_VAL, c), 10);
    cxr_dataset_close(&d);
    d = folders(0, 2000);
    report = split_well(&d, 0.1, 1);
    assert_string_equal(report.reason, "no validation given; 20 of 200 images (10 of 100 patients) became val");
    assert_int_equal(report.crossing, 0);
    cxr_dataset_close(&d);
}

static void every_class_gets_a_validation_patient_or_it_stops(void **state)
{
    (void)state;
    cxr_dataset d = table_of((int[]){2, 60}, 5, 0, "train", 1);
    (void)split_well(&d, 0.01, 1); /* a share of less than one image */
    expect_patients_whole(&d);
    for (int c = 0; c < 2; c++) {
        assert_true(cxr_dataset_count(&d, CXR_SPLIT_VAL, c) > 0);
        assert_true(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, c) > 0);
    }
    cxr_dataset_close(&d);
    cxr_split_report report;
    cxr_error err = {0};
    d = table_of((int[]){1, 60}, 5, 0, "train", 1);
    assert_int_equal(cxr_dataset_split(&d, 0.1, 1, &report, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "class \"well\" has too few patients (1) to take some for val"));
    assert_false(report.carved);
    cxr_dataset_close(&d);
    d = table_of((int[]){2, 60}, 5, 0, NULL, 1); /* test, val and train from two patients */
    assert_int_equal(cxr_dataset_split(&d, 0.1, 1, &report, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "to take some for test"));
    assert_int_equal(cxr_dataset_split(&d, 0.0, 1, &report, &err), CXR_EUSAGE);
    assert_int_equal(cxr_dataset_split(&d, (double)NAN, 1, &report, &err), CXR_EUSAGE);
    assert_string_equal(err.text, "validation fraction nan is not between 0 and 1");
    cxr_dataset_close(&d);
}

static void a_large_patient_does_not_fill_validation(void **state)
{
    (void)state;
    FILE *f;
    char *path = cxr_path_join(dir, "t.csv");
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_non_null(f = fopen(path, "w"));
        (void)fputs("path,label,group,split\n", f);
        for (int i = 0; i < 100; i++)
            (void)fprintf(f, "a%d,a,%s%d,train\nb%d,b,b%d,train\n", i, i < 80 ? "big" : "a", i < 80 ? 0 : i, i, i);
        assert_int_equal(fclose(f), 0);
        cxr_dataset d;
        assert_int_equal(cxr_dataset_open(&d, path, "auto", NULL), CXR_OK);
        (void)split_well(&d, 0.1, seed);
        assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_VAL, 0), 10);
        assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_VAL, 1), 10);
        cxr_dataset_close(&d);
    }
    cxr_mem_free(path);
}

/* A table that is split, and of whose training images some are kept. */
static cxr_dataset thinned(size_t images, uint64_t seed, uint64_t shuffle)
{
    cxr_dataset d = table_of((int[]){40, 90}, 4, 0, NULL, shuffle);
    cxr_split_report report = split_well(&d, 0.1, 9);
    cxr_error err = {0};
    if (cxr_dataset_thin(&d, images, seed, &report, &err) != CXR_OK) fail_msg("%s", err.text);
    assert_non_null(strstr(report.reason, "training images were drawn"));
    return d;
}

static void fewer_images_keep_shares_and_are_part_of_more(void **state)
{
    (void)state;
    cxr_dataset all = table_of((int[]){40, 90}, 4, 0, NULL, 1);
    (void)split_well(&all, 0.1, 9);
    const size_t train = cxr_dataset_count(&all, CXR_SPLIT_TRAIN, -1);
    const double share = (double)cxr_dataset_count(&all, CXR_SPLIT_TRAIN, 0) / (double)train;
    cxr_dataset before = thinned(2, 5, 1);
    for (int c = 0; c < 2; c++) assert_int_equal(cxr_dataset_count(&before, CXR_SPLIT_TRAIN, c), 1);
    for (size_t n = 3; n <= train; n++) {
        cxr_dataset d = thinned(n, 5, n);
        assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1), n);
        assert_true(fabs((double)cxr_dataset_count(&d, CXR_SPLIT_TRAIN, 0) - share * (double)n) <= 1.0);
        for (size_t i = 0; i < d.count; i++) {
            const cxr_split was = all.samples[i].split, is = d.samples[i].split;
            assert_true(was == is || (was == CXR_SPLIT_TRAIN && is == CXR_SPLIT_NONE));
            assert_true(before.samples[i].split != CXR_SPLIT_TRAIN || is == CXR_SPLIT_TRAIN);
        }
        cxr_dataset_close(&before);
        before = d;
    }
    cxr_dataset_close(&before);
    cxr_dataset_close(&all);
}

static void the_seed_says_which_images(void **state)
{
    (void)state;
    cxr_dataset a = thinned(50, 5, 1), b = thinned(50, 6, 1);
    size_t same = 0;
    for (size_t i = 0; i < a.count; i++) same += a.samples[i].split == CXR_SPLIT_TRAIN && b.samples[i].split == CXR_SPLIT_TRAIN;
    assert_true(same > 0 && same < 30); /* of 50: some 50^2 / train by chance */
    cxr_dataset_close(&a);
    cxr_dataset_close(&b);
}

static void too_few_and_too_many_images_are_refused(void **state)
{
    (void)state;
    cxr_dataset d = table_of((int[]){40, 90}, 4, 0, NULL, 1);
    cxr_split_report report = split_well(&d, 0.1, 9);
    cxr_error err = {0};
    const size_t train = cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1);
    assert_int_equal(cxr_dataset_thin(&d, 1, 1, &report, &err), CXR_EUSAGE);
    assert_non_null(strstr(err.text, "training with 1 images: 2 (one of each class) to"));
    assert_int_equal(cxr_dataset_thin(&d, train + 1, 1, &report, &err), CXR_EUSAGE);
    assert_int_equal(cxr_dataset_thin(&d, train, 1, &report, &err), CXR_OK);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1), train);
    cxr_dataset_close(&d);
    d = table_of((int[]){2, 90}, 1, 0, "train", 1);
    assert_int_equal(cxr_dataset_thin(&d, 3, 1, &report, &err), CXR_OK);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, 1), 1); /* a share of less than one image */
    cxr_dataset_close(&d);
}

static void a_split_file_is_read_back(void **state)
{
    (void)state;
    cxr_dataset a = table_of((int[]){30, 30}, 3, 0, NULL, 1), b = table_of((int[]){30, 30}, 3, 0, NULL, 1);
    char *path = cxr_path_join(dir, "split.csv");
    (void)split_well(&a, 0.2, 5);
    a.samples[3].split = CXR_SPLIT_NONE;
    assert_int_equal(cxr_split_write(&a, path, NULL), CXR_OK);
    assert_int_equal(cxr_split_read(&b, path, NULL), CXR_OK);
    for (size_t i = 0; i < a.count; i++) assert_int_equal(a.samples[i].split, b.samples[i].split);
    char *kept = b.samples[7].key;
    b.samples[7].key = cxr_mem_printf("%s+", kept); /* sorts at the same place */
    cxr_error err = {0};
    assert_int_equal(cxr_split_read(&b, path, &err), CXR_EDATA);
    char *want = cxr_mem_printf("%s:9: \"%s\" is not in the data set %s", path, kept, dir);
    assert_string_equal(err.text, want);
    cxr_mem_free(want);
    cxr_mem_free(b.samples[7].key);
    b.samples[7].key = kept;
    cxr_mem_free(path);
    cxr_dataset_close(&a);
    cxr_dataset_close(&b);
}

static void split_files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    cxr_error err = {0};
    cxr_dataset d = table_of((int[]){3, 3}, 1, 0, NULL, 1);
    char *path = cxr_path_join(dir, "split.csv");
    const struct {
        const char *text, *sentence;
    } cases[] = {
        {"path,label,group\n", ": the header must be path,label,split,group"},
        {"path,label,split,group\nc0p000_0.png,sick,val,p\n",
         ":2: \"c0p000_0.png\" is labelled \"sick\" here and \"well\" in the data set"},
        {"path,label,split,group\nc0p000_0.png,well,dev,p\n", ":2: split \"dev\" is none of train, val, test, none"},
        {"path,label,split,group\nc0p000_0.png,well,val,p\nc0p000_0.png,well,val,p\n", ":3: \"c0p000_0.png\" is listed twice"},
    };
    for (size_t i = 0; i < d.count; i++) d.samples[i].split = CXR_SPLIT_TEST;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write(dir, "split.csv", cases[i].text);
        assert_int_equal(cxr_split_read(&d, path, &err), CXR_EDATA);
        assert_non_null(strstr(err.text, cases[i].sentence));
        assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TEST, -1), d.count); /* nothing was changed */
    }
    scratch_write(dir, "split.csv", "path,label,split,group\nc0p000_0.png,well,val,p\n");
    assert_int_equal(cxr_split_read(&d, path, &err), CXR_OK);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_VAL, -1), 1);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_NONE, -1), d.count - 1);
    for (size_t i = 0; i < d.count; i++) /* a run's patients are told in its file */
        assert_int_equal(strcmp(d.samples[i].group, "p") == 0, strcmp(d.samples[i].key, "c0p000_0.png") == 0);
    assert_int_equal(cxr_split_read(&d, "/nowhere/split.csv", &err), CXR_ENOINPUT);
    assert_int_equal(cxr_split_write(&d, "/nowhere/split.csv", &err), CXR_ECREATE);
    cxr_mem_free(path);
    cxr_dataset_close(&d);
}

/* The expected value: hashlib.sha256(b"a.png\0x\0train\x003\0b.png\0y\0val\0-\0") of Python 3. */
static void the_fingerprint_covers_names_labels_splits_and_sizes(void **state)
{
    (void)state;
    scratch_write(dir, "a.png", "123");
    scratch_write(dir, "t.csv", "path,label,split\na.png,x,train\nb.png,y,val\nc.png,y,train\n");
    cxr_dataset d;
    char *path = cxr_path_join(dir, "t.csv"), got[65], other[65];
    assert_int_equal(cxr_dataset_open(&d, path, "auto", NULL), CXR_OK);
    const size_t all = d.count;
    d.count = 2;
    assert_int_equal(cxr_dataset_fingerprint(&d, got, NULL), CXR_OK);
    assert_string_equal(got, "faaf830dbeff40c52a26048c9691335954b362f44b0836a63e13fe437f0f6699");
    d.samples[1].split = CXR_SPLIT_TEST;
    assert_int_equal(cxr_dataset_fingerprint(&d, other, NULL), CXR_OK);
    assert_string_not_equal(got, other);
    d.count = all;
    cxr_dataset_close(&d);
    cxr_mem_free(path);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_dataset d = table_of((int[]){9, 9}, 1, 0, NULL, 1);
    char *path = cxr_path_join(dir, "split.csv");
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_split_report report;
        cxr_mem_fail_at(n);
        cxr_status st = cxr_dataset_split(&d, 0.2, 1, &report, NULL);
        if (st == CXR_OK) st = cxr_dataset_thin(&d, cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1), 1, &report, NULL);
        if (st == CXR_OK) st = cxr_split_write(&d, path, NULL);
        if (st == CXR_OK) st = cxr_split_read(&d, path, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (fired && st == CXR_OK) assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_NONE, -1), 0); /* libcsv tried again */
        if (!fired || st != CXR_OK) assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    cxr_mem_free(path);
    cxr_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patients_never_cross),
        cmocka_unit_test(the_order_of_rows_does_not_matter),
        cmocka_unit_test(new_patients_elsewhere_change_nothing_here),
        cmocka_unit_test(given_splits_stay),
        cmocka_unit_test(every_class_gets_a_validation_patient_or_it_stops),
        cmocka_unit_test(a_large_patient_does_not_fill_validation),
        cmocka_unit_test(fewer_images_keep_shares_and_are_part_of_more),
        cmocka_unit_test(the_seed_says_which_images),
        cmocka_unit_test(too_few_and_too_many_images_are_refused),
        cmocka_unit_test(a_split_file_is_read_back),
        cmocka_unit_test(split_files_that_do_not_fit_are_refused),
        cmocka_unit_test(the_fingerprint_covers_names_labels_splits_and_sizes),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
