/* Slots, and what a connection does: reads into the slab, sends, holds the rest, ends. */
#include "portside.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void emit(Loop *l, int32_t slot, int code, int32_t a, int32_t b) {
  Tuples *t = l->out;
  int32_t count = *(volatile int32_t *)t->count;
  /* Callers keep room, and JavaScript the count: this makes errors of either harmless to memory. */
  if (count < 0 || count >= t->cap) return;
  int32_t *at = t->at + count * TUPLE_INTS;
  at[0] = slot, at[1] = l->slots[slot].gen, at[2] = code, at[3] = a, at[4] = b;
  *t->count = count + 1;
}

Slot *slot_at(Loop *l, int32_t slot, int32_t gen) {
  if (slot < 0 || slot >= l->nslots) return NULL;
  Slot *s = &l->slots[slot];
  return s->kind != FREE && s->gen == gen ? s : NULL;
}

/* Whether there is memory for one slot more; `slot_new` does not fail then. */
bool slot_ready(Loop *l) {
  if (l->free_slot >= 0) return true;
  int32_t more = l->nslots == 0 ? 64 : l->nslots;
  Slot *slots = l->nslots >= 1 << 28 ? NULL : realloc(l->slots, (size_t)(l->nslots + more) * sizeof *slots);
  if (slots == NULL) return false;
  memset(slots + l->nslots, 0, (size_t)more * sizeof *slots);
  for (int32_t i = l->nslots + more - 1; i >= l->nslots; i--) {
    slots[i].fd = l->free_slot;
    l->free_slot = i;
  }
  l->slots = slots;
  l->nslots += more;
  return true;
}

/* Takes the descriptor over: it is closed when there is no memory for a slot. */
int32_t slot_new(Loop *l, int fd, int kind) {
  if (!slot_ready(l)) {
    close(fd);
    return -ENOMEM;
  }
  int32_t slot = l->free_slot;
  Slot *s = &l->slots[slot];
  l->free_slot = s->fd;
  *s = (Slot){.fd = fd, .gen = s->gen, .kind = (uint8_t)kind};
  l->ctl[CTL_GEN] = s->gen;
  return slot;
}

void slot_free(Loop *l, int32_t slot, bool close_fd) {
  Slot *s = &l->slots[slot];
  /* Closing takes a descriptor out of epoll, unless somebody else has a copy of it. */
  if (s->registered && (!close_fd || s->adopted || s->kind == LISTENER || s->kind >= INBOX)) epoll_ctl(l->ep, EPOLL_CTL_DEL, s->fd, NULL);
  if (s->kind == INBOX || s->kind == OUTBOX) {
    mailbox_leave(s->box, s->kind == OUTBOX);
  } else {
    if (close_fd) close(s->fd);
    free(s->rest);
  }
  /* JavaScript knows it by its slot until it has heard of its end, and may take a new one before that in the same batch. */
  int32_t *list = l->out == &l->events ? &l->parked_slot : &l->free_slot;
  *s = (Slot){.fd = *list, .gen = (s->gen + 1) & INT32_MAX, .kind = FREE};
  *list = slot;
}

/* The events were told: the slots of those that ended among them can be given to others. */
void slots_told(Loop *l) {
  while (l->parked_slot >= 0) {
    int32_t slot = l->parked_slot;
    l->parked_slot = l->slots[slot].fd;
    l->slots[slot].fd = l->free_slot;
    l->free_slot = slot;
  }
}

