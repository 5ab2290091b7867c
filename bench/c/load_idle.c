/* The idle mode: many connections that do nothing, held until the caller has read the server's memory. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOLD_MAX_MS = 600000 };

/* Whether the server closed or reset the connection meanwhile, or said something unasked. */
static bool lost(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN;
}

int run_idle(const struct options *options)
{
    int *sockets = calloc(options->connections, sizeof *sockets);
    if (sockets == NULL) fail("out of memory");
    uint64_t began = now_ns();
    open_all(options, sockets, options->touch);
    printf("{\"mode\":\"idle\",\"connections\":%u,\"openSeconds\":%.3f}\n", options->connections,
           (double)(now_ns() - began) / 1e9);
    fflush(stdout);

    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    int told;
    do told = poll(&input, 1, HOLD_MAX_MS);
    while (told < 0 && errno == EINTR);
    if (told == 0) fail("nobody said to close for %d s", HOLD_MAX_MS / 1000);

    uint32_t gone = 0;
    for (uint32_t i = 0; i < options->connections; i++) {
        gone += lost(sockets[i]);
        close(sockets[i]);
    }
    printf("{\"mode\":\"idle\",\"lost\":%u}\n", gone);
    free(sockets);
    return 0;
}
