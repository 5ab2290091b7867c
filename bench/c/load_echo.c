/* The echo mode: a closed loop of messages on long-lived connections. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PERIOD = 65521,       /* a prime, so that messages and reads meet the pattern at every place */
    PIECE = 256 << 10,    /* the most that one system call reads or writes */
    SAMPLE = 16,          /* bytes compared at a place */
    COMPARED_WHOLE = 256, /* reads up to this size are compared whole */
};

struct link {
    int fd;
    uint32_t number;
    uint64_t sent, received; /* bytes */
    uint64_t owed;           /* bytes of begun messages that are not sent yet */
    uint64_t back;           /* messages that came back whole */
    uint64_t begun;          /* messages begun */
    uint64_t *times;         /* when each of the messages in flight was begun, a ring of `depth` */
    bool wants_out, ended;
};

static unsigned char pattern[PERIOD + PIECE];
static unsigned char input[PIECE];
static struct histogram latencies;
static int poller;

/* Each connection is at another place of the same pattern, so bytes of a stranger are found out. */
static const unsigned char *expected(const struct link *link, uint64_t position)
{
    return pattern + (position + (uint64_t)link->number * 31) % PERIOD;
}

static void make_pattern(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PERIOD; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        pattern[i] = (unsigned char)(state >> 32);
    }
    for (size_t i = PERIOD; i < sizeof pattern; i++) pattern[i] = pattern[i - PERIOD];
}

static void verify(const struct link *link, size_t got, bool all)
{
    const unsigned char *right = expected(link, link->received);
    if (all || got <= COMPARED_WHOLE) {
        if (memcmp(input, right, got) == 0) return;
    } else {
        size_t middle = (size_t)(link->received % (got - SAMPLE));
        if (memcmp(input, right, SAMPLE) == 0 && memcmp(input + middle, right + middle, SAMPLE) == 0 &&
            memcmp(input + got - SAMPLE, right + got - SAMPLE, SAMPLE) == 0)
            return;
    }
    fail("connection %u got other bytes back than it sent, after byte %llu", link->number,
         (unsigned long long)link->received);
}

static void want_out(struct link *link, bool on)
{
    if (link->wants_out == on) return;
    link->wants_out = on;
    struct epoll_event event = { .events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = link };
    if (epoll_ctl(poller, EPOLL_CTL_MOD, link->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

static void flush(struct link *link)
{
    while (link->owed > 0) {
        size_t most = link->owed < PIECE ? (size_t)link->owed : PIECE;
        ssize_t wrote = send(link->fd, expected(link, link->sent), most, MSG_NOSIGNAL);
        if (wrote < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) break;
            fail("connection %u could not send: %s", link->number, strerror(errno));
        }
        link->sent += (uint64_t)wrote;
        link->owed -= (uint64_t)wrote;
    }
    want_out(link, link->owed > 0);
}

static void begin(struct link *link, const struct options *options, uint64_t now, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) link->times[link->begun++ % options->depth] = now;
    link->owed += count * options->size;
}

/* Reads once. True when the connection is over. */
static bool readable(struct link *link, const struct options *options, const struct window *window)
{
    ssize_t got = recv(link->fd, input, sizeof input, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        fail("connection %u could not read: %s", link->number, strerror(errno));
    }
    if (got == 0) {
        if (!link->ended)
            fail("the server ended connection %u after %llu of %llu bytes", link->number,
                 (unsigned long long)link->received, (unsigned long long)link->sent);
        return true;
    }
    if (link->received + (uint64_t)got > link->sent) fail("connection %u got more back than it sent", link->number);
    verify(link, (size_t)got, options->verify_all);
    link->received += (uint64_t)got;

    uint64_t now = now_ns(), whole = link->received / options->size - link->back;
    for (uint64_t i = 0; i < whole; i++) {
        uint64_t begun = link->times[link->back++ % options->depth];
        if (window->phase == MEASURING) histogram_add(&latencies, now - begun);
    }
    if (window->phase != OVER) {
        if (whole > 0) begin(link, options, now, whole);
        if (link->owed > 0 && !link->wants_out) flush(link);
    } else if (link->back == link->begun) {
        /* All is back; now the server has to see the end and answer it. */
        if (shutdown(link->fd, SHUT_WR) != 0) fail("shutdown: %s", strerror(errno));
        link->ended = true;
    }
    return false;
}

static struct link *open_links(const struct options *options)
{
    struct link *links = calloc(options->connections, sizeof *links);
    uint64_t *times = calloc((size_t)options->connections * options->depth, sizeof *times);
    int *sockets = calloc(options->connections, sizeof *sockets);
    if (links == NULL || times == NULL || sockets == NULL) fail("out of memory");
    open_all(options, sockets, true);
    for (uint32_t i = 0; i < options->connections; i++) {
        struct link *link = &links[i];
        *link = (struct link){ .fd = sockets[i], .number = i, .times = times + (size_t)i * options->depth };
        int flags = fcntl(link->fd, F_GETFL);
        if (flags < 0 || fcntl(link->fd, F_SETFL, flags | O_NONBLOCK) != 0) fail("fcntl: %s", strerror(errno));
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };
        if (epoll_ctl(poller, EPOLL_CTL_ADD, link->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
    }
    free(sockets);
    return links;
}

int run_echo(const struct options *options)
{
    make_pattern();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll_create1: %s", strerror(errno));
    struct link *links = open_links(options);

    struct window window;
    window_open(&window, options);
    for (uint32_t i = 0; i < options->connections; i++) {
        begin(&links[i], options, now_ns(), options->depth);
        flush(&links[i]);
    }

    uint32_t alive = options->connections;
    uint64_t progress = now_ns();
    while (alive > 0) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, 50);
        if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
        uint64_t now = now_ns();
        if (count > 0) progress = now;
        else if (now - progress > options->stall)
            fail("nothing moved for %.1f s with %u connections open", (double)options->stall / 1e9, alive);
        if (window_step(&window, options, now) && window.phase == MEASURING) histogram_clear(&latencies);
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(link);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            if (readable(link, options, &window)) {
                close(link->fd);
                alive--;
            }
        }
    }
    window_print(&window, "echo", "messages", &latencies);
    printf(",\"connections\":%u,\"size\":%u,\"depth\":%u}\n", options->connections, options->size, options->depth);
    free(links[0].times);
    free(links);
    return 0;
}
