/* floor - the least a WebSocket broadcast server can do: epoll, one thread.
 *
 * Every text frame a client sends goes to all clients of its channel.  It is framed
 * once; all messages that arrived in one loop turn go out with one send() per client.
 * "floor PORT MS": a turn sends at once unless the last one sent less than MS
 * milliseconds ago; then it waits for that (the best trade of delay for CPU).
 * "floor PORT MS TIMES": it waits only for TIMES as long as the last sending took,
 * and for MS milliseconds at most.
 * A path that ends in "channel=cN" puts the client on channel N, else it is on channel 0.
 * Clients whose path holds "/pub" only publish.
 * A measuring aid, not a server: it answers every handshake with the accept
 * value of the sample key in RFC 6455, the one key that wsload sends.
 *
 * Build: gcc -O2 -Wall -Wextra -o floor floor.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int fd, open, slot;                /* slot: place in the channel's clients[], -1 for publishers */
    struct channel *channel;
    unsigned char *in, *out;           /* bytes not parsed yet, bytes the socket did not take */
    size_t nin, cin, nout, cout;
} conn_t;

typedef struct channel {
    conn_t **clients;
    int nclients, cclients;
    unsigned char *tick;               /* the frames of this loop turn */
    size_t ntick, ctick, msgs;
} channel_t;

enum { CHANNELS = 4096 };
static channel_t channels[CHANNELS], *due[CHANNELS];   /* due: those that have something to send */
static int ndue, ep;
static int64_t longest_ns, times;      /* least time between two broadcasts; if times, at most that */
static int64_t gap_ns, last_ns;        /* what that is now, end of the last broadcast */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static void put(unsigned char **b, size_t *n, size_t *cap, const void *p, size_t len)
{
    if (*n + len > *cap) *b = realloc(*b, *cap = (*n + len) * 2);
    memcpy(*b + *n, p, len);
    *n += len;
}
static void watch(conn_t *c, int op, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };
    epoll_ctl(ep, op, c->fd, &ev);
}
static void drop(conn_t *c)
{
    if (c->slot >= 0) {
        channel_t *ch = c->channel;
        ch->clients[c->slot] = ch->clients[--ch->nclients];
        ch->clients[c->slot]->slot = c->slot;
    }
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}
static void write_to(conn_t *c, const unsigned char *p, size_t n)
{
    if (!c->nout) {
        ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL);
        if (r == (ssize_t)n) return;
        if (r < 0 && errno != EAGAIN) return;          /* epoll reports the end of it */
        if (r > 0) { p += r; n -= (size_t)r; }
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    put(&c->out, &c->nout, &c->cout, p, n);
}
static void flush_out(conn_t *c)
{
    ssize_t r = send(c->fd, c->out, c->nout, MSG_NOSIGNAL);
    if (r > 0) memmove(c->out, c->out + r, c->nout -= (size_t)r);
    if (!c->nout) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}
static void broadcast(void)
{
    int64_t began_ns = now_ns();
    for (; ndue; ndue--) {
        channel_t *ch = due[ndue - 1];
        for (int i = 0; i < ch->nclients; i++) write_to(ch->clients[i], ch->tick, ch->ntick);
        ch->ntick = ch->msgs = 0;
    }
    last_ns = now_ns();
    gap_ns = longest_ns;
    if (times && (last_ns - began_ns) * times < gap_ns) gap_ns = (last_ns - began_ns) * times;
}
static int handshake(conn_t *c)       /* 1 done, 0 more bytes needed */
{
    static const char ok[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    unsigned char *e = memmem(c->in, c->nin, "\r\n\r\n", 4), *line, *name;
    if (!e) return 0;
    line = memmem(c->in, (size_t)(e - c->in), " HTTP", 5);
    if (!line) line = c->in;
    name = memmem(c->in, (size_t)(line - c->in), "channel=c", 9);
    c->channel = &channels[name ? (unsigned)atoi((char *)name + 9) % CHANNELS : 0];
    c->open = 1;
    if (!memmem(c->in, (size_t)(line - c->in), "/pub", 4)) {
        channel_t *ch = c->channel;
        if (ch->nclients == ch->cclients)
            ch->clients = realloc(ch->clients, (size_t)(ch->cclients = ch->cclients * 2 + 16) * sizeof *ch->clients);
        ch->clients[c->slot = ch->nclients++] = c;
    }
    if (send(c->fd, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0) return 1;
    memmove(c->in, e + 4, c->nin -= (size_t)(e + 4 - c->in));
    return 1;
}
static void frames(conn_t *c)
{
    size_t used = 0;
    while (c->nin - used >= 6) {
        unsigned char *f = c->in + used, *key, h[10] = { 0x81 };
        size_t head = 2, len = f[1] & 127, n = 2;
        if (len == 126) { head = 4; len = (size_t)f[2] << 8 | f[3]; }
        else if (len == 127) {
            if (c->nin - used < (head = 10)) break;
            len = 0;
            for (int i = 2; i < 10; i++) len = len << 8 | f[i];
        }
        if (c->nin - used < head + 4 + len) break;
        key = f + head;
        used += head + 4 + len;
        if ((f[0] & 15) != 1) continue;
        for (size_t i = 0; i < len; i++) key[4 + i] ^= key[i & 3];
        if (len < 126) h[1] = (unsigned char)len;
        else if (len < 65536) { h[1] = 126; h[2] = len >> 8; h[3] = len & 255; n = 4; }
        else { h[1] = 127; for (int i = 0; i < 8; i++) h[2 + i] = ((uint64_t)len >> (56 - 8 * i)) & 255; n = 10; }
        if (!c->channel->msgs++) due[ndue++] = c->channel;
        put(&c->channel->tick, &c->channel->ntick, &c->channel->ctick, h, n);
        put(&c->channel->tick, &c->channel->ntick, &c->channel->ctick, key + 4, len);
    }
    if (used) memmove(c->in, c->in + used, c->nin -= used);
}
int main(int argc, char **argv)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event ev[512], lev = { .events = EPOLLIN };
    static unsigned char buf[1 << 18];
    int one = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (argc < 2) return 2;
    longest_ns = argc > 2 ? atoi(argv[2]) * 1000000LL : 0;
    times = argc > 3 ? atoi(argv[3]) : 0;
    a.sin_port = htons(atoi(argv[1]));
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) { perror("floor"); return 1; }
    ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &lev);            /* data.ptr NULL: the listener */
    for (;;) {
        int64_t left = ndue ? last_ns + gap_ns - now_ns() : 0;
        struct timespec ts = { 0, left > 0 ? left : 0 };
        int n = epoll_pwait2(ep, ev, 512, ndue ? &ts : NULL, NULL);
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            ssize_t r;
            if (!c) {
                int fd;
                while ((fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = calloc(1, sizeof *c);
                    c->fd = fd;
                    c->slot = -1;
                    watch(c, EPOLL_CTL_ADD, EPOLLIN);
                }
                continue;
            }
            if (ev[i].events & EPOLLOUT) flush_out(c);
            if (!(ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            r = recv(c->fd, buf, sizeof buf, 0);
            if (r < 0 && errno == EAGAIN) continue;
            if (r <= 0) { drop(c); continue; }
            put(&c->in, &c->nin, &c->cin, buf, (size_t)r);
            if (c->open || handshake(c)) frames(c);
        }
        if (ndue && now_ns() >= last_ns + gap_ns) broadcast();
    }
}
