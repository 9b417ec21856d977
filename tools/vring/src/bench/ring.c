/*
 * The C anchor of the ring benchmark: a split and a packed virtqueue, both sides, one thread.
 *
 * It does what the TypeScript rings do, with the same checks and the same data structures, and publishes every
 * buffer. Reads "KIND CHECK TURNS\n" on stdin and answers "NANOSECONDS SUM\n", so that another program can
 * interleave its own slices with these.
 *
 * KIND: 0 one descriptor, 1 a chain of three, 2 an indirect table of three,
 *       3 one descriptor into which the device copies a frame, 4 one out of which it copies a frame,
 *       5 to 7 as 0 to 2 on the packed ring.
 * CHECK: 0 addresses are trusted, 1 each must lie in RAM.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUM 256u
#define BATCH 32u
#define RAM_SIZE (1u << 24)
#define FRAME 1500u
#define SLOTS 4096u	/* buffers of 2 KiB that frames go through: 8 MiB */
#define BUFFERS 0x100000u
#define SCRATCH 0xa00000u
#define BUS_BASE 0x48000000ull
#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u
#define barrier() __asm__ __volatile__("" ::: "memory")
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define unlikely(x) __builtin_expect(!!(x), 0)

struct desc { uint64_t addr; uint32_t len; uint16_t flags; uint16_t next; };
struct avail { uint16_t flags, idx, ring[NUM], used_event; };
struct used_elem { uint32_t id, len; };
struct used { uint16_t flags, idx; struct used_elem ring[NUM]; uint16_t avail_event; };
struct seg { uint64_t addr; uint32_t len; };

struct driver {
	struct desc *desc;
	struct avail *avail;
	struct used *used;
	struct desc *tables;
	uint64_t tables_bus;
	uint32_t free_head, num_free;
	uint16_t avail_idx, last_used;
	uint16_t next[NUM], tail[NUM], size[NUM];
	int32_t token[NUM];
	int broken;
};

struct device {
	struct desc *desc;
	struct avail *avail;
	struct used *used;
	uint8_t *ram;
	uint16_t last_avail, used_idx;
	uint64_t sum;
	int broken;
};

/* The last `into` of `n` segments are writable. */
static int add(struct driver *d, const struct seg *segs, uint32_t n, uint32_t into, int indirect, int32_t token)
{
	uint32_t head = d->free_head, last = head, used = n;

	if (unlikely(d->broken))
		return -5;
	if (indirect && n > 1) {
		struct desc *t = d->tables + head * 4;

		if (unlikely(d->num_free < 1))
			return -28;
		for (uint32_t k = 0; k < n; k++) {
			t[k].addr = segs[k].addr;
			t[k].len = segs[k].len;
			t[k].flags = (k + 1 < n ? F_NEXT : 0) | (k + into >= n ? F_WRITE : 0);
			t[k].next = k + 1 < n ? k + 1 : 0;
		}
		d->desc[head].addr = d->tables_bus + head * 4 * sizeof(struct desc);
		d->desc[head].len = n * sizeof(struct desc);
		d->desc[head].flags = F_INDIRECT;
		d->desc[head].next = 0;
		d->free_head = d->next[head];
		used = 1;
	} else {
		uint32_t i = head;

		if (unlikely(d->num_free < n))
			return -28;
		for (uint32_t k = 0; k < n; k++) {
			d->desc[i].addr = segs[k].addr;
			d->desc[i].len = segs[k].len;
			d->desc[i].flags = (k + 1 < n ? F_NEXT : 0) | (k + into >= n ? F_WRITE : 0);
			d->desc[i].next = k + 1 < n ? d->next[i] : 0;
			last = i;
			i = d->next[i];
		}
		d->free_head = i;
	}
	d->num_free -= used;
	d->tail[head] = last;
	d->size[head] = used;
	d->token[head] = token;
	d->avail->ring[d->avail_idx & (NUM - 1)] = head;
	barrier();
	d->avail->idx = ++d->avail_idx;
	return 0;
}

