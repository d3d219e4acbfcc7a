/* Several builds of a function, one for each set of instructions; the loader chooses. With ThreadSanitizer there is one: it cannot
 * have the function that chooses run before itself. */
#ifndef CXR_BASE_CLONES_H
#define CXR_BASE_CLONES_H

#ifdef __SANITIZE_THREAD__
#define CXR_CLONES(...)
#else
#define CXR_CLONES(...) __attribute__((target_clones(__VA_ARGS__, "default")))
#endif
#endif
