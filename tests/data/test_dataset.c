/* Opening: the forms a data set may have, how patients are told, and each thing that is refused with its sentence. Files here
 * are names without content, which only the loader looks at. */
#include "data/dataset.h"
#include "data/scratch.h"
#include <sys/stat.h>

static char *dir; /* emptied before each test */

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

static int clear(void **state)
{
    (void)state;
    scratch_empty(dir);
    return 0;
}

static void touch(const char *name)
{
    scratch_write(dir, name, "");
}

static cxr_dataset open_as(const char *name, const char *group_by)
{
    cxr_dataset d;
    cxr_error err = {0};
    char *path = cxr_path_join(dir, name);
    if (cxr_dataset_open(&d, path, group_by, &err) != CXR_OK) fail_msg("%s", err.text);
    cxr_mem_free(path);
    return d;
}

static void expect_refusal(const char *name, const char *group_by, cxr_status status, const char *sentence)
{
    cxr_dataset d;
    cxr_error err = {0};
    char *path = *name == '\0' ? cxr_mem_strdup(dir) : cxr_path_join(dir, name), *want = cxr_mem_printf("%s%s", path, sentence);
    assert_int_equal(cxr_dataset_open(&d, path, group_by, &err), status);
    assert_int_equal(err.status, status);
    assert_string_equal(err.text, want);
    assert_null(d.samples);
    assert_null(d.classes);
    cxr_mem_free(want);
    cxr_mem_free(path);
}

static void expect_sample(const cxr_dataset *d, size_t i, const char *key, const char *label, cxr_split split,
                          const char *group)
{
    assert_true(i < d->count);
    const cxr_sample *s = &d->samples[i];
    assert_string_equal(s->key, key);
    assert_string_equal(d->classes[s->label], label);
    assert_int_equal(s->split, split);
    assert_string_equal(s->group, group);
}

static void split_folders_are_read(void **state)
{
    (void)state;
    const char *const names[] = {"train/b/x.JPG",       "train/a/deep/er/y.jpeg", "train/a/z.Png",   "train/a/notes.txt",
                                 "train/a/.hidden.png", "train/a/.h/w.png",       "train/loose.png", "test/b/x.jpg",
                                 "val/a/v.png",         "other/c/x.png",          "test/empty/x",    "__MACOSX/train/a/x.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) touch(names[i]);
    cxr_dataset d = open_as("", NULL); /* with a slash at its end */
    assert_string_equal(d.root, dir);
    assert_int_equal(d.class_count, 2);
    assert_int_equal(d.count, 5);
    expect_sample(&d, 0, "test/b/x.jpg", "b", CXR_SPLIT_TEST, "test/b/x.jpg");
    expect_sample(&d, 1, "train/a/deep/er/y.jpeg", "a", CXR_SPLIT_TRAIN, "train/a/deep/er/y.jpeg");
    expect_sample(&d, 2, "train/a/z.Png", "a", CXR_SPLIT_TRAIN, "train/a/z.Png");
    expect_sample(&d, 3, "train/b/x.JPG", "b", CXR_SPLIT_TRAIN, "train/b/x.JPG");
    expect_sample(&d, 4, "val/a/v.png", "a", CXR_SPLIT_VAL, "val/a/v.png");
    assert_true(d.has_split[CXR_SPLIT_TRAIN] && d.has_split[CXR_SPLIT_VAL] && d.has_split[CXR_SPLIT_TEST]);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, -1), 3);
    assert_int_equal(cxr_dataset_count(&d, CXR_SPLIT_TRAIN, 0), 2);
    assert_true(cxr_path_exists(d.samples[1].path));
    cxr_dataset_close(&d);
    assert_null(d.root);
}