static int32_t get(struct driver *d, uint32_t *len)
{
	uint32_t id;
	int32_t token;

	if (unlikely(d->broken) || d->used->idx == d->last_used)
		return -1;
	barrier();
	id = d->used->ring[d->last_used & (NUM - 1)].id;
	*len = d->used->ring[d->last_used & (NUM - 1)].len;
	if (unlikely(id >= NUM) || unlikely(d->token[id] < 0)) {
		d->broken = 1;
		return -1;
	}
	token = d->token[id];
	d->token[id] = -1;
	d->next[d->tail[id]] = d->free_head;
	d->free_head = id;
	d->num_free += d->size[id];
	d->last_used++;
	return token;
}

static inline int use(struct device *v, uint64_t addr, uint32_t len, int check)
{
	if (check) {
		uint64_t into = addr - BUS_BASE;

		if (unlikely(into >= RAM_SIZE) || unlikely(len > RAM_SIZE - into))
			return -22;
	}
	v->sum += addr + len;
	return 0;
}

/* Take one chain and use it up. Returns 1, 0 when there is none, or a negative errno. */
static inline int take(struct device *v, int check)
{
	const struct desc *table = v->desc;
	uint32_t i, head, max = NUM, count = 0, write = 0;

	if (v->avail->idx == v->last_avail)
		return 0;
	barrier();
	head = v->avail->ring[v->last_avail & (NUM - 1)];
	if (unlikely(head >= NUM))
		return -22;
	i = head;
	for (;;) {
		/* Each field once, by itself: a 16-byte load would wait for the four stores that made it. */
		uint64_t addr = READ_ONCE(table[i].addr);
		uint32_t len = READ_ONCE(table[i].len);
		uint32_t flags = READ_ONCE(table[i].flags);

		if (flags & F_INDIRECT) {
			uint64_t into = addr - BUS_BASE;

			if (unlikely(max != NUM || table != v->desc))
				return -22;
			if (unlikely(len == 0 || len % sizeof(struct desc)))
				return -22;
			if (unlikely(into >= RAM_SIZE) || unlikely(len > RAM_SIZE - into))
				return -22;
			table = (const struct desc *)(v->ram + into);
			max = len / sizeof(struct desc);
			i = 0;
			continue;
		}
		if (unlikely(++count > max))
			return -40;
		if (unlikely((flags & F_WRITE) < write))
			return -22;
		write = flags & F_WRITE;
		if (unlikely(use(v, addr, len, check)))
			return -22;
		if (!(flags & F_NEXT))
			break;
		i = READ_ONCE(table[i].next);
		if (unlikely(i >= max))
			return -22;
	}
	v->last_avail++;
	v->used->ring[v->used_idx & (NUM - 1)].id = head;
	v->used->ring[v->used_idx & (NUM - 1)].len = 0;
	barrier();
	v->used->idx = ++v->used_idx;
	return 1;
}

static void turns(struct driver *d, struct device *v, const struct seg *segs, uint32_t n, int indirect, int check, long count)
{
	uint32_t len;

	for (long t = 0; t < count; t++) {
		for (uint32_t b = 0; b < BATCH; b++)
			add(d, segs + b * n, n, 0, indirect, (int32_t)b);
		if (check)
			while (take(v, 1) > 0)
				;
		else
			while (take(v, 0) > 0)
				;
		while (get(d, &len) >= 0)
			;
	}
}

static uint8_t *ram;

