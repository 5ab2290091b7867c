/* Sockets: bind and listen, accept, dial, adopt, and addresses. */
#include "portside.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
  struct sockaddr_storage room;
} Name;

static int set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

static int ip_name(Name *name, socklen_t *length, const char *host, int32_t port) {
  memset(name, 0, sizeof *name);
  if (port < 0 || port > 65535) return -EINVAL;
  if (inet_pton(AF_INET, host, &name->in.sin_addr) == 1) {
    name->in.sin_family = AF_INET;
    name->in.sin_port = htons((uint16_t)port);
    *length = sizeof name->in;
    return 0;
  }
  char bare[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  size_t size = strlen(host);
  if (size >= sizeof bare) return -EINVAL;
  memcpy(bare, host, size + 1);
  char *zone = strchr(bare, '%');
  if (zone != NULL) {
    *zone++ = 0;
    name->in6.sin6_scope_id = if_nametoindex(zone);
    for (uint32_t n = 0; name->in6.sin6_scope_id == 0 && *zone >= '0' && *zone <= '9' && n < 10000000; zone++) {
      n = n * 10 + (uint32_t)(*zone - '0');
      if (zone[1] == 0) name->in6.sin6_scope_id = n;
    }
    if (name->in6.sin6_scope_id == 0) return -ENODEV;
  }
  if (inet_pton(AF_INET6, bare, &name->in6.sin6_addr) != 1) return -EINVAL;
  name->in6.sin6_family = AF_INET6;
  name->in6.sin6_port = htons((uint16_t)port);
  *length = sizeof name->in6;
  return 0;
}

static int unix_name(Name *name, socklen_t *length, const char *path, size_t size) {
  memset(name, 0, sizeof *name);
  name->un.sun_family = AF_UNIX;
  bool abstract = size > 0 && path[0] == 0;
  if (size == 0 || (!abstract && memchr(path, 0, size) != NULL)) return -EINVAL;
  if (size + !abstract > sizeof name->un.sun_path) return -ENAMETOOLONG;
  memcpy(name->un.sun_path, path, size);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + !abstract);
  return 0;
}

/* Puts an address into the control words; `path` gets a unix name. */
static void tell(Loop *l, const Name *name, socklen_t length, char *path) {
  int32_t *ctl = l->ctl;
  memset(ctl + CTL_HOST, 0, 16);
  ctl[CTL_SCOPE] = ctl[CTL_PORT] = ctl[CTL_PATH] = 0;
  if (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&name->in6.sin6_addr)) {
    /* An IPv4 address stays a number in JavaScript, whatever the listener is bound to. */
    ctl[CTL_FAMILY] = 4;
    ctl[CTL_PORT] = ntohs(name->in6.sin6_port);
    memcpy(ctl + CTL_HOST, (const char *)&name->in6.sin6_addr + 12, 4);
  } else if (name->any.sa_family == AF_INET) {
    ctl[CTL_FAMILY] = 4;
    ctl[CTL_PORT] = ntohs(name->in.sin_port);
    memcpy(ctl + CTL_HOST, &name->in.sin_addr, 4);
  } else if (name->any.sa_family == AF_INET6) {
    ctl[CTL_FAMILY] = 6;
    ctl[CTL_PORT] = ntohs(name->in6.sin6_port);
    ctl[CTL_SCOPE] = (int32_t)name->in6.sin6_scope_id;
    memcpy(ctl + CTL_HOST, &name->in6.sin6_addr, 16);
  } else {
    ctl[CTL_FAMILY] = 1;
    size_t head = offsetof(struct sockaddr_un, sun_path), size = length > head ? length - head : 0;
    if (size > sizeof name->un.sun_path) size = sizeof name->un.sun_path;
    if (size > 0 && name->un.sun_path[0] != 0) size = strnlen(name->un.sun_path, size);
    ctl[CTL_PATH] = (int32_t)size;
    if (path != NULL) memcpy(path, name->un.sun_path, size);
  }
}

static int failed(int fd) {
  int error = errno;
  close(fd);
  return -error;
}

/* A descriptor from outside: it has to be a stream socket, and becomes non-blocking and ours. With two slots the second to close
   would close whatever has the number by then. */
static int check(Loop *l, int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  if (fd < 0) return -EBADF;
  for (int32_t i = 0; i < l->nslots; i++) {
    if (l->slots[i].kind != FREE && l->slots[i].fd == fd) return -EBUSY;
  }
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
  if (type != SOCK_STREAM) return -ESOCKTNOSUPPORT;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  return 0;
}

