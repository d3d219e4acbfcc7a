/* A child enters the sandbox and tries what an intruder would, with each part of the sandbox alone and with none, where what is
 * tried must work; and what serving needs goes on there. A part is taken away by a filter set before, as if the kernel had none;
 * that must be in the log. A part that this kernel lacks is held to the same. */
#include "backend/backend.h"
#include "compare.h"
#include "data/scratch.h"
#include "model/model.h"
#include "serve/sandbox.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SIZE = 32, OTHER_SIZE = 64, IMAGES = 3, CLASSES = 3, WORKERS = 3, PAGE = 4096 };
enum { LANDLOCK = 1, MDWE = 2, SECCOMP = 4, ALL = 7 };     /* parts of the sandbox */
enum { LET_THROUGH = 0, NOT_ENTERED = 200, BROKEN, DONE }; /* exit statuses of a child; others are an errno */
enum { SET_MDWE = 65, GET_MDWE = 66, SAID = 8192 };

static char *dir;
static char model_path[256], victim[256], outside[256];
static char *said; /* by the sandbox, in a child: shared memory */
static cxr_model *model;
static long landlock;  /* version of the kernel's */
static unsigned parts; /* that the kernel has */

/* ---- What an intruder tries: 0 where it was let through, else why not ---- */

static int tcp = -1; /* a socket that was open before */
static struct sockaddr_in address;

static int outcome(bool let_through)
{
    return let_through ? LET_THROUGH : errno;
}

