/* wsload - an epoll WebSocket load client for measuring fan-out servers.
 *
 * One thread reads all subscriber connections; each publisher (optional) is one
 * more thread with its own connection.  The printed result is one JSON line.
 * Only for traffic to this machine: the host must lie in 127.0.0.0/8.
 *
 * Build: gcc -O2 -Wall -Wextra -pthread -o wsload wsload.c      Use: README.md
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAXLIST 64
enum { CONNECTING, HANDSHAKE, OPEN, CLOSED };

typedef struct {
    int fd, state, id, is_pub, subscriber; /* subscriber: its messages are counted */
    unsigned char *rem;                    /* bytes of a frame not complete yet */
    size_t nrem, cap;
    uint64_t got;                          /* deliveries, whole run */
    int64_t seq;                           /* last value seen at --seq-key, -1 none */
    unsigned char ping[125];               /* publishers: the pong is sent by their thread */
    atomic_int ping_len;                   /* -1: none due */
} conn_t;

typedef struct {
    conn_t *c;                             /* websocket publisher; NULL in HTTP mode */
    int idx, http_errors;
    uint64_t lag_max_us, http_us;          /* http_us: sum of the response times */
    pthread_t thread;
} pub_t;

static struct {
    const char *host, *path, *hello[MAXLIST], *header[MAXLIST], *subproto, *count, *ts, *seq;
    const char *frame, *http, *pub_path, *pub_hello[MAXLIST], *reply_key, *reply;
    int port[MAXLIST], nport, nhello, nheader, npub_hello, binary, clients, groups, batch, deflate, slow, rcvbuf;
    int pub_conns, pub_batch, pub_window, fanout, ts_every, with_children, stagger_ms;
    int pids[MAXLIST], npids, pubpids[MAXLIST], npubpids, talkers;
    long long number_from;
    double seconds, warmup, settle, drain, drain_max, connect_timeout, rate, talk_rate;
    clockid_t ts_clock;
    int64_t ts_div;                        /* stamp unit in nanoseconds */
} o = { .host = "127.0.0.1", .path = "/ws", .clients = 100, .groups = 1, .batch = 100,
        .pub_conns = 1, .pub_batch = 1, .ts_every = 13, .seconds = 5, .warmup = 1,
        .settle = 0.5, .drain = 1, .connect_timeout = 60,
        .ts_clock = CLOCK_MONOTONIC, .ts_div = 1 };

static int ep;
static conn_t *conns;
static int nconns, nopen, nfailed, nclosed, inflight;
static char first_error[200] = "";
static unsigned char *rbuf;
static size_t rcap = 1 << 18;

/* Counters of the whole run; the measured window is a difference of two copies. */
static struct counters { uint64_t deliveries, frames, bytes, reads, pings; } k;
static uint64_t seq_gaps, seq_dups, lat_n, lat_max, talk_lag_max_us;
static int measuring;
static atomic_ullong published, delivered;  /* shared with the publisher threads */
static atomic_int pub_stop;
static pthread_mutex_t win_mx = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t win_cv = PTHREAD_COND_INITIALIZER;

static int64_t now_ns(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail_once(const char *what, const char *more)
{
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "%s: %.120s", what, more);
    for (char *p = first_error; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32) *p = ' ';
}

/* ---- latency histogram: 32 buckets per power of two, so within about 3% ---- */
static uint64_t hist[64 * 32];
static void lat_add(int64_t us)
{
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    int e = v < 32 ? 5 : 63 - __builtin_clzll(v), sh = e - 5;
    hist[sh * 32 + (v >> sh)]++;
    lat_n++;
    if (v > lat_max) lat_max = v;
}
static uint64_t lat_pct(double p)
{
    uint64_t want = (uint64_t)(lat_n * p), sum = 0;
    for (int i = 0; i < 64 * 32; i++)
        if ((sum += hist[i]) > want)
            return i < 64 ? (uint64_t)i : ((uint64_t)(32 + i % 32) << (i / 32 - 1)) + (1ull << (i / 32 - 1)) / 2;
    return lat_max;
}

