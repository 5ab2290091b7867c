/* The broadcast mode: one connection sends, all get it; the next message goes out when the one before is everywhere. */
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

enum { INPUT = 64 << 10 };

struct member {
    int fd;
    uint64_t received; /* bytes of the message that is on its way */
};

static unsigned char message[INPUT], input[INPUT];
static struct histogram latencies;
static int poller;

/* No two messages are alike: what is left of the one before would be found out. */
static void send_next(struct member *from, uint32_t size, uint64_t number)
{
    memset(message, (int)(number % 251) + 1, size);
    if (send(from->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size) fail("a message could not be sent: %s", strerror(errno));
}

/* Reads once. True when the member has all of the message now. */
static bool readable(struct member *member, uint32_t size)
{
    ssize_t got = recv(member->fd, input, sizeof input, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got < 0) fail("a member could not read: %s", strerror(errno));
    if (got == 0) fail("the server ended a member's connection");
    if (member->received + (uint64_t)got > size) fail("a member got more than was sent");
    if (memcmp(input, message + member->received, (size_t)got) != 0) fail("a member got other bytes than were sent");
    member->received += (uint64_t)got;
    return member->received == size;
}

int run_broadcast(const struct options *options)
{
    if (options->size > INPUT) fail("a message that is broadcast has at most %d bytes", INPUT);
    uint32_t count = options->connections;
    struct member *members = calloc(count, sizeof *members);
    int *sockets = calloc(count, sizeof *sockets);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (members == NULL || sockets == NULL || poller < 0) fail("no memory or no descriptor");
    open_all(options, sockets, false);
    for (uint32_t i = 0; i < count; i++) {
        members[i].fd = sockets[i];
        if (fcntl(sockets[i], F_SETFL, fcntl(sockets[i], F_GETFL) | O_NONBLOCK) != 0) fail("fcntl: %s", strerror(errno));
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &members[i] };
        if (epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event) != 0) fail("epoll_ctl: %s", strerror(errno));
    }
    struct window window;
    window_open(&window, options);
    /* Accepting is in order: when the last one's message is read, all are members. */
    uint64_t number = count - 1, began = now_ns(), progress = began;
    uint32_t missing = count;
    send_next(&members[number], options->size, number);
    while (missing > 0 || window.phase != OVER) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 50);
        if (ready < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
        uint64_t now = now_ns();
        if (ready > 0) progress = now;
        else if (now - progress > options->stall)
            fail("nothing moved for %.1f s with %u members waiting", (double)options->stall / 1e9, missing);
        if (window_step(&window, options, now) && window.phase == MEASURING) histogram_clear(&latencies);
        for (int i = 0; i < ready; i++) {
            if (!readable(events[i].data.ptr, options->size)) continue;
            missing--;
            if (window.phase == MEASURING) histogram_add(&latencies, now_ns() - began);
        }
        if (missing > 0 || window.phase == OVER) continue;
        for (uint32_t i = 0; i < count; i++) members[i].received = 0;
        missing = count;
        began = now_ns();
        number++;
        send_next(&members[number % count], options->size, number);
    }
    window_print(&window, "broadcast", "messages", &latencies);
    printf(",\"connections\":%u,\"size\":%u}\n", count, options->size);
    free(members);
    free(sockets);
    return 0;
}
