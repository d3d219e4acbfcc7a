#include "serve/peers.h"
#include "base/log.h"
#include "base/mem.h"
#include <sys/socket.h>

void cxr_peers_open(cxr_peers *p)
{
    *p = (cxr_peers){0};
    (void)pthread_mutex_init(&p->lock, NULL);
}

void cxr_peers_close(cxr_peers *p)
{
    while (p->first != NULL) cxr_peers_remove(p, p->first);
    (void)pthread_mutex_destroy(&p->lock);
}

cxr_peer *cxr_peers_add(cxr_peers *p, int socket)
{
    cxr_peer *peer = cxr_mem_new(1, sizeof *peer);
    if (peer == NULL) return NULL;
    *peer = (cxr_peer){.socket = socket, .state = CXR_PEER_NEW, .since = cxr_now()};
    (void)pthread_mutex_lock(&p->lock);
    peer->next = p->first;
    peer->at = &p->first;
    if (p->first != NULL) p->first->at = &peer->next;
    p->first = peer;
    p->count++;
    (void)pthread_mutex_unlock(&p->lock);
    return peer;
}

void cxr_peers_remove(cxr_peers *p, cxr_peer *peer)
{
    (void)pthread_mutex_lock(&p->lock);
    *peer->at = peer->next;
    if (peer->next != NULL) peer->next->at = peer->at;
    p->count--;
    (void)pthread_mutex_unlock(&p->lock);
    cxr_mem_free(peer);
}

void cxr_peers_set(cxr_peers *p, cxr_peer *peer, cxr_peer_state state)
{
    if (peer == NULL) return;
    (void)pthread_mutex_lock(&p->lock);
    peer->state = state;
    peer->since = cxr_now();
    peer->received = 0;
    (void)pthread_mutex_unlock(&p->lock);
}

void cxr_peers_received(cxr_peers *p, cxr_peer *peer, size_t bytes)
{
    if (peer == NULL) return;
    (void)pthread_mutex_lock(&p->lock);
    peer->received += bytes;
    (void)pthread_mutex_unlock(&p->lock);
}

static bool too_slow(const cxr_peer *peer, double now)
{
    const double seconds = now - peer->since;
    switch (peer->state) {
    case CXR_PEER_NEW: return seconds > CXR_HEADER_SECONDS;
    case CXR_PEER_IDLE: return seconds > CXR_IDLE_SECONDS;
    case CXR_PEER_BODY: return seconds > CXR_BODY_GRACE_SECONDS && (double)peer->received < CXR_BODY_BYTES_A_SECOND * seconds;
    case CXR_PEER_REPLY: return seconds > CXR_REPLY_SECONDS;
    case CXR_PEER_WORK: break;
    }
    return false;
}

/* The socket is open while its peer is in the list: the daemon closes it after the removal. */
void cxr_peers_cut(cxr_peers *p, double now)
{
    (void)pthread_mutex_lock(&p->lock);
    for (cxr_peer *peer = p->first; peer != NULL; peer = peer->next) {
        if (!too_slow(peer, now)) continue;
        (void)shutdown(peer->socket, SHUT_RDWR);
        peer->state = CXR_PEER_WORK; /* once is enough */
        p->cut++;
    }
    (void)pthread_mutex_unlock(&p->lock);
}
