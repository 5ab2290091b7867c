/* Clocks, sockets, the histogram and the measured window. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(EXIT_FAILED);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) fail("can't read a clock: %s", strerror(errno));
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t cpu_ns(const struct options *options)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < options->pid_count; i++) {
        /* Nanoseconds, threads that ended included; /proc/PID/stat counts in ticks of 10 ms. */
        clockid_t clock;
        int error = clock_getcpuclockid(options->pids[i], &clock);
        if (error != 0) fail("can't read the CPU time of process %d: %s", (int)options->pids[i], strerror(error));
        sum += read_clock(clock);
    }
    return sum;
}

void allow_files(uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit: %s", strerror(errno));
    if (limit.rlim_cur < wanted)
        fail("%u open files are needed and %llu allowed; raise the limit (ulimit -n)", wanted,
             (unsigned long long)limit.rlim_cur);
}

int make_socket(const struct options *options, uint64_t number, bool nonblocking)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) fail("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options->sources > 0) {
        /* The port is chosen at connect, by the whole pair of addresses; bind alone would want one that is free for all. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        struct sockaddr_in source = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(number % options->sources)),
        };
        if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) fail("bind: %s", strerror(errno));
    }
    return fd;
}

static void touch_one(int fd)
{
    char byte = 'p';
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) fail("the first byte could not be sent: %s", strerror(errno));
    ssize_t got = recv(fd, &byte, 1, 0);
    if (got == 0) fail("the server closed a connection instead of answering its first byte");
    if (got < 0) fail("no answer to the first byte: %s", errno == EAGAIN ? "time ran out" : strerror(errno));
    if (byte != 'p') fail("the server answered the first byte with another one");
}

void open_all(const struct options *options, int *sockets, bool touch)
{
    enum { BATCH = 100 };
    struct timeval patience = { .tv_sec = (time_t)(options->stall / 1000000000u) + 1 };
    for (uint32_t i = 0; i < options->connections; i++) {
        int fd = sockets[i] = make_socket(options, i, false);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, (const struct sockaddr *)&options->server, sizeof options->server) != 0)
            fail("connection %u could not be opened: %s", i, strerror(errno));
        if (!touch || (i % BATCH != BATCH - 1 && i != options->connections - 1)) continue;
        for (uint32_t j = i - i % BATCH; j <= i; j++) touch_one(sockets[j]);
    }
}

void histogram_clear(struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    const uint64_t limit = ((uint64_t)1 << HISTOGRAM_MAX_BITS) - 1;
    if (ns > limit) ns = limit;
    /* Below 2^7 each value has its own bucket; from there on the top 8 bits say which. */
    int shift = ns < (1u << HISTOGRAM_SUB_BITS) ? 0 : 63 - __builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
    uint64_t index = ((uint64_t)shift << HISTOGRAM_SUB_BITS) + (ns >> shift);
    histogram->counts[index]++;
    histogram->total++;
}

double histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5), seen = 0;
    if (wanted < 1) wanted = 1;
    for (uint64_t index = 0; index < HISTOGRAM_BUCKETS; index++) {
        seen += histogram->counts[index];
        if (seen < wanted) continue;
        uint64_t sub = (uint64_t)1 << HISTOGRAM_SUB_BITS;
        if (index < sub) return (double)index / 1000;
        uint64_t shift = (index >> HISTOGRAM_SUB_BITS) - 1;
        uint64_t low = (index - (shift << HISTOGRAM_SUB_BITS)) << shift;
        return ((double)low + (double)((uint64_t)1 << shift) / 2) / 1000;
    }
    return 0;
}

void window_open(struct window *window, const struct options *options)
{
    *window = (struct window){ .phase = WARMING, .begins = now_ns() + options->warmup };
}

bool window_step(struct window *window, const struct options *options, uint64_t now)
{
    if (window->phase == WARMING && now >= window->begins) {
        window->phase = MEASURING;
        /* Only now: threads that were begun by the warm-up are counted, too. */
        instructions_open(options);
        window->user = instructions_of(false);
        window->kernel = instructions_of(true);
        window->server_cpu = cpu_ns(options);
        window->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        window->begins = now_ns();
        window->ends = window->begins + options->measure;
        return true;
    }
    if (window->phase == MEASURING && now >= window->ends) {
        window->phase = OVER;
        window->user = instructions_of(false) - window->user;
        window->kernel = instructions_of(true) - window->kernel;
        window->server_cpu = cpu_ns(options) - window->server_cpu;
        window->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - window->own_cpu;
        window->ends = now_ns();
        return true;
    }
    return false;
}

void window_print(const struct window *window, const char *mode, const char *unit, const struct histogram *histogram)
{
    double taken = (double)(window->ends - window->begins) / 1e9;
    printf("{\"mode\":\"%s\",\"seconds\":%.6f,\"%s\":%llu,\"perSecond\":%.1f,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f,"
           "\"serverCpuNs\":%llu,\"loadCpuNs\":%llu,\"userInstructions\":%llu,\"kernelInstructions\":%llu",
           mode, taken, unit, (unsigned long long)histogram->total, (double)histogram->total / taken,
           histogram_at(histogram, 0.50), histogram_at(histogram, 0.99), histogram_at(histogram, 0.999),
           (unsigned long long)window->server_cpu, (unsigned long long)window->own_cpu,
           (unsigned long long)window->user, (unsigned long long)window->kernel);
}
