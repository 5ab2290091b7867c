/*
 * Instructions that a server executes, by the processor's own counters: unlike times they hardly change with what else the
 * machine does. Where the counters can't be had (no such hardware, not allowed) they are 0.
 */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS_MAX = 512 };

/* One for each thread: in user mode, and in the kernel. */
static int counters[THREADS_MAX][2];
static int threads;

static int open_counter(pid_t thread, bool kernel)
{
    struct perf_event_attr about = {
        .type = PERF_TYPE_HARDWARE, .size = sizeof about, .config = PERF_COUNT_HW_INSTRUCTIONS,
        .exclude_hv = 1, .exclude_user = kernel, .exclude_kernel = !kernel, .inherit = 1,
    };
    return (int)syscall(SYS_perf_event_open, &about, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void open_process(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) return;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL && threads < THREADS_MAX;) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread <= 0) continue;
        for (int kernel = 0; kernel < 2; kernel++) counters[threads][kernel] = open_counter(thread, kernel == 1);
        threads++;
    }
    closedir(tasks);
}

void instructions_open(const struct options *options)
{
    for (uint32_t i = 0; i < options->pid_count; i++) open_process(options->pids[i]);
}

uint64_t instructions_of(bool kernel)
{
    uint64_t sum = 0, count;
    for (int i = 0; i < threads; i++) {
        int fd = counters[i][kernel];
        if (fd >= 0 && read(fd, &count, sizeof count) == sizeof count) sum += count;
    }
    return sum;
}
