/* The native core: sockets of one JavaScript thread behind one epoll instance. README.md tells the whole. */
#ifndef PORTSIDE_H
#define PORTSIDE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The part of libuv's ABI that is used; the symbols come from the node executable. */
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
typedef struct uv_prepare_s uv_prepare_t;
typedef struct uv_idle_s uv_idle_t;
typedef struct uv_loop_s uv_loop_t;
enum { UV_IDLE = 6, UV_POLL = 8, UV_PREPARE = 9, UV_READABLE = 1 };
size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
void uv_close(uv_handle_t *handle, void (*done)(uv_handle_t *));
int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, void (*cb)(uv_poll_t *, int status, int events));
int uv_prepare_init(uv_loop_t *loop, uv_prepare_t *handle);
int uv_prepare_start(uv_prepare_t *handle, void (*cb)(uv_prepare_t *));
int uv_idle_init(uv_loop_t *loop, uv_idle_t *handle);
int uv_idle_start(uv_idle_t *handle, void (*cb)(uv_idle_t *));
int uv_idle_stop(uv_idle_t *handle);

/* Everything from here to `CTL_…` is shared with src/transport/native/layout.ts: change both, and LAYOUT in both, so that a
   binary of another build is not loaded. */
enum { LAYOUT = 5 };
enum { SLAB_BYTES = 256 * 1024, ARENA_BYTES = 256 * 1024, PIECE_BYTES = 64 * 1024, LEAST_READ = 16 * 1024 };
enum { OPS = 4096, OP_INTS = 6, TUPLES = 1024, TUPLE_INTS = 5, RESULTS = 2 * OPS, CTL_INTS = 64 };

/* Operations, JavaScript to C: slot, generation, code, offset, length, index of the channel's next send or 0. With 1 in place of the
   offset, OP_READ_ON has what comes told by EV_READABLE and not read. */
enum { OP_NONE, OP_ARENA, OP_SLAB, OP_READ_ON, OP_READ_OFF, OP_SHUTDOWN, OP_CLOSE_FLUSHED, OP_CLOSE, OP_RESET };

/* Events and results, C to JavaScript: slot, generation, code, and two values. */
enum {
  EV_DATA = 1, /* offset in the slab, length */
  EV_END,
  EV_READ_ERROR,  /* errno */
  EV_WRITE_ERROR, /* errno */
  EV_REST,        /* bytes that the core still holds for the channel; 0: more can be written */
  EV_SHUT,        /* the FIN is queued behind all output */
  EV_CLOSED,      /* OP_CLOSE_FLUSHED is done and the slot free */
  EV_READABLE,    /* something to read by `read`; 1: the peer's end is among it */
  EV_ACCEPT,      /* something to take */
  EV_CONNECT,     /* errno, or 0: the dial is a channel now */
};

/* Words of the control array. */
enum {
  CTL_OPS,      /* operations gathered */
  CTL_ARENA,    /* bytes of the arena used */
  CTL_EPOCH,    /* counts flushes */
  CTL_EVENTS,   /* tuples in `events` */
  CTL_RESULTS,  /* tuples in `results` */
  CTL_DEFERRED, /* JavaScript wants another turn after the next flush */
  CTL_GEN,      /* generation of the slot that a call returned */
  CTL_FAMILY,   /* 4, 6, or 1 for unix, of the address that a call found */
  CTL_PORT,
  CTL_SCOPE,
  CTL_HOST, /* 4 words: the address in network order */
  CTL_PATH = CTL_HOST + 4, /* bytes of the unix path */
  CTL_ID = CTL_PATH + 2,   /* 2 words, a double, aligned: what a mailbox is known by, or what a channel was given under */
  CTL_STATE = CTL_ID + 2,  /* STATE_… of the channel that was taken */
};

/* What a connection brings along from another thread. */
enum { STATE_ENDED = 1, STATE_SHUT = 2, STATE_UNREAD = 4, STATE_TUNED = 8, STATE_LETTER = 16 };

enum { FREE, CHANNEL, LISTENER, DIAL, INBOX, OUTBOX };

/* A bounded queue of connections from one thread to another; mailbox.c. */
typedef struct Mailbox Mailbox;

