/* What JavaScript calls. Numbers come back: a slot or a count, or -errno; nothing is thrown. */
#include "portside.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS = 7, MOST_AT_ONCE = 1 << 30 };

typedef struct {
  napi_env env;
  Loop *l;
  napi_value at[ARGS];
} Call;

static bool begin(Call *c, napi_env env, napi_callback_info info) {
  size_t count = ARGS;
  void *data = NULL;
  c->env = env;
  c->l = NULL;
  /* Missing arguments are filled with undefined. */
  if (napi_get_cb_info(env, info, &count, c->at, NULL, NULL) != napi_ok) return false;
  if (napi_get_instance_data(env, &data) != napi_ok) return false;
  c->l = data;
  return data != NULL;
}

static napi_value number(napi_env env, int32_t value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}

static int32_t integer(Call *c, int at) {
  int32_t value = -1;
  napi_get_value_int32(c->env, c->at[at], &value);
  return value;
}

/* A string of at most `room - 1` bytes, or a negative length when it is none. */
static int64_t text(Call *c, int at, char *to, size_t room) {
  size_t size = 0;
  if (napi_get_value_string_utf8(c->env, c->at[at], NULL, 0, &size) != napi_ok) return -EINVAL;
  if (size >= room) return -ENAMETOOLONG;
  if (napi_get_value_string_utf8(c->env, c->at[at], to, room, &size) != napi_ok) return -EINVAL;
  return (int64_t)size;
}

/* The slot that the first two arguments name, if it is of that kind. */
static Slot *named(Call *c, int kind, int32_t *slot) {
  *slot = integer(c, 0);
  Slot *s = slot_at(c->l, *slot, integer(c, 1));
  return s != NULL && s->kind == kind ? s : NULL;
}

/* The slot that the first two arguments name, if connections come out of it. */
static Slot *source(Call *c, int32_t *slot) {
  Slot *s = named(c, LISTENER, slot);
  return s != NULL ? s : named(c, INBOX, slot);
}

#define CALL(name) static napi_value name(napi_env env, napi_callback_info info)
#define BEGIN Call c; if (!begin(&c, env, info)) return number(env, -EINVAL); Loop *l = c.l; (void)l
#define NAMED(kind) int32_t slot; Slot *s = named(&c, kind, &slot); if (s == NULL) return number(env, -EBADF)
#define SOURCE int32_t slot; Slot *s = source(&c, &slot); if (s == NULL) return number(env, -EBADF)

CALL(api_flush) {
  BEGIN;
  loop_flush(l);
  return number(env, l->ctl[CTL_RESULTS]);
}

CALL(api_wake) {
  BEGIN;
  loop_wake(l);
  return number(env, 0);
}

CALL(api_ref) {
  BEGIN;
  if (integer(&c, 0) > 0) uv_ref((uv_handle_t *)l->poll);
  else uv_unref((uv_handle_t *)l->poll);
  return number(env, 0);
}

CALL(api_slab) {
  BEGIN;
  return shared_slab(l);
}

CALL(api_listen) {
  BEGIN;
  char host[128];
  int64_t size = text(&c, 1, host, sizeof host);
  if (size < 0) return number(env, (int32_t)size);
  return number(env, socket_listen(l, integer(&c, 0), host, (size_t)size, integer(&c, 2), integer(&c, 3), integer(&c, 4)));
}

/* A listening socket or an inbox: the slot of the channel that came, with its peer and its state in the control words. */
CALL(api_accept) {
  BEGIN;
  SOURCE;
  return number(env, s->kind == INBOX ? mailbox_take(l, s->box) : socket_accept(l, slot));
}

CALL(api_pending) {
  BEGIN;
  SOURCE;
  struct pollfd ready = {.fd = s->fd, .events = POLLIN};
  return number(env, poll(&ready, 1, 0) > 0);
}

CALL(api_want) {
  BEGIN;
  SOURCE;
  s->reading = integer(&c, 2) > 0;
  arm(l, slot);
  return number(env, s->registered == s->reading ? 0 : -ENOMEM);
}

