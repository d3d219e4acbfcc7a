/* What a list of files and folders stands for: what is looked at, in which order, and what is refused. */
#include "data/files.h"
#include "scratch.h"

static char *dir;

static int open_dir(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int close_dir(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static void images_of_a_folder_in_byte_order(void **state)
{
    (void)state;
    static const char *const names[] = {"b/x.JPG",   "b/deep/er/y.jpeg", "a.Png",          "notes.txt",
                                        ".hide.png", ".h/w.png",         "__MACOSX/z.png", "B.png"};
    static const char *const want[] = {"B.png", "a.Png", "b/deep/er/y.jpeg", "b/lost.png", "b/x.JPG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) scratch_write(dir, names[i], "");
    char *link = cxr_path_join(dir, "b/lost.png"); /* reading it will say what is wrong */
    assert_int_equal(symlink("nowhere", link), 0);
    cxr_mem_free(link);
    link = cxr_path_join(dir, "b/up"); /* a circle */
    assert_int_equal(symlink("..", link), 0);
    cxr_mem_free(link);
    const char *const given[] = {"not/there.txt", dir};
    cxr_files f;
    assert_int_equal(cxr_files_list(&f, given, 2, NULL), CXR_OK);
    assert_int_equal(f.count, 6);
    assert_string_equal(f.paths[0], "not/there.txt");
    for (size_t i = 0; i < 5; i++) assert_string_equal(f.paths[i + 1] + strlen(dir) + 1, want[i]);
    cxr_files_free(&f);
    assert_null(f.paths);
}

static void refused(cxr_status want, const char *words)
{
    cxr_files f;
    cxr_error err = {0};
    const char *const given[] = {dir};
    assert_int_equal(cxr_files_list(&f, given, 1, &err), want);
    assert_null(f.paths);
    if (strstr(err.text, dir) != err.text || strstr(err.text, words) == NULL) fail_msg("%s", err.text);
}

static void folders_that_are_refused(void **state)
{
    (void)state;
    char deep[2 * 65 + 6 + 1] = "";
    scratch_write(dir, "notes.txt", "");
    refused(CXR_ENOINPUT, "no JPEG or PNG image in this folder");
    for (int i = 0; i < 65; i++) (void)strcat(deep, "d/");
    scratch_write(dir, strcat(deep, "x.png"), "");
    refused(CXR_ELIMIT, "folders nested more than 64 deep");
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    scratch_write(dir, "a/x.png", "");
    scratch_write(dir, "y.png", "");
    const char *const given[] = {dir, "z.png"};
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_files f;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_files_list(&f, given, 2, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_files_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(images_of_a_folder_in_byte_order, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(folders_that_are_refused, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(every_allocation_can_fail, open_dir, close_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
