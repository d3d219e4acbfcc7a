/* Small charts of one line, for terminals. */
#ifndef CXR_CLI_SPARK_H
#define CXR_CLI_SPARK_H
#include <stdbool.h>
#include <stddef.h>

#define CXR_SPARK_MOST 24                       /* values in a chart */
#define CXR_SPARK_ROOM (3 * CXR_SPARK_MOST + 1) /* bytes */

/* Eight heights from the least of at most CXR_SPARK_MOST values to the largest; what is not finite is a blank. unicode: block elements,
 * else ASCII. */
void cxr_spark(char out[CXR_SPARK_ROOM], const double *values, size_t count, bool unicode);
#endif