CALL(api_dial) {
  BEGIN;
  char host[128], local[128];
  napi_valuetype bound = napi_undefined;
  int64_t size = text(&c, 1, host, sizeof host), local_size = 0;
  napi_typeof(env, c.at[3], &bound);
  if (bound != napi_undefined) local_size = text(&c, 3, local, sizeof local);
  if (size < 0 || local_size < 0) return number(env, (int32_t)(size < 0 ? size : local_size));
  return number(env, socket_dial(l, integer(&c, 0), host, (size_t)size, integer(&c, 2), bound != napi_undefined ? local : NULL, integer(&c, 4)));
}

/* The bytes of a Uint8Array from an offset; asked for anew in each call, because its buffer may be transferred away. */
static bool bytes(Call *c, int at, int32_t from, char **data, size_t *length) {
  napi_typedarray_type type;
  void *start;
  bool is = false;
  if (napi_is_typedarray(c->env, c->at[at], &is) != napi_ok || !is) return false;
  if (napi_get_typedarray_info(c->env, c->at[at], &type, length, &start, NULL, NULL) != napi_ok) return false;
  if (type != napi_uint8_array || start == NULL || from < 0 || (size_t)from > *length) return false;
  *data = (char *)start + from;
  *length -= (size_t)from;
  return true;
}

CALL(api_write) {
  BEGIN;
  NAMED(CHANNEL);
  (void)s;
  char *data;
  size_t length;
  if (!bytes(&c, 2, integer(&c, 3), &data, &length)) return number(env, -EINVAL);
  if (length > MOST_AT_ONCE) length = MOST_AT_ONCE;
  return number(env, length == 0 ? 0 : (int32_t)channel_write(l, slot, data, length));
}

CALL(api_recv) {
  BEGIN;
  NAMED(CHANNEL);
  char *data;
  size_t length;
  if (!bytes(&c, 2, 0, &data, &length) || length == 0) return number(env, -EINVAL);
  if (length > MOST_AT_ONCE) length = MOST_AT_ONCE;
  ssize_t n;
  do n = recv(s->fd, data, length, 0);
  while (n < 0 && errno == EINTR);
  return number(env, n < 0 ? -errno : (int32_t)n);
}

/* As `recv`, for a channel that tells what there is by EV_READABLE; the core learns of the end or the error as from a read of its own. */
CALL(api_read) {
  BEGIN;
  NAMED(CHANNEL);
  (void)s;
  char *data;
  size_t length;
  if (!bytes(&c, 2, 0, &data, &length) || length == 0) return number(env, -EINVAL);
  if (length > MOST_AT_ONCE) length = MOST_AT_ONCE;
  return number(env, (int32_t)channel_read(l, slot, data, length));
}

/* On a connection, or on a listening socket, whose connections have it from the beginning (Linux copies it). 0: TCP_NODELAY; 1: SO_KEEPALIVE with the idle time in seconds, 0 for off; 2: TCP_USER_TIMEOUT in milliseconds, 0 for the system's. Sockets that lack it say so, and nobody minds. */
CALL(api_set) {
  BEGIN;
  int32_t slot;
  Slot *s = named(&c, CHANNEL, &slot);
  if (s == NULL) s = named(&c, LISTENER, &slot);
  if (s == NULL) return number(env, -EBADF);
  int option = integer(&c, 2), value = integer(&c, 3), on = value > 0, every = 1, probes = 10, done;
  if (option == 0) {
    done = setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  } else if (option == 2) {
    done = setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
  } else {
    done = setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (done == 0 && on) {
      done = setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value);
      if (done == 0) done = setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
      if (done == 0) done = setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    }
  }
  return number(env, done < 0 ? -errno : 0);
}

/* struct tcp_info, as far as the bytes reach; how many were filled. */
CALL(api_info) {
  BEGIN;
  NAMED(CHANNEL);
  char *data;
  size_t length;
  if (!bytes(&c, 2, 0, &data, &length) || length > 4096) return number(env, -EINVAL);
  socklen_t size = (socklen_t)length;
  return number(env, getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, data, &size) < 0 ? -errno : (int32_t)size);
}

