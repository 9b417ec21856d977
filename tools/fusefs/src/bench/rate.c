/* How often a second one system call, or one round of them, goes through: rate WHAT PATH SECONDS. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

/* A process that sends back every byte: what it costs to wake another and be woken. */
static void echoes(int to[2], int from[2]) {
  if (pipe(to) < 0 || pipe(from) < 0) exit(1);
  if (fork() != 0) return;
  close(to[1]);
  for (char c; read(to[0], &c, 1) == 1;)
    if (write(from[1], &c, 1) != 1) break;
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const char *what = argv[1], *path = argv[2];
  const double seconds = atof(argv[3]);
  char bytes[4096];
  struct stat st;
  long n = 0;
  int to[2], from[2];
  if (!strcmp(what, "wake")) echoes(to, from);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return perror(path), 1;
  double start = now();
  for (; now() - start < seconds; n++) {
    if (!strcmp(what, "pread")) {
      if (pread(fd, bytes, sizeof bytes, 0) < 0) return perror("pread"), 1;
    } else if (!strcmp(what, "stat")) {
      if (stat(path, &st) < 0) return perror("stat"), 1;
    } else if (!strcmp(what, "ioctl")) {
      ioctl(fd, 0xaf7f, 0); /* no file knows it */
    } else if (!strcmp(what, "wake")) {
      if (write(to[1], bytes, 1) != 1 || read(from[0], bytes, 1) != 1) return perror("pipe"), 1;
    } else {
      int f = open(path, O_RDONLY);
      if (f < 0 || read(f, bytes, sizeof bytes) < 0) return perror("open"), 1;
      close(f);
    }
  }
  printf("%.0f\n", n / (now() - start));
  return 0;
}
