/*
 * echo: an echo server in C, the limit that the others are measured against. One thread, epoll, level-triggered:
 * read, write, and only what the kernel does not take at once is kept, with reading off until it has gone.
 * With BROADCAST set, what one connection says goes to all; one that does not take it at once ends the program.
 *
 * Listens on 127.0.0.1 and the port in PORT (0, any, by default), and prints "PORT n". Ends when its input ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, BACKLOG = 511, EVENTS = 256 };

struct link {
    int fd;
    struct link *before, *after; /* when broadcasting: the other connections */
    unsigned char *unsent; /* what the kernel did not take, at most CHUNK bytes */
    size_t from, to;
};

static unsigned char chunk[CHUNK];
static int poller, listener;
static bool listening = true, broadcasting;
static struct link *links;

/* Their addresses tell these two apart from connections. */
static struct link listener_mark, input_mark;

static noreturn void fail(const char *what)
{
    fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int operation, int fd, uint32_t events, struct link *link)
{
    struct epoll_event event = { .events = events, .data.ptr = link };
    if (epoll_ctl(poller, operation, fd, &event) != 0) fail("epoll_ctl");
}

static void listen_again(bool on)
{
    if (listening == on) return;
    listening = on;
    watch(EPOLL_CTL_MOD, listener, on ? EPOLLIN : 0, &listener_mark);
}

static void end_link(struct link *link)
{
    if (link->before != NULL) link->before->after = link->after;
    else if (links == link) links = link->after;
    if (link->after != NULL) link->after->before = link->before;
    close(link->fd);
    free(link->unsent);
    free(link);
    listen_again(true);
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN) return;
            if (errno == EINTR || errno == ECONNABORTED) continue;
            /* Out of descriptors or memory: what waits is taken when a connection has gone. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return listen_again(false);
            fail("accept4");
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct link *link = calloc(1, sizeof *link);
        if (link == NULL) fail("calloc");
        link->fd = fd;
        if (broadcasting) {
            link->after = links;
            if (links != NULL) links->before = link;
            links = link;
        }
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, link);
    }
}

/* Bytes taken by the kernel, or -1 when the connection is broken. */
static ssize_t put(int fd, const unsigned char *bytes, size_t count)
{
    for (;;) {
        ssize_t wrote = send(fd, bytes, count, MSG_NOSIGNAL);
        if (wrote >= 0) return wrote;
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return -1;
    }
}

static void tell_all(size_t count)
{
    for (struct link *link = links; link != NULL; link = link->after) {
        ssize_t wrote = put(link->fd, chunk, count);
        if (wrote >= 0 && (size_t)wrote < count) fail("a connection does not take what is broadcast");
    }
}

static void readable(struct link *link)
{
    ssize_t got = recv(link->fd, chunk, sizeof chunk, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) end_link(link);
        return;
    }
    /* All output is with the kernel here, so the FIN of close comes after it. */
    if (got == 0) return end_link(link);
    if (broadcasting) return tell_all((size_t)got);
    ssize_t wrote = put(link->fd, chunk, (size_t)got);
    if (wrote < 0) return end_link(link);
    if (wrote == got) return;
    link->to = (size_t)(got - wrote);
    link->from = 0;
    link->unsent = malloc(link->to);
    if (link->unsent == NULL) fail("malloc");
    memcpy(link->unsent, chunk + wrote, link->to);
    watch(EPOLL_CTL_MOD, link->fd, EPOLLOUT, link);
}

static void writable(struct link *link)
{
    ssize_t wrote = put(link->fd, link->unsent + link->from, link->to - link->from);
    if (wrote < 0) return end_link(link);
    link->from += (size_t)wrote;
    if (link->from < link->to) return;
    free(link->unsent);
    link->unsent = NULL;
    watch(EPOLL_CTL_MOD, link->fd, EPOLLIN, link);
}

static void input_ready(void)
{
    char bytes[64];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) exit(0);
}

static void open_listener(void)
{
    const char *text = getenv("PORT");
    char *end = NULL;
    unsigned long port = text == NULL || *text == '\0' ? 0 : strtoul(text, &end, 10);
    if ((end != NULL && *end != '\0') || port > 65535) {
        fprintf(stderr, "echo: PORT has to be a number from 0 to 65535, not %s\n", text);
        exit(2);
    }
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) fail("socket");
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port),
    };
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0) fail("bind");
    if (listen(listener, BACKLOG) != 0) fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) fail("getsockname");
    printf("PORT %u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    broadcasting = getenv("BROADCAST") != NULL;
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll_create1");
    open_listener();
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener_mark);
    /* A regular file or /dev/null can't be watched, and never says that the caller has gone. */
    struct epoll_event input = { .events = EPOLLIN, .data.ptr = &input_mark };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0 && errno != EPERM) fail("epoll_ctl");

    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            if (link == &listener_mark) accept_all();
            else if (link == &input_mark) input_ready();
            else if (link->unsent != NULL) writable(link);
            else readable(link);
        }
    }
}
