#include "console.h"
#include "args.h"
#include "spark.h"
#include <langinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1  /* of a bar */
#define PLAIN_SECONDS  30.0 /* between plain lines */
#define BAR_CELLS      24

static struct console {
    pthread_mutex_t lock; /* log lines may come from any thread */
    cxr_volume volume;
    bool bar, colour, unicode;
    bool open; /* a progress line stands without its newline */
    double drawn;
    char head[64]; /* of the last drawing: a new one is drawn at once */
    int epochs;
} console = {.lock = PTHREAD_MUTEX_INITIALIZER, .volume = CXR_NORMAL};

static volatile sig_atomic_t stop_signal;

/* ---- Terminal ---- */

static bool env_set(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0';
}

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

int cxr_terminal_width(int fd)
{
    uint64_t columns = 0;
    struct winsize size = {0};
    const char *env = getenv("COLUMNS");
    if (env != NULL && cxr_parse_uint(env, 20, 1000, &columns)) return (int)columns;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
    return 80;
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Lines ---- */

/* Blanks an open bar, so that what follows begins on a clean line. The lock is held. */
static void clear_bar(void)
{
    if (console.open) (void)fprintf(stderr, "\r%*s\r", cxr_terminal_width(STDERR_FILENO) - 1, "");
    console.open = false;
}

static void line(const char *prefix, const char *text)
{
    (void)pthread_mutex_lock(&console.lock);
    clear_bar();
    (void)fprintf(stderr, "%s%s\n", prefix, text);
    (void)pthread_mutex_unlock(&console.lock);
}

void cxr_say(const char *fmt, ...)
{
    char text[2048];
    va_list args;
    if (console.volume == CXR_QUIET) return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    line("", text);
}

void cxr_complain(const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    line("cxr: ", text);
}

static void on_log(void *user, cxr_level level, const char *text)
{
    (void)user;
    if (level == CXR_WARNING)
        line("cxr: warning: ", text);
    else if (console.volume == CXR_VERBOSE || (console.volume == CXR_NORMAL && level == CXR_INFO))
        line("", text);
}

void cxr_console_close(void)
{
    (void)pthread_mutex_lock(&console.lock);
    clear_bar();
    (void)pthread_mutex_unlock(&console.lock);
}

/* ---- Progress ---- */

static void clock_text(double seconds, char *out, size_t room)
{
    if (!(seconds >= 0 && seconds < 1e7)) {
        (void)snprintf(out, room, "-:--");
        return;
    }
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(out, room, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, room, "%ld:%02ld", s / 60, s % 60);
}

/* head, bar, tail; the bar gives way where the line would not fit. The lock is held. */
static void draw(const char *head, double share, const char *tail)
{
    const int width = cxr_terminal_width(STDERR_FILENO) - 1;
    const int text = (int)(strlen(head) + strlen(tail)) + 2;
    const int cells = width - text < BAR_CELLS ? width - text : BAR_CELLS;
    (void)fprintf(stderr, "\r%.*s ", width, head);
    const int full = (int)(share * cells + 0.5);
    if (console.colour) (void)fputs("\033[36m", stderr);
    for (int i = 0; i < cells; i++) {
        if (console.colour && i == full) (void)fputs("\033[2m", stderr);
        if (console.unicode)
            (void)fputs(i < full || console.colour ? "\xe2\x94\x81" : "\xe2\x94\x80", stderr); /* heavy, light rule */
        else
            (void)fputc(i < full ? '=' : '-', stderr);
    }
    if (console.colour) (void)fputs("\033[0m", stderr);
    const int left = width - (int)strlen(head) - 1 - (cells > 0 ? cells : 0);
    (void)fprintf(stderr, " %-*.*s", left - 1 > 0 ? left - 1 : 0, left - 1 > 0 ? left - 1 : 0, tail);
    (void)fflush(stderr);
    console.open = true;
}

static void show_progress(const char *head, double share, const char *tail)
{
    if (console.volume == CXR_QUIET) return;
    const double t = now();
    (void)pthread_mutex_lock(&console.lock);
    if (console.drawn == 0) console.drawn = t;
    const bool fresh = console.bar && strcmp(head, console.head) != 0;
    if (fresh || t - console.drawn >= (console.bar ? REDRAW_SECONDS : PLAIN_SECONDS)) {
        console.drawn = t;
        (void)snprintf(console.head, sizeof console.head, "%s", head);
        if (console.bar)
            draw(head, share < 0 ? 0 : share > 1 ? 1 : share, tail);
        else
            (void)fprintf(stderr, "%s  %s\n", head, tail);
    }
    (void)pthread_mutex_unlock(&console.lock);
}

static void on_progress(void *user, const cxr_progress *p)
{
    char head[64], tail[256], left[32], loss[48] = "";
    (void)user;
    console.epochs = p->epochs;
    clock_text(p->seconds_left, left, sizeof left);
    if (p->epochs > 0) {
        (void)snprintf(head, sizeof head, "epoch %d/%d", p->epoch, p->epochs);
        (void)snprintf(loss, sizeof loss, "loss %.4f  ", p->loss);
    } else {
        (void)snprintf(head, sizeof head, "batch");
    }
    (void)snprintf(tail, sizeof tail, "%d/%d  %s%.0f images/s  %s left  data wait %.0f%%", p->step, p->steps, loss,
                   p->images_per_second, left, 100 * p->wait_share);
    show_progress(head, p->steps > 0 ? (double)p->step / p->steps : 0, tail);
}

static void on_transfer(void *user, uint64_t done, uint64_t total)
{
    char tail[96];
    (void)user;
    const double share = total > 0 ? (double)done / (double)total : 0;
    if (total > 0)
        (void)snprintf(tail, sizeof tail, "%.1f of %.1f MB  %.0f%%", (double)done / 1e6, (double)total / 1e6, 100 * share);
    else
        (void)snprintf(tail, sizeof tail, "%.1f MB", (double)done / 1e6);
    show_progress("fetching", share, tail);
}

/* The losses of the epochs so far; a run that follows another begins anew. */
static void show_losses(const cxr_epoch *e)
{
    static double train[CXR_SPARK_MOST], val[CXR_SPARK_MOST];
    static size_t count;
    char train_line[CXR_SPARK_ROOM], val_line[CXR_SPARK_ROOM];
    const char *term = getenv("TERM");
    const bool unicode = console.unicode && term != NULL && strcmp(term, "dumb") != 0;
    if (e->epoch == 1) count = 0;
    if (count == CXR_SPARK_MOST) {
        memmove(train, train + 1, --count * sizeof *train);
        memmove(val, val + 1, count * sizeof *val);
    }
    train[count] = e->train_loss;
    val[count++] = e->val_loss;
    cxr_spark(train_line, train, count, unicode);
    cxr_spark(val_line, val, count, unicode);
    cxr_say("losses  train %s  val %s", train_line, val_line);
}

static void on_epoch(void *user, const cxr_epoch *e)
{
    (void)user;
    char of[16] = "";
    if (console.epochs > 0) (void)snprintf(of, sizeof of, "/%d", console.epochs);
    cxr_say("epoch %d%s  train loss %.4f  val loss %.4f  val accuracy %.2f%%  lr %.3g  %.1f s  %.0f images/s", e->epoch, of,
            e->train_loss, e->val_loss, 100 * e->val_accuracy, e->lr, e->seconds, e->images_per_second);
    if (console.volume == CXR_VERBOSE) show_losses(e);
}

/* ---- Signals ---- */

static void on_signal(int number)
{
    if (stop_signal != 0) _exit(128 + number);
    stop_signal = number;
}

static bool should_stop(void *user)
{
    (void)user;
    return stop_signal != 0;
}

void cxr_console_catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigemptyset(&act.sa_mask);
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
}

int cxr_console_signal(void)
{
    return stop_signal;
}

const cxr_hooks *cxr_console_open(cxr_volume volume, bool bar)
{
    static const cxr_hooks hooks = {.log = {.write = on_log},
                                    .progress = on_progress,
                                    .epoch = on_epoch,
                                    .should_stop = should_stop,
                                    .transfer = on_transfer};
    static const cxr_hooks still = {.log = {.write = on_log}, .should_stop = should_stop};
    console.volume = volume;
    console.bar = is_terminal(STDERR_FILENO);
    console.colour = console.bar && !env_set("NO_COLOR");
    console.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return bar ? &hooks : &still;
}
