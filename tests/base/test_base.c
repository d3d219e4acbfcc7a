/* What everything stands on: numbers from keys, memory that can fail on purpose, files that appear whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/grant.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cxr-base-XXXXXX";
static cxr_error error;

/* "folder/name", for a few calls at once. */
static const char *in(const char *name)
{
    static char ring[4][128];
    static int at;
    char *path = ring[at++ % 4];
    (void)snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

static void mixing_is_splitmix64(void **state)
{
    (void)state;
    /* The generator's published outputs for seeds 0 and 1234567 (its state advances by the golden gamma). */
    static const uint64_t want[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
                                    16408922859458223821u};
    assert_true(cxr_mix64(0) == 0xE220A8397B1DCDAFu);
    for (uint64_t i = 0; i < 5; i++) assert_true(cxr_mix64(1234567u + i * 0x9E3779B97F4A7C15u) == want[i]);
}

static void permutations_are_complete_and_even(void **state)
{
    (void)state;
    enum { N = 10, DRAWS = 20000 };
    unsigned counts[N][N] = {{0}};
    for (uint64_t k = 0; k < DRAWS; k++) {
        uint32_t p[N];
        unsigned seen = 0;
        cxr_rng_permutation(cxr_rng_key(1, CXR_FOR_ORDER, k, 0), p, N);
        for (int i = 0; i < N; i++) {
            assert_true(p[i] < N);
            seen |= 1u << p[i];
            counts[i][p[i]]++;
        }
        assert_int_equal(seen, (1u << N) - 1);
    }
    double chi2 = 0.0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) chi2 += pow((double)counts[i][j] - DRAWS / N, 2) / (DRAWS / N);
    assert_true(chi2 > 40.0 && chi2 < 140.0); /* 81 degrees of freedom: mean 81, standard deviation 12.7 */
    cxr_rng_permutation(1, NULL, 0);
}

static void normal_numbers_have_their_moments(void **state)
{
    (void)state;
    double sum = 0.0, squares = 0.0, fourth = 0.0;
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        const double x = cxr_rng_normal(42, (uint64_t)i);
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / n) < 0.01 && fabs(squares / n - 1.0) < 0.015 && fabs(fourth / n - 3.0) < 0.1); /* 4 deviations */
}

static void memory_refuses_overflow_and_fails_when_asked(void **state)
{
    (void)state;
    assert_null(cxr_mem_new(SIZE_MAX / 2 + 2, 2)); /* wraps to two bytes */
    assert_null(cxr_mem_new_aligned(SIZE_MAX / 2 + 2, 2));
    assert_null(cxr_mem_new_aligned(SIZE_MAX - 4096, 1));
    float *x = cxr_mem_new_aligned(1u << 20, sizeof *x); /* past the size of a huge page */
    assert_true(x != NULL && (uintptr_t)x % 64 == 0 && x[0] == 0.0f && x[(1u << 20) - 1] == 0.0f);
    cxr_mem_free(x);
    cxr_mem_fail_at(1);
    void *first = cxr_mem_new(1, 1), *second = cxr_mem_new(1, 1), *third = cxr_mem_new(1, 1);
    assert_true(first != NULL && second == NULL && third != NULL && cxr_mem_fail_fired());
    cxr_mem_fail_at(-1);
    assert_false(cxr_mem_fail_fired());
    cxr_mem_free(first);
    cxr_mem_free(third);
}

static void assert_holds(const char *path, const char *text)
{
    cxr_buf b;
    assert_int_equal(cxr_buf_read(&b, path, 1000, &error), CXR_OK);
    assert_true(b.len == strlen(text) && memcmp(b.data, text, b.len) == 0);
    cxr_buf_free(&b);
}

static void an_output_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    cxr_output out;
    assert_int_equal(cxr_file_write(in("a"), "old", 3, &error), CXR_OK);
    assert_int_equal(cxr_output_open(&out, in("a"), &error), CXR_OK);
    (void)fputs("new", out.stream);
    (void)fflush(out.stream);
    assert_holds(in("a"), "old"); /* nothing shows before the commit */
    cxr_output_discard(&out);
    assert_holds(in("a"), "old");
    assert_int_equal(cxr_output_open(&out, in("a"), &error), CXR_OK);
    (void)fputs("new", out.stream);
    assert_int_equal(cxr_output_commit(&out, &error), CXR_OK);
    cxr_output_discard(&out);
    assert_holds(in("a"), "new");
    assert_int_equal(cxr_output_open(&out, in("none/a"), &error), CXR_ECREATE);
    assert_int_equal(cxr_file_place(in("a"), "placed", 6, &error), CXR_OK);
    assert_holds(in("a"), "placed");
    assert_int_equal(cxr_flush(folder, &error), CXR_OK);
    assert_int_equal(cxr_flush(in("none"), &error), CXR_EIO);
}

static void a_full_device_loses_nothing(void **state)
{
    (void)state;
    static char big[1 << 16];
    struct rlimit before, small = {.rlim_cur = 1 << 12};
    assert_int_equal(cxr_file_write(in("full"), "old", 3, &error), CXR_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN); /* EFBIG instead: the path that ENOSPC takes */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const cxr_status st = cxr_file_write(in("full"), big, sizeof big, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, CXR_EIO);
    assert_non_null(strstr(error.text, "full: cannot write"));
    assert_holds(in("full"), "old");
    char temporary[160];
    (void)snprintf(temporary, sizeof temporary, "%s.tmp.%ld", in("full"), (long)getpid());
    assert_false(cxr_path_exists(temporary));
}

