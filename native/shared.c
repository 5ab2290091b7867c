/* The memory that JavaScript sees. User code is shown views of the slab and may transfer its ArrayBuffer, or any, to wherever it
   likes, and nobody tells when it has: so this memory is never freed, but goes to the next thread that needs such a piece. All
   that is read in it is checked, whoever wrote it. */
#include "portside.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CTL, OPERATIONS, EVENTS, DONE, ARENA, SLAB, COUNT };

struct Piece {
  Piece *next;
  void *parts[COUNT];
};

static const struct {
  const char *name;
  size_t size;
} parts[COUNT] = {
  [CTL] = {"ctl", CTL_INTS * sizeof(int32_t)},
  [OPERATIONS] = {"ops", OPS * OP_INTS * sizeof(int32_t)},
  [EVENTS] = {"events", TUPLES * TUPLE_INTS * sizeof(int32_t)},
  [DONE] = {"results", RESULTS * TUPLE_INTS * sizeof(int32_t)},
  [ARENA] = {"arena", ARENA_BYTES},
  [SLAB] = {"slab", SLAB_BYTES},
};

/* Those that no thread uses. The library is never unloaded (-z nodelete), so this stays. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Piece *unused;

static Piece *take(void) {
  pthread_mutex_lock(&lock);
  Piece *piece = unused;
  if (piece != NULL) unused = piece->next;
  pthread_mutex_unlock(&lock);
  if (piece != NULL) {
    memset(piece->parts[CTL], 0, parts[CTL].size);
    return piece;
  }
  piece = calloc(1, sizeof *piece);
  for (int i = 0; piece != NULL && i < COUNT; i++) {
    piece->parts[i] = calloc(1, parts[i].size);
    if (piece->parts[i] != NULL) continue;
    while (i > 0) free(piece->parts[--i]);
    free(piece);
    piece = NULL;
  }
  return piece;
}

void shared_return(Loop *l) {
  if (l->piece == NULL) return;
  pthread_mutex_lock(&lock);
  l->piece->next = unused;
  unused = l->piece;
  pthread_mutex_unlock(&lock);
  l->piece = NULL;
}

static bool shown(Loop *l, int which, napi_value *value) {
  return napi_create_external_arraybuffer(l->env, l->piece->parts[which], parts[which].size, NULL, NULL, value) == napi_ok;
}

/* The object whose properties are the shared memory. */
bool shared_open(Loop *l, napi_value *object) {
  napi_property_descriptor all[COUNT] = {0};
  l->piece = take();
  if (l->piece == NULL) return false;
  l->ctl = l->piece->parts[CTL];
  l->ops = l->piece->parts[OPERATIONS];
  l->arena = l->piece->parts[ARENA];
  l->slab = l->piece->parts[SLAB];
  l->events = (Tuples){.at = l->piece->parts[EVENTS], .count = l->ctl + CTL_EVENTS, .cap = TUPLES};
  l->results = (Tuples){.at = l->piece->parts[DONE], .count = l->ctl + CTL_RESULTS, .cap = RESULTS};
  l->out = &l->results;
  for (int i = 0; i < COUNT; i++) {
    all[i].utf8name = parts[i].name;
    all[i].attributes = napi_enumerable;
    if (!shown(l, i, &all[i].value)) return false;
  }
  return napi_create_object(l->env, object) == napi_ok && napi_define_properties(l->env, *object, COUNT, all) == napi_ok &&
         napi_create_reference(l->env, *object, 1, &l->self_ref) == napi_ok &&
         napi_create_reference(l->env, all[SLAB].value, 1, &l->slab_ref) == napi_ok;
}

/* The ArrayBuffer over the slab. Views of one that was transferred are empty, and another takes its place. */
napi_value shared_slab(Loop *l) {
  napi_value value = NULL;
  bool detached = true;
  napi_ref ref;
  if (napi_get_reference_value(l->env, l->slab_ref, &value) != napi_ok || value == NULL) return NULL;
  if (napi_is_detached_arraybuffer(l->env, value, &detached) != napi_ok) return NULL;
  if (!detached) return value;
  if (!shown(l, SLAB, &value) || napi_create_reference(l->env, value, 1, &ref) != napi_ok) return NULL;
  napi_delete_reference(l->env, l->slab_ref);
  l->slab_ref = ref;
  return value;
}