/* ---- /proc: CPU and resident memory of the server ---- */
static int slurp(const char *path, char *buf, size_t n)
{
    int fd = open(path, O_RDONLY), r = fd < 0 ? -1 : (int)read(fd, buf, n - 1);
    if (fd >= 0) close(fd);
    buf[r < 0 ? 0 : r] = 0;
    return r;
}
typedef struct { double user, sys, run; long rss_kb; } usage_t;
static usage_t proc_usage(int pid)
{
    char path[64], b[4096], *p;
    usage_t u = { 0, 0, 0, 0 };
    unsigned long long ut, st;
    DIR *dir;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (slurp(path, b, sizeof b) > 0 && (p = strrchr(b, ')')) &&
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st) == 2) {
        u.user = ut / (double)sysconf(_SC_CLK_TCK);
        u.sys = st / (double)sysconf(_SC_CLK_TCK);
    }
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (slurp(path, b, sizeof b) > 0 && (p = strstr(b, "VmRSS:"))) u.rss_kb = atol(p + 6);
    /* the same CPU time without stat's 10 ms steps: what each thread has run, in ns */
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    if ((dir = opendir(path))) {
        for (struct dirent *t; (t = readdir(dir));) {
            snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, t->d_name);
            if (t->d_name[0] != '.' && slurp(path, b, sizeof b) > 0) u.run += strtoull(b, NULL, 10) / 1e9;
        }
        closedir(dir);
    }
    if (u.run < u.user + u.sys - 0.05) u.run = u.user + u.sys;   /* no schedstat, or threads that ended */
    return u;
}
static void add_children(int *list, int *n)   /* descendants too: uvicorn or nginx workers */
{
    for (int i = 0; i < *n; i++) {
        char path[64], b[4096];
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", list[i], list[i]);
        if (slurp(path, b, sizeof b) <= 0) continue;
        for (char *p = b, *e; *n < MAXLIST; p = e) {
            long pid = strtol(p, &e, 10);
            if (e == p) break;
            list[(*n)++] = (int)pid;
        }
    }
}

/* ---- sending ---- */
static void send_all(int fd, const void *buf, size_t n)   /* waits when the socket is full */
{
    for (const char *p = buf; n;) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r > 0) { p += r; n -= (size_t)r; continue; }
        if (r < 0 && errno == EINTR) continue;
        if (r < 0 && errno == EAGAIN && !atomic_load(&pub_stop)) {
            struct pollfd f = { .fd = fd, .events = POLLOUT };
            poll(&f, 1, 100);
            continue;
        }
        return;
    }
}
static size_t frame_build(unsigned char *out, int opcode, const void *data, size_t n)
{
    static atomic_uint salt = 0x9e3779b9u;
    uint32_t m = atomic_fetch_add(&salt, 0x61c88647u);
    size_t h = 0;
    out[h++] = 0x80 | opcode;
    if (n < 126) out[h++] = 0x80 | (unsigned char)n;
    else if (n < 65536) { out[h++] = 0x80 | 126; out[h++] = n >> 8; out[h++] = n & 255; }
    else {
        out[h++] = 0x80 | 127;
        for (int s = 56; s >= 0; s -= 8) out[h++] = ((uint64_t)n >> s) & 255;
    }
    memcpy(out + h, &m, 4);
    const unsigned char *key = out + h;
    h += 4;
    for (size_t i = 0; i < n; i++) out[h + i] = ((const unsigned char *)data)[i] ^ key[i & 3];
    return h + n;
}
/* Fill a template: {ts} stamp now, {n} number, {i} client or publisher index, {g} group. */
static size_t fill(char *out, size_t cap, const char *tpl, uint64_t n, int i, int g)
{
    size_t w = 0;
    while (*tpl && w + 32 < cap) {
        long long v;
        int skip;
        if (!strncmp(tpl, "{ts}", 4)) { v = now_ns(o.ts_clock) / o.ts_div; skip = 4; }
        else if (!strncmp(tpl, "{n}", 3)) { v = o.number_from + (long long)n; skip = 3; }
        else if (!strncmp(tpl, "{i}", 3)) { v = i; skip = 3; }
        else if (!strncmp(tpl, "{g}", 3)) { v = g; skip = 3; }
        else if (o.binary && tpl[0] == '\\' && tpl[1] == 'x' && tpl[2] && tpl[3]) {
            char hex[3] = { tpl[2], tpl[3], 0 };
            out[w++] = (char)strtol(hex, NULL, 16);
            tpl += 4;
            continue;
        }
        else { out[w++] = *tpl++; continue; }
        w += (size_t)sprintf(out + w, "%lld", v);
        tpl += skip;
    }
    return w;
}
static void send_text(conn_t *c, const char *tpl)
{
    static char text[1 << 16];
    static unsigned char out[(1 << 16) + 16];
    size_t n = fill(text, sizeof text, tpl, 0, c->id, c->id % o.groups);
    send_all(c->fd, out, frame_build(out, 1 + o.binary, text, n));
}

