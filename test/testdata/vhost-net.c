/*
 * A virtio-net driver in user space on vhost-vdpa devices: sends frames through one device, takes them from another (or
 * the same) and looks at every byte.
 *
 *   vhost-net [-m] [-e] [-t] [-f] TX RX FRAMES LENGTH
 *
 * Rings and buffers are memory of the process, from malloc; -m: from a sealed memfd that is mapped shared. -e: event
 * index, where it is offered. -t: the receiving device is set up by another thread. -f: on and on; a line for each round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NUM 256
#define SLOT 2048
#define IOVA 0x100000000ULL
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define RING_BYTES 16384
#define ARENA (2 * (RING_BYTES + NUM * SLOT))

#define check(call) ({ long r_ = (call); if (r_ < 0) { fprintf(stderr, "%s: %s\n", #call, strerror(errno)); exit(1); } r_; })
#define barrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

struct queue {
	int index, kick, call;
	struct vring ring;
	uint16_t last_used, shadow;
	char *buffers;
	uint64_t buffers_iova;
};

struct device {
	int fd;
	int event_idx;
	uint8_t mac[6];
	char *arena;
	struct queue rx, tx;
};

static void set_status(struct device *d, uint8_t status)
{
	check(ioctl(d->fd, VHOST_VDPA_SET_STATUS, &status));
}

static void *arena(int shared)
{
	void *at;

	if (shared) {
		int fd = check(memfd_create("arena", MFD_ALLOW_SEALING));

		check(ftruncate(fd, ARENA));
		check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
		at = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		return at;
	}
	at = aligned_alloc(4096, ARENA);
	memset(at, 0, ARENA);
	return at;
}

static void start_queue(struct device *d, struct queue *q, int index)
{
	char *ring = d->arena + index * (RING_BYTES + NUM * SLOT);
	uint64_t iova = IOVA + (ring - d->arena);
	struct vhost_vring_state state = { .index = index, .num = NUM };
	struct vhost_vring_addr addr = { .index = index };
	struct vhost_vring_file file = { .index = index };

	q->index = index;
	vring_init(&q->ring, NUM, ring, 4096);
	q->buffers = ring + RING_BYTES;
	q->buffers_iova = iova + RING_BYTES;
	check(ioctl(d->fd, VHOST_SET_VRING_NUM, &state));
	state.num = 0;
	check(ioctl(d->fd, VHOST_SET_VRING_BASE, &state));
	addr.desc_user_addr = iova;
	addr.avail_user_addr = iova + ((char *)q->ring.avail - ring);
	addr.used_user_addr = iova + ((char *)q->ring.used - ring);
	check(ioctl(d->fd, VHOST_SET_VRING_ADDR, &addr));
	file.fd = q->kick = check(eventfd(0, EFD_NONBLOCK));
	check(ioctl(d->fd, VHOST_SET_VRING_KICK, &file));
	file.fd = q->call = check(eventfd(0, EFD_NONBLOCK));
	check(ioctl(d->fd, VHOST_SET_VRING_CALL, &file));
	state.num = 1;
	check(ioctl(d->fd, VHOST_VDPA_SET_VRING_ENABLE, &state));
	for (int i = 0; i < NUM; i++) {
		q->ring.desc[i].addr = q->buffers_iova + i * SLOT;
		q->ring.desc[i].len = SLOT;
		q->ring.desc[i].flags = index == 0 ? VRING_DESC_F_WRITE : 0;
	}
}

static void map(struct device *d)
{
	struct vhost_msg_v2 msg = { .type = VHOST_IOTLB_MSG_V2 };

	msg.iotlb.iova = IOVA;
	msg.iotlb.size = ARENA;
	msg.iotlb.uaddr = (uintptr_t)d->arena;
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	check(write(d->fd, &msg, sizeof msg));
}

static void kick(struct device *d, struct queue *q, uint16_t before)
{
	uint64_t one = 1;
	int wanted;

	barrier();
	wanted = d->event_idx ? vring_need_event(vring_avail_event(&q->ring), q->shadow, before)
			      : !(q->ring.used->flags & VRING_USED_F_NO_NOTIFY);
	if (wanted)
		check(write(q->kick, &one, 8));
}

static void offer(struct queue *q, int slot)
{
	q->ring.avail->ring[q->shadow % NUM] = slot;
	q->shadow++;
	__atomic_store_n(&q->ring.avail->idx, q->shadow, __ATOMIC_RELEASE);
}

static struct device *start(const char *path, int shared, int event_idx)
{
	struct device *d = calloc(1, sizeof *d);
	struct { struct vhost_vdpa_config head; uint8_t mac[6]; } config = { { 0, 6 } };
	uint64_t features, wanted, backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;

	d->fd = open(path, O_RDWR);
	if (d->fd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	check(ioctl(d->fd, VHOST_SET_OWNER));
	set_status(d, 0);
	set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	check(ioctl(d->fd, VHOST_SET_BACKEND_FEATURES, &backend));
	check(ioctl(d->fd, VHOST_GET_FEATURES, &features));
	wanted = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM | 1ULL << VIRTIO_NET_F_MAC;
	if (event_idx)
		wanted |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	wanted &= features;
	d->event_idx = wanted >> VIRTIO_RING_F_EVENT_IDX & 1;
	check(ioctl(d->fd, VHOST_SET_FEATURES, &wanted));
	set_status(d, 0xb);
	check(ioctl(d->fd, VHOST_VDPA_GET_CONFIG, &config));
	memcpy(d->mac, config.mac, 6);
	d->arena = arena(shared);
	map(d);
	start_queue(d, &d->rx, 0);
	start_queue(d, &d->tx, 1);
	for (int i = 0; i < NUM; i++)
		offer(&d->rx, i);
	set_status(d, 0xf);
	kick(d, &d->rx, 0);
	return d;
}

static void fill(uint8_t *frame, int length, uint32_t n, const uint8_t *to, const uint8_t *from)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	for (int i = 14; i < length; i++)
		frame[i] = n * 31 + i;
}

/* Ask for an interrupt at the next used buffer. Returns whether there is one already. */
static int ask(struct device *d, struct queue *q)
{
	if (d->event_idx)
		vring_used_event(&q->ring) = q->last_used;
	barrier();
	return __atomic_load_n(&q->ring.used->idx, __ATOMIC_ACQUIRE) != q->last_used;
}