static void class_folders_are_read_in_byte_order(void **state)
{
    (void)state;
    const char *const names[] = {"a/1.png", "B/1.png", "a-b/1.png", "\xC3\xA4/1.png", "10/1.png", "9/1.png"};
    const char *const want[] = {"10", "9", "B", "a", "a-b", "\xC3\xA4"};
    for (int i = 0; i < 6; i++) touch(names[i]);
    cxr_dataset d = open_as("", "none");
    assert_int_equal(d.class_count, 6);
    for (int i = 0; i < 6; i++) assert_string_equal(d.classes[i], want[i]);
    expect_sample(&d, 3, "a-b/1.png", "a-b", CXR_SPLIT_NONE, "a-b/1.png"); /* '-' < '/' */
    expect_sample(&d, 4, "a/1.png", "a", CXR_SPLIT_NONE, "a/1.png");
    for (int s = 0; s < CXR_SPLIT_COUNT; s++) assert_false(d.has_split[s]);
    cxr_dataset_close(&d);
}

static void links_are_followed_without_end(void **state)
{
    (void)state;
    touch("real/1.png");
    touch("a/1.png");
    touch("b/1.png");
    char *inside = cxr_path_join(dir, "a/loop"), *class_link = cxr_path_join(dir, "c"),
         *gone = cxr_path_join(dir, "b/gone.png");
    assert_int_equal(symlink("..", inside), 0); /* the root itself: a loop */
    assert_int_equal(symlink("real", class_link), 0);
    assert_int_equal(symlink("nowhere", gone), 0);
    cxr_dataset d = open_as("", "none");
    assert_int_equal(d.count, 5);
    expect_sample(&d, 2, "b/gone.png", "b", CXR_SPLIT_NONE, "b/gone.png"); /* the loader's to report */
    expect_sample(&d, 3, "c/1.png", "c", CXR_SPLIT_NONE, "c/1.png");
    cxr_dataset_close(&d);
    cxr_mem_free(inside);
    cxr_mem_free(class_link);
    cxr_mem_free(gone);
}

static void depth_is_limited(void **state)
{
    (void)state;
    char name[512] = "a";
    for (int i = 0; i < 64; i++) strcat(name, "/d");
    strcat(name, "/x.png");
    touch("b/x.png");
    touch(name);
    cxr_dataset d;
    cxr_error err = {0};
    assert_int_equal(cxr_dataset_open(&d, dir, NULL, &err), CXR_ELIMIT);
    assert_non_null(strstr(err.text, "folders nested more than 64 deep"));
}

static void bad_folders_are_refused(void **state)
{
    (void)state;
    expect_refusal("", NULL, CXR_EDATA, ": no images in class folders or rows");
    expect_refusal("nowhere", NULL, CXR_ENOINPUT, ": cannot open: No such file or directory");
    touch("loose.png");
    expect_refusal("", NULL, CXR_EDATA, ": no images in class folders or rows");
    touch("a/1.png");
    expect_refusal("", NULL, CXR_EDATA, ": one class only (\"a\"); at least two are needed");
    touch("b/scan.dcm");
    expect_refusal("", NULL, CXR_EDATA, ": class \"b\" has no images");
    expect_refusal("", "column:patient", CXR_EUSAGE, ": group by \"column:patient\" needs a CSV, this is a folder");
}

static void splits_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    touch("test/a/1.png");
    touch("val/b/1.png");
    expect_refusal("", NULL, CXR_EDATA, ": holds test/ but no train/");
    touch("train/a/1.png");
    touch("train/c/1.png");
    expect_refusal("", NULL, CXR_EDATA, ": class \"b\" has 1 images in val but none in train");
    touch("train/b/1.png");
    touch("test/A/1.png");
    expect_refusal("", NULL, CXR_EDATA, ": class \"A\" has 1 images in test but none in train");
}

static void an_unreadable_folder_stops(void **state)
{
    (void)state;
    touch("a/1.png");
    touch("b/1.png");
    char *path = cxr_path_join(dir, "b");
    const uid_t self = geteuid();
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    if (self == 0) assert_int_equal(seteuid(65534), 0); /* root reads everything */
    expect_refusal("", NULL, CXR_EIO, "/b: cannot read folder: Permission denied");
    assert_int_equal(seteuid(self), 0);
    assert_int_equal(chmod(path, 0700), 0);
    cxr_mem_free(path);
}

