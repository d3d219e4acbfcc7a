/* Standard error as the person at the terminal sees it: log lines, warnings, progress. A bar where stderr is a terminal,
 * plain lines otherwise. Also the signals that ask a verb to stop. One console per process. */
#ifndef CXR_CLI_CONSOLE_H
#define CXR_CLI_CONSOLE_H
#include "cxr/cxr.h"

typedef enum cxr_volume { CXR_QUIET, CXR_NORMAL, CXR_VERBOSE } cxr_volume;

/* The hooks to hand to the library. `bar`: draw progress, where the terminal allows. Lent for the life of the process. */
const cxr_hooks *cxr_console_open(cxr_volume volume, bool bar);
/* Ends a progress line, if one stands open. */
void cxr_console_close(void);
/* A line on standard error, unless quiet. */
void cxr_say(const char *fmt, ...) CXR_PRINTF(1, 2);
/* A line on standard error, always. */
void cxr_complain(const char *fmt, ...) CXR_PRINTF(1, 2);

/* From now on SIGINT and SIGTERM make should_stop true; a second one ends the process at once. */
void cxr_console_catch_signals(void);
int cxr_console_signal(void); /* the signal that asked to stop, or 0 */

/* Columns of the terminal on `fd`, or of $COLUMNS, or 80. */
int cxr_terminal_width(int fd);
#endif