/* Move a frame through one descriptor: into it when `in` is set, else out of it. */
static inline int move(struct device *v, int in)
{
	uint32_t head, len;
	uint64_t into;

	if (v->avail->idx == v->last_avail)
		return 0;
	barrier();
	head = v->avail->ring[v->last_avail & (NUM - 1)];
	if (unlikely(head >= NUM))
		return -22;
	into = READ_ONCE(v->desc[head].addr) - BUS_BASE;
	len = READ_ONCE(v->desc[head].len);
	if (unlikely(READ_ONCE(v->desc[head].flags) != (in ? F_WRITE : 0)) || unlikely(len < FRAME))
		return -22;
	if (unlikely(into >= RAM_SIZE) || unlikely(len > RAM_SIZE - into))
		return -22;
	if (in)
		memcpy(v->ram + into, v->ram + SCRATCH, FRAME);
	else
		memcpy(v->ram + SCRATCH, v->ram + into, FRAME);
	v->last_avail++;
	v->used->ring[v->used_idx & (NUM - 1)].id = head;
	v->used->ring[v->used_idx & (NUM - 1)].len = in ? FRAME : 0;
	barrier();
	v->used->idx = ++v->used_idx;
	return 1;
}

static void frames(struct driver *d, struct device *v, int in, long count)
{
	static uint32_t slot;
	uint32_t len;

	for (long t = 0; t < count; t++) {
		for (uint32_t b = 0; b < BATCH; b++) {
			struct seg seg = { BUS_BASE + BUFFERS + (slot++ & (SLOTS - 1)) * 2048, in ? 2048 : FRAME };

			add(d, &seg, 1, in, 0, (int32_t)b);
		}
		while (move(v, in) > 0)
			;
		while (get(d, &len) >= 0)
			;
	}
}

#define P_AVAIL (1u << 7)
#define P_USED (1u << 15)
#define KINDS 8

struct pdesc { uint64_t addr; uint32_t len; uint16_t id, flags; };

struct pdriver {
	struct pdesc *desc, *tables;
	uint64_t tables_bus;
	uint32_t free_head, num_free;
	uint16_t next_avail, last_used, avail_flags, used_wrap;
	uint16_t next[NUM], size[NUM];
	int32_t token[NUM];
	int broken;
};

struct pdevice {
	struct pdesc *desc;
	uint8_t *ram;
	uint16_t last_avail, last_used, avail_wrap, used_wrap;
	uint64_t sum;
};

static int padd(struct pdriver *d, const struct seg *segs, uint32_t n, uint32_t into, int indirect, int32_t token)
{
	uint32_t id = d->free_head, i = d->next_avail, head = i, used = n;
	uint16_t head_flags;

	if (unlikely(d->broken))
		return -5;
	if (indirect && n > 1) {
		struct pdesc *t = d->tables + id * 4;

		if (unlikely(d->num_free < 1))
			return -28;
		for (uint32_t k = 0; k < n; k++) {
			t[k].addr = segs[k].addr;
			t[k].len = segs[k].len;
			t[k].id = 0;
			t[k].flags = k + into >= n ? F_WRITE : 0;
		}
		d->desc[i].addr = d->tables_bus + id * 4 * sizeof(struct pdesc);
		d->desc[i].len = n * sizeof(struct pdesc);
		d->desc[i].id = id;
		head_flags = F_INDIRECT | d->avail_flags;
		used = 1;
		if (++i == NUM) {
			i = 0;
			d->avail_flags ^= P_AVAIL | P_USED;
		}
	} else {
		if (unlikely(d->num_free < n))
			return -28;
		head_flags = 0;
		for (uint32_t k = 0; k < n; k++) {
			uint16_t flags = (k + 1 < n ? F_NEXT : 0) | (k + into >= n ? F_WRITE : 0) | d->avail_flags;

			d->desc[i].addr = segs[k].addr;
			d->desc[i].len = segs[k].len;
			d->desc[i].id = id;
			if (k == 0)
				head_flags = flags;
			else
				d->desc[i].flags = flags;
			if (++i == NUM) {
				i = 0;
				d->avail_flags ^= P_AVAIL | P_USED;
			}
		}
	}
	d->free_head = d->next[id];
	d->num_free -= used;
	d->size[id] = used;
	d->token[id] = token;
	d->next_avail = i;
	barrier();
	d->desc[head].flags = head_flags;
	return 0;
}

