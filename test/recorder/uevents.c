// uevents FILE: put itself into the background and append every kernel uevent to FILE, in the manner of transcripts:
// the header, then the variables that it does not say. FILE.seq holds the number of the last one, to wait for.
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int said_elsewhere(const char *variable) {
  return !strncmp(variable, "ACTION=", 7) || !strncmp(variable, "DEVPATH=", 8) || !strncmp(variable, "SEQNUM=", 7);
}

int main(int argc, char **argv) {
  static char message[65536];
  char seq_file[4096];
  int room = 8 << 20, fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
  if (argc != 2) return fputs("usage: uevents FILE\n", stderr), 2;
  if (fd < 0 || bind(fd, (void *)&address, sizeof address)) return perror("uevents"), 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  snprintf(seq_file, sizeof seq_file, "%s.seq", argv[1]);
  FILE *out = fopen(argv[1], "a");
  if (!out) return perror(argv[1]), 1;
  if (fork()) return 0;
  setsid();
  for (ssize_t length; (length = recv(fd, message, sizeof message - 1, 0)) > 0;) {
    const char *end = message + length, *seq = "0";
    message[length] = 0;
    fprintf(out, "uevent: %s", message);
    for (const char *p = message + strlen(message) + 1; p < end; p += strlen(p) + 1) {
      if (!strncmp(p, "SEQNUM=", 7)) seq = p + 7;
      if (!said_elsewhere(p)) fprintf(out, " %s", p);
    }
    fputc('\n', out);
    fflush(out);
    FILE *last = fopen(seq_file, "w");
    if (last) fprintf(last, "%s\n", seq), fclose(last);
  }
  return 0;
}