/* ---- connections ---- */
static void conn_close(conn_t *c, const char *why, const char *more)
{
    if (c->state == CLOSED) return;
    if (c->state == OPEN) { nopen -= c->subscriber; nclosed++; }
    else { nfailed++; inflight--; }
    fail_once(why, more);
    c->state = CLOSED;
    close(c->fd);
}
static void conn_start(conn_t *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(o.port[c->id % o.nport]) };
    struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
    int one = 1;
    inet_pton(AF_INET, o.host, &a.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->state = CONNECTING;
    c->seq = -1;
    atomic_store(&c->ping_len, -1);
    inflight++;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o.rcvbuf) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &o.rcvbuf, sizeof o.rcvbuf);
    if (c->fd < 0 || (connect(c->fd, (void *)&a, sizeof a) < 0 && errno != EINPROGRESS)) {
        conn_close(c, "connect", strerror(errno));
        return;
    }
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}
static void conn_handshake(conn_t *c)
{
    char b[4096], path[1024];
    int err = 0, n;
    socklen_t l = sizeof err;
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) { conn_close(c, "connect", strerror(err)); return; }
    path[fill(path, sizeof path - 1, c->is_pub && o.pub_path ? o.pub_path : o.path, 0, c->id, c->id % o.groups)] = 0;
    n = snprintf(b, sizeof b, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                 path, o.host, o.port[c->id % o.nport]);
    if (o.deflate) n += snprintf(b + n, sizeof b - n, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    if (o.subproto) n += snprintf(b + n, sizeof b - n, "Sec-WebSocket-Protocol: %s\r\n", o.subproto);
    for (int i = 0; i < o.nheader; i++) n += snprintf(b + n, sizeof b - n, "%s\r\n", o.header[i]);
    n += snprintf(b + n, sizeof b - n, "\r\n");
    c->state = HANDSHAKE;
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
    send_all(c->fd, b, (size_t)n);
}