static int32_t pget(struct pdriver *d, uint32_t *len)
{
	uint16_t flags = READ_ONCE(d->desc[d->last_used].flags);
	uint32_t id, i;
	int32_t token;

	if (unlikely(d->broken) || (flags & (P_AVAIL | P_USED)) != (d->used_wrap ? P_AVAIL | P_USED : 0))
		return -1;
	barrier();
	id = READ_ONCE(d->desc[d->last_used].id);
	*len = READ_ONCE(d->desc[d->last_used].len);
	if (unlikely(id >= NUM) || unlikely(d->token[id] < 0)) {
		d->broken = 1;
		return -1;
	}
	token = d->token[id];
	d->token[id] = -1;
	d->next[id] = d->free_head;
	d->free_head = id;
	d->num_free += d->size[id];
	i = d->last_used + d->size[id];
	if (i >= NUM) {
		i -= NUM;
		d->used_wrap ^= 1;
	}
	d->last_used = i;
	return token;
}

static inline int puse(struct pdevice *v, uint64_t addr, uint32_t len, int check)
{
	if (check) {
		uint64_t into = addr - BUS_BASE;

		if (unlikely(into >= RAM_SIZE) || unlikely(len > RAM_SIZE - into))
			return -22;
	}
	v->sum += addr + len;
	return 0;
}

/* Take one chain and use it up. Returns 1, 0 when there is none, or a negative errno. */
static inline int ptake(struct pdevice *v, int check)
{
	uint32_t i = v->last_avail, count = 0, id, write = 0, flags;
	uint16_t wrap = v->avail_wrap, want = wrap ? P_AVAIL : P_USED;

	flags = READ_ONCE(v->desc[i].flags);
	if ((flags & (P_AVAIL | P_USED)) != want)
		return 0;
	barrier();
	for (;;) {
		uint64_t addr = READ_ONCE(v->desc[i].addr);
		uint32_t len = READ_ONCE(v->desc[i].len);

		id = READ_ONCE(v->desc[i].id);
		if (flags & F_INDIRECT) {
			uint64_t into = addr - BUS_BASE;
			const struct pdesc *t;

			if (unlikely(count || (flags & F_NEXT) || len == 0 || len % sizeof(*t)))
				return -22;
			if (unlikely(into >= RAM_SIZE) || unlikely(len > RAM_SIZE - into))
				return -22;
			t = (const struct pdesc *)(v->ram + into);
			for (uint32_t k = 0; k < len / sizeof(*t); k++) {
				uint32_t f = READ_ONCE(t[k].flags);

				if (unlikely(f & F_INDIRECT) || unlikely((f & F_WRITE) < write))
					return -22;
				write = f & F_WRITE;
				if (unlikely(puse(v, READ_ONCE(t[k].addr), READ_ONCE(t[k].len), check)))
					return -22;
			}
		} else {
			if (unlikely((flags & F_WRITE) < write))
				return -22;
			write = flags & F_WRITE;
			if (unlikely(puse(v, addr, len, check)))
				return -22;
		}
		count++;
		if (++i == NUM) {
			i = 0;
			wrap ^= 1;
			want = wrap ? P_AVAIL : P_USED;
		}
		if (!(flags & F_NEXT))
			break;
		if (unlikely(count == NUM))
			return -40;
		flags = READ_ONCE(v->desc[i].flags);
		if (unlikely((flags & (P_AVAIL | P_USED)) != want))
			return -22;
	}
	v->last_avail = i;
	v->avail_wrap = wrap;
	i = v->last_used;
	v->desc[i].id = id;
	v->desc[i].len = 0;
	barrier();
	v->desc[i].flags = v->used_wrap ? P_AVAIL | P_USED : 0;
	i += count;
	if (i >= NUM) {
		i -= NUM;
		v->used_wrap ^= 1;
	}
	v->last_used = i;
	return 1;
}