static int write_a_file(void)
{
    return outcome(open(victim, O_WRONLY) >= 0);
}
static int make_a_file(void)
{
    return outcome(open("new", O_WRONLY | O_CREAT, 0600) >= 0);
}
static int empty_a_file(void)
{
    return outcome(open(victim, O_RDONLY | O_TRUNC) >= 0);
}
static int remove_a_file(void)
{
    return outcome(unlink(victim) == 0);
}
static int read_elsewhere(void)
{
    return outcome(open("/etc/passwd", O_RDONLY) >= 0);
}
static int read_beside(void)
{
    return outcome(open(outside, O_RDONLY) >= 0);
}
static int list_a_folder(void)
{
    return outcome(open("models", O_RDONLY | O_DIRECTORY) >= 0);
}
static int be_traced(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
}
static int signal_the_parent(void)
{
    return outcome(kill(getppid(), 0) == 0);
}
static int open_a_socket(void)
{
    return outcome(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}
static int connect_out(void)
{
    return outcome(connect(tcp, (const struct sockaddr *)&address, sizeof address) == 0);
}

static int bind_a_port(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    return outcome(bind(tcp, (const struct sockaddr *)&any, sizeof any) == 0);
}

static int run_a_program(void)
{
    char name[] = "/bin/true";
    char *const argv[] = {name, NULL};
    return outcome(execv(name, argv) == 0); /* let through, it exits with 0 */
}

static int make_a_process(void)
{
    const pid_t child = fork();
    if (child == 0) _exit(0);
    return outcome(child > 0);
}

static int map_code(void)
{
    return outcome(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static int make_code(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? BROKEN : outcome(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
}

static void *read_there(void *result)
{
    *(int *)result = read_elsewhere();
    return NULL;
}

static int read_from_a_thread(void)
{
    pthread_t thread;
    int result = BROKEN;
    if (pthread_create(&thread, NULL, read_there, &result) != 0 || pthread_join(thread, NULL) != 0) return BROKEN;
    return result;
}

static const struct {
    const char *name;
    int (*attempt)(void);
    unsigned by;   /* parts that refuse it, each by itself */
    long landlock; /* least version of Landlock for that */
    bool deadly;   /* seccomp ends the process */
} attempts[] = {
    {"write a file", write_a_file, LANDLOCK | SECCOMP, 1, false},
    {"make a file", make_a_file, LANDLOCK | SECCOMP, 1, false},
    {"empty a file", empty_a_file, LANDLOCK | SECCOMP, 3, false},
    {"remove a file", remove_a_file, LANDLOCK | SECCOMP, 1, false},
    {"read another file", read_elsewhere, LANDLOCK, 1, false},
    {"read a file beside", read_beside, LANDLOCK, 1, false},
    {"read from a new thread", read_from_a_thread, LANDLOCK, 1, false},
    {"list a folder", list_a_folder, LANDLOCK, 1, false},
    {"run a program", run_a_program, LANDLOCK | SECCOMP, 1, true},
    {"be traced", be_traced, SECCOMP, 0, true},
    {"make a process", make_a_process, SECCOMP, 0, false},
    {"signal the parent", signal_the_parent, LANDLOCK | SECCOMP, 6, false},
    {"open a socket", open_a_socket, SECCOMP, 0, false},
    {"connect", connect_out, LANDLOCK | SECCOMP, 4, false},
    {"bind a port", bind_a_port, LANDLOCK | SECCOMP, 4, false},
    {"map code", map_code, MDWE | SECCOMP, 0, false},
    {"make memory code", make_code, MDWE | SECCOMP, 0, false},
};

/* ---- Children ---- */

static void keep_line(void *user, cxr_level level, const char *line)
{
    (void)user;
    const size_t at = strlen(said);
    (void)snprintf(said + at, SAID - at, "%s%s\n", level == CXR_WARNING ? "warning: " : "", line);
}

static const cxr_hooks hooks = {.log.write = keep_line};

/* Makes a system call fail, one of any first argument or (first >= 0) of that one. */
static bool hide(int call, int first, uint16_t error)
{
    const struct scmp_arg_cmp is = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)first, 0);
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    const bool ok =
        f != NULL && seccomp_rule_add_array(f, SCMP_ACT_ERRNO(error), call, first >= 0, &is) == 0 && seccomp_load(f) == 0;
    if (f != NULL) seccomp_release(f);
    return ok;
}

/* Seccomp last: the others are hidden by it. */
static cxr_status enter(unsigned with, cxr_error *err)
{
    const char *const files[] = {model_path};
    const cxr_sandbox s = {files, 1};
    if ((with & LANDLOCK) == 0 && !hide(SCMP_SYS(landlock_create_ruleset), -1, ENOSYS)) return CXR_EINTERNAL;
    if ((with & MDWE) == 0 && !hide(SCMP_SYS(prctl), SET_MDWE, EINVAL)) return CXR_EINTERNAL;
    if ((with & SECCOMP) == 0 && !hide(SCMP_SYS(seccomp), -1, ENOSYS)) return CXR_EINTERNAL;
    return cxr_sandbox_enter(&s, &hooks, err);
}

static int open_listener(void)
{
    socklen_t bytes = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        return -1;
    return fd;
}

/* The wait status of a child that enters with some parts and then tries; < 0: none. */
static int status_of(int (*attempt)(void), unsigned with)
{
    int status = -1;
    cxr_error error = {0};
    said[0] = '\0';
    scratch_write(dir, "models/victim", "v");
    const pid_t child = fork();
    if (child == 0) {
        tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (chdir(dir) != 0 || open_listener() < 0) _exit(BROKEN);
        if (enter(with, &error) == CXR_OK) _exit(attempt());
        (void)fprintf(stderr, "%s\n", error.text);
        _exit(NOT_ENTERED);
    }
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

static bool was_refused(int status, bool deadly)
{
    if (deadly && WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS;
    return WIFEXITED(status) && (WEXITSTATUS(status) == EPERM || WEXITSTATUS(status) == EACCES);
}

/* ---- Tests ---- */

static void what_is_tried_works_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const int status = status_of(attempts[i].attempt, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != LET_THROUGH)
            fail_msg("%s: wait status %x without the sandbox", attempts[i].name, (unsigned)status);
    }
}

static void the_sandbox_refuses_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const bool able = (attempts[i].by & parts & ~(unsigned)LANDLOCK) != 0 || landlock >= attempts[i].landlock;
        const int status = status_of(attempts[i].attempt, ALL);
        if (able && !was_refused(status, attempts[i].deadly))
            fail_msg("%s: wait status %x in the sandbox", attempts[i].name, (unsigned)status);
        if (attempts[i].deadly && (parts & SECCOMP) != 0) assert_true(WIFSIGNALED(status));
    }
}