/* The integer after `key`: looked for from the counted place on, else in the whole frame. */
static const char *value_of(const char *key, size_t n, const char *frame, const char *hit, const char *end)
{
    const char *t = memmem(hit, (size_t)(end - hit), key, n);
    if (!t && hit > frame) t = memmem(frame, (size_t)(end - frame), key, n);
    return t ? t + n : NULL;
}
/* For RPC servers that wait for an answer: {v} in the template is the string after the key. */
static void send_reply(conn_t *c, const char *p, size_t n)
{
    size_t klen = strlen(o.reply_key), w = 0, vlen;
    const char *v = memmem(p, n, o.reply_key, klen), *e;
    char text[4096];
    unsigned char out[4096 + 16];
    if (!v || !(e = memchr(v + klen, '"', n - (size_t)(v + klen - p)))) return;
    v += klen;
    vlen = (size_t)(e - v);
    for (const char *t = o.reply; *t && w + vlen + 1 < sizeof text;) {
        if (!strncmp(t, "{v}", 3)) { memcpy(text + w, v, vlen); w += vlen; t += 3; }
        else text[w++] = *t++;
    }
    send_all(c->fd, out, frame_build(out, 1 + o.binary, text, w));
}
/* A data frame arrived whole: count what it holds and sample the latency. */
static void on_message(conn_t *c, const char *p, size_t n, int64_t *now)
{
    static uint64_t tick;
    const char *end = p + n, *hit = p;
    size_t klen = o.count ? strlen(o.count) : 0, tlen = o.ts ? strlen(o.ts) : 0, slen = o.seq ? strlen(o.seq) : 0;
    int first = 1;
    k.frames++;
    if (o.reply_key && o.reply) send_reply(c, p, n);
    while (o.count ? (hit = memmem(hit, (size_t)(end - hit), o.count, klen)) != NULL : first) {
        const char *t;
        first = 0;
        k.deliveries++;
        c->got++;
        if (tlen && measuring && ++tick % (uint64_t)o.ts_every == 0 &&
            (t = value_of(o.ts, tlen, p, hit, end))) {
            if (!*now) *now = now_ns(o.ts_clock);
            lat_add((*now - strtoll(t, NULL, 10) * o.ts_div) / 1000);
        }
        if (slen && (t = value_of(o.seq, slen, p, hit, end))) {
            int64_t s = strtoll(t, NULL, 10);
            if (c->seq >= 0 && s > c->seq + 1) seq_gaps++;
            if (c->seq >= 0 && s <= c->seq) seq_dups++;
            c->seq = s;
        }
        hit += klen;
    }
}
/* Take the whole frames out of p[0..n); returns how many bytes were used up. */
static size_t on_bytes(conn_t *c, unsigned char *p, size_t n)
{
    size_t used = 0;
    int64_t now = 0;   /* one clock reading per read() */
    while (n - used >= 2) {
        unsigned char *f = p + used, *d;
        size_t head = 2, left = n - used;
        uint64_t len = f[1] & 127;
        if (f[1] & 128) { conn_close(c, "protocol", "masked frame from the server"); return n; }
        if (len == 126) { if (left < (head = 4)) break; len = (uint64_t)f[2] << 8 | f[3]; }
        else if (len == 127) {
            if (left < (head = 10)) break;
            len = 0;
            for (int i = 2; i < 10; i++) len = len << 8 | f[i];
        }
        if (left - head < len) break;
        d = f + head;
        used += head + len;
        switch (f[0] & 15) {
        case 0: case 1: case 2: {                  /* one message = its last fragment */
            unsigned char save = d[len];           /* rbuf has a spare byte at its end */
            d[len] = 0;                            /* so that strtoll stops here */
            if (c->subscriber && (o.count || (f[0] & 0x80))) on_message(c, (char *)d, len, &now);
            d[len] = save;
            break; }
        case 8: conn_close(c, "closed by server", len > 2 ? (char *)d + 2 : ""); return n;
        case 9:
            k.pings++;
            if (len > 125) break;
            if (c->is_pub) { memcpy(c->ping, d, len); atomic_store(&c->ping_len, (int)len); break; }
            unsigned char out[160];
            send_all(c->fd, out, frame_build(out, 10, d, len));
            break;
        }
    }
    return used;
}
static void conn_read(conn_t *c)
{
    size_t n = c->nrem, used = 0;
    ssize_t r;
    if (rcap < n + 65536) rbuf = realloc(rbuf, (rcap = n + (1 << 20)) + 1);
    if (n) memcpy(rbuf, c->rem, n);
    r = read(c->fd, rbuf + n, rcap - n);
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (r <= 0) { conn_close(c, "read", r ? strerror(errno) : "end of stream"); return; }
    k.reads++;
    k.bytes += (uint64_t)r;
    n += (size_t)r;
    if (c->state == HANDSHAKE) {
        unsigned char *e = memmem(rbuf, n, "\r\n\r\n", 4);
        if (e) {
            *e = 0;
            if (n < 12 || memcmp(rbuf + 9, "101", 3)) { conn_close(c, "handshake", (char *)rbuf); return; }
            if (!strstr((char *)rbuf, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) { conn_close(c, "handshake", "wrong Sec-WebSocket-Accept"); return; }
            used = (size_t)(e + 4 - rbuf);
            c->state = OPEN;
            inflight--;
            nopen += c->subscriber;
            for (int i = 0; i < o.nhello && !c->is_pub; i++) send_text(c, o.hello[i]);
            for (int i = 0; i < o.npub_hello && c->is_pub; i++) send_text(c, o.pub_hello[i]);
            if (!c->is_pub && c->id < o.slow) epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
        }
    }
    if (c->state == OPEN) used += on_bytes(c, rbuf + used, n - used);
    if (c->state == CLOSED) return;
    c->nrem = n - used;
    if (c->nrem > c->cap) c->rem = realloc(c->rem, c->cap = c->nrem * 2);
    if (c->nrem) memcpy(c->rem, rbuf + used, c->nrem);
}
static void turn(int timeout_ms)
{
    struct epoll_event ev[512];
    int n = epoll_wait(ep, ev, 512, timeout_ms);
    for (int i = 0; i < n; i++) {
        conn_t *c = ev[i].data.ptr;
        if (c->state == CONNECTING) conn_handshake(c);
        else if (c->state != CLOSED) conn_read(c);
    }
    if (o.pub_window && n > 0) {
        atomic_store(&delivered, k.deliveries);
        pthread_mutex_lock(&win_mx);
        pthread_cond_broadcast(&win_cv);
        pthread_mutex_unlock(&win_mx);
    }
}
/* The first --talkers clients publish on their own connections, evenly spread, due at absolute times. */
static int64_t talk_start;
static uint64_t talked;
static int64_t talk(int64_t now)   /* sends what is due; when the next one is due */
{
    static char text[1 << 16];
    static unsigned char out[(1 << 16) + 16];
    double step = 1e9 / (o.talk_rate * o.talkers);
    while (talk_start + (int64_t)(step * (double)talked) <= now) {
        conn_t *c = &conns[talked % (unsigned)o.talkers];
        uint64_t lag = (uint64_t)(now - talk_start - (int64_t)(step * (double)talked)) / 1000;
        if (measuring && lag > talk_lag_max_us) talk_lag_max_us = lag;
        talked++;
        if (c->state != OPEN) continue;
        size_t n = fill(text, sizeof text, o.frame, atomic_fetch_add(&published, 1), c->id, c->id % o.groups);
        send_all(c->fd, out, frame_build(out, 1 + o.binary, text, n));
    }
    return talk_start + (int64_t)(step * (double)talked);
}
static void run_for(double seconds)
{
    int64_t now = now_ns(CLOCK_MONOTONIC), end = now + (int64_t)(seconds * 1e9);
    for (; now < end; now = now_ns(CLOCK_MONOTONIC)) {
        int64_t until = end, due;
        if (talk_start && (due = talk(now)) < end) until = due;
        turn((int)((until - now) / 1000000) + (until - now < 1000000));
    }
}

/* ---- publishers ---- */
static int http_connect(int idx)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(o.port[idx % o.nport]) };
    struct timeval tv = { 5, 0 };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, o.host, &a.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (connect(fd, (void *)&a, sizeof a) < 0) { close(fd); return -1; }
    return fd;
}
static int http_response(int fd)   /* reads one response that has a Content-Length; its status */
{
    char b[65536], *e = NULL, *l;
    size_t n = 0, body;
    while (!e) {
        ssize_t r = read(fd, b + n, sizeof b - 1 - n);
        if (r <= 0) return -1;
        b[n += (size_t)r] = 0;
        e = strstr(b, "\r\n\r\n");
    }
    l = strcasestr(b, "content-length:");
    body = l && l < e ? strtoul(l + 15, NULL, 10) : 0;
    for (size_t have = n - (size_t)(e + 4 - b); have < body;) {
        ssize_t r = read(fd, b + 16, sizeof b - 32);
        if (r <= 0) return -1;
        have += (size_t)r;
    }
    return atoi(b + 9);
}
static void *publisher(void *arg)
{
    pub_t *p = arg;
    static __thread char text[1 << 16], req[1 << 17];
    static __thread unsigned char out[1 << 20];
    int fd = o.http ? http_connect(p->idx) : -1;
    double step = o.rate > 0 ? 1e9 * o.pub_batch * o.pub_conns / o.rate : 0;
    int64_t t0 = now_ns(CLOCK_MONOTONIC) + (int64_t)(step * p->idx / o.pub_conns);
    for (uint64_t turn_no = 0; !atomic_load(&pub_stop); turn_no++) {
        if (o.rate > 0) {                          /* open loop: absolute due times */
            int64_t due = t0 + (int64_t)(step * turn_no), lag;
            for (int64_t now; (now = now_ns(CLOCK_MONOTONIC)) < due && !atomic_load(&pub_stop);) {
                int64_t until = due - now > 50000000 ? now + 50000000 : due;   /* it may be stopped meanwhile */
                struct timespec ts = { until / 1000000000, until % 1000000000 };
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
            }
            lag = (now_ns(CLOCK_MONOTONIC) - due) / 1000;
            if (lag > (int64_t)p->lag_max_us && measuring) p->lag_max_us = (uint64_t)lag;
        }
        if (o.pub_window) {                        /* closed loop: at most K not yet delivered */
            pthread_mutex_lock(&win_mx);
            while (!atomic_load(&pub_stop) && atomic_load(&published) >= atomic_load(&delivered) / (unsigned)o.fanout + (unsigned)o.pub_window) {
                struct timespec ts;
                clock_gettime(CLOCK_REALTIME, &ts);
                ts.tv_sec++;
                pthread_cond_timedwait(&win_cv, &win_mx, &ts);
            }
            pthread_mutex_unlock(&win_mx);
        }
        if (atomic_load(&pub_stop)) break;
        size_t w = 0;
        for (int b = 0; b < o.pub_batch && w + (1 << 17) < sizeof out; b++) {
            uint64_t n = atomic_fetch_add(&published, 1);
            size_t len = fill(text, sizeof text, o.frame, n, p->idx, (int)(n % (unsigned)o.groups));
            if (!o.http) { w += frame_build(out + w, 1 + o.binary, text, len); continue; }
            int h = sprintf(req, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", o.http, o.host, len);
            for (int i = 0; i < o.nheader; i++) h += sprintf(req + h, "%s\r\n", o.header[i]);
            h += sprintf(req + h, "\r\n");
            memcpy(req + h, text, len);
            int64_t a = now_ns(CLOCK_MONOTONIC);
            if (fd >= 0) send_all(fd, req, (size_t)h + len);
            int status = fd < 0 ? -1 : http_response(fd);
            p->http_us += (uint64_t)(now_ns(CLOCK_MONOTONIC) - a) / 1000;
            if (status / 100 != 2) {
                p->http_errors++;
                if (status < 0) { if (fd >= 0) close(fd); usleep(20000); fd = http_connect(p->idx); }
            }
        }
        if (o.http) continue;
        int pl = atomic_exchange(&p->c->ping_len, -1);
        if (pl >= 0) w += frame_build(out + w, 10, p->c->ping, (size_t)pl);
        send_all(p->c->fd, out, w);
    }
    if (fd >= 0) close(fd);
    return NULL;
}

/* ---- options ---- */
static int pid_list(const char *s, int *out)
{
    int n = 0;
    for (char *e; *s && n < MAXLIST; s = *e ? e + 1 : e) { out[n++] = (int)strtol(s, &e, 10); if (e == s) exit(2); }
    return n;
}
static void parse(int argc, char **argv)
{
    static const char *names[] = { "host", "port", "path", "clients", "seconds", "warmup", "hello", "hello2",
        "count-substr", "ts-key", "ts-clock", "ts-every", "seq-key", "server-pids", "publisher-pid",
        "with-children", "subprotocol", "header", "deflate", "groups", "batch", "slow", "rcvbuf", "settle",
        "drain", "connect-timeout", "publish-rate", "publish-frame", "publish-burst", "publish-batch",
        "publish-conns", "publish-http", "publish-path", "fanout", "publish-hello", "binary", "drain-max", "reply-key", "reply", "talk-rate", "talkers", "number-from", NULL };
    struct option opts[64] = { 0 };
    int ch, i = 0;
    for (; names[i]; i++)
        opts[i] = (struct option){ names[i], strcmp(names[i], "with-children") && strcmp(names[i], "deflate") && strcmp(names[i], "binary"), NULL, i };
    while ((ch = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        const char *n = ch >= 0 && ch < i ? names[ch] : NULL, *v = optarg;
        if (!n) exit(2);
#define IS(x) (!strcmp(n, x))
        if (IS("host")) o.host = v;
        else if (IS("port") && o.nport < MAXLIST) o.port[o.nport++] = atoi(v);
        else if (IS("path")) o.path = v;
        else if (IS("clients")) o.clients = atoi(v);
        else if (IS("seconds")) o.seconds = atof(v);
        else if (IS("warmup")) o.warmup = atof(v);
        else if ((IS("hello") || IS("hello2")) && o.nhello < MAXLIST) o.hello[o.nhello++] = v;
        else if (IS("count-substr")) o.count = v;
        else if (IS("ts-key")) o.ts = v;
        else if (IS("seq-key")) o.seq = v;
        else if (IS("ts-every")) o.ts_every = atoi(v);
        else if (IS("ts-clock")) {
            const char *u = strchr(v, '_');
            o.ts_clock = !strncmp(v, "real", 4) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
            o.ts_div = u && !strcmp(u, "_us") ? 1000 : u && !strcmp(u, "_ms") ? 1000000 : 1;
        }
        else if (IS("server-pids")) o.npids = pid_list(v, o.pids);
        else if (IS("publisher-pid")) o.npubpids = pid_list(v, o.pubpids);
        else if (IS("with-children")) o.with_children = 1;
        else if (IS("subprotocol")) o.subproto = v;
        else if (IS("header") && o.nheader < MAXLIST) o.header[o.nheader++] = v;
        else if (IS("deflate")) o.deflate = 1;
        else if (IS("groups")) o.groups = atoi(v);
        else if (IS("batch")) o.batch = atoi(v);
        else if (IS("slow")) o.slow = atoi(v);
        else if (IS("rcvbuf")) o.rcvbuf = atoi(v);
        else if (IS("settle")) o.settle = atof(v);
        else if (IS("drain")) o.drain = atof(v);
        else if (IS("connect-timeout")) o.connect_timeout = atof(v);
        else if (IS("publish-rate")) o.rate = atof(v);
        else if (IS("publish-frame")) o.frame = v;
        else if (IS("publish-burst")) o.pub_window = atoi(v);
        else if (IS("publish-batch")) o.pub_batch = atoi(v);
        else if (IS("publish-conns")) o.pub_conns = atoi(v);
        else if (IS("publish-http")) o.http = v;
        else if (IS("publish-path")) o.pub_path = v;
        else if (IS("fanout")) o.fanout = atoi(v);
        else if (IS("publish-hello") && o.npub_hello < MAXLIST) o.pub_hello[o.npub_hello++] = v;
        else if (IS("binary")) o.binary = 1;
        else if (IS("reply-key")) o.reply_key = v;
        else if (IS("reply")) o.reply = v;
        else if (IS("drain-max")) o.drain_max = atof(v);
        else if (IS("talk-rate")) o.talk_rate = atof(v);
        else if (IS("talkers")) o.talkers = atoi(v);
        else if (IS("number-from")) o.number_from = atoll(v);
    }
    if (!o.nport || o.clients < 0 || o.pub_conns < 1 || o.pub_conns > MAXLIST || o.groups < 1 || o.ts_every < 1 || o.talkers > o.clients || (o.talkers && o.talk_rate <= 0) ||
        o.slow > o.clients || strncmp(o.host, "127.", 4)) {
        fprintf(stderr, "wsload: see README.md (needs --port; --host must be 127.x.x.x)\n");
        exit(2);
    }
    if (!o.fanout) o.fanout = o.clients - o.slow > 0 ? o.clients - o.slow : 1;
    if (o.frame && o.rate <= 0 && !o.pub_window && !o.talkers) o.pub_window = 1;
}

int main(int argc, char **argv)
{
    struct rlimit rl;
    struct rusage ru0, ru1;
    pub_t pubs[MAXLIST] = { 0 };
    usage_t u0[MAXLIST], u1[MAXLIST];
    long rss0 = 0, rss1 = 0, rss2 = 0;
    int npubs, next = 0, nws;
    parse(argc, argv);
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    npubs = o.frame && !o.talkers ? o.pub_conns : 0;
    nws = o.http ? 0 : npubs;
    nconns = o.clients + nws;
    conns = calloc((size_t)nconns + 1, sizeof *conns);
    rbuf = malloc(rcap + 1);
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (o.with_children) add_children(o.pids, &o.npids);

    /* connect, at most --batch handshakes under way at a time */
    for (int i = 0; i < o.npids; i++) rss0 += proc_usage(o.pids[i]).rss_kb;
    int64_t t_conn = now_ns(CLOCK_MONOTONIC), limit = t_conn + (int64_t)(o.connect_timeout * 1e9);
    while ((next < nconns || inflight) && now_ns(CLOCK_MONOTONIC) < limit) {
        for (; next < nconns && inflight < o.batch; next++) {
            conns[next].id = next < o.clients ? next : next - o.clients;
            conns[next].is_pub = next >= o.clients;
            conns[next].subscriber = next < o.clients && next >= o.slow;
            conn_start(&conns[next]);
        }
        turn(10);
    }
    double connect_s = (now_ns(CLOCK_MONOTONIC) - t_conn) / 1e9;
    run_for(o.settle);
    int connected = nopen;
    for (int i = 0; i < o.npids; i++) rss1 += proc_usage(o.pids[i]).rss_kb;

    /* publishers, warm-up, the measured window */
    for (int i = 0; i < npubs; i++) {
        pubs[i].idx = i;
        pubs[i].c = o.http ? NULL : &conns[o.clients + i];
        if (!o.http && pubs[i].c->state != OPEN) { fprintf(stderr, "wsload: publisher not connected: %s\n", first_error); return 1; }
    }
    for (int i = 0; i < npubs; i++) pthread_create(&pubs[i].thread, NULL, publisher, &pubs[i]);
    if (o.talkers) talk_start = now_ns(CLOCK_MONOTONIC);
    run_for(o.warmup);
    for (int i = 0; i < o.npids; i++) u0[i] = proc_usage(o.pids[i]);
    usage_t p0[MAXLIST], p1[MAXLIST];
    for (int i = 0; i < o.npubpids; i++) p0[i] = proc_usage(o.pubpids[i]);
    getrusage(RUSAGE_SELF, &ru0);
    struct counters k0 = k;
    uint64_t pub0 = atomic_load(&published);
    int64_t t0 = now_ns(CLOCK_MONOTONIC);
    measuring = 1;
    run_for(o.seconds);
    measuring = 0;
    double secs = (now_ns(CLOCK_MONOTONIC) - t0) / 1e9;
    struct counters k1 = k;
    uint64_t pub1 = atomic_load(&published);
    getrusage(RUSAGE_SELF, &ru1);
    for (int i = 0; i < o.npids; i++) { u1[i] = proc_usage(o.pids[i]); rss2 += u1[i].rss_kb; }
    for (int i = 0; i < o.npubpids; i++) p1[i] = proc_usage(o.pubpids[i]);
    atomic_store(&pub_stop, 1);
    pthread_cond_broadcast(&win_cv);
    talk_start = 0;
    run_for(o.drain);
    double drained = o.drain;   /* late or lost? wait while deliveries still come in */
    for (uint64_t last = 0; drained < o.drain_max && k.deliveries != last &&
         k.deliveries < atomic_load(&published) * (unsigned)o.fanout; drained += 1) { last = k.deliveries; run_for(1); }
    for (int i = 0; i < npubs; i++) pthread_join(pubs[i].thread, NULL);

    /* the report */
    uint64_t d = k1.deliveries - k0.deliveries, lo = UINT64_MAX, hi = 0, lag = talk_lag_max_us, http_us = 0;
    double user = 0, sys = 0, run = 0, pcpu = 0, own;
    int http_errors = 0;
    for (int i = o.slow; i < o.clients; i++) { if (conns[i].got < lo) lo = conns[i].got; if (conns[i].got > hi) hi = conns[i].got; }
    for (int i = 0; i < o.npids; i++) { user += u1[i].user - u0[i].user; sys += u1[i].sys - u0[i].sys; run += u1[i].run - u0[i].run; }
    for (int i = 0; i < o.npubpids; i++) pcpu += p1[i].run - p0[i].run;
    for (int i = 0; i < npubs; i++) { if (pubs[i].lag_max_us > lag) lag = pubs[i].lag_max_us; http_us += pubs[i].http_us; http_errors += pubs[i].http_errors; }
    own = (ru1.ru_utime.tv_sec - ru0.ru_utime.tv_sec) + (ru1.ru_stime.tv_sec - ru0.ru_stime.tv_sec) +
          (ru1.ru_utime.tv_usec - ru0.ru_utime.tv_usec + ru1.ru_stime.tv_usec - ru0.ru_stime.tv_usec) / 1e6;
    printf("{\"clients\":%d,\"failed\":%d,\"closed\":%d,\"connect_s\":%.2f,\"seconds\":%.3f,", connected, nfailed, nclosed, connect_s, secs);
    printf("\"deliveries\":%lu,\"per_s\":%.0f,\"bytes\":%lu,\"frames\":%lu,\"reads\":%lu,\"per_frame\":%.2f,\"per_read\":%.2f,\"pings\":%lu,",
           d, d / secs, k1.bytes - k0.bytes, k1.frames - k0.frames, k1.reads - k0.reads,
           k1.frames > k0.frames ? d / (double)(k1.frames - k0.frames) : 0, k1.reads > k0.reads ? d / (double)(k1.reads - k0.reads) : 0, k1.pings - k0.pings);
    printf("\"published\":%lu,\"pub_per_s\":%.0f,\"published_total\":%llu,\"delivered_total\":%lu,\"client_min\":%lu,\"client_max\":%lu,\"pub_lag_max_us\":%lu,",
           pub1 - pub0, (pub1 - pub0) / secs, (unsigned long long)atomic_load(&published), k.deliveries, hi ? lo : 0, hi, lag);
    if (o.drain_max > 0) printf("\"drained_s\":%.1f,", drained);
    if (o.http) printf("\"http_errors\":%d,\"http_mean_us\":%.0f,", http_errors, atomic_load(&published) ? http_us / (double)atomic_load(&published) : 0);
    if (o.seq) printf("\"seq_gaps\":%lu,\"seq_dups\":%lu,", seq_gaps, seq_dups);
    if (lat_n) printf("\"lat_n\":%lu,\"p50_us\":%lu,\"p90_us\":%lu,\"p99_us\":%lu,\"max_us\":%lu,", lat_n, lat_pct(.5), lat_pct(.9), lat_pct(.99), lat_max);
    if (o.npids) {
        printf("\"server_cpu_s\":%.3f,\"server_user_s\":%.2f,\"server_sys_s\":%.2f,\"cpu_s_per_million\":%.3f,\"cpu_by_pid\":{", run, user, sys, d ? run * 1e6 / d : 0);
        for (int i = 0; i < o.npids; i++) printf("%s\"%d\":%.3f", i ? "," : "", o.pids[i], u1[i].run - u0[i].run);
        printf("},\"rss_kb_before\":%ld,\"rss_kb_connected\":%ld,\"rss_kb_end\":%ld,\"rss_kb_per_client\":%.2f,", rss0, rss1, rss2, connected ? (rss1 - rss0) / (double)connected : 0);
    }
    if (o.npubpids) printf("\"publisher_cpu_s\":%.2f,", pcpu);
    getrusage(RUSAGE_SELF, &ru1);
    printf("\"all_cpu_s\":%.2f,", ru1.ru_utime.tv_sec + ru1.ru_stime.tv_sec + (ru1.ru_utime.tv_usec + ru1.ru_stime.tv_usec) / 1e6);
    printf("\"own_cpu_s\":%.2f,\"first_error\":\"%s\"}\n", own, first_error);
    return connected == o.clients - o.slow ? 0 : 1;
}
