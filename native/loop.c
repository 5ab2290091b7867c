/* The turn: epoll, reads, one call into JavaScript, and the flush of what it gathered. */
#include "portside.h"
#include <stdlib.h>
#include <unistd.h>

enum { WAIT = 256, ROUNDS = 4, PIECES = 64 };

/* The memory that a send names, or false when it names none. */
static bool piece(Loop *l, const int32_t *op, struct iovec *iov) {
  bool slab = op[2] == OP_SLAB;
  if (!slab && op[2] != OP_ARENA) return false;
  int64_t at = op[3], length = op[4];
  if (at < 0 || length <= 0 || at + length > (slab ? SLAB_BYTES : ARENA_BYTES)) return false;
  *iov = (struct iovec){.iov_base = (slab ? l->slab : l->arena) + at, .iov_len = (size_t)length};
  return true;
}

void loop_flush(Loop *l) {
  int32_t count = l->ctl[CTL_OPS], *ops = l->ops;
  if (count == 0) return;
  if (count < 0 || count > OPS) count = 0;
  Tuples *out = l->out;
  l->out = &l->results;
  for (int32_t i = 0; i < count; i++) {
    int32_t *op = ops + i * OP_INTS, slot = op[0], gen = op[1];
    if (op[2] == OP_NONE) continue;
    Slot *s = slot_at(l, slot, gen);
    if (s == NULL || s->kind != CHANNEL) continue;
    if (op[2] >= OP_READ_ON) {
      channel_op(l, slot, op[2], op[3]);
      continue;
    }
    struct iovec iov[PIECES];
    int pieces = 0;
    for (int32_t at = i; pieces < PIECES;) {
      int32_t *part = ops + at * OP_INTS;
      if (part[0] != slot || part[1] != gen || !piece(l, part, &iov[pieces])) break;
      pieces++;
      part[2] = OP_NONE;
      int32_t next = part[5];
      if (next <= at || next >= count) break;
      at = next;
    }
    if (pieces > 0) channel_send(l, slot, iov, pieces);
  }
  l->ctl[CTL_OPS] = l->ctl[CTL_ARENA] = 0;
  /* It comes round, some hours into a busy day. */
  l->ctl[CTL_EPOCH] = (int32_t)((uint32_t)l->ctl[CTL_EPOCH] + 1);
  l->out = out;
}

static bool turn(Loop *l) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(l->env, &scope) != napi_ok) return false;
  napi_value self, fn;
  bool ok = napi_get_reference_value(l->env, l->self_ref, &self) == napi_ok &&
            napi_get_reference_value(l->env, l->turn_ref, &fn) == napi_ok;
  /* Ticks and microtasks run before this returns, so what they write leaves with the rest. */
  napi_status status = ok ? napi_make_callback(l->env, NULL, self, fn, 0, NULL, NULL) : napi_generic_failure;
  if (status == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(l->env, &error) == napi_ok) napi_fatal_exception(l->env, error);
  }
  napi_close_handle_scope(l->env, scope);
  l->ctl[CTL_EVENTS] = 0;
  return status == napi_ok;
}

static void on_idle(uv_idle_t *idle) {
  /* The prepare handle comes next and does the work. */
  uv_idle_stop(idle);
}

void loop_wake(Loop *l) {
  uv_idle_start(l->idle, on_idle);
}

/* Sends what JavaScript gathered and tells what came of it, until both are quiet or others deserve the loop. */
static void settle(Loop *l) {
  for (int round = 0;; round++) {
    loop_flush(l);
    if (l->ctl[CTL_RESULTS] == 0 && l->ctl[CTL_DEFERRED] == 0) return;
    if (round == ROUNDS) return loop_wake(l);
    if (!turn(l)) return;
  }
}