static void each_part_refuses_its_own(void **state)
{
    (void)state;
    for (unsigned part = LANDLOCK; part <= SECCOMP; part *= 2)
        for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
            if ((attempts[i].by & parts & part) == 0 || (part == LANDLOCK && landlock < attempts[i].landlock)) continue;
            const int status = status_of(attempts[i].attempt, part);
            if (!was_refused(status, attempts[i].deadly && part == SECCOMP))
                fail_msg("%s: wait status %x with part %u alone", attempts[i].name, (unsigned)status, part);
        }
}

static int look_at_limits(void)
{
    struct rlimit cores = {1, 1};
    if (getrlimit(RLIMIT_CORE, &cores) != 0 || cores.rlim_cur != 0 || cores.rlim_max != 0) return BROKEN;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? DONE : BROKEN;
}

static void privileges_and_core_dumps_are_gone(void **state)
{
    (void)state;
    const int status = status_of(look_at_limits, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
}

static int nothing(void)
{
    return DONE;
}

static void what_the_kernel_lacks_is_said(void **state)
{
    (void)state;
    static const char *const in_force[] = {"(Landlock ", "(PR_SET_MDWE)\n", "(seccomp)\n"};
    static const char *const lacking[] = {"warning: sandbox: no Landlock in this kernel (",
                                          "warning: sandbox: no PR_SET_MDWE in this kernel (",
                                          "warning: sandbox: no seccomp in this kernel ("};
    for (unsigned with = 0; with <= ALL; with++) {
        assert_int_equal(WEXITSTATUS(status_of(nothing, with)), DONE);
        for (int p = 0; p < 3; p++) {
            const bool has = (with & parts & (1U << p)) != 0;
            if ((strstr(said, in_force[p]) != NULL) != has || (strstr(said, lacking[p]) != NULL) == has)
                fail_msg("part %d of %u: %s", p, with, said);
        }
    }
}

/* ---- What must go on ---- */

typedef struct worker {
    cxr_program *program;
    cxr_tensor *input;
    float before[IMAGES][IMAGES * CLASSES], after[IMAGES][IMAGES * CLASSES]; /* by batch size */
    bool ok;
} worker;

static bool run(const worker *w, float out[IMAGES][IMAGES * CLASSES])
{
    static const uint8_t pixels[IMAGES * SIZE * SIZE] = {9, 200, 31, 77};
    const cxr_tensor *result = NULL;
    bool ok = true;
    for (int n = 1; n <= IMAGES && ok; n++)
        ok = cxr_backend_cpu.tensor_write(w->input, n, pixels, NULL) == CXR_OK &&
             cxr_backend_cpu.forward(w->program, w->input, 0, &result, NULL) == CXR_OK &&
             cxr_backend_cpu.tensor_read(result, out[n - 1], NULL) == CXR_OK;
    return ok;
}

static bool start(worker *w, cxr_model *m, const cxr_graph *g)
{
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = IMAGES, .threads = 2};
    return cxr_backend_cpu.compile(&w->program, g, 1, g->node_count - 1, m->params, &o, NULL) == CXR_OK &&
           cxr_backend_cpu.tensor_new(&w->input, CXR_U8, IMAGES, g->nodes[0].shape, NULL) == CXR_OK;
}

static void *work(void *user)
{
    worker *w = user;
    w->ok = true;
    for (int i = 0; i < 20 && w->ok; i++) w->ok = run(w, w->after) && memcmp(w->before, w->after, sizeof w->before) == 0;
    return NULL;
}