static void expect_group(const char *name, const char *group_by, const char *group)
{
    scratch_empty(dir);
    char *path = cxr_mem_printf("A/%s", name);
    touch(path);
    touch("B/1.png");
    cxr_dataset d = open_as("", group_by);
    assert_string_equal(d.samples[0].group, group);
    cxr_dataset_close(&d);
    cxr_mem_free(path);
}

static void patients_are_told_from_file_names(void **state)
{
    (void)state;
    expect_group("person12_bacteria_46.jpeg", "auto", "A/person12");
    expect_group("person1_2.jpeg", NULL, "A/person1");
    expect_group("person124_virus_247_0.jpeg", "auto", "A/person124");
    expect_group("IM-0115-0001.jpeg", "auto", "A/IM-0115");
    expect_group("IM-0115-0001-0002.jpeg", "auto", "A/IM-0115");
    expect_group("NORMAL2-IM-0666-0001.jpeg", "auto", "A/NORMAL2-IM-0666");
    expect_group("person12.jpeg", "auto", "A/person12.jpeg");
    expect_group("x_person12_3.jpeg", "auto", "A/x_person12_3.jpeg");
    expect_group("person12_bacteria_46.jpeg", "none", "A/person12_bacteria_46.jpeg");
}

static void patients_are_told_by_an_expression(void **state)
{
    (void)state;
    expect_group("p7-s2.png", "^(p[0-9]+)-", "p7");
    expect_group("p7-s2.png", "p[0-9]+", "p7");
    expect_group("q7-s2.png", "^(p[0-9]+)-|^(q[0-9]+)-", "q7");
    expect_group("q7-s2.png", "^(p[0-9]+)-", "A/q7-s2.png");
    expect_group("q7-s2.png", "[0-9]*", "A/q7-s2.png"); /* an empty match is no patient */
    cxr_dataset d;
    cxr_error err = {0};
    assert_int_equal(cxr_dataset_open(&d, dir, "(", &err), CXR_EUSAGE);
    assert_string_equal(err.text, "group by \"(\": not a regular expression: Unmatched ( or \\(");
    assert_int_equal(cxr_dataset_open(&d, dir, "", &err), CXR_EUSAGE);
    assert_int_equal(cxr_dataset_open(&d, dir, "column:", &err), CXR_EUSAGE);
}