static void pturns(struct pdriver *d, struct pdevice *v, const struct seg *segs, uint32_t n, int indirect, int check, long count)
{
	uint32_t len;

	for (long t = 0; t < count; t++) {
		for (uint32_t b = 0; b < BATCH; b++)
			padd(d, segs + b * n, n, 0, indirect, (int32_t)b);
		if (check)
			while (ptake(v, 1) > 0)
				;
		else
			while (ptake(v, 0) > 0)
				;
		while (pget(d, &len) >= 0)
			;
	}
}

static void psetup(struct pdriver *d, struct pdevice *v, uint32_t at)
{
	memset(d, 0, sizeof(*d));
	memset(v, 0, sizeof(*v));
	d->desc = v->desc = (struct pdesc *)(ram + at);
	d->tables = (struct pdesc *)(ram + at + 0x4800);
	d->tables_bus = BUS_BASE + at + 0x4800;
	d->num_free = NUM;
	d->avail_flags = P_AVAIL;
	d->used_wrap = v->avail_wrap = v->used_wrap = 1;
	for (uint32_t i = 0; i < NUM; i++) {
		d->next[i] = i + 1;
		d->token[i] = -1;
	}
	v->ram = ram;
}

static void setup(struct driver *d, struct device *v, uint32_t at)
{
	memset(d, 0, sizeof(*d));
	memset(v, 0, sizeof(*v));
	d->desc = (struct desc *)(ram + at);
	d->avail = (struct avail *)(ram + at + 0x1000);
	d->used = (struct used *)(ram + at + 0x1240);
	d->tables = (struct desc *)(ram + at + 0x4800);
	d->tables_bus = BUS_BASE + at + 0x4800;
	d->num_free = NUM;
	for (uint32_t i = 0; i < NUM; i++) {
		d->next[i] = i + 1;
		d->token[i] = -1;
	}
	v->desc = d->desc;
	v->avail = d->avail;
	v->used = d->used;
	v->ram = ram;
}

int main(void)
{
	static struct driver drivers[5];
	static struct device devices[5];
	static struct pdriver pdrivers[3];
	static struct pdevice pdevices[3];
	static struct seg segs[BATCH * 3];
	int kind, check;
	long count;

	ram = aligned_alloc(4096, RAM_SIZE);
	if (!ram)
		return 1;
	memset(ram, 0, RAM_SIZE);
	for (uint32_t k = 0; k < 5; k++)
		setup(&drivers[k], &devices[k], k * 0x10000);
	for (uint32_t k = 0; k < 3; k++)
		psetup(&pdrivers[k], &pdevices[k], (5 + k) * 0x10000);
	for (uint32_t k = 0; k < BATCH * 3; k++) {
		segs[k].addr = BUS_BASE + 0x100000 + k * 2048;
		segs[k].len = 64 + k;
	}
	while (scanf("%d %d %ld", &kind, &check, &count) == 3) {
		struct timespec from, to;

		if (kind < 0 || kind >= KINDS)
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (kind >= 5)
			pturns(&pdrivers[kind - 5], &pdevices[kind - 5], segs, kind == 5 ? 1 : 3, kind == 7, check, count);
		else if (kind >= 3)
			frames(&drivers[kind], &devices[kind], kind == 3, count);
		else
			turns(&drivers[kind], &devices[kind], segs, kind == 0 ? 1 : 3, kind == 2, check,
				count);
		clock_gettime(CLOCK_MONOTONIC, &to);
		printf("%lld %llu\n", (to.tv_sec - from.tv_sec) * 1000000000ll + (to.tv_nsec - from.tv_nsec),
			(unsigned long long)(kind >= 5 ? pdevices[kind - 5].sum : devices[kind].sum));
		fflush(stdout);
	}
	return 0;
}