/* The path of a unix socket; else 0 with the address in the control words, or -errno. */
CALL(api_address) {
  BEGIN;
  int32_t slot = integer(&c, 0);
  if (slot_at(l, slot, integer(&c, 1)) == NULL) return number(env, -EBADF);
  char path[128] = {0};
  int32_t done = socket_address(l, slot, integer(&c, 2) > 0, path);
  napi_value result = NULL;
  if (done < 0 || l->ctl[CTL_FAMILY] != 1) return number(env, done);
  uint32_t size = (uint32_t)l->ctl[CTL_PATH];
  napi_create_string_utf8(env, path, size < sizeof path ? size : 0, &result);
  return result;
}

/* The numeric text of an address: family, four words in network order, zone. */
CALL(api_host) {
  BEGIN;
  int32_t words[4] = {integer(&c, 1), integer(&c, 2), integer(&c, 3), integer(&c, 4)};
  char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2], zone[IF_NAMESIZE];
  if (inet_ntop(integer(&c, 0) == 4 ? AF_INET : AF_INET6, words, host, sizeof host) == NULL) host[0] = 0;
  int32_t scope = integer(&c, 5);
  size_t size = strlen(host);
  if (scope > 0 && if_indextoname((unsigned)scope, zone) != NULL) snprintf(host + size, sizeof host - size, "%%%s", zone);
  else if (scope > 0) snprintf(host + size, sizeof host - size, "%%%d", scope);
  napi_value result = NULL;
  napi_create_string_utf8(env, host, NAPI_AUTO_LENGTH, &result);
  return result;
}

CALL(api_release) {
  BEGIN;
  NAMED(CHANNEL);
  if (s->rest_len > 0 || s->closing) return number(env, -EBUSY);
  int fd = s->fd;
  slot_free(l, slot, false);
  return number(env, fd);
}

CALL(api_adopt) {
  BEGIN;
  return number(env, socket_adopt(l, integer(&c, 0), integer(&c, 1) > 0));
}

/* Another descriptor of a listening socket, which is the caller's. */
CALL(api_share) {
  BEGIN;
  NAMED(LISTENER);
  int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
  return number(env, fd < 0 ? -errno : fd);
}

CALL(api_words) {
  BEGIN;
  char host[128];
  int64_t size = text(&c, 0, host, sizeof host);
  return number(env, size < 0 ? (int32_t)size : socket_words(l, host, integer(&c, 1)));
}

static bool real(Call *c, int at, double *value) {
  return napi_get_value_double(c->env, c->at[at], value) == napi_ok;
}

CALL(api_mailbox) {
  BEGIN;
  return number(env, mailbox_open(l, integer(&c, 0)));
}

CALL(api_join) {
  BEGIN;
  double id;
  return number(env, real(&c, 0, &id) ? mailbox_join(l, id) : -EINVAL);
}

/* give(slot, gen, mailbox, its gen, id, state, unread): the peer is in the control words. */
CALL(api_give) {
  BEGIN;
  NAMED(CHANNEL);
  Slot *out = slot_at(l, integer(&c, 2), integer(&c, 3));
  double id;
  if (out == NULL || out->kind != OUTBOX) return number(env, -EPIPE);
  if (s->rest_len > 0 || s->closing) return number(env, -EBUSY);
  if (!real(&c, 4, &id)) return number(env, -EINVAL);
  int32_t state = integer(&c, 5);
  Unread unread = {0};
  if (state & STATE_UNREAD) {
    char *from;
    if (!bytes(&c, 6, 0, &from, &unread.length)) return number(env, -EINVAL);
    if (unread.length > MOST_AT_ONCE) return number(env, -EFBIG);
    unread.bytes = malloc(unread.length + 1);
    if (unread.bytes == NULL) return number(env, -ENOMEM);
    memcpy(unread.bytes, from, unread.length);
  }
  int32_t given = mailbox_give(l, slot, out->box, id, state, unread);
  if (given < 0) free(unread.bytes);
  return number(env, given);
}

/* What was read in another thread of the channel that was just taken; once. */
CALL(api_unread) {
  BEGIN;
  Unread unread = l->unread;
  l->unread = (Unread){0};
  napi_value result = NULL;
  void *data = NULL;
  if (napi_create_arraybuffer(env, unread.length, &data, &result) == napi_ok && unread.length > 0) memcpy(data, unread.bytes, unread.length);
  free(unread.bytes);
  return result;
}

