// calls FILE: makes the system calls that FILE says, a line each, and prints each with what came of it.
//   X = open PATH FLAGS   X = eventfd N   X = dup FD   X = mem SIZE   X = VALUE   close FD
//   ioctl FD NR FIELD...  show FD NR FIELD... (its argument comes back)  call FD NR VALUE   pread FD N OFFSET
//     read FD N [SHOWN]   write FD FIELD...   poll FD EVENTS MS
//   put ADDR FIELD...  get ADDR WIDTH...  wait ADDR VALUE   map FD LEN PROT FLAGS OFFSET   unmap ADDR LEN
//   genl FAMILY CMD FLAGS FIELD...   fork ... end  spawn ... end  join   uid N  limit N BYTES  sleep MS  sh TEXT  say TEXT
//   def NAME ... end, then NAME ARGUMENT...: lines in which $1..$9 are replaced; @ before a line: say it only when refused
// FIELD: 8:V 16:V 32:V 64:V, s:TEXT, sN:TEXT, x:HEX, bN (N bytes), aTYPE:FIELD (a netlink attribute). V: numbers and names, + - |
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vdpa.h>
#include <linux/vduse.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct { const char *name; uint64_t value; } constants[] = {
#define N(x) { #x, (uint64_t)(x) },
#include "calls-names.h"
};
static struct { char name[32]; uint64_t value; } vars[256];
static int nvars;
static char *lines[8192];
static int nlines;
static struct { char name[32]; int from, to; } defs[64];
static int ndefs;
static int quiet;
static char buf[65536];
enum { ARG = 8192 };

static void out(const char *f, ...) {
  char t[70000]; va_list a; va_start(a, f); int n = vsnprintf(t, sizeof t, f, a); va_end(a);
  if (n >= (int)sizeof t) n = sizeof t - 1;
  if (write(1, t, n) < 0) exit(9);
}
static void die(const char *what, const char *of) { out("calls: %s: %s\n", what, of); exit(2); }

static uint64_t *var(const char *name, int make) {
  for (int i = 0; i < nvars; i++) if (!strcmp(vars[i].name, name)) return &vars[i].value;
  if (!make) return 0;
  strncpy(vars[nvars].name, name, 31);
  return &vars[nvars++].value;
}
static uint64_t term(const char *t) {
  if (isdigit(*t)) return strtoull(t, 0, 0);
  for (unsigned i = 0; i < sizeof constants / sizeof *constants; i++) if (!strcmp(constants[i].name, t)) return constants[i].value;
  uint64_t *v = var(t, 0);
  if (!v) die("no such name", t);
  return *v;
}
static uint64_t value(const char *text) {
  uint64_t sum = 0; char op = '+', word[128];
  const char *p = text;
  if (*p == '-') op = *p++;
  while (*p) {
    int n = strcspn(p, "+-|"); snprintf(word, sizeof word, "%.*s", n, p); p += n;
    uint64_t v = term(word);
    sum = op == '+' ? sum + v : op == '-' ? sum - v : sum | v;
    if (*p) op = *p++;
  }
  return sum;
}
static int hexbytes(const char *h, char *to) {
  int n = 0; unsigned b;
  while (h[0] && h[1] && sscanf(h, "%2x", &b) == 1) { to[n++] = b; h += 2; }
  return n;
}
// One field's bytes; returns how many.
static int field(const char *f, char *to) {
  if (*f == 'a') {
    char *rest; unsigned type = strtoul(f + 1, &rest, 0);
    int n = field(rest + 1, to + 4);
    struct nlattr head = { 4 + n, type }; memcpy(to, &head, 4);
    int all = NLA_ALIGN(4 + n); memset(to + 4 + n, 0, all - 4 - n);
    return all;
  }
  if (*f == 'b') { int n = strtol(f + 1, 0, 0); memset(to, 0, n); return n; }
  if (f[0] == 'x' && f[1] == ':') return hexbytes(f + 2, to);
  if (*f == 's') {
    char *rest; long n = strtol(f + 1, &rest, 10); int len = strlen(rest + 1);
    if (f[1] == ':') n = len;
    memset(to, 0, n); memcpy(to, rest + 1, len < n ? len : n); return n;
  }
  char *rest; int bits = strtol(f, &rest, 10);
  if (*rest != ':') die("no such field", f);
  uint64_t v = value(rest + 1); memcpy(to, &v, bits / 8); return bits / 8;
}
static int fields(char **w, int n, char *to) {
  int len = 0;
  for (int i = 0; i < n; i++) len += field(w[i], to + len);
  return len;
}
static int gap;
static char *shown(const char *from, int n, char *to) {
  char *s = to; *s = 0;
  for (int i = 0; i < n; i++) s += sprintf(s, "%s%02x", gap && i && i % 4 == 0 ? " " : "", (unsigned char)from[i]);
  return to;
}
static char *number(const char *from, int bits, char *to) {
  uint64_t v = 0; memcpy(&v, from, bits / 8); sprintf(to, "0x%llx", (unsigned long long)v); return to;
}
// Fields as they are after an ioctl.
static void after(char **w, int n, const char *from, char *to) {
  char t[20000]; char *s = to; s += sprintf(s, " [");
  for (int i = 0; i < n; i++) {
    char scratch[20000]; int len = field(w[i], scratch);
    s += sprintf(s, "%s%s", i ? " " : "", isdigit(*w[i]) ? number(from, len * 8, t) : shown(from, len, t)); from += len;
  }
  sprintf(s, "]");
}
static const char *errname(int e) {
  static char t[32]; const char *n = strerrorname_np(e);
  if (n) return n;
  sprintf(t, "errno %d", e); return t;
}
static void line(const char *said, const char *f, ...) {
  char t[60000]; va_list a; va_start(a, f); vsnprintf(t, sizeof t, f, a); va_end(a);
  out("%-64s -> %s\n", said, t);
}
static long result(const char *said, long r, const char *good) {
  if (r < 0) line(said, "-1 %s", errname(errno));
  else if (!quiet) { if (good) line(said, "%s", good); else line(said, "%ld", r); }
  return r;
}

