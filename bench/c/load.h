/* What the modes of the load generator share. See load.c for what it does as a whole. */
#ifndef PORTSIDE_BENCH_LOAD_H
#define PORTSIDE_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* Exit codes: what was measured is wrong or the server failed; the command line is wrong. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* How many processes a server may be. */
enum { PIDS_MAX = 64 };

struct options {
    struct sockaddr_in server; /* always within 127.0.0.0/8 */
    pid_t pids[PIDS_MAX];      /* whose CPU time to read, summed */
    uint32_t pid_count;
    uint32_t connections;
    uint32_t size;    /* bytes of a message */
    uint32_t depth;   /* messages in flight on each connection */
    uint32_t sources; /* how many of 127.0.1.x to connect from, 0 leaves it to the kernel */
    uint64_t measure; /* nanoseconds */
    uint64_t warmup;  /* nanoseconds */
    uint64_t stall;   /* nanoseconds without any progress that end the run */
    bool verify_all;  /* compare every byte, not only samples */
    bool reset;       /* accept: close with RST, which leaves no TIME_WAIT */
    bool touch;       /* idle: one byte each way on every connection first */
};

int run_echo(const struct options *options);
int run_accept(const struct options *options);
int run_broadcast(const struct options *options);
int run_idle(const struct options *options);

noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);
/* CPU time of the processes options->pids with all their threads, in nanoseconds. Fails when one is gone. */
uint64_t cpu_ns(const struct options *options);
/* Begins to count the instructions of all threads of those processes; nothing where they can't be counted. */
void instructions_open(const struct options *options);
/* How many there were so far, in the kernel or in user mode. */
uint64_t instructions_of(bool kernel);
/* Raises the soft limit of open files to the hard one and fails if fewer than `wanted` are allowed. */
void allow_files(uint32_t wanted);

/* A TCP socket with no-delay, bound to the source address of the connection with this number. */
int make_socket(const struct options *options, uint64_t number, bool nonblocking);
/*
 * Opens options->connections blocking connections into `sockets`, in batches well below any backlog. With `touch`,
 * one byte goes each way on each before the next batch, so that the server is known to have accepted them.
 */
void open_all(const struct options *options, int *sockets, bool touch);

/*
 * Counts of durations in log-linear buckets, as HdrHistogram has them: 128 buckets to each power of two, so that
 * a value is known within 0.8 %. Covers 1 ns to 18 minutes.
 */
#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_MAX_BITS 40
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t total;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);
/* The duration in microseconds that the given share (0 to 1) of all does not exceed; 0 when empty. */
double histogram_at(const struct histogram *histogram, double share);

/* The measured part of a run, after the warm-up. */
struct window {
    enum { WARMING, MEASURING, OVER } phase;
    uint64_t begins, ends;       /* wall clock */
    uint64_t server_cpu, own_cpu; /* at the begin; the difference once OVER */
    uint64_t user, kernel;        /* instructions of the server, likewise */
};

void window_open(struct window *window, const struct options *options);
/* Moves on when it is time; true at the very step into MEASURING or OVER. */
bool window_step(struct window *window, const struct options *options, uint64_t now);
/* Prints what each mode has in common, without the closing brace. */
void window_print(const struct window *window, const char *mode, const char *unit, const struct histogram *histogram);

#endif