CALL(api_untaken) {
  BEGIN;
  NAMED(OUTBOX);
  return number(env, mailbox_untaken(l, s->box));
}

CALL(api_waiting) {
  BEGIN;
  NAMED(OUTBOX);
  return number(env, mailbox_waiting(s->box));
}

CALL(api_close) {
  BEGIN;
  int32_t slot = integer(&c, 0);
  if (slot_at(l, slot, integer(&c, 1)) == NULL) return number(env, -EBADF);
  slot_free(l, slot, true);
  return number(env, 0);
}

static void on_exit_of_env(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  loop_close(data);
}

/* keepFreed(bytes, largest): glibc gives memory back to the system when more than that is free at the end of its heap, and takes
   smaller blocks than `largest` from there (mallopt(3)). For the whole process. */
CALL(api_keep_freed) {
#ifdef __GLIBC__
  Call c = {0};
  /* It takes no loop, which may not be open. */
  (void)begin(&c, env, info);
  int32_t bytes = integer(&c, 0), largest = integer(&c, 1);
  if (bytes < 0 || largest < 0) return number(env, -EINVAL);
  return number(env, mallopt(M_MMAP_THRESHOLD, largest) == 1 && mallopt(M_TRIM_THRESHOLD, bytes) == 1 ? 0 : -EINVAL);
#else
  (void)info;
  return number(env, -ENOSYS);
#endif
}

/* open(turn) → the shared buffers, once per environment. */
CALL(api_open) {
  void *data = NULL;
  napi_value result = NULL, turn;
  size_t count = 1;
  uv_loop_t *uv;
  napi_valuetype type = napi_undefined;
  if (napi_get_cb_info(env, info, &count, &turn, NULL, NULL) != napi_ok || napi_typeof(env, turn, &type) != napi_ok) return NULL;
  if (napi_get_instance_data(env, &data) != napi_ok || data != NULL) return number(env, -EALREADY);
  if (type != napi_function) return number(env, -EINVAL);
  Loop *l = calloc(1, sizeof *l);
  if (l == NULL) return number(env, -ENOMEM);
  l->env = env;
  bool ok = napi_get_uv_event_loop(env, &uv) == napi_ok && shared_open(l, &result) &&
            napi_create_reference(env, turn, 1, &l->turn_ref) == napi_ok;
  int failed = ok ? loop_open(l, uv) : -ENOMEM;
  if (failed != 0) {
    shared_return(l);
    free(l);
    return number(env, failed);
  }
  /* From here on the loop has to be closed, by the hook or now. */
  if (napi_add_async_cleanup_hook(env, on_exit_of_env, l, &l->hook) != napi_ok || napi_set_instance_data(env, l, NULL, NULL) != napi_ok) {
    loop_close(l);
    return number(env, -ENOMEM);
  }
  return result;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
  } all[] = {{"open", api_open},       {"flush", api_flush},   {"wake", api_wake},     {"ref", api_ref},         {"slab", api_slab},
             {"listen", api_listen},   {"accept", api_accept}, {"pending", api_pending}, {"want", api_want},     {"dial", api_dial},
             {"write", api_write},     {"recv", api_recv},     {"read", api_read},     {"set", api_set}, {"info", api_info},       {"address", api_address}, {"host", api_host},
             {"release", api_release}, {"adopt", api_adopt},   {"close", api_close},
             {"share", api_share},     {"words", api_words},   {"mailbox", api_mailbox}, {"join", api_join},     {"give", api_give},
             {"unread", api_unread},   {"untaken", api_untaken}, {"waiting", api_waiting},
             {"keepFreed", api_keep_freed}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    napi_value fn;
    if (napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].call, NULL, &fn) != napi_ok) return NULL;
    if (napi_set_named_property(env, exports, all[i].name, fn) != napi_ok) return NULL;
  }
  return napi_set_named_property(env, exports, "layout", number(env, LAYOUT)) == napi_ok ? exports : NULL;
}