/* Brings epoll's registration in line with what is wanted. */
void arm(Loop *l, int32_t slot) {
  Slot *s = &l->slots[slot];
  uint32_t want = 0;
  bool keep = false;
  if (s->kind == LISTENER || s->kind >= INBOX) {
    want = s->reading ? EPOLLIN : 0;
  } else if (s->kind == DIAL) {
    want = EPOLLOUT;
  } else {
    if (s->reading && !s->eof) want |= EPOLLIN | EPOLLRDHUP;
    if (s->rest_len > 0 || s->want_out) want |= EPOLLOUT;
    /* After the peer's FIN a registration without events still tells its reset. */
    keep = s->reading && s->eof && !s->muted;
  }
  struct epoll_event event = {.events = want, .data.u64 = (uint64_t)(uint32_t)s->gen << 32 | (uint32_t)slot};
  int done = 0;
  if (want == 0 && !keep) {
    /* Errors and hang-ups are reported for as long as a descriptor is registered, and would spin. */
    if (s->registered) done = epoll_ctl(l->ep, EPOLL_CTL_DEL, s->fd, NULL);
    s->registered = false;
  } else if (!s->registered) {
    done = epoll_ctl(l->ep, EPOLL_CTL_ADD, s->fd, &event);
    s->registered = done == 0;
  } else if (s->armed != want) {
    done = epoll_ctl(l->ep, EPOLL_CTL_MOD, s->fd, &event);
  }
  s->armed = want;
  if (done < 0 && s->kind == CHANNEL) emit(l, slot, EV_READ_ERROR, errno, 0);
}

static void write_failed(Loop *l, int32_t slot, int error) {
  Slot *s = &l->slots[slot];
  free(s->rest);
  s->rest = NULL;
  s->rest_at = s->rest_len = 0;
  /* JavaScript reads what had arrived before the failure by itself. */
  s->want_out = s->reading = false;
  s->eof = true;
  arm(l, slot);
  emit(l, slot, EV_WRITE_ERROR, error, 0);
}

/* The output is all with the kernel: what waited for that. */
static void written(Loop *l, int32_t slot) {
  Slot *s = &l->slots[slot];
  if (s->closing) {
    emit(l, slot, EV_CLOSED, 0, 0);
    slot_free(l, slot, true);
  } else if (s->shut) {
    shutdown(s->fd, SHUT_WR);
    emit(l, slot, EV_SHUT, 0, 0);
  }
}

static ssize_t send_iov(int fd, struct iovec *iov, int count) {
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
  ssize_t n;
  do n = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) : sendmsg(fd, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n;
}

void channel_send(Loop *l, int32_t slot, struct iovec *iov, int count) {
  Slot *s = &l->slots[slot];
  if (s->shut || s->closing) return;
  ssize_t n = 0;
  if (s->rest_len == 0) {
    n = send_iov(s->fd, iov, count);
    if (n < 0 && errno != EAGAIN) return write_failed(l, slot, errno);
    if (n < 0) n = 0;
  }
  size_t left = 0;
  for (int i = 0; i < count; i++) left += iov[i].iov_len;
  left -= (size_t)n;
  if (left == 0) return;
  char *rest = left > INT32_MAX - s->rest_len ? NULL : malloc(s->rest_len + left);
  if (rest == NULL) return write_failed(l, slot, ENOMEM);
  if (s->rest_len > 0) memcpy(rest, s->rest + s->rest_at, s->rest_len);
  for (int i = 0; i < count; i++) {
    size_t skip = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
    n -= (ssize_t)skip;
    memcpy(rest + s->rest_len, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
    s->rest_len += (uint32_t)(iov[i].iov_len - skip);
  }
  free(s->rest);
  s->rest = rest;
  s->rest_at = 0;
  arm(l, slot);
  emit(l, slot, EV_REST, (int32_t)s->rest_len, 0);
}

/* Sends straight from the caller's memory; how much was taken. Asks for EV_REST when not all was; a failure is a result, and takes all. */
ssize_t channel_write(Loop *l, int32_t slot, const char *bytes, size_t length) {
  Slot *s = &l->slots[slot];
  if (s->shut || s->closing) return -EPIPE;
  ssize_t n = 0;
  if (s->rest_len == 0) {
    struct iovec iov = {.iov_base = (char *)bytes, .iov_len = length};
    n = send_iov(s->fd, &iov, 1);
    if (n < 0 && errno != EAGAIN) {
      write_failed(l, slot, errno);
      return (ssize_t)length;
    }
    if (n < 0) n = 0;
  }
  if ((size_t)n < length) {
    s->want_out = true;
    arm(l, slot);
  }
  return n;
}

static void drain(Loop *l, int32_t slot) {
  Slot *s = &l->slots[slot];
  struct iovec iov = {.iov_base = s->rest + s->rest_at, .iov_len = s->rest_len};
  ssize_t n = send_iov(s->fd, &iov, 1);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return write_failed(l, slot, errno);
  s->rest_at += (uint32_t)n;
  s->rest_len -= (uint32_t)n;
  emit(l, slot, EV_REST, (int32_t)s->rest_len, 0);
  if (s->rest_len > 0) return;
  free(s->rest);
  s->rest = NULL;
  s->want_out = false;
  arm(l, slot);
  written(l, slot);
}

/* Reads once; true when the socket may have something more to say at once. */
static bool receive(Loop *l, int32_t slot) {
  Slot *s = &l->slots[slot];
  uint32_t room = SLAB_BYTES - l->slab_at;
  if (room > PIECE_BYTES) room = PIECE_BYTES;
  if (room == 0) return false;
  ssize_t n;
  do n = recv(s->fd, l->slab + l->slab_at, room, 0);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    emit(l, slot, EV_DATA, (int32_t)l->slab_at, (int32_t)n);
    l->slab_at += ((uint32_t)n + 7) & ~7U;
    return (uint32_t)n < room;
  }
  if (n == 0) {
    s->eof = true;
    emit(l, slot, EV_END, 0, 0);
  } else if (errno != EAGAIN) {
    int error = errno;
    s->reading = false;
    arm(l, slot);
    emit(l, slot, EV_READ_ERROR, error, 0);
  }
  return false;
}

