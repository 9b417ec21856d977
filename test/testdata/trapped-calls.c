/*
 * Makes calls that a supervisor answers, and prints what they return: a line per call, `NAME=RESULT` or `NAME:ERRNO`.
 * The first argument says which calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result)
{
	if (result < 0) printf("%s:%s\n", name, strerrorname_np(errno));
	else printf("%s=%ld\n", name, result);
	fflush(stdout);
}

#define TRY(call) say(#call, call)

static const struct sockaddr_nl anybody = { .nl_family = AF_NETLINK };

/* CTRL_CMD_GETFAMILY for the controller itself. */
static struct { struct nlmsghdr n; struct genlmsghdr g; struct nlattr a; char name[8]; } request = {
	{ sizeof(request), GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_ACK, 7, 0 }, { CTRL_CMD_GETFAMILY, 1, 0 },
	{ 4 + 7, CTRL_ATTR_FAMILY_NAME }, "nlctrl",
};

static int open_socket(int flags)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | flags, NETLINK_GENERIC);
	return fd < 0 || bind(fd, (const struct sockaddr *)&anybody, sizeof(anybody)) < 0 ? -1 : fd;
}

static long ask(int fd) { return send(fd, &request, sizeof(request), 0); }

/* The answer and its acknowledgement: the type of the first. */
static long hear(int fd)
{
	char bytes[8192];
	long got = recv(fd, bytes, sizeof(bytes), 0);
	return got < 0 ? got : ((struct nlmsghdr *)bytes)->nlmsg_type;
}

static void faults(void)
{
	void *bad = (void *)8, *beyond = (void *)0xffffffffff000000, *buf = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *edge = (char *)buf + 4096, room[4096];
	struct sockaddr_nl from;
	socklen_t len = sizeof(from), negative = -1;
	int fd = open_socket(0);
	struct iovec iov = { bad, 100 }, huge[2] = { { room, SIZE_MAX / 2 }, { room, 1 } }, wrong = { room, SIZE_MAX };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	mprotect(edge, 4096, PROT_NONE);
	TRY(bind(fd, bad, sizeof(from)));
	TRY(bind(fd, (const struct sockaddr *)&anybody, 4096));
	TRY(bind(fd, (const struct sockaddr *)&anybody, 2));
	TRY(getsockname(fd, bad, &len));
	TRY(getsockname(fd, (struct sockaddr *)&from, bad));
	TRY(getsockname(fd, (struct sockaddr *)&from, &negative));
	TRY(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, bad, 4));
	TRY(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, room, -1));
	TRY(send(fd, bad, 100, 0));
	TRY(send(fd, beyond, 100, 0));
	TRY(send(fd, room, SIZE_MAX, 0));
	TRY(send(fd, edge - 8, 16, 0));
	TRY(sendmsg(fd, bad, 0));
	TRY(sendmsg(fd, &msg, 0));
	msg.msg_iovlen = 100000;
	TRY(sendmsg(fd, &msg, 0));
	msg.msg_iov = huge, msg.msg_iovlen = 2;
	TRY(sendmsg(fd, &msg, 0));
	msg.msg_iov = &wrong, msg.msg_iovlen = 1;
	TRY(sendmsg(fd, &msg, 0));
	TRY(ask(fd));
	TRY(recv(fd, bad, 100, 0));
	TRY(hear(fd));
	TRY(recv(fd, room, sizeof(room), MSG_DONTWAIT));
	TRY(ask(fd));
	msg.msg_iov = bad, msg.msg_iovlen = 1;
	TRY(recvmsg(fd, &msg, 0));
	TRY(recv(fd, room, 10, 0) == 10);
	TRY(recv(fd, room, 0, MSG_PEEK | MSG_TRUNC));
	TRY(hear(fd));
	TRY(syscall(SYS_init_module, bad, 100, ""));
	TRY(syscall(SYS_init_module, room, 100, bad));
	TRY(syscall(SYS_init_module, room, SIZE_MAX, ""));
	TRY(syscall(SYS_init_module, room, 0, ""));
	TRY(syscall(SYS_finit_module, 77, "", 0));
	TRY(syscall(SYS_finit_module, 0, bad, 0));
	TRY(syscall(SYS_finit_module, 0, "", 0));
	TRY(syscall(SYS_delete_module, bad, 0));
	TRY(syscall(SYS_delete_module, "nosuch", 0));
	TRY(syscall(SYS_syslog, 3, bad, 100));
	TRY(syscall(SYS_syslog, 3, room, -1));
	TRY(syscall(SYS_syslog, 99, room, 0));
	TRY(ioctl(fd, SIOCGIFINDEX, bad));
	TRY(if_nametoindex("lo"));
	TRY(if_nametoindex("nosuch"));
	TRY(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
}

