/* cxr VERB ...: finds the verb, parses its arguments, runs it, and turns the outcome into one sentence and an exit status.
 * Data goes to standard output, all else to standard error. */
#include "shared.h"
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int help_width(void)
{
    const int width = cxr_terminal_width(STDOUT_FILENO);
    return width > 100 ? 100 : width;
}

/* A full disk behind standard output is a failure too. */
static int finish(int status)
{
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CXR_EXIT_OK) {
        cxr_complain("standard output: %s", errno != 0 ? strerror(errno) : "write error");
        return CXR_EXIT_IO;
    }
    return status;
}

static int usage_error(const char *verb, const char *text)
{
    cxr_complain("%s", text);
    (void)fprintf(stderr, "Try 'cxr%s%s --help'.\n", *verb != '\0' ? " " : "", verb);
    return CXR_EXIT_USAGE;
}

static int unknown_verb(const char *verb)
{
    const char *names[32] = {"help"};
    char text[256];
    for (size_t i = 0; cxr_commands[i] != NULL && i + 2 < sizeof names / sizeof *names; i++)
        names[i + 1] = cxr_commands[i]->name;
    const char *nearest = cxr_nearest(verb, names);
    const char *thing = *verb == '-' ? "option" : "verb";
    if (nearest != NULL)
        (void)snprintf(text, sizeof text, "unknown %s '%.100s'; did you mean '%s'?", thing, verb, nearest);
    else
        (void)snprintf(text, sizeof text, "unknown %s '%.100s'", thing, verb);
    return usage_error("", text);
}

static int run_verb(const cxr_command *c, int argc, char **argv)
{
    cxr_given given;
    cxr_error err = {0};
    void *args = cxr_command_args(c);
    if (args == NULL) return CXR_EXIT_SYSTEM;
    cxr_status st = cxr_args_parse(c, argc, argv, args, &given, &err);
    if (st == CXR_OK && given.help) {
        c->defaults(memset(args, 0, c->args_size));
        cxr_help_command(stdout, c, args, help_width());
    } else if (st == CXR_OK) {
        st = c->run(args, &given, &err);
    }
    free(args);
    if (st == CXR_EUSAGE) return usage_error(c->name, err.text);
    if (st != CXR_OK) cxr_complain("%s", err.text);
    return finish(cxr_exit_status(st, cxr_console_signal()));
}

static int print_help(void)
{
    cxr_help_program(stdout, help_width());
    return finish(CXR_EXIT_OK);
}

static int print_version(void)
{
    (void)printf("cxr %s\n%s\n", cxr_version(), cxr_build_info());
    return finish(CXR_EXIT_OK);
}

/* GNU OpenMP, which runs the kernels' threads, lets a waiting thread spin for milliseconds; where another process wants the
 * core, that halves the speed or worse. It reads its settings from the environment once, when it is loaded. So, before any
 * library makes itself ready, one variable that is none of OpenMP's lends its place to a shorter spin; main puts it back. */
static char **lent, *lender;

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void spin_less(int argc, char **argv, char **environment)
{
    static char setting[] = "GOMP_SPINCOUNT=10000";
    char **place = NULL;
    (void)argc, (void)argv;
    for (char **at = environment; *at != NULL; at++) {
        if (begins(*at, "OMP_WAIT_POLICY=") || begins(*at, "GOMP_SPINCOUNT=")) return; /* the user has chosen */
        if (!begins(*at, "OMP_") && !begins(*at, "GOMP_")) place = at;
    }
    if (place == NULL) return;
    lent = place;
    lender = *place;
    *place = setting;
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(int, char **, char **) = spin_less;

int main(int argc, char **argv)
{
    if (lent != NULL) *lent = lender;
    (void)setlocale(LC_CTYPE, "");
    (void)signal(SIGPIPE, SIG_DFL); /* `cxr predict ... | head` ends quietly, whatever the parent ignored */
    if (argc < 2) return usage_error("", "a verb is missing");
    const char *verb = argv[1];
    if (strcmp(verb, "--version") == 0) return print_version();
    if (strcmp(verb, "-h") == 0 || strcmp(verb, "--help") == 0) return print_help();
    if (strcmp(verb, "help") == 0) {
        if (argc == 2) return print_help();
        char *ask[] = {argv[2], "--help", NULL};
        const cxr_command *c = cxr_command_find(argv[2]);
        return c != NULL ? run_verb(c, 2, ask) : unknown_verb(argv[2]);
    }
    const cxr_command *c = cxr_command_find(verb);
    if (c == NULL) return unknown_verb(verb);
    return run_verb(c, argc - 1, argv + 1);
}