/* A model of the same network is loaded again; another network's kernels cannot be made, and nothing breaks. */
static bool load_again(const worker *first)
{
    static worker again, other;
    cxr_model *m = NULL;
    cxr_graph g = {0};
    const bool same = cxr_model_open(&m, model_path, NULL) == CXR_OK && start(&again, m, &m->graph) &&
                      run(&again, again.after) && memcmp(first->before, again.after, sizeof again.after) == 0;
    const bool clean = same && cxr_model_graph(&g, m, OTHER_SIZE, NULL) == CXR_OK && !start(&other, m, &g) &&
                       other.program == NULL && run(&again, again.after) &&
                       memcmp(first->before, again.after, sizeof again.after) == 0;
    cxr_graph_free(&g);
    return clean;
}

static int serve(unsigned with)
{
    static worker workers[WORKERS];
    pthread_t threads[WORKERS];
    cxr_error error = {0};
    for (int i = 0; i < WORKERS; i++)
        if (!start(&workers[i], model, &model->graph) || !run(&workers[i], workers[i].before)) return BROKEN;
    if (enter(with, &error) != CXR_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return NOT_ENTERED;
    }
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) return BROKEN;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_join(threads[i], NULL) != 0 || !workers[i].ok) return BROKEN;
    return load_again(&workers[0]) ? DONE : BROKEN;
}

static void serving_goes_on(void **state)
{
    (void)state;
    int status = -1;
    const pid_t child = fork();
    if (child == 0) _exit(serve(ALL));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), (parts & (MDWE | SECCOMP)) != 0 ? DONE : BROKEN);
}

/* ---- What is refused at the door ---- */

static void *wait_forever(void *unused)
{
    for (;;) (void)pause();
    return unused;
}

static int enter_with_a_thread(void)
{
    pthread_t thread;
    cxr_error error = {0};
    if (pthread_create(&thread, NULL, wait_forever, NULL) != 0) return BROKEN;
    return enter(ALL, &error) == CXR_EINTERNAL && strstr(error.text, " 2 threads run already") != NULL ? DONE : BROKEN;
}

static int enter_without_folder(void)
{
    const char *const files[] = {"/nowhere/at/all/model.safetensors"};
    const cxr_sandbox s = {files, 1};
    cxr_error error = {0};
    const cxr_status st = cxr_sandbox_enter(&s, NULL, &error);
    return st == CXR_ENOINPUT && strncmp(error.text, "/nowhere/at/all/: ", 18) == 0 ? DONE : BROKEN;
}

static void it_is_entered_whole_or_not(void **state)
{
    (void)state;
    int (*const ways[])(void) = {enter_with_a_thread, enter_without_folder};
    for (int i = 0; i < (landlock > 0 ? 2 : 1); i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) _exit(ways[i]());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), DONE);
    }
}

static int set_up(void **state)
{
    (void)state;
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.preprocess.size = SIZE;
    o.head[0] = 16;
    o.head_count = 1;
    said = mmap(NULL, SAID, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(said != MAP_FAILED);
    dir = scratch_new();
    scratch_write(dir, "models/victim", "v");
    scratch_write(dir, "outside", "o");
    (void)snprintf(model_path, sizeof model_path, "%s/models/toy.safetensors", dir);
    (void)snprintf(victim, sizeof victim, "%s/models/victim", dir);
    (void)snprintf(outside, sizeof outside, "%s/outside", dir);
    assert_int_equal(cxr_model_build(&model, &o, NULL, CLASSES, NULL), CXR_OK);
    assert_int_equal(cxr_model_write(model, model_path, NULL, 0, NULL, 0, NULL), CXR_OK);
    landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (landlock > 0) parts |= LANDLOCK;
    if (prctl(GET_MDWE, 0, 0, 0, 0) == 0) parts |= MDWE;
    if (seccomp_api_get() >= 2) parts |= SECCOMP;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_tried_works_outside),   cmocka_unit_test(the_sandbox_refuses_it),
        cmocka_unit_test(each_part_refuses_its_own),     cmocka_unit_test(privileges_and_core_dumps_are_gone),
        cmocka_unit_test(what_the_kernel_lacks_is_said), cmocka_unit_test(serving_goes_on),
        cmocka_unit_test(it_is_entered_whole_or_not),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