static void reading_is_capped_and_takes_regular_files_only(void **state)
{
    (void)state;
    cxr_buf b;
    assert_int_equal(cxr_file_write(in("four"), "four", 4, &error), CXR_OK);
    assert_int_equal(cxr_buf_read(&b, in("four"), 4, &error), CXR_OK);
    cxr_buf_free(&b);
    assert_int_equal(cxr_buf_read(&b, in("four"), 3, &error), CXR_ELIMIT);
    assert_null(b.data);
    assert_int_equal(cxr_buf_read(&b, in("nothing"), 10, &error), CXR_ENOINPUT);
    assert_int_equal(cxr_buf_read(&b, folder, 10, &error), CXR_EDATA);
    assert_int_equal(mkfifo(in("pipe"), 0600), 0);
    assert_int_equal(cxr_buf_read(&b, in("pipe"), 10, &error), CXR_EDATA); /* and does not wait for a writer */
}

static void sha256_is_nists(void **state)
{
    (void)state;
    static const char want[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-2, "abc" */
    char hex[65];
    assert_int_equal(cxr_sha256("abc", 3, hex, &error), CXR_OK);
    assert_string_equal(hex, want);
    assert_int_equal(cxr_file_write(in("abc"), "abc", 3, &error), CXR_OK);
    assert_int_equal(cxr_sha256_file(in("abc"), hex, &error), CXR_OK);
    assert_string_equal(hex, want);
    assert_int_equal(cxr_sha256_file(in("nothing"), hex, &error), CXR_ENOINPUT);
}

static void paths_are_joined_and_folders_made(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"", "b", "b"}, {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = cxr_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(got, cases[i][2]);
        cxr_mem_free(got);
    }
    assert_string_equal(cxr_path_name("a/b.c"), "b.c");
    assert_string_equal(cxr_path_name("b.c"), "b.c");
    assert_int_equal(cxr_make_folders(in("x/y/z"), &error), CXR_OK);
    assert_int_equal(cxr_make_folders(in("x/y/z"), &error), CXR_OK);
    assert_true(cxr_path_is_folder(in("x/y/z")));
    assert_int_equal(cxr_make_folders(in("abc/y"), &error), CXR_ECREATE);
}

/* ---- What the machine grants ---- */

static void put(const char *name, const char *text)
{
    char path[192];
    (void)snprintf(path, sizeof path, "%s", in(name));
    *strrchr(path, '/') = '\0';
    assert_int_equal(cxr_make_folders(path, &error), CXR_OK);
    assert_int_equal(cxr_file_write(in(name), text, strlen(text), &error), CXR_OK);
}

static void quotas_of_all_control_groups_count(void **state)
{
    (void)state;
    static const struct {
        const char *membership;
        int cpus;
    } cases[] = {
        {"0::/\n", 0},                                /* the top: no quota */
        {"0::/none\n", 0},                            /* not mounted here */
        {"0::/six\n", 6},                             /* its own */
        {"0::/six/half\n", 1},                        /* half a CPU is a thread */
        {"0::/six/max\n", 6},                         /* of the group around it */
        {"0::/six/max/three/deeper\n", 3},            /* the least */
        {"3:cpuset:/four\n2:cpu,cpuacct:/four\n", 4}, /* version 1 */
        {"2:cpuacct,cpu:/four/none\n0::/six\n", 4},   /* both versions */
        {"2:cpuset:/four\n", 0},                      /* another controller's group */
        {"2:cpu:/endless\n", 0},                      /* -1 */
        {"broken\n2:cpu\n\n0::six\n", 0},             /* no path that begins with a slash */
    };
    put("g/six/cpu.max", "600000 100000\n");
    put("g/six/half/cpu.max", "50000 100000\n");
    put("g/six/max/cpu.max", "max 100000\n");
    put("g/six/max/three/cpu.max", "250000 100000\n");
    put("g/cpu/four/cpu.cfs_quota_us", "350000\n");
    put("g/cpu/four/cpu.cfs_period_us", "100000\n");
    put("g/cpu/endless/cpu.cfs_quota_us", "-1\n");
    put("g/cpu/endless/cpu.cfs_period_us", "100000\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("g/membership", cases[i].membership);
        const int cpus = cxr_cgroup_cpus(in("g/membership"), in("g"));
        if (cpus != cases[i].cpus) fail_msg("%s: %d CPUs, not %d", cases[i].membership, cpus, cases[i].cpus);
    }
    assert_int_equal(cxr_cgroup_cpus(in("g/nothing"), in("g")), 0);
}

static void bound_to_one_cpu_is_one_thread(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(cxr_thread_grant() >= 1 && cxr_thread_grant() <= CPU_COUNT(&before));
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &before)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cxr_thread_grant(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixing_is_splitmix64),
        cmocka_unit_test(permutations_are_complete_and_even),
        cmocka_unit_test(normal_numbers_have_their_moments),
        cmocka_unit_test(memory_refuses_overflow_and_fails_when_asked),
        cmocka_unit_test(an_output_appears_whole_or_not_at_all),
        cmocka_unit_test(a_full_device_loses_nothing),
        cmocka_unit_test(reading_is_capped_and_takes_regular_files_only),
        cmocka_unit_test(sha256_is_nists),
        cmocka_unit_test(paths_are_joined_and_folders_made),
        cmocka_unit_test(quotas_of_all_control_groups_count),
        cmocka_unit_test(bound_to_one_cpu_is_one_thread),
    };
    if (mkdtemp(folder) == NULL) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? failed : 1;
}
