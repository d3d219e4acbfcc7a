/* The queue of images and the workers that answer them: decoding, preprocessing and the network of one image run in one thread.
 * What is answered of an image depends on nothing but the image, the model and the size of micro-batches. */
#ifndef CXR_SERVE_WORK_H
#define CXR_SERVE_WORK_H
#include "base/file.h"
#include "eval/judge.h"
#include "serve/served.h"
#include <pthread.h>

typedef enum cxr_job_kind { CXR_JOB_PREDICT, CXR_JOB_EXPLAIN } cxr_job_kind;

/* One image to answer about. Bytes, model and results belong to whoever put it into the queue; a worker fills the results. */
typedef struct cxr_job {
    cxr_job_kind kind;
    cxr_served *served;
    const uint8_t *bytes;
    size_t len;
    bool is_pixels;   /* bytes are the network's input itself, side x side; else an image file */
    int explained;    /* class that the heat map is about; -1: the predicted one. After: never -1 */
    int picture_side; /* of the overlay; 0: none is drawn */
    void (*done)(void *owner);
    void *owner;
    /* results */
    cxr_error error;               /* status CXR_OK, or why there is no answer */
    float *probabilities;          /* classes of them; room given by the owner */
    int predicted, batch, threads; /* class; images of its micro-batch, threads that computed them */
    cxr_look look;
    cxr_judgement judgement; /* whether the answer means anything */
    double put_at, queue_seconds, decode_seconds, compute_seconds;
    float *map; /* width x height: cxr_mem_free() */
    int map_width, map_height;
    double lungs, lungs_area; /* as in cxr_explanation */
    cxr_buf picture;          /* PNG: cxr_buf_free() */
    struct cxr_job *next;     /* of the queue */
} cxr_job;

#define CXR_BATCH_BUCKETS 8 /* 1, 2, 4, ... 64 and more */

typedef struct cxr_crew {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    cxr_job *first, **end;
    int waiting, most; /* images in the queue; its room */
    bool closed;
    int working;      /* workers that do */
    bool first_works; /* the first of them does */
    int batch;
    double max_wait; /* seconds */
    cxr_limits limits;
    uint64_t images, batches, batch_sizes[CXR_BATCH_BUCKETS]; /* counters, under the lock */
    pthread_t *threads;
    struct cxr_hand *hands;
    int count; /* of workers that run */
} cxr_crew;

/* To be closed also after a failure. */
CXR_MUST_CHECK cxr_status cxr_crew_open(cxr_crew *c, const cxr_serve_opts *o, int workers, cxr_error *err);
/* All of them or, where the queue has no room for all, none: false. From then on they are the crew's until done() was called for
 * each, by any worker. */
bool cxr_crew_put(cxr_crew *c, cxr_job *jobs, int count);
/* Ends when all that was put is done. */
void cxr_crew_close(cxr_crew *c);
#endif
