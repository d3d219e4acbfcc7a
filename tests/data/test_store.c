/* The store: what is put comes back, from memory or from a file of an earlier run; what is damaged, foreign or does not fit is
 * absent, and never an error. */
#include "data/scratch.h"
#include "data/store.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define COUNT 40
#define BYTES 301

typedef struct fixture {
    char *dir, *path; /* of the file of `opts` */
    cxr_store_opts opts;
    cxr_hooks hooks;
    int warnings;
    char last[512];
} fixture;

static void on_line(void *user, cxr_level level, const char *line)
{
    fixture *f = user;
    if (level != CXR_WARNING) return;
    f->warnings++;
    (void)snprintf(f->last, sizeof f->last, "%s", line);
}

static int set_up(void **state)
{
    fixture *f = cxr_mem_new(1, sizeof *f);
    f->dir = scratch_new();
    f->hooks.log.write = on_line;
    f->hooks.log.user = f;
    f->opts = (cxr_store_opts){
        .dir = f->dir, .kind = "test", .key = {0xab}, .count = COUNT, .record_bytes = BYTES, .hooks = &f->hooks};
    f->path = cxr_mem_printf("%s/test-ab000000000000000000000000000000.cache", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    scratch_remove(f->dir);
    cxr_mem_free(f->path);
    cxr_mem_free(f);
    return 0;
}

static void fill(uint8_t *record, size_t i)
{
    for (size_t k = 0; k < BYTES; k++) record[k] = (uint8_t)(i * 7 + k);
}

static cxr_store *opened(const fixture *f)
{
    cxr_store *s = NULL;
    cxr_error err = {0};
    if (cxr_store_open(&s, &f->opts, &err) != CXR_OK) fail_msg("%s", err.text);
    return s;
}

static void put(cxr_store *s, size_t i)
{
    uint8_t record[BYTES];
    fill(record, i);
    cxr_store_put(s, i, record);
}

/* False when absent; what comes back must be what was put. */
static bool got(cxr_store *s, size_t i)
{
    uint8_t record[BYTES], want[BYTES];
    if (!cxr_store_get(s, i, record)) return false;
    fill(want, i);
    assert_memory_equal(record, want, sizeof want);
    return true;
}

static size_t count_of(cxr_store *s)
{
    size_t n = 0;
    for (size_t i = 0; i < COUNT; i++) n += got(s, i);
    return n;
}

static void put_all_and_close(const fixture *f)
{
    cxr_store *s = opened(f);
    for (size_t i = 0; i < COUNT; i++) put(s, i);
    cxr_store_close(&s);
    assert_null(s);
}

static size_t count_on_opening(const fixture *f)
{
    cxr_store *s = opened(f);
    const size_t n = count_of(s);
    cxr_store_close(&s);
    return n;
}

static void change_byte(const fixture *f, off_t at)
{
    uint8_t byte;
    const int fd = open(f->path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void what_is_put_comes_back(void **state)
{
    fixture *f = *state;
    for (int form = 0; form < 2; form++) {
        f->opts.dir = form == 0 ? NULL : f->dir;
        cxr_store *s = opened(f);
        assert_int_equal(count_of(s), 0);
        for (size_t i = 0; i < COUNT; i += 3) put(s, i);
        for (size_t i = 0; i < COUNT; i++) assert_int_equal(got(s, i), i % 3 == 0);
        assert_int_equal(cxr_store_present(s), 14);
        uint8_t other[BYTES] = {9}, back[BYTES];
        cxr_store_put(s, 3, other);
        assert_true(cxr_store_get(s, 3, back));
        assert_memory_equal(back, other, BYTES);
        cxr_store_put(s, COUNT, other); /* outside: nothing */
        assert_false(cxr_store_get(s, COUNT, back));
        cxr_store_close(&s);
    }
    cxr_store_close(NULL);
    assert_int_equal(f->warnings, 0);
}

static void memory_has_a_limit(void **state)
{
    fixture *f = *state;
    f->opts.dir = NULL;
    f->opts.max_bytes = 10 * BYTES + BYTES / 2;
    cxr_store *s = opened(f);
    for (size_t i = 0; i < COUNT; i++) put(s, i);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(got(s, i), i < 10);
    cxr_store_close(&s);
    assert_string_equal(f->last, "the cache of test keeps 10 of 40 records: more would pass its limit of 0 MB");
}

static void a_later_run_finds_the_file(void **state)
{
    fixture *f = *state;
    put_all_and_close(f);
    struct stat info;
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(count_on_opening(f), COUNT);
    assert_int_equal(f->warnings, 0);
}

static void a_damaged_record_is_absent_and_can_be_put_again(void **state)
{
    fixture *f = *state;
    put_all_and_close(f);
    const off_t table = 64, data = table + 8 * COUNT;
    change_byte(f, data + 5 * BYTES + 300);
    change_byte(f, table + 8 * 7);     /* a checksum */
    change_byte(f, table + 8 * 9 + 4); /* a mark */
    cxr_store *s = opened(f);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(got(s, i), i != 5 && i != 7 && i != 9);
    put(s, 5);
    assert_true(got(s, 5));
    cxr_store_close(&s);
    assert_int_equal(count_on_opening(f), COUNT - 2);
}

static void a_file_that_is_not_this_one_is_replaced(void **state)
{
    fixture *f = *state;
    for (off_t at = 0; at < 64; at++) { /* every byte of the header counts */
        put_all_and_close(f);
        change_byte(f, at);
        assert_int_equal(count_on_opening(f), 0);
    }
    for (off_t size = 0; size < 64 + (8 + BYTES) * COUNT; size += 97) {
        put_all_and_close(f);
        assert_int_equal(truncate(f->path, size), 0);
        assert_int_equal(count_on_opening(f), 0);
    }
    put_all_and_close(f);
    f->opts.record_bytes--;
    cxr_store *s = opened(f);
    assert_int_equal(cxr_store_present(s), 0);
    cxr_store_close(&s);
    f->opts.record_bytes++;
    assert_int_equal(count_on_opening(f), 0);
    assert_int_equal(f->warnings, 0);
}

static void a_file_cut_while_open_loses_records_only(void **state)
{
    fixture *f = *state;
    put_all_and_close(f);
    cxr_store *s = opened(f);
    assert_int_equal(truncate(f->path, 64 + 8 * COUNT + 4 * BYTES), 0);
    assert_int_equal(count_of(s), 4);
    cxr_store_close(&s);
}

static void another_key_has_another_file(void **state)
{
    fixture *f = *state;
    put_all_and_close(f);
    f->opts.key[15] = 1;
    assert_int_equal(count_on_opening(f), 0);
    f->opts.key[15] = 0;
    f->opts.key[31] = 1; /* the name does not hold this byte, the header does */
    assert_int_equal(count_on_opening(f), 0);
}

static void a_killed_writer_leaves_a_file_to_go_on_with(void **state)
{
    fixture *f = *state;
    const pid_t child = fork();
    if (child == 0) {
        cxr_store *s = opened(f);
        for (size_t i = 0; i < 17; i++) put(s, i);
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_on_opening(f), 17);
}

static void two_processes_may_write_one_file(void **state)
{
    fixture *f = *state;
    const pid_t child = fork();
    cxr_store *s = opened(f);
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < COUNT; i++) {
            const size_t at = child == 0 ? COUNT - 1 - i : i;
            (void)got(s, at);
            put(s, at);
        }
    const bool whole = count_of(s) == COUNT;
    cxr_store_close(&s);
    if (child == 0) _exit(whole ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(whole);
    assert_int_equal(count_on_opening(f), COUNT);
}

typedef struct worker {
    cxr_store *store;
    size_t first;
} worker;

static void *work(void *arg)
{
    const worker *w = arg;
    uint8_t record[BYTES], back[BYTES];
    for (size_t k = 0; k < 10 * COUNT; k++) {
        const size_t i = (w->first + k) % COUNT;
        fill(record, i);
        if (!cxr_store_get(w->store, i, back)) {
            cxr_store_put(w->store, i, record);
        } else if (memcmp(back, record, BYTES) != 0) {
            return arg;
        }
    }
    return NULL;
}

static void any_thread_may_use_any_record(void **state)
{
    fixture *f = *state;
    for (int form = 0; form < 2; form++) {
        f->opts.dir = form == 0 ? NULL : f->dir;
        pthread_t threads[4];
        worker workers[4];
        cxr_store *s = opened(f);
        for (size_t i = 0; i < 4; i++) {
            workers[i] = (worker){s, i * 10};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (size_t i = 0; i < 4; i++) {
            void *bad;
            assert_int_equal(pthread_join(threads[i], &bad), 0);
            assert_null(bad);
        }
        assert_int_equal(count_of(s), COUNT);
        cxr_store_close(&s);
    }
}

static void without_room_nothing_is_kept(void **state)
{
    fixture *f = *state;
    struct rlimit before, small = {64 + 8 * COUNT + 5 * BYTES, 0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    cxr_store *s = opened(f);
    put(s, 0);
    assert_int_equal(count_of(s), 0);
    assert_int_equal(cxr_store_present(s), 0);
    cxr_store_close(&s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(f->warnings, 1);
    assert_non_null(strstr(f->last, "larger than this process may write"));

    f->opts.record_bytes = (size_t)1 << 50; /* no disk has as much */
    s = opened(f);
    cxr_store_close(&s);
    assert_int_equal(f->warnings, 2);
    assert_non_null(strstr(f->last, "more than half of the room left on the disk"));
}

static void a_disk_that_fills_up_ends_the_keeping_only(void **state)
{
    fixture *f = *state;
    cxr_store *s = opened(f);
    for (size_t i = 0; i < 5; i++) put(s, i);
    struct rlimit before, small = {64 + 8 * COUNT + 5 * BYTES, 0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*const old)(int) = signal(SIGXFSZ, SIG_IGN); /* pwrite then fails as on a full disk */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (size_t i = 0; i < COUNT; i++) put(s, i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, old);
    assert_int_equal(count_of(s), 5);
    put(s, 6);
    assert_int_equal(count_of(s), 5);
    cxr_store_close(&s);
    assert_int_equal(f->warnings, 1);
    assert_int_equal(count_on_opening(f), 5);
}

static void a_folder_that_cannot_be_made_is_a_warning(void **state)
{
    fixture *f = *state;
    f->opts.dir = "/proc/nowhere";
    cxr_store *s = opened(f);
    put(s, 0);
    assert_int_equal(count_of(s), 0);
    cxr_store_close(&s);
    assert_int_equal(f->warnings, 1);
    f->opts.dir = f->dir;
    assert_int_equal(mkdir(f->path, 0700), 0); /* where the file should be */
    assert_int_equal(count_on_opening(f), 0);
    assert_int_equal(f->warnings, 2);
    assert_int_equal(rmdir(f->path), 0);
}

static void senseless_sizes_are_refused(void **state)
{
    fixture *f = *state;
    cxr_store *s = NULL;
    const size_t sizes[][2] = {{SIZE_MAX, 8}, {SIZE_MAX / 8, 16}, {(size_t)1 << 60, 8}, {1, 0}, {1, SIZE_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        f->opts.count = sizes[i][0];
        f->opts.record_bytes = sizes[i][1];
        assert_int_equal(cxr_store_open(&s, &f->opts, NULL), CXR_ELIMIT);
        assert_null(s);
    }
}

static void every_allocation_can_fail(void **state)
{
    fixture *f = *state;
    for (int form = 0; form < 2; form++) {
        f->opts.dir = form == 0 ? NULL : f->dir;
        bool fired = true;
        for (long n = 0; fired; n++) {
            cxr_store *s = NULL;
            cxr_error err = {0};
            (void)unlink(f->path);
            cxr_mem_fail_at(n);
            const cxr_status st = cxr_store_open(&s, &f->opts, &err);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
            cxr_store_close(&s);
        }
    }
}

#define ON(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(what_is_put_comes_back),
        ON(memory_has_a_limit),
        ON(a_later_run_finds_the_file),
        ON(a_damaged_record_is_absent_and_can_be_put_again),
        ON(a_file_that_is_not_this_one_is_replaced),
        ON(a_file_cut_while_open_loses_records_only),
        ON(another_key_has_another_file),
        ON(a_killed_writer_leaves_a_file_to_go_on_with),
        ON(two_processes_may_write_one_file),
        ON(any_thread_may_use_any_record),
        ON(without_room_nothing_is_kept),
        ON(a_disk_that_fills_up_ends_the_keeping_only),
        ON(a_folder_that_cannot_be_made_is_a_warning),
        ON(senseless_sizes_are_refused),
        ON(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