void channel_ready(Loop *l, int32_t slot, uint32_t events) {
  Slot *s = &l->slots[slot];
  int32_t gen = s->gen;
  const uint32_t broken = EPOLLERR | EPOLLHUP;
  bool used = false;
  if (events & (EPOLLOUT | broken)) {
    if (s->rest_len > 0) {
      used = true;
      drain(l, slot);
      s = slot_at(l, slot, gen);
      if (s == NULL) return;
    } else if (s->want_out) {
      used = true;
      s->want_out = false;
      emit(l, slot, EV_REST, 0, 0);
    }
  }
  if (s->reading && !s->eof && (events & (EPOLLIN | EPOLLRDHUP | broken))) {
    if (s->own) return emit(l, slot, EV_READABLE, (events & EPOLLRDHUP) != 0, 0);
    /* With the peer's FIN in, a second read finds the end now and saves a round of the loop. */
    if (receive(l, slot) && (events & EPOLLRDHUP)) receive(l, slot);
    return;
  }
  if (used) return;
  if ((events & broken) && s->reading && s->eof && !s->muted) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    s->muted = true;
    if (error != 0) emit(l, slot, EV_READ_ERROR, error, 0);
  }
  /* What was told is no longer wanted: interest is only taken back here, when it costs a wake-up. */
  arm(l, slot);
}

/* Reads once into the caller's memory, for a channel that only tells: how much, 0 for the end, or -errno. */
ssize_t channel_read(Loop *l, int32_t slot, char *bytes, size_t length) {
  Slot *s = &l->slots[slot];
  if (!s->reading || s->eof) return -EAGAIN;
  ssize_t n;
  do n = recv(s->fd, bytes, length, 0);
  while (n < 0 && errno == EINTR);
  if (n > 0) return n;
  if (n == 0) {
    s->eof = true;
    return 0;
  }
  int error = errno;
  if (error != EAGAIN) {
    s->reading = false;
    arm(l, slot);
  }
  return -error;
}

void channel_op(Loop *l, int32_t slot, int code, int32_t value) {
  Slot *s = &l->slots[slot];
  switch (code) {
    case OP_READ_ON:
    case OP_READ_OFF:
      if (s->closing) return;
      s->reading = code == OP_READ_ON;
      s->own = value == 1;
      arm(l, slot);
      return;
    case OP_SHUTDOWN:
      if (s->shut || s->closing) return;
      s->shut = true;
      if (s->rest_len == 0) written(l, slot);
      return;
    case OP_CLOSE_FLUSHED:
      if (s->closing) return;
      s->closing = true;
      s->reading = false;
      if (s->rest_len == 0) written(l, slot);
      else arm(l, slot);
      return;
    case OP_RESET:
      setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
      /* fall through */
    case OP_CLOSE:
      slot_free(l, slot, true);
      return;
  }
}
