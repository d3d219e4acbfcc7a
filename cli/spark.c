#include "spark.h"
#include <math.h>
#include <string.h>

#define HEIGHTS 8

static const char *const blocks[HEIGHTS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const letters[HEIGHTS] = {"_", ".", ",", "-", "=", "+", "*", "#"};

void cxr_spark(char out[CXR_SPARK_ROOM], const double *values, size_t count, bool unicode)
{
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        if (values[i] < lo) lo = values[i];
        if (values[i] > hi) hi = values[i];
    }
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const double share = hi > lo && isfinite(values[i]) ? (values[i] - lo) / (hi - lo) : 0.0;
        const int height = share < 1.0 ? (int)(share * HEIGHTS) : HEIGHTS - 1;
        (void)strcat(out, !isfinite(values[i]) ? " " : (unicode ? blocks : letters)[height]);
    }
}