typedef struct {
  int fd; /* when free: the next free slot, or -1 */
  int32_t gen;
  uint32_t armed; /* what epoll was asked for */
  uint8_t kind;
  bool registered, adopted, reading, own, eof, muted, want_out, shut, closing;
  uint32_t rest_at, rest_len; /* output taken from the arena or slab that the kernel had no room for */
  union {
    char *rest;
    Mailbox *box; /* of an INBOX or OUTBOX, whose descriptor is the mailbox's */
  };
} Slot;

/* Memory that JavaScript sees; shared.c. */
typedef struct Piece Piece;

/* Bytes that were read of a connection in another thread. */
typedef struct {
  char *bytes;
  size_t length;
} Unread;

typedef struct {
  int32_t *at;
  int32_t *count;
  int32_t cap;
} Tuples;

typedef struct {
  napi_env env;
  int ep;
  Slot *slots;
  int32_t nslots, free_slot, parked_slot; /* `parked_slot`: those that are free once the events are told */
  int32_t *ctl, *ops;
  Tuples events, results, *out; /* `out` is where tuples go now */
  char *slab, *arena;
  uint32_t slab_at;
  Piece *piece;
  napi_ref slab_ref, turn_ref, self_ref;
  uv_poll_t *poll;
  uv_prepare_t *prepare;
  uv_idle_t *idle;
  int open_handles;
  bool busy;
  Unread unread; /* of the channel that was just taken */
  napi_async_cleanup_hook_handle hook;
} Loop;

/* loop.c */
int loop_open(Loop *l, uv_loop_t *uv);
void loop_close(Loop *l);
void loop_wake(Loop *l);
void loop_flush(Loop *l);

/* shared.c */
bool shared_open(Loop *l, napi_value *object);
void shared_return(Loop *l);
napi_value shared_slab(Loop *l); /* NULL when it can't be had */

/* channel.c */
void emit(Loop *l, int32_t slot, int code, int32_t a, int32_t b);
Slot *slot_at(Loop *l, int32_t slot, int32_t gen);
bool slot_ready(Loop *l);
int32_t slot_new(Loop *l, int fd, int kind);
void slot_free(Loop *l, int32_t slot, bool close_fd);
void slots_told(Loop *l);
void arm(Loop *l, int32_t slot);
void channel_ready(Loop *l, int32_t slot, uint32_t events);
void channel_send(Loop *l, int32_t slot, struct iovec *iov, int count);
ssize_t channel_write(Loop *l, int32_t slot, const char *bytes, size_t length);
ssize_t channel_read(Loop *l, int32_t slot, char *bytes, size_t length);
void channel_op(Loop *l, int32_t slot, int code, int32_t value);

/* socket.c: all give a slot or a count, or -errno. */
int32_t socket_listen(Loop *l, int kind, const char *host, size_t length, int32_t port, int flags, int backlog);
int32_t socket_accept(Loop *l, int32_t slot);
int32_t socket_dial(Loop *l, int kind, const char *host, size_t length, int32_t port, const char *local, int32_t local_port);
int32_t socket_adopt(Loop *l, int fd, bool ended);
int32_t socket_address(Loop *l, int32_t slot, bool peer, char path[128]);
int32_t socket_words(Loop *l, const char *host, int32_t port);
void dial_ready(Loop *l, int32_t slot);

/* mailbox.c: a slot or 0, or -errno. Taking the unread bytes over is the caller's. */
int32_t mailbox_open(Loop *l, int32_t capacity);
int32_t mailbox_join(Loop *l, double id);
void mailbox_leave(Mailbox *box, bool giver);
int32_t mailbox_give(Loop *l, int32_t slot, Mailbox *box, double id, int state, Unread unread);
int32_t mailbox_take(Loop *l, Mailbox *box);
int32_t mailbox_untaken(Loop *l, Mailbox *box);
int32_t mailbox_waiting(Mailbox *box);
bool mailbox_room(Mailbox *box);

enum { KIND_TCP, KIND_UNIX, KIND_FD };
enum { LISTEN_REUSE_ADDRESS = 1, LISTEN_REUSE_PORT = 2, LISTEN_IPV6_ONLY = 4 };

#endif
