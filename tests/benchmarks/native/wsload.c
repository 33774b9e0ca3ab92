/* wsload - an epoll WebSocket load client for measuring fan-out servers.
 *
 * One thread reads all clients; a publisher, if there is to be one, is one more thread with a
 * connection of its own.  The printed result is one JSON line.  All traffic goes to 127.0.0.1.
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
#define CONNECT_TIMEOUT 60.0      /* seconds for all clients to connect */
enum { CONNECTING, HANDSHAKE, OPEN, CLOSED };

typedef struct {
    int fd, state, id, is_pub;             /* what the publisher is sent is not counted */
    unsigned char *rem;                    /* bytes of a frame not complete yet */
    size_t nrem, cap;
    int64_t seq;                           /* last value seen at --seq-key, -1 none */
    unsigned char ping[125];               /* the publisher's pong is sent by its thread */
    atomic_int ping_len;                   /* -1: none due */
} conn_t;

static struct {
    const char *path, *hello[MAXLIST], *count, *ts, *seq, *frame, *pub_path, *pub_hello[MAXLIST];
    int port[MAXLIST], nport, nhello, npub_hello, binary, clients, groups, batch;
    int fanout, ts_every, pids[MAXLIST], npids, talkers;
    long long number_from;
    double seconds, warmup, settle, drain, drain_max, rate, talk_rate;
} o = { .path = "/ws", .clients = 100, .groups = 1, .batch = 100, .ts_every = 13,
        .seconds = 5, .warmup = 1, .settle = 0.5, .drain = 1 };

static int ep;
static conn_t *conns;
static int nconns, nopen, nfailed, nclosed, inflight;
static char first_error[200] = "";
static unsigned char *rbuf;
static size_t rcap = 1 << 18;

