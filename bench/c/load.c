/*
 * load: puts a bounded load on a server on this machine's loopback and prints one line of JSON.
 *
 *   load echo   --port N [--connections 64] [--size 64] [--depth 1] [--seconds 3] [--warmup 1] [--verify-all]
 *   load accept --port N [--connections 64] [--seconds 3] [--warmup 1] [--sources 32] [--reset]
 *   load idle   --port N [--connections 1000] [--no-touch]
 *   load broadcast --port N [--connections 1000] [--size 64] [--seconds 3] [--warmup 1]
 *
 * and for all: --host 127.x.y.z, --stall S (seconds), --pid N (read that process's CPU time over the measured window; given
 * several times the sum of them).
 *
 * echo:   each connection keeps `depth` messages in flight and sends the next when one is back. What comes back is
 *         compared with what went out; at the end every byte has to be back and the server has to answer a FIN with one.
 * accept: `connections` at a time are opened; each sends a byte, waits for it, and closes first. This leaves sockets
 *         in TIME_WAIT on this side; connecting from several 127.0.1.x (--sources) keeps the ports from running out.
 * broadcast: each message has to come back on all connections, and then another one sends the next; counts deliveries.
 * idle:   opens its connections, prints a line, and holds them until its input says a line or ends.
 *
 * One thread with epoll. It refuses any address outside 127.0.0.0/8.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static noreturn void usage(const char *problem, const char *about)
{
    fprintf(stderr, "load: %s%s%s\n", problem, about ? ": " : "", about ? about : "");
    fprintf(stderr, "usage: load echo|accept|broadcast|idle --port N [--host 127.0.0.1] [--pid N ...] [--connections N]\n"
                    "            [--size BYTES] [--depth N] [--seconds S] [--warmup S] [--stall S] [--sources N]\n"
                    "            [--reset] [--verify-all] [--no-touch]\n");
    exit(EXIT_USAGE);
}

static double number(const char *name, const char *text, double least, double most)
{
    if (text == NULL) usage("a value is missing after", name);
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= least && value <= most)) {
        char problem[128];
        snprintf(problem, sizeof problem, "%s has to be a number from %g to %g, not", name, least, most);
        usage(problem, text);
    }
    return value;
}

static uint32_t whole(const char *name, const char *text, double least, double most)
{
    double value = number(name, text, least, most);
    if (value != (double)(uint32_t)value) usage("a whole number is needed for", name);
    return (uint32_t)value;
}

static uint64_t seconds(const char *name, const char *text, double least, double most)
{
    return (uint64_t)(number(name, text, least, most) * 1e9);
}

static void parse(int count, char **arguments, struct options *options)
{
    bool have_port = false;
    for (int i = 0; i < count; i++) {
        const char *name = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(name, "--reset") == 0) { options->reset = true; continue; }
        if (strcmp(name, "--verify-all") == 0) { options->verify_all = true; continue; }
        if (strcmp(name, "--no-touch") == 0) { options->touch = false; continue; }
        i++;
        if (strcmp(name, "--host") == 0) {
            if (value == NULL || inet_pton(AF_INET, value, &options->server.sin_addr) != 1)
                usage("--host has to be an IPv4 address", value);
            if (ntohl(options->server.sin_addr.s_addr) >> 24 != 127)
                usage("only addresses of the loopback, 127.0.0.0/8, are put under load", value);
        } else if (strcmp(name, "--port") == 0) {
            options->server.sin_port = htons((uint16_t)whole(name, value, 1, 65535));
            have_port = true;
        }
        else if (strcmp(name, "--pid") == 0) {
            if (options->pid_count == PIDS_MAX) usage("too many of --pid", NULL);
            options->pids[options->pid_count++] = (pid_t)whole(name, value, 1, 4194304);
        }
        else if (strcmp(name, "--connections") == 0) options->connections = whole(name, value, 1, 60000);
        else if (strcmp(name, "--size") == 0) options->size = whole(name, value, 1, 16 << 20);
        else if (strcmp(name, "--depth") == 0) options->depth = whole(name, value, 1, 1024);
        else if (strcmp(name, "--sources") == 0) options->sources = whole(name, value, 0, 250);
        else if (strcmp(name, "--seconds") == 0) options->measure = seconds(name, value, 0.05, 600);
        else if (strcmp(name, "--warmup") == 0) options->warmup = seconds(name, value, 0, 600);
        else if (strcmp(name, "--stall") == 0) options->stall = seconds(name, value, 0.1, 600);
        else usage("unknown option", name);
    }
    if (!have_port) usage("--port is needed", NULL);
}

int main(int count, char **arguments)
{
    if (count < 2) usage("a mode is needed", NULL);
    const char *mode = arguments[1];
    bool idle = strcmp(mode, "idle") == 0, accept = strcmp(mode, "accept") == 0;
    bool broadcast = strcmp(mode, "broadcast") == 0;
    if (!idle && !accept && !broadcast && strcmp(mode, "echo") != 0) usage("unknown mode", mode);

    struct options options = {
        .server = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
        .connections = idle || broadcast ? 1000 : 64, .size = 64, .depth = 1, .sources = accept ? 32 : 0,
        .measure = 3000000000, .warmup = 1000000000, .stall = 10000000000, .touch = true,
    };
    parse(count - 2, arguments + 2, &options);
    signal(SIGPIPE, SIG_IGN);
    allow_files(options.connections + 16);
    if (broadcast) return run_broadcast(&options);
    return idle ? run_idle(&options) : accept ? run_accept(&options) : run_echo(&options);
}