static int nl;
static void attributes(const char *p, int len, int hide) {
  char t[60000];
  while (len >= 4) {
    struct nlattr a; memcpy(&a, p, 4);
    if (a.nla_len < 4 || a.nla_len > len) { out("  ragged %s\n", shown(p, len, t)); return; }
    int n = a.nla_len - 4, type = a.nla_type; const char *d = p + 4;
    int text = n > 1 && d[n - 1] == 0;
    for (int i = 0; text && i < n - 1; i++) text = d[i] >= 32 && d[i] < 127;
    if (hide && type == CTRL_ATTR_FAMILY_ID) out("    %d: the family's number\n", type);
    else if (text) out("    %d: \"%s\"\n", type, d);
    else out("    %d: %s\n", type, shown(d, n, t));
    int all = NLA_ALIGN(a.nla_len); if (all > len) all = len; p += all; len -= all;
  }
}
// Send one request and print what comes back.
static void exchange(const char *said, int type, int flags, const char *payload, int len, int show, int *id) {
  static int seq; char q[65536]; struct nlmsghdr h = { NLMSG_HDRLEN + len, type, flags | NLM_F_REQUEST, ++seq, 0 };
  memcpy(q, &h, NLMSG_HDRLEN); memcpy(q + NLMSG_HDRLEN, payload, len);
  if (send(nl, q, h.nlmsg_len, 0) < 0) { line(said, "-1 %s", errname(errno)); return; }
  if (show) out("%s\n", said);
  for (;;) {
    int n = recv(nl, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0) { if (show && errno != EAGAIN) out("  -1 %s\n", errname(errno)); return; }
    for (struct nlmsghdr *m = (void *)buf; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n)) {
      char *d = NLMSG_DATA(m); int l = m->nlmsg_len - NLMSG_HDRLEN;
      if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
        int e = -*(int *)d;
        int tlv = m->nlmsg_type == NLMSG_DONE ? 4 : 4 + NLMSG_HDRLEN;
        if (m->nlmsg_type == NLMSG_ERROR && !(m->nlmsg_flags & NLM_F_CAPPED)) tlv = 4 + NLMSG_ALIGN(((struct nlmsghdr *)(d + 4))->nlmsg_len);
        if (show) {
          out("  %s %s\n", m->nlmsg_type == NLMSG_DONE ? "done" : e ? "error" : "ack", e ? errname(e) : "0");
          if (m->nlmsg_flags & NLM_F_ACK_TLVS) attributes(d + tlv, l - tlv, 0);
        }
        if (id) { if (e) *id = -e; return; }
        continue;
      }
      if (id) {
        for (struct nlattr *a = (void *)(d + GENL_HDRLEN); (char *)a < d + l; a = (void *)((char *)a + NLA_ALIGN(a->nla_len)))
          if (a->nla_type == CTRL_ATTR_FAMILY_ID) *id = *(uint16_t *)((char *)a + 4);
      }
      if (show) { out("  message, command %d, flags 0x%x\n", ((struct genlmsghdr *)d)->cmd, m->nlmsg_flags); attributes(d + GENL_HDRLEN, l - GENL_HDRLEN, type == GENL_ID_CTRL); }
    }
  }
}
static void genl(const char *said, char **w, int n) {
  gap = 1;
  int on = 1, id = GENL_ID_CTRL; struct genlmsghdr g = { CTRL_CMD_GETFAMILY, 1, 0 };
  nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  setsockopt(nl, SOL_NETLINK, NETLINK_EXT_ACK, &on, 4); setsockopt(nl, SOL_NETLINK, NETLINK_CAP_ACK, &on, 4);
  uint64_t *strict = var("strict", 0); on = strict ? *strict : 0;
  setsockopt(nl, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, 4);
  char p[60000];
  if (strcmp(w[0], "nlctrl")) {
    memcpy(p, &g, GENL_HDRLEN); char f[64]; sprintf(f, "a2:s%d:%s", (int)strlen(w[0]) + 1, w[0]);
    exchange(said, GENL_ID_CTRL, 0, p, GENL_HDRLEN + field(f, p + GENL_HDRLEN), 0, &id);
    if (id < 0) { line(said, "no family: %s", errname(-id)); close(nl); return; }
  }
  g.cmd = value(w[1]); memcpy(p, &g, GENL_HDRLEN);
  exchange(said, id, value(w[2]), p, GENL_HDRLEN + fields(w + 3, n - 3, p + GENL_HDRLEN), 1, 0);
  close(nl); gap = 0;
}