/* Counters of the whole run; the measured window is a difference of two copies. */
static struct counters { uint64_t deliveries, reads; } k;
static uint64_t seq_gaps, seq_dups, lat_n, lat_max, lag_max_us;
static int measuring;
static atomic_ullong published;             /* shared with the publisher's thread */
static atomic_int pub_stop;

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
typedef struct { double run; long rss_kb; } usage_t;   /* CPU seconds, resident memory */
static usage_t proc_usage(int pid)
{
    char path[64], b[4096], *p;
    usage_t u = { 0, 0 };
    double ticked = 0;
    unsigned long long ut, st;
    DIR *dir;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (slurp(path, b, sizeof b) > 0 && (p = strrchr(b, ')')) &&
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st) == 2)
        ticked = (double)(ut + st) / (double)sysconf(_SC_CLK_TCK);
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
    if (u.run < ticked - 0.05) u.run = ticked;   /* no schedstat, or threads that ended */
    return u;
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
/* Fill a template: {ts} microseconds since 1970, {n} number, {g} group. */
static size_t fill(char *out, size_t cap, const char *tpl, uint64_t n, int g)
{
    size_t w = 0;
    while (*tpl && w + 32 < cap) {
        long long v;
        int skip;
        if (!strncmp(tpl, "{ts}", 4)) { v = now_ns(CLOCK_REALTIME) / 1000; skip = 4; }
        else if (!strncmp(tpl, "{n}", 3)) { v = o.number_from + (long long)n; skip = 3; }
        else if (!strncmp(tpl, "{g}", 3)) { v = g; skip = 3; }
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
    size_t n = fill(text, sizeof text, tpl, 0, c->id % o.groups);
    send_all(c->fd, out, frame_build(out, 1 + o.binary, text, n));
}

/* ---- connections ---- */
static void conn_close(conn_t *c, const char *why, const char *more)
{
    if (c->state == CLOSED) return;
    if (c->state == OPEN) { nopen -= !c->is_pub; nclosed++; }
    else { nfailed++; inflight--; }
    fail_once(why, more);
    c->state = CLOSED;
    close(c->fd);
}
static void conn_start(conn_t *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(o.port[c->id % o.nport]) };
    struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->state = CONNECTING;
    c->seq = -1;
    atomic_store(&c->ping_len, -1);
    inflight++;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
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
    path[fill(path, sizeof path - 1, c->is_pub && o.pub_path ? o.pub_path : o.path, 0, c->id % o.groups)] = 0;
    n = snprintf(b, sizeof b, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 path, o.port[c->id % o.nport]);
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
/* A data frame arrived whole: count what it holds and sample the latency. */
static void on_message(conn_t *c, const char *p, size_t n, int64_t *now)
{
    static uint64_t tick;
    const char *end = p + n, *hit = p;
    size_t klen = o.count ? strlen(o.count) : 0, tlen = o.ts ? strlen(o.ts) : 0, slen = o.seq ? strlen(o.seq) : 0;
    int first = 1;
    while (o.count ? (hit = memmem(hit, (size_t)(end - hit), o.count, klen)) != NULL : first) {
        const char *t;
        first = 0;
        k.deliveries++;
        if (tlen && measuring && ++tick % (uint64_t)o.ts_every == 0 &&
            (t = value_of(o.ts, tlen, p, hit, end))) {
            if (!*now) *now = now_ns(CLOCK_REALTIME);
            lat_add(*now / 1000 - strtoll(t, NULL, 10));
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
            if (!c->is_pub && (o.count || (f[0] & 0x80))) on_message(c, (char *)d, len, &now);
            d[len] = save;
            break; }
        case 8: conn_close(c, "closed by server", len > 2 ? (char *)d + 2 : ""); return n;
        case 9:
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
            nopen += !c->is_pub;
            for (int i = 0; i < o.nhello && !c->is_pub; i++) send_text(c, o.hello[i]);
            for (int i = 0; i < o.npub_hello && c->is_pub; i++) send_text(c, o.pub_hello[i]);
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
        if (measuring && lag > lag_max_us) lag_max_us = lag;
        talked++;
        if (c->state != OPEN) continue;
        size_t n = fill(text, sizeof text, o.frame, atomic_fetch_add(&published, 1), c->id % o.groups);
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

/* ---- the publisher ---- */
static void *publisher(void *arg)
{
    conn_t *c = arg;
    static char text[1 << 16];
    static unsigned char out[(1 << 16) + 512];
    double step = 1e9 / o.rate;
    int64_t t0 = now_ns(CLOCK_MONOTONIC);
    for (uint64_t turn_no = 0;; turn_no++) {
        int64_t due = t0 + (int64_t)(step * (double)turn_no), now;      /* open loop: absolute due times */
        while ((now = now_ns(CLOCK_MONOTONIC)) < due && !atomic_load(&pub_stop)) {
            int64_t until = due - now > 50000000 ? now + 50000000 : due;   /* it may be stopped meanwhile */
            struct timespec ts = { until / 1000000000, until % 1000000000 };
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        }
        if (atomic_load(&pub_stop)) return NULL;
        if (measuring && (uint64_t)(now - due) / 1000 > lag_max_us) lag_max_us = (uint64_t)(now - due) / 1000;
        size_t w = 0, len = fill(text, sizeof text, o.frame, atomic_fetch_add(&published, 1), c->id % o.groups);
        int pl = atomic_exchange(&c->ping_len, -1);
        if (pl >= 0) w = frame_build(out, 10, c->ping, (size_t)pl);
        w += frame_build(out + w, 1 + o.binary, text, len);
        send_all(c->fd, out, w);
    }
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
    static const char *names[] = { "port", "path", "clients", "seconds", "warmup", "hello", "count-substr", "ts-key",
        "ts-every", "seq-key", "server-pids", "groups", "batch", "settle", "drain", "drain-max", "publish-rate",
        "publish-frame", "publish-path", "publish-hello", "fanout", "talkers", "talk-rate", "number-from", "binary", NULL };
    struct option opts[32] = { 0 };
    int ch, i = 0;
    for (; names[i]; i++) opts[i] = (struct option){ names[i], strcmp(names[i], "binary") != 0, NULL, i };
    while ((ch = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        const char *n = ch >= 0 && ch < i ? names[ch] : NULL, *v = optarg;
        if (!n) exit(2);
#define IS(x) (!strcmp(n, x))
        if (IS("port") && o.nport < MAXLIST) o.port[o.nport++] = atoi(v);
        else if (IS("path")) o.path = v;
        else if (IS("clients")) o.clients = atoi(v);
        else if (IS("seconds")) o.seconds = atof(v);
        else if (IS("warmup")) o.warmup = atof(v);
        else if (IS("hello") && o.nhello < MAXLIST) o.hello[o.nhello++] = v;
        else if (IS("count-substr")) o.count = v;
        else if (IS("ts-key")) o.ts = v;
        else if (IS("ts-every")) o.ts_every = atoi(v);
        else if (IS("seq-key")) o.seq = v;
        else if (IS("server-pids")) o.npids = pid_list(v, o.pids);
        else if (IS("groups")) o.groups = atoi(v);
        else if (IS("batch")) o.batch = atoi(v);
        else if (IS("settle")) o.settle = atof(v);
        else if (IS("drain")) o.drain = atof(v);
        else if (IS("drain-max")) o.drain_max = atof(v);
        else if (IS("publish-rate")) o.rate = atof(v);
        else if (IS("publish-frame")) o.frame = v;
        else if (IS("publish-path")) o.pub_path = v;
        else if (IS("publish-hello") && o.npub_hello < MAXLIST) o.pub_hello[o.npub_hello++] = v;
        else if (IS("fanout")) o.fanout = atoi(v);
        else if (IS("talkers")) o.talkers = atoi(v);
        else if (IS("talk-rate")) o.talk_rate = atof(v);
        else if (IS("number-from")) o.number_from = atoll(v);
        else if (IS("binary")) o.binary = 1;
    }
    if (!o.nport || o.clients < 1 || o.groups < 1 || o.ts_every < 1 || o.talkers > o.clients || !o.frame ||
        (o.talkers ? o.talk_rate : o.rate) <= 0) {
        fprintf(stderr, "wsload: see README.md (needs --port, --publish-frame, and --publish-rate or --talkers with --talk-rate)\n");
        exit(2);
    }
    if (!o.fanout) o.fanout = o.clients;
}

static double cpu_of(const struct rusage *r)
{
    return r->ru_utime.tv_sec + r->ru_stime.tv_sec + (r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}
static long rss_kb(void)
{
    long sum = 0;
    for (int i = 0; i < o.npids; i++) sum += proc_usage(o.pids[i]).rss_kb;
    return sum;
}
int main(int argc, char **argv)
{
    struct rlimit rl;
    struct rusage ru0, ru1, all;
    usage_t u0[MAXLIST], u1[MAXLIST];
    pthread_t thread;
    parse(argc, argv);
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    nconns = o.clients + !o.talkers;                   /* the last one is the publisher's */
    conns = calloc((size_t)nconns, sizeof *conns);
    rbuf = malloc(rcap + 1);
    ep = epoll_create1(EPOLL_CLOEXEC);

    /* connect, at most --batch handshakes under way at a time */
    long rss0 = rss_kb();
    int64_t t_conn = now_ns(CLOCK_MONOTONIC), limit = t_conn + (int64_t)(CONNECT_TIMEOUT * 1e9);
    for (int next = 0; (next < nconns || inflight) && now_ns(CLOCK_MONOTONIC) < limit; turn(10))
        for (; next < nconns && inflight < o.batch; next++) {
            conns[next].is_pub = next == o.clients;
            conns[next].id = conns[next].is_pub ? 0 : next;
            conn_start(&conns[next]);
        }
    double connect_s = (now_ns(CLOCK_MONOTONIC) - t_conn) / 1e9;
    run_for(o.settle);
    int connected = nopen;
    long rss1 = rss_kb();

    /* publish, warm up, the measured window */
    conn_t *c = &conns[o.clients];
    if (!o.talkers && c->state != OPEN) { fprintf(stderr, "wsload: publisher not connected: %s\n", first_error); return 1; }
    if (o.talkers) talk_start = now_ns(CLOCK_MONOTONIC);
    else pthread_create(&thread, NULL, publisher, c);
    run_for(o.warmup);
    for (int i = 0; i < o.npids; i++) u0[i] = proc_usage(o.pids[i]);
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
    for (int i = 0; i < o.npids; i++) u1[i] = proc_usage(o.pids[i]);
    atomic_store(&pub_stop, 1);
    talk_start = 0;
    run_for(o.drain);
    double drained = o.drain;   /* late or lost? wait while deliveries still come in */
    for (uint64_t last = 0; drained < o.drain_max && k.deliveries != last &&
         k.deliveries < atomic_load(&published) * (unsigned)o.fanout; drained += 1) { last = k.deliveries; run_for(1); }
    if (!o.talkers) pthread_join(thread, NULL);

    /* the report */
    uint64_t d = k1.deliveries - k0.deliveries, reads = k1.reads - k0.reads;
    getrusage(RUSAGE_SELF, &all);
    printf("{\"clients\":%d,\"failed\":%d,\"closed\":%d,\"connect_s\":%.2f,\"seconds\":%.3f,", connected, nfailed, nclosed, connect_s, secs);
    printf("\"deliveries\":%lu,\"published\":%lu,\"published_total\":%llu,\"delivered_total\":%lu,\"drained_s\":%.1f,",
           d, pub1 - pub0, (unsigned long long)atomic_load(&published), k.deliveries, drained);
    printf("\"per_read\":%.2f,\"pub_lag_max_us\":%lu,", reads ? d / (double)reads : 0, lag_max_us);
    if (o.seq) printf("\"seq_gaps\":%lu,\"seq_dups\":%lu,", seq_gaps, seq_dups);
    if (lat_n) printf("\"p50_us\":%lu,\"p99_us\":%lu,\"max_us\":%lu,", lat_pct(.5), lat_pct(.99), lat_max);
    printf("\"cpu_by_pid\":{");
    for (int i = 0; i < o.npids; i++) printf("%s\"%d\":%.3f", i ? "," : "", o.pids[i], u1[i].run - u0[i].run);
    printf("},\"rss_kb_per_client\":%.2f,", connected ? (rss1 - rss0) / (double)connected : 0);
    printf("\"own_cpu_s\":%.2f,\"all_cpu_s\":%.2f,\"first_error\":\"%s\"}\n", cpu_of(&ru1) - cpu_of(&ru0), cpu_of(&all), first_error);
    return connected == o.clients ? 0 : 1;
}
