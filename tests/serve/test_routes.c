/* /openapi.json describes everything that can be asked, nothing else, and what is free of the token. */
#include "serve/server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

extern const char cxr_openapi_json[];

enum { PATH = 128 };

/* The description gives the hole of a path a name: routes all call it "{m}". */
static void as_routes_do(char out[PATH], const char *path)
{
    const char *hole = strchr(path, '{'), *end = hole != NULL ? strchr(hole, '}') : NULL;
    if (end == NULL)
        (void)snprintf(out, PATH, "%s", path);
    else
        (void)snprintf(out, PATH, "%.*s{m}%s", (int)(hole - path), path, end + 1);
}

static const cxr_route *find(const char *method, const char *path)
{
    for (int i = 0; i < cxr_route_count; i++)
        if (strcasecmp(cxr_routes[i].method, method) == 0 && strcmp(cxr_routes[i].path, path) == 0) return &cxr_routes[i];
    return NULL;
}

static bool is_free(const json_t *operation)
{
    const json_t *security = json_object_get(operation, "security");
    return json_is_array(security) && json_array_size(security) == 0;
}

static void what_can_be_asked_is_described(void **state)
{
    json_t *description = json_loads(cxr_openapi_json, JSON_REJECT_DUPLICATES, NULL);
    const char *given, *method;
    json_t *operations, *operation;
    int described = 0;
    (void)state;
    assert_non_null(description);
    json_object_foreach(json_object_get(description, "paths"), given, operations)
    {
        char path[PATH];
        as_routes_do(path, given);
        json_object_foreach(operations, method, operation)
        {
            if (strcmp(method, "parameters") == 0) continue;
            const cxr_route *route = find(method, path);
            if (route == NULL) fail_msg("%s %s is described, but is not there", method, given);
            if (route->free != is_free(operation)) fail_msg("%s %s: who may ask?", method, given);
            described++;
        }
    }
    assert_int_equal(described, cxr_route_count); /* each of them another, as keys are */
    json_decref(description);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_can_be_asked_is_described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