int32_t socket_listen(Loop *l, int kind, const char *host, size_t size, int32_t port, int flags, int backlog) {
  Name name;
  socklen_t length = 0;
  int fd = port, bad;
  if (kind == KIND_FD) {
    bad = check(l, fd);
    if (bad < 0) return bad;
    if (listen(fd, backlog) < 0) return -errno;
  } else {
    bad = kind == KIND_UNIX ? unix_name(&name, &length, host, size) : ip_name(&name, &length, host, port);
    if (bad < 0) return bad;
    fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (kind == KIND_TCP) {
      if ((flags & LISTEN_REUSE_ADDRESS) && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0) return failed(fd);
      if ((flags & LISTEN_REUSE_PORT) && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0) return failed(fd);
      if (name.any.sa_family == AF_INET6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & LISTEN_IPV6_ONLY) != 0) < 0) return failed(fd);
    }
    if (bind(fd, &name.any, length) < 0) return failed(fd);
    if (listen(fd, backlog) < 0) {
      int error = failed(fd);
      if (kind == KIND_UNIX && host[0] != 0) unlink(host);
      return error;
    }
  }
  int32_t slot = slot_new(l, fd, LISTENER);
  if (slot >= 0) l->slots[slot].adopted = kind == KIND_FD;
  return slot;
}

/* The next connection, or -EAGAIN, or what stands in the way of the process. What befell a single connection is passed over (accept(2)). */
int32_t socket_accept(Loop *l, int32_t slot) {
  Name name;
  for (int tries = 0; tries < 1024; tries++) {
    socklen_t length = sizeof name;
    int fd = accept4(l->slots[slot].fd, &name.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      tell(l, &name, length, NULL);
      l->ctl[CTL_STATE] = 0;
      return slot_new(l, fd, CHANNEL);
    }
    switch (errno) {
      case EAGAIN: case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM: case EBADF: case EINVAL: case ENOTSOCK:
        return -errno;
    }
  }
  return -EAGAIN;
}

int32_t socket_dial(Loop *l, int kind, const char *host, size_t size, int32_t port, const char *local, int32_t local_port) {
  Name name, from;
  socklen_t length = 0, from_length = 0;
  int bad = kind == KIND_UNIX ? unix_name(&name, &length, host, size) : ip_name(&name, &length, host, port);
  if (bad == 0 && local != NULL) bad = ip_name(&from, &from_length, local, local_port);
  if (bad < 0) return bad;
  int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (local != NULL) {
    if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0) return failed(fd);
    /* Lets the kernel choose the port when it knows the peer, so that ports are not used up; best effort. */
    if (local_port == 0) set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(fd, &from.any, from_length) < 0) return failed(fd);
  }
  int done = connect(fd, &name.any, length);
  if (done < 0 && errno != EINPROGRESS && errno != EINTR) return failed(fd);
  int32_t slot = slot_new(l, fd, DIAL);
  if (slot < 0) return slot;
  arm(l, slot);
  if (l->slots[slot].registered) return slot;
  slot_free(l, slot, true);
  return -ENOMEM;
}

void dial_ready(Loop *l, int32_t slot) {
  Slot *s = &l->slots[slot];
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  emit(l, slot, EV_CONNECT, error, 0);
  if (error != 0) return slot_free(l, slot, true);
  s->kind = CHANNEL;
}

int32_t socket_adopt(Loop *l, int fd, bool ended) {
  int bad = check(l, fd);
  if (bad < 0) return bad;
  int32_t slot = slot_new(l, fd, CHANNEL);
  if (slot < 0) return slot;
  l->slots[slot].adopted = true;
  l->slots[slot].eof = ended;
  return slot;
}

int32_t socket_address(Loop *l, int32_t slot, bool peer, char path[128]) {
  Name name;
  socklen_t length = sizeof name;
  memset(&name, 0, sizeof name);
  int fd = l->slots[slot].fd;
  if ((peer ? getpeername(fd, &name.any, &length) : getsockname(fd, &name.any, &length)) < 0) return -errno;
  tell(l, &name, length, path);
  return 0;
}

/* The text of an IP address into the control words. */
int32_t socket_words(Loop *l, const char *host, int32_t port) {
  Name name;
  socklen_t length = 0;
  int bad = ip_name(&name, &length, host, port);
  if (bad == 0) tell(l, &name, length, NULL);
  return bad;
}
