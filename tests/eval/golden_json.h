/* The JSON fixture that a test program's answers are held against: `golden`, from open_golden() until main() ends. */
#ifndef TESTS_EVAL_GOLDEN_JSON_H
#define TESTS_EVAL_GOLDEN_JSON_H
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GOLDEN_MISSING 77 /* main()'s status then: a skip, which is counted */

static json_t *golden;

static inline bool open_golden(const char *path)
{
    json_error_t why;
    golden = json_load_file(path, 0, &why);
    if (golden == NULL) print_error("%s: %s\n", path, why.text);
    return golden != NULL;
}

static inline int close_golden(int failed)
{
    json_decref(golden);
    return failed;
}
#endif