static void run(int from, int to);
static int block(int from, int to) {
  int depth = 1;
  for (int i = from; i < to; i++) {
    char w[64] = ""; sscanf(lines[i], "%63s", w);
    if (!strcmp(w, "fork") || !strcmp(w, "spawn") || !strcmp(w, "def")) depth++;
    if (!strcmp(w, "end") && !--depth) return i;
  }
  die("no end", lines[from]); return to;
}
static void statement(const char *text, int *at, int to) {
  char copy[8192], said[8192], *w[512], *target = 0, t[60000], *save; int n = 0;
  while (*text == ' ') text++;
  quiet = *text == '@'; if (quiet) text++;
  snprintf(said, sizeof said, "%s", text); snprintf(copy, sizeof copy, "%s", text);
  for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(0, " ", &save)) w[n++] = p;
  if (!n || *w[0] == '#') return;
  char **a = w; const char *good = 0;
  if (n > 2 && !strcmp(w[1], "=")) { target = w[0]; a = w + 2; n -= 2; good = "ok"; }
  const char *c = a[0]; long r;
#define IS(x) !strcmp(c, x)
#define V(i) (i < n ? value(a[i]) : 0)
  if (IS("say")) { out("   %s\n", said + 4); return; }
  if (IS("sh")) {
    if (!quiet) out("%s\n", said);
    pid_t p = fork(); if (!p) { execl("/bin/sh", "sh", "-c", said + 3, (char *)0); _exit(127); }
    int st; waitpid(p, &st, 0); if (WEXITSTATUS(st)) out("  exit %d\n", WEXITSTATUS(st)); return;
  }
  if (IS("def")) { int e = block(*at + 1, to); strcpy(defs[ndefs].name, a[1]); defs[ndefs].from = *at + 1; defs[ndefs++].to = e; *at = e; return; }
  if (IS("fork") || IS("spawn")) {
    int e = block(*at + 1, to); out("%s\n", said);
    pid_t p = fork(); if (!p) { run(*at + 1, e); _exit(0); }
    int st; if (IS("fork")) waitpid(p, &st, 0);
    *at = e; return;
  }
  for (int i = 0; i < ndefs; i++) if (!strcmp(defs[i].name, c)) {
    int q = quiet;
    for (int j = defs[i].from; j < defs[i].to; j++) {
      char x[8192], *s = x; if (q) *s++ = '@';
      const char *b = lines[j]; while (*b == ' ') b++;
      if (q && *b == '@') b++;
      for (; *b; b++) if (*b == '$' && isdigit(b[1])) { int k = *++b - '0'; s += sprintf(s, "%s", k < n ? a[k] : ""); } else *s++ = *b;
      *s = 0; int z = j; statement(x, &z, defs[i].to);
    }
    return;
  }
  if (IS("genl")) { genl(said, a + 1, n - 1); return; }
  if (IS("open")) { r = open(a[1], V(2), 0666); good = "ok"; }
  else if (IS("eventfd")) { r = eventfd(V(1), EFD_NONBLOCK); good = "ok"; }
  else if (IS("dup")) { r = dup(V(1)); good = "ok"; }
  else if (IS("close")) r = close(V(1));
  else if (IS("mem")) { r = (long)mmap(0, V(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); good = "ok"; }
  else if (IS("ioctl") || IS("show")) {
    char *arg = aligned_alloc(8, ARG); memset(arg, 0, ARG); fields(a + 3, n - 3, arg); unsigned nr = V(2); int fd = V(1);
    r = ioctl(fd, nr, arg); int e = errno; *t = 0;
    if (r >= 0 && (IS("show") || (_IOC_DIR(nr) & _IOC_READ))) { sprintf(t, target ? "ok" : "%ld", r); after(a + 3, n - 3, arg, t + strlen(t)); good = t; }
    free(arg); errno = e;
  } else if (IS("call")) r = ioctl(V(1), V(2), V(3));
  else if (IS("read")) {
    r = read(V(1), buf, V(2)); int e = errno;
    if (r >= 0) { char h[40000]; sprintf(t, "%ld %s", r, shown(buf, n > 3 && r > (long)V(3) ? (long)V(3) : r, h)); good = t; }
    errno = e;
  } else if (IS("pread")) {
    r = pread(V(1), buf, V(2), V(3)); int e = errno;
    if (r >= 0) { char h[40000]; sprintf(t, "%ld %s", r, shown(buf, r < 512 ? r : 512, h)); good = t; }
    errno = e;
  } else if (IS("write")) { int l = fields(a + 2, n - 2, buf); r = write(V(1), buf, l); }
  else if (IS("poll")) { struct pollfd p = { V(1), V(2), 0 }; r = poll(&p, 1, V(3)); if (r >= 0) { sprintf(t, "%ld [0x%x]", r, p.revents); good = t; } }
  else if (IS("put")) { char *to = (char *)V(1); int l = fields(a + 2, n - 2, buf); memcpy(to, buf, l); r = l; good = "ok"; }
  else if (IS("get")) {
    const char *from = (const char *)V(1); char *s = t; char h[20000];
    for (int i = 2; i < n; i++) {
      int bytes = *a[i] == 'b' ? atoi(a[i] + 1) : atoi(a[i]) / 8;
      s += sprintf(s, "%s%s", i > 2 ? " " : "", *a[i] == 'b' ? shown(from, bytes, h) : number(from, bytes * 8, h)); from += bytes;
    }
    r = 0; good = t;
  } else if (IS("wait")) {
    volatile uint16_t *p = (uint16_t *)V(1); uint16_t v = V(2); int i = 0;
    while (*p != v && i++ < 3000) usleep(1000);
    r = 0; sprintf(t, *p == v ? "0x%x" : "still 0x%x", *p); good = t;
  } else if (IS("map")) { void *m = mmap(0, V(2), V(3), V(4), V(1), V(5)); r = m == MAP_FAILED ? -1 : target ? (long)m : 0; good = "ok"; }
  else if (IS("unmap")) r = munmap((void *)V(1), V(2));
  else if (IS("uid")) { r = setresgid(V(1), V(1), V(1)) ? -1 : setresuid(V(1), V(1), V(1)); }
  else if (IS("limit")) { struct rlimit l = { V(2), V(2) }; r = setrlimit(V(1), &l); }
  else if (IS("sleep")) { usleep(V(1) * 1000); return; }
  else if (IS("join")) { while (wait(0) > 0); return; }
  else if (target && n == 1) { *var(target, 1) = V(0); return; }
  else { die("no such statement", said); return; }
  if (target) *var(target, 1) = r;
  result(said, r, good);
}
static void run(int from, int to) { for (int i = from; i < to; i++) statement(lines[i], &i, to); }

int main(int argc, char **argv) {
  if (argc != 2) { fprintf(stderr, "usage: calls FILE\n"); return 2; }
  FILE *f = strcmp(argv[1], "-") ? fopen(argv[1], "re") : stdin; if (!f) { perror(argv[1]); return 2; }
  char *l = 0; size_t z = 0; ssize_t n;
  while ((n = getline(&l, &z, f)) >= 0) { if (n && l[n - 1] == '\n') l[n - 1] = 0; lines[nlines++] = strdup(l); }
  if (f != stdin) fclose(f);
  run(0, nlines);
  return 0;
}