static void on_prepare(uv_prepare_t *prepare) {
  Loop *l = uv_handle_get_data((uv_handle_t *)prepare);
  if (l->busy || (l->ctl[CTL_OPS] == 0 && l->ctl[CTL_RESULTS] == 0 && l->ctl[CTL_DEFERRED] == 0)) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(l->env, &scope) != napi_ok) return;
  l->busy = true;
  settle(l);
  l->busy = false;
  napi_close_handle_scope(l->env, scope);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  Loop *l = uv_handle_get_data((uv_handle_t *)poll);
  if (l->busy || status < 0 || (events & UV_READABLE) == 0) return;
  struct epoll_event ready[WAIT];
  int count = epoll_wait(l->ep, ready, WAIT, 0);
  if (count <= 0) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(l->env, &scope) != napi_ok) return;
  l->busy = true;
  /* What the loop's other phases gathered may be in the slab that is about to be filled. */
  loop_flush(l);
  for (int i = 0; i < count;) {
    l->slab_at = 0;
    l->ctl[CTL_EVENTS] = 0;
    l->out = &l->events;
    /* One descriptor gives at most 6 tuples. */
    for (; i < count && l->ctl[CTL_EVENTS] <= TUPLES - 6 && SLAB_BYTES - l->slab_at >= LEAST_READ; i++) {
      int32_t slot = (int32_t)(uint32_t)ready[i].data.u64;
      Slot *s = slot_at(l, slot, (int32_t)(ready[i].data.u64 >> 32));
      if (s == NULL) continue;
      if (s->kind == CHANNEL) channel_ready(l, slot, ready[i].events);
      else if (s->kind == DIAL) dial_ready(l, slot);
      else if (s->kind != OUTBOX || mailbox_room(s->box)) emit(l, slot, EV_ACCEPT, 0, 0);
    }
    l->out = &l->results;
    bool told = l->ctl[CTL_EVENTS] <= 0 || turn(l);
    slots_told(l);
    if (!told) break;
    settle(l);
  }
  l->busy = false;
  napi_close_handle_scope(l->env, scope);
}

static void *handle(Loop *l, int type) {
  void *h = calloc(1, uv_handle_size(type));
  if (h != NULL) uv_handle_set_data(h, l);
  return h;
}

static void on_closed(uv_handle_t *h) {
  Loop *l = uv_handle_get_data(h);
  free(h);
  if (--l->open_handles > 0) return;
  close(l->ep);
  free(l->slots);
  shared_return(l);
  napi_async_cleanup_hook_handle hook = l->hook;
  free(l);
  if (hook != NULL) napi_remove_async_cleanup_hook(hook);
}

/* Closes every descriptor; the handles and the loop itself go when libuv has let go of them. */
void loop_close(Loop *l) {
  for (int32_t i = 0; i < l->nslots; i++) {
    if (l->slots[i].kind != FREE) slot_free(l, i, true);
  }
  free(l->unread.bytes);
  l->unread = (Unread){0};
  napi_set_instance_data(l->env, NULL, NULL, NULL);
  napi_delete_reference(l->env, l->slab_ref);
  napi_delete_reference(l->env, l->turn_ref);
  napi_delete_reference(l->env, l->self_ref);
  l->busy = true;
  l->open_handles = 3;
  uv_close((uv_handle_t *)l->poll, on_closed);
  uv_close((uv_handle_t *)l->prepare, on_closed);
  uv_close((uv_handle_t *)l->idle, on_closed);
}

int loop_open(Loop *l, uv_loop_t *uv) {
  l->free_slot = l->parked_slot = -1;
  l->ep = epoll_create1(EPOLL_CLOEXEC);
  if (l->ep < 0) return -errno;
  l->poll = handle(l, UV_POLL);
  l->prepare = handle(l, UV_PREPARE);
  l->idle = handle(l, UV_IDLE);
  int failed = l->poll == NULL || l->prepare == NULL || l->idle == NULL ? -ENOMEM : uv_poll_init(uv, l->poll, l->ep);
  if (failed != 0) {
    free(l->poll);
    free(l->prepare);
    free(l->idle);
    close(l->ep);
    return failed;
  }
  /* These three can't fail. */
  uv_prepare_init(uv, l->prepare);
  uv_idle_init(uv, l->idle);
  uv_prepare_start(l->prepare, on_prepare);
  uv_unref((uv_handle_t *)l->prepare);
  uv_unref((uv_handle_t *)l->poll);
  uv_poll_start(l->poll, UV_READABLE, on_poll);
  return 0;
}
