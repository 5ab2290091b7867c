/* Connections from one thread to another. A descriptor is always owned by one: a slot of the giver's, a mailbox, or a slot of
   the taker's. It changes hands under the mailbox's mutex, in C, where the end of a JavaScript thread can't come between. */
#include "portside.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20, PEER = CTL_PATH - CTL_FAMILY + 1 };

typedef struct {
  double id;
  int fd, state;
  int32_t peer[PEER]; /* the control words of its address */
  bool adopted;
  Unread unread;
} Entry;

struct Mailbox {
  pthread_mutex_t lock;
  double id;
  Mailbox *next; /* guarded by the table's lock */
  bool joined;   /* changed under both locks */
  /* What follows is guarded by the mailbox's lock. */
  int filled; /* eventfd, readable while something is in */
  int freed;  /* eventfd, readable when there is room again and the giver waits for it */
  bool giver, taker, ended, starved;
  uint32_t capacity, head, count;
  Entry ring[];
};

/* The addon is loaded once per process: its threads find each other's mailboxes here. Lock it before a mailbox, never after. */
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static Mailbox *all;
static uint64_t last_id;

/* No id comes twice, and none of another copy of the addon is likely to be one of ours. */
static double fresh_id(void) {
  struct timespec now;
  if (last_id == 0 && getrandom(&last_id, sizeof last_id, GRND_NONBLOCK) != sizeof last_id) {
    clock_gettime(CLOCK_REALTIME, &now);
    last_id = (uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec;
  }
  /* A double holds 53 bits. */
  do last_id = (last_id + 1) & ((UINT64_C(1) << 53) - 1);
  while (last_id == 0);
  return (double)last_id;
}

static void ring_bell(int fd) {
  uint64_t one = 1;
  /* It is read before it is rung again, so it can't be full. */
  (void)!write(fd, &one, sizeof one);
}

static void hush(int fd) {
  uint64_t count;
  (void)!read(fd, &count, sizeof count);
}

static Entry *first(Mailbox *box) {
  return &box->ring[box->head];
}

static Entry pop(Mailbox *box) {
  Entry entry = *first(box);
  box->head = (box->head + 1) % box->capacity;
  if (--box->count == 0) hush(box->filled);
  if (box->starved) {
    box->starved = false;
    ring_bell(box->freed);
  }
  return entry;
}

static void discard(Entry entry) {
  setsockopt(entry.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
  close(entry.fd);
  free(entry.unread.bytes);
}

/* The giver's side of a new one. */
int32_t mailbox_open(Loop *l, int32_t capacity) {
  if (capacity < 1 || capacity > MOST) return -EINVAL;
  if (!slot_ready(l)) return -ENOMEM;
  Mailbox *box = calloc(1, sizeof *box + (size_t)capacity * sizeof *box->ring);
  if (box == NULL) return -ENOMEM;
  box->filled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  box->freed = box->filled < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (box->freed < 0) {
    int error = errno;
    if (box->filled >= 0) close(box->filled);
    free(box);
    return -error;
  }
  pthread_mutex_init(&box->lock, NULL);
  box->capacity = (uint32_t)capacity;
  box->giver = true;
  pthread_mutex_lock(&table);
  box->id = fresh_id();
  box->next = all;
  all = box;
  pthread_mutex_unlock(&table);
  memcpy(l->ctl + CTL_ID, &box->id, sizeof box->id);
  int32_t slot = slot_new(l, box->freed, OUTBOX);
  l->slots[slot].box = box;
  l->slots[slot].reading = true;
  arm(l, slot);
  if (l->slots[slot].registered) return slot;
  slot_free(l, slot, true);
  return -ENOMEM;
}

/* The taker's side: once per mailbox, while its giver is there. */
int32_t mailbox_join(Loop *l, double id) {
  if (!slot_ready(l)) return -ENOMEM;
  pthread_mutex_lock(&table);
  Mailbox *box = all;
  while (box != NULL && box->id != id) box = box->next;
  int32_t failed = box == NULL ? -ENOENT : box->joined ? -EBUSY : 0;
  if (failed == 0) {
    pthread_mutex_lock(&box->lock);
    box->joined = box->taker = true;
    pthread_mutex_unlock(&box->lock);
  }
  pthread_mutex_unlock(&table);
  if (failed < 0) return failed;
  int32_t slot = slot_new(l, box->filled, INBOX);
  l->slots[slot].box = box;
  return slot;
}

/* One side goes. What nobody can take any more is reset. */
void mailbox_leave(Mailbox *box, bool giver) {
  if (giver) {
    pthread_mutex_lock(&table);
    Mailbox **at = &all;
    while (*at != box) at = &(*at)->next;
    *at = box->next;
    pthread_mutex_unlock(&table);
  }
  pthread_mutex_lock(&box->lock);
  if (giver) box->giver = false;
  else box->taker = false;
  bool over = !box->giver && !box->taker;
  while (box->count > 0 && !box->giver && (over || box->ended)) discard(pop(box));
  pthread_mutex_unlock(&box->lock);
  if (!over) return;
  close(box->filled);
  close(box->freed);
  pthread_mutex_destroy(&box->lock);
  free(box);
}

/* Moves a channel of this thread into the mailbox: -EAGAIN when it is full, and it rings when it no longer is; -EPIPE when nobody will take it. */
int32_t mailbox_give(Loop *l, int32_t slot, Mailbox *box, double id, int state, Unread unread) {
  int32_t result = 0;
  pthread_mutex_lock(&box->lock);
  if (box->ended || (box->joined && !box->taker)) {
    result = -EPIPE;
  } else if (box->count == box->capacity) {
    box->starved = true;
    result = -EAGAIN;
  } else {
    Slot *s = &l->slots[slot];
    Entry *entry = &box->ring[(box->head + box->count) % box->capacity];
    *entry = (Entry){.id = id, .fd = s->fd, .state = state, .adopted = s->adopted, .unread = unread};
    memcpy(entry->peer, l->ctl + CTL_FAMILY, sizeof entry->peer);
    slot_free(l, slot, false);
    if (box->count++ == 0) ring_bell(box->filled);
  }
  pthread_mutex_unlock(&box->lock);
  return result;
}

/* The entry as a channel of this thread; `slot_ready` was asked. */
static int32_t arrive(Loop *l, const Entry *entry) {
  int32_t slot = slot_new(l, entry->fd, CHANNEL);
  Slot *s = &l->slots[slot];
  s->adopted = entry->adopted;
  s->eof = (entry->state & STATE_ENDED) != 0;
  s->shut = (entry->state & STATE_SHUT) != 0;
  memcpy(l->ctl + CTL_FAMILY, entry->peer, sizeof entry->peer);
  memcpy(l->ctl + CTL_ID, &entry->id, sizeof entry->id);
  l->ctl[CTL_STATE] = entry->state;
  free(l->unread.bytes);
  l->unread = entry->unread;
  return slot;
}

int32_t mailbox_take(Loop *l, Mailbox *box) {
  if (!slot_ready(l)) return -ENOMEM;
  int32_t slot = -EAGAIN;
  pthread_mutex_lock(&box->lock);
  if (box->count > 0 && !box->ended) {
    Entry entry = pop(box);
    slot = arrive(l, &entry);
  }
  pthread_mutex_unlock(&box->lock);
  return slot;
}

/* Takes one back; nothing is given or taken any more. -EAGAIN: there is no other. -ENOMEM: one is lost, whose id is in the control words. */
int32_t mailbox_untaken(Loop *l, Mailbox *box) {
  bool ready = slot_ready(l);
  int32_t slot = -EAGAIN;
  pthread_mutex_lock(&box->lock);
  box->ended = true;
  if (box->count > 0) {
    Entry entry = pop(box);
    if (ready) {
      slot = arrive(l, &entry);
    } else {
      memcpy(l->ctl + CTL_ID, &entry.id, sizeof entry.id);
      discard(entry);
      slot = -ENOMEM;
    }
  }
  pthread_mutex_unlock(&box->lock);
  return slot;
}

/* Who finds it full is rung for when it no longer is. */
int32_t mailbox_waiting(Mailbox *box) {
  pthread_mutex_lock(&box->lock);
  int32_t count = (int32_t)box->count;
  if (box->count == box->capacity) box->starved = true;
  pthread_mutex_unlock(&box->lock);
  return count;
}

/* The bell has rung for the giver: whether there is room still. If not, it rings again. */
bool mailbox_room(Mailbox *box) {
  pthread_mutex_lock(&box->lock);
  hush(box->freed);
  bool room = box->count < box->capacity;
  box->starved = !room;
  pthread_mutex_unlock(&box->lock);
  return room;
}
