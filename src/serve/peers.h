/* The connections and what each is doing, so that one that sends too slowly can be cut: neither an idle timeout, which each byte
 * renews, nor a limit on their number keeps slow clients from holding all places (Slowloris). */
#ifndef CXR_SERVE_PEERS_H
#define CXR_SERVE_PEERS_H
#include "cxr/cxr.h"
#include <pthread.h>

#define CXR_HEADER_SECONDS      10.0 /* of a first request; of later ones, with the wait for them, CXR_IDLE_SECONDS */
#define CXR_IDLE_SECONDS        30
#define CXR_BODY_GRACE_SECONDS  5.0
#define CXR_BODY_BYTES_A_SECOND 1024.0
#define CXR_REPLY_SECONDS       60.0

typedef enum cxr_peer_state { CXR_PEER_NEW, CXR_PEER_IDLE, CXR_PEER_BODY, CXR_PEER_WORK, CXR_PEER_REPLY } cxr_peer_state;

typedef struct cxr_peer {
    int socket;
    cxr_peer_state state;
    double since;
    uint64_t received; /* of the body */
    struct cxr_peer *next, **at;
} cxr_peer;

typedef struct cxr_peers {
    pthread_mutex_t lock;
    cxr_peer *first;
    uint64_t count, cut;
} cxr_peers;

void cxr_peers_open(cxr_peers *p);
void cxr_peers_close(cxr_peers *p);
/* NULL when memory is exhausted. */
cxr_peer *cxr_peers_add(cxr_peers *p, int socket);
void cxr_peers_remove(cxr_peers *p, cxr_peer *peer);
void cxr_peers_set(cxr_peers *p, cxr_peer *peer, cxr_peer_state state);
void cxr_peers_received(cxr_peers *p, cxr_peer *peer, size_t bytes);
/* Cuts those that are too slow at that time; from any thread. */
void cxr_peers_cut(cxr_peers *p, double now);
#endif
