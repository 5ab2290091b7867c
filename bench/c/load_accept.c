/* The accept mode: connect, one byte each way, close; as fast as `connections` at a time allow. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAILURES_MAX = 1000, BYTE = 'c' };

struct slot {
    int fd;
    bool asked; /* the byte is sent */
    uint64_t began;
};

static struct histogram latencies;
static uint64_t opened, failures;
static int poller;

static void failed(const char *what, int error)
{
    if (error == EADDRNOTAVAIL)
        fail("no local port is left: use more --sources, or --reset, or wait a minute for those in TIME_WAIT");
    if (++failures > FAILURES_MAX) fail("too many connections failed; the last one in %s: %s", what, strerror(error));
}

static void finish(struct slot *slot, bool reset)
{
    if (reset) {
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(slot->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(slot->fd);
    slot->fd = -1;
}

/* Sends the byte. False when the connection is not made yet; a failure is left for the read to find. */
static bool ask(struct slot *slot)
{
    char byte = BYTE;
    ssize_t sent = send(slot->fd, &byte, 1, MSG_NOSIGNAL);
    slot->asked = sent == 1 || (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN);
    return slot->asked;
}

static void start(struct slot *slot, const struct options *options)
{
    slot->fd = make_socket(options, opened++, true);
    slot->began = now_ns();
    slot->asked = false;
    int error = connect(slot->fd, (const struct sockaddr *)&options->server, sizeof options->server) == 0 ? 0 : errno;
    /* Other failures come out of the read, with the rest; this one must not be tried again and again. */
    if (error == EADDRNOTAVAIL) failed("connect", error);
    /* On the loopback the connection is often made by now. */
    struct epoll_event event = { .events = ask(slot) ? EPOLLIN : EPOLLIN | EPOLLOUT, .data.ptr = slot };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, slot->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

/* True when this connection is done, well or badly. */
static bool advance(struct slot *slot, uint32_t events, const struct options *options, const struct window *window)
{
    if (!slot->asked) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || !ask(slot)) return false;
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = slot };
        if (epoll_ctl(poller, EPOLL_CTL_MOD, slot->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
        return false;
    }
    char bytes[2];
    ssize_t got = recv(slot->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got < 0) failed("read", errno);
    else if (got == 0) failed("read", ECONNABORTED);
    else if (got != 1 || bytes[0] != BYTE) fail("a connection got other bytes back than the one that it sent");
    else if (window->phase == MEASURING) histogram_add(&latencies, now_ns() - slot->began);
    finish(slot, options->reset);
    return true;
}

int run_accept(const struct options *options)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll_create1: %s", strerror(errno));
    struct slot *slots = calloc(options->connections, sizeof *slots);
    if (slots == NULL) fail("out of memory");

    struct window window;
    window_open(&window, options);
    uint32_t alive = options->connections;
    for (uint32_t i = 0; i < alive; i++) start(&slots[i], options);

    uint64_t progress = now_ns();
    while (alive > 0) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, 50);
        if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
        uint64_t now = now_ns();
        if (count > 0) progress = now;
        else if (now - progress > options->stall)
            fail("nothing moved for %.1f s with %u connections open", (double)options->stall / 1e9, alive);
        if (window_step(&window, options, now) && window.phase == MEASURING) {
            histogram_clear(&latencies);
            failures = 0;
        }
        for (int i = 0; i < count; i++) {
            struct slot *slot = events[i].data.ptr;
            if (!advance(slot, events[i].events, options, &window)) continue;
            if (window.phase == OVER) alive--;
            else start(slot, options);
        }
    }
    window_print(&window, "accept", "connections", &latencies);
    printf(",\"concurrency\":%u,\"failures\":%llu}\n", options->connections, (unsigned long long)failures);
    free(slots);
    return 0;
}
