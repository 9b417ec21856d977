/*
 * Preloaded into a real program: its netlink sockets become those of a lab.
 *
 * Each socket is a connection to the Unix socket $VDPALAB_NETLINK. A call is a request of six 32-bit words (operation,
 * three arguments, lengths of address and data) and those bytes; the answer is three words (errno or 0, lengths of
 * address and data) and those bytes. Names of interfaces are not looked up on the host.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OPEN = 1, BIND, GETSOCKNAME, SETSOCKOPT, SEND, RECEIVE };

static char ours[1024];
static unsigned char buffer[1 << 20];

static int is_ours(int fd) { return fd >= 0 && fd < (int)sizeof(ours) && ours[fd]; }

static int whole(int fd, void *at, size_t len, int writes)
{
	for (unsigned char *p = at; len > 0;) {
		ssize_t n = writes ? write(fd, p, len) : read(fd, p, len);
		if (n <= 0) return -1;
		p += n;
		len -= n;
	}
	return 0;
}

/* Address and data of the answer end up in buffer, one behind the other. */
static int call(int fd, const uint32_t args[4], const void *addr, uint32_t addr_len, const void *data, uint32_t len, uint32_t got[3])
{
	uint32_t head[6] = { args[0], args[1], args[2], args[3], addr_len, len };

	if (whole(fd, head, sizeof(head), 1) || whole(fd, (void *)addr, addr_len, 1) || whole(fd, (void *)data, len, 1)
	    || whole(fd, got, 12, 0) || got[1] + (uint64_t)got[2] > sizeof(buffer) || whole(fd, buffer, got[1] + got[2], 0)) {
		errno = EIO;
		return -1;
	}
	if (got[0] == 0) return 0;
	errno = got[0];
	return -1;
}

int socket(int domain, int type, int protocol)
{
	int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
	const char *path = getenv("VDPALAB_NETLINK");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint32_t got[3];
	int fd;

	if (domain != AF_NETLINK || !path) return real(domain, type, protocol);
	fd = real(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || fd >= (int)sizeof(ours)) return fd;
	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))
	    || call(fd, (uint32_t[]){ OPEN, type & 15, protocol, 0 }, NULL, 0, NULL, 0, got)) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	ours[fd] = 1;
	return fd;
}

int close(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "close");
	if (is_ours(fd)) ours[fd] = 0;
	return real(fd);
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	uint32_t got[3];
	if (!is_ours(fd)) return real(fd, addr, len);
	return call(fd, (uint32_t[]){ BIND, 0, 0, 0 }, addr, len, NULL, 0, got);
}

int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "getsockname");
	uint32_t got[3];
	if (!is_ours(fd)) return real(fd, addr, len);
	if (call(fd, (uint32_t[]){ GETSOCKNAME, 0, 0, 0 }, NULL, 0, NULL, 0, got)) return -1;
	memcpy(addr, buffer, got[1] < *len ? got[1] : *len);
	*len = got[1];
	return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
	uint32_t got[3];
	if (!is_ours(fd)) return real(fd, level, name, value, len);
	return call(fd, (uint32_t[]){ SETSOCKOPT, level, name, 0 }, NULL, 0, value, len, got);
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *addr, socklen_t addr_len)
{
	ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
	uint32_t got[3];
	if (!is_ours(fd)) return real(fd, data, len, flags, addr, addr_len);
	return call(fd, (uint32_t[]){ SEND, flags, 0, 0 }, addr, addr ? addr_len : 0, data, len, got) ? -1 : (ssize_t)len;
}

ssize_t send(int fd, const void *data, size_t len, int flags) { return sendto(fd, data, len, flags, NULL, 0); }

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
	static unsigned char joined[1 << 20];
	size_t len = 0;
	if (!is_ours(fd)) return real(fd, msg, flags);
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (len + msg->msg_iov[i].iov_len > sizeof(joined)) { errno = EMSGSIZE; return -1; }
		memcpy(joined + len, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		len += msg->msg_iov[i].iov_len;
	}
	return sendto(fd, joined, len, flags, msg->msg_name, msg->msg_namelen);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	uint32_t got[3];
	size_t room = 0, at = 0;
	if (!is_ours(fd)) return real(fd, msg, flags);
	/* All of the message comes, so that what does not fit is known. */
	if (call(fd, (uint32_t[]){ RECEIVE, flags | MSG_TRUNC, 0, 0 }, NULL, 0, NULL, 0, got)) return -1;
	if (msg->msg_name) memcpy(msg->msg_name, buffer, got[1] < msg->msg_namelen ? got[1] : msg->msg_namelen);
	msg->msg_namelen = got[1];
	msg->msg_controllen = 0;
	for (size_t i = 0; i < msg->msg_iovlen && at < got[2]; i++) {
		size_t part = got[2] - at < msg->msg_iov[i].iov_len ? got[2] - at : msg->msg_iov[i].iov_len;
		memcpy(msg->msg_iov[i].iov_base, buffer + got[1] + at, part);
		at += part;
		room += part;
	}
	msg->msg_flags = room < got[2] ? MSG_TRUNC : 0;
	return flags & MSG_TRUNC ? (ssize_t)got[2] : (ssize_t)room;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t (*real)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	return is_ours(fd) ? recvmsg(fd, &msg, flags) : real(fd, data, len, flags);
}

unsigned int if_nametoindex(const char *name)
{
	(void)name;
	errno = ENODEV;
	return 0;
}
