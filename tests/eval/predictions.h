/* A fixture's case as predictions: classes, labels, and probabilities row by row. */
#ifndef TESTS_EVAL_PREDICTIONS_H
#define TESTS_EVAL_PREDICTIONS_H
#include "eval/metrics.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static inline cxr_predictions load_predictions(const json_t *c)
{
    static const char *const class_names[] = {"a", "b", "c", "d", "e"};
    const json_t *label = json_object_get(c, "label"), *probability = json_object_get(c, "probability");
    cxr_predictions p = {.n = json_array_size(label),
                         .classes = (int)json_integer_value(json_object_get(c, "classes")),
                         .class_names = class_names};
    p.path = calloc(p.n, sizeof *p.path);
    p.label = calloc(p.n, sizeof *p.label);
    p.probability = calloc(json_array_size(probability), sizeof *p.probability);
    assert_true(p.path != NULL && p.label != NULL && p.probability != NULL);
    assert_int_equal(json_array_size(probability), p.n * (size_t)p.classes);
    for (size_t i = 0; i < p.n; i++) {
        p.path[i] = "x.jpg";
        p.label[i] = (int)json_integer_value(json_array_get(label, i));
    }
    for (size_t i = 0; i < json_array_size(probability); i++)
        p.probability[i] = (float)json_number_value(json_array_get(probability, i));
    return p;
}

static inline void drop_predictions(cxr_predictions *p)
{
    free(p->path);
    free(p->label);
    free(p->probability);
}
#endif