static void tables_are_read(void **state)
{
    (void)state;
    scratch_write(dir, "sub/t.csv",
                  "group,label,path,split,age\n"
                  "p1,sick,img/2.png,train,3\n"
                  "p1,well,img/1.png,train,4\n"
                  ",well,/abs/3.png,test,5\n"
                  "p2,well,\"a,b.png\",val,6\n");
    cxr_dataset d = open_as("sub/t.csv", "auto");
    assert_int_equal(d.count, 4);
    expect_sample(&d, 0, "/abs/3.png", "well", CXR_SPLIT_TEST, "/abs/3.png");
    expect_sample(&d, 1, "a,b.png", "well", CXR_SPLIT_VAL, "p2");
    expect_sample(&d, 2, "img/1.png", "well", CXR_SPLIT_TRAIN, "p1");
    expect_sample(&d, 3, "img/2.png", "sick", CXR_SPLIT_TRAIN, "p1");
    assert_string_equal(d.samples[0].path, "/abs/3.png");
    char *want = cxr_mem_printf("%s/sub/img/1.png", dir);
    assert_string_equal(d.samples[2].path, want);
    cxr_mem_free(want);
    cxr_dataset_close(&d);
    d = open_as("sub/t.csv", "column:age");
    assert_string_equal(d.samples[3].group, "3");
    cxr_dataset_close(&d);
    d = open_as("sub/t.csv", "none");
    assert_string_equal(d.samples[3].group, "img/2.png");
    cxr_dataset_close(&d);
    scratch_write(dir, "plain.csv", "path,label\nperson1_a.png,sick\nx.png,well\n");
    d = open_as("plain.csv", "auto");
    expect_sample(&d, 0, "person1_a.png", "sick", CXR_SPLIT_NONE, "sick/person1");
    assert_false(d.has_split[CXR_SPLIT_TRAIN]);
    cxr_dataset_close(&d);
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *text, *group_by;
        cxr_status status;
        const char *sentence;
    } cases[] = {
        {"file,label\nx,y\n", NULL, CXR_EDATA, ": no column \"path\"; the header must be path,label[,split][,group]"},
        {"path,class\nx,y\n", NULL, CXR_EDATA, ": no column \"label\"; the header must be path,label[,split][,group]"},
        {"path,label\n", NULL, CXR_EDATA, ": no images in class folders or rows"},
        {"path,label\nx,y\n", NULL, CXR_EDATA, ": one class only (\"y\"); at least two are needed"},
        {"path,label\nx,y\n,z\n", NULL, CXR_EDATA, ":3: the path is empty"},
        {"path,label\nx,y\nz,\n", NULL, CXR_EDATA, ":3: the label is empty"},
        {"path,label,split\nx,y,train\nz,w,valid\n", NULL, CXR_EDATA, ":3: split \"valid\" is none of train, val, test"},
        {"path,label,split\nx,y,train\nz,w,test\n", NULL, CXR_EDATA, ": class \"w\" has 1 images in test but none in train"},
        {"path,label\nx,y\nx,z\n", NULL, CXR_EDATA, ": \"x\" is listed twice"},
        {"path,label\nx,y\n\"z,w\n", NULL, CXR_EDATA, ":3: a quote is not closed or stands where none may"},
        {"path,label\nx,y\nz,w\n", "column:patient", CXR_EUSAGE, ": no column \"patient\" to group by"},
        {"path,label,split,group\na,y,train,p\nb,z,train,q\nc,y,test,p\n", NULL, CXR_EDATA,
         ": patient \"p\" is in train (a) and in test (c)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write(dir, "t.csv", cases[i].text);
        expect_refusal("t.csv", cases[i].group_by, cases[i].status, cases[i].sentence);
    }
}

static void too_many_classes_are_refused(void **state)
{
    (void)state;
    char *path = cxr_path_join(dir, "t.csv");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("path,label\n", f);
    for (int i = 0; i <= 1000; i++) (void)fprintf(f, "%d.png,%d\n", i, i);
    assert_int_equal(fclose(f), 0);
    expect_refusal("t.csv", NULL, CXR_ELIMIT, ": more than 1000 classes");
    cxr_mem_free(path);
}

static void expect_every_failure(const char *path)
{
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_dataset d;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_dataset_open(&d, path, "auto", NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (fired && st == CXR_OK) assert_int_equal(d.count, 2); /* libcsv tries again with less */
        if (!fired || st != CXR_OK) assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_dataset_close(&d);
    }
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    touch("f/train/a/person1_1.png");
    touch("f/train/b/IM-0001-0001.png");
    scratch_write(dir, "t.csv", "path,label,split,group\nx,y,train,p\nperson1_2.png,w,train,\n");
    char *folder = cxr_path_join(dir, "f"), *table = cxr_path_join(dir, "t.csv");
    expect_every_failure(folder);
    expect_every_failure(table);
    cxr_mem_free(folder);
    cxr_mem_free(table);
}

#define TEST(f) cmocka_unit_test_setup(f, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(split_folders_are_read),
        TEST(class_folders_are_read_in_byte_order),
        TEST(links_are_followed_without_end),
        TEST(depth_is_limited),
        TEST(bad_folders_are_refused),
        TEST(splits_that_do_not_fit_are_refused),
        TEST(an_unreadable_folder_stops),
        TEST(patients_are_told_from_file_names),
        TEST(patients_are_told_by_an_expression),
        TEST(tables_are_read),
        TEST(bad_tables_are_refused),
        TEST(too_many_classes_are_refused),
        TEST(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