static void wait_for(struct device *d, struct queue *q)
{
	struct pollfd p = { .fd = q->call, .events = POLLIN };
	uint64_t count;

	if (ask(d, q))
		return;
	if (check(poll(&p, 1, 10000)) == 0) {
		fprintf(stderr, "queue %d: no interrupt within 10 s\n", q->index);
		exit(3);
	}
	check(read(q->call, &count, 8));
}

/* Send frames and take them all. */
static void pass(struct device *from, struct device *to, int frames, int length)
{
	uint8_t expected[SLOT];
	int sent = 0, done = 0, taken = 0;

	while (taken < frames) {
		uint16_t before = from->tx.shadow;

		/* No more than the receiver has room for: a frame without a buffer is lost. */
		while (sent < frames && sent - done < NUM && sent - taken < NUM) {
			int slot = sent % NUM;
			uint8_t *at = (uint8_t *)from->tx.buffers + slot * SLOT;

			memset(at, 0, HEADER);
			fill(at + HEADER, length, sent, to->mac, from->mac);
			from->tx.ring.desc[slot].len = HEADER + length;
			offer(&from->tx, slot);
			sent++;
		}
		if (from->tx.shadow != before)
			kick(from, &from->tx, before);
		wait_for(to, &to->rx);
		before = to->rx.shadow;
		while (to->rx.last_used != __atomic_load_n(&to->rx.ring.used->idx, __ATOMIC_ACQUIRE)) {
			struct vring_used_elem *e = &to->rx.ring.used->ring[to->rx.last_used++ % NUM];
			uint8_t *at = (uint8_t *)to->rx.buffers + e->id * SLOT;

			fill(expected, length, taken, to->mac, from->mac);
			if (e->len != HEADER + length || memcmp(at + HEADER, expected, length) != 0) {
				fprintf(stderr, "frame %d: %u bytes, not what was sent\n", taken, e->len);
				exit(4);
			}
			memset(at, 0xee, e->len);
			offer(&to->rx, e->id);
			taken++;
		}
		if (to->rx.shadow != before)
			kick(to, &to->rx, before);
		while (from->tx.last_used != __atomic_load_n(&from->tx.ring.used->idx, __ATOMIC_ACQUIRE)) {
			from->tx.last_used++;
			done++;
		}
	}
}

static int shared, event_idx;

static void *start_in_thread(void *path)
{
	return start(path, shared, event_idx);
}

int main(int argc, char **argv)
{
	int threaded = 0, forever = 0, option;
	struct device *from, *to;
	struct timespec a, b;
	pthread_t thread;

	while ((option = getopt(argc, argv, "metf")) != -1) {
		shared |= option == 'm';
		event_idx |= option == 'e';
		threaded |= option == 't';
		forever |= option == 'f';
	}
	argv += optind;
	from = start(argv[0], shared, event_idx);
	if (strcmp(argv[0], argv[1]) == 0) {
		to = from;
	} else if (threaded) {
		pthread_create(&thread, NULL, start_in_thread, argv[1]);
		pthread_join(thread, (void **)&to);
	} else {
		to = start(argv[1], shared, event_idx);
	}
	do {
		clock_gettime(CLOCK_MONOTONIC, &a);
		pass(from, to, atoi(argv[2]), atoi(argv[3]));
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("%s frames of %s bytes, %.0f ns each\n", argv[2], argv[3],
		       ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / atoi(argv[2]));
		fflush(stdout);
	} while (forever);
	return 0;
}