static void share(void)
{
	int fd = open_socket(SOCK_CLOEXEC), copy, status;
	TRY(fcntl(fd, F_GETFD));
	copy = dup(fd);
	close(fd);
	if (fork() == 0) {
		TRY(ask(copy));
		exit(0);
	}
	wait(&status);
	TRY(hear(copy));
	TRY(hear(copy));
	if (fork() == 0) { /* outlives whoever opened it */
		while (getppid() != 1 && kill(getppid(), 0) == 0 && !poll(NULL, 0, 1));
		TRY(ask(copy));
		TRY(hear(copy));
		exit(0);
	}
}

static void *one(void *unused)
{
	long good = 0;
	for (int i = 0; i < 20; i++) {
		int fd = open_socket(0);
		good += ask(fd) > 0 && hear(fd) == GENL_ID_CTRL && hear(fd) == NLMSG_ERROR;
		close(fd);
	}
	return (void *)good;
}

static void threads(void)
{
	pthread_t all[8];
	long good = 0;
	for (int i = 0; i < 8; i++) pthread_create(&all[i], NULL, one, NULL);
	for (int i = 0; i < 8; i++) {
		void *count;
		pthread_join(all[i], &count);
		good += (long)count;
	}
	TRY(good);
}

static void nothing(int signal) { (void)signal; }

static void waits(void)
{
	struct sigaction alarmed = { .sa_handler = nothing };
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct timeval limit = { .tv_usec = 20000 };
	int fd = open_socket(0), quick = open_socket(SOCK_NONBLOCK);
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	TRY(recv(quick, &limit, 1, 0));
	fcntl(quick, F_SETFL, 0);
	sigaction(SIGALRM, &alarmed, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	TRY(recv(quick, &limit, 1, 0));
	TRY(setsockopt(quick, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	TRY(recv(quick, &limit, 1, 0));
	TRY(poll(&ready, 1, 0));
	TRY(ask(fd));
	TRY(poll(&ready, 1, 1000));
	TRY(hear(fd));
	TRY(poll(&ready, 1, 0));
	TRY(hear(fd));
	TRY(poll(&ready, 1, 0));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "faults")) faults();
	else if (!strcmp(what, "share")) share();
	else if (!strcmp(what, "threads")) threads();
	else if (!strcmp(what, "waits")) waits();
	else if (!strcmp(what, "block")) {
		int fd = open_socket(0);
		say("blocked", fd);
		hear(fd);
	} else if (!strcmp(what, "full")) {
		struct rlimit limit = { 3, 3 };
		setrlimit(RLIMIT_NOFILE, &limit);
		TRY(open_socket(0));
	} else if (!strcmp(what, "forsaken")) {
		int fd = open_socket(0);
		say("open", fd);
		while (ask(fd) > 0 && hear(fd) > 0 && hear(fd) > 0);
		say("send", -1);
	} else if (!strcmp(what, "fresh")) {
		for (int fd = 0; fd < 3; fd++) TRY(fcntl(fd, F_GETFD));
		struct sigaction now;
		for (int s = 1; s < 32; s++) if (!sigaction(s, NULL, &now) && now.sa_handler != SIG_DFL) TRY(s);
		TRY(dup(0));
	} else return 2;
	return 0;
}
