/* The least that datagrams cost on this machine: sent by sendmmsg(2) from C, as agent/transport/pour.py sends them.

   datagrams unix PATH | udp PORT   RATE BURST   < datagrams, each behind its length (32 bits, native)

   RATE in a second, a large one counted by its KiB; 0: as fast as the kernel takes them. Prints microseconds of
   CPU time for each. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { MOST = 1 << 20 };
static struct mmsghdr headers[MOST];
static struct iovec vectors[MOST];

static double cpu_us(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int connected(const char *kind, const char *where) {
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int is_unix = strcmp(kind, "unix") == 0, room = 8 << 20;
  int sock = socket(is_unix ? AF_UNIX : AF_INET, SOCK_DGRAM, 0);
  setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  strncpy(local.sun_path, where, sizeof local.sun_path - 1);
  host.sin_port = htons(atoi(where));
  if (connect(sock, is_unix ? (void *)&local : (void *)&host, is_unix ? sizeof local : sizeof host))
    err(1, "%s", where);
  return sock;
}

static int read_all(void) {
  uint32_t size;
  int count = 0;
  for (; count < MOST && fread(&size, sizeof size, 1, stdin) == 1; count++) {
    vectors[count] = (struct iovec){malloc(size + 1), size};
    if (fread(vectors[count].iov_base, 1, size, stdin) != size) errx(1, "the last one has no end");
    headers[count].msg_hdr = (struct msghdr){.msg_iov = &vectors[count], .msg_iovlen = 1};
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 5) errx(2, "unix PATH | udp PORT, RATE, BURST");
  int sock = connected(argv[1], argv[2]), burst = atoi(argv[4]), count = read_all();
  double rate = atof(argv[3]), due = now(), began = cpu_us();
  for (int at = 0; at < count;) {
    int sent = sendmmsg(sock, headers + at, count - at < burst ? count - at : burst, 0);
    if (sent < 0) err(1, "sendmmsg");
    size_t bytes = 0;
    for (int each = at; each < at + sent; each++) bytes += vectors[each].iov_len;
    at += sent;
    due += rate > 0 ? (sent + bytes / 1024) / rate : 0;
    double left = due - now();
    struct timespec pause = {(time_t)left, (left - (time_t)left) * 1e9};
    if (rate > 0 && left > 0) nanosleep(&pause, NULL);
  }
  printf("%.2f\n", (cpu_us() - began) / count);
}
