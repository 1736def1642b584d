/*
 * Sends the lines of a file as datagrams over loopback at a constant rate: udp_send PORT RATE SECONDS FILE [SOCKETS]
 *
 * RATE is datagrams per second. Datagrams are sent in batches (sendmmsg), because the sender shares the machine with
 * the daemon. If it falls behind by more than eight batches, it skips the excess. Several sockets have several source
 * ports; the kernel distributes datagrams over the daemon's sockets by source port. Prints the number sent, their bytes
 * and the rate, as JSON.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, LINES_MAX = 65536, SOCKETS_MAX = 64 };

static struct iovec lines[LINES_MAX];
static size_t n_lines;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int read_lines(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    for (;;) {
        char *line = NULL;
        size_t size = 0;
        ssize_t len = getline(&line, &size, file);
        if (len <= 1 || n_lines == LINES_MAX) {
            free(line);
            break;
        }
        lines[n_lines++] = (struct iovec){.iov_base = line, .iov_len = (size_t)len - 1};
    }
    fclose(file);
    return n_lines ? 0 : -1;
}

static int open_socket(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = 4 << 20;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ||
        connect(fd, (const struct sockaddr *)&to, sizeof(to))) {
        perror("udp_send");
        exit(1);
    }
    return fd;
}

/* Returns the number sent. ECONNREFUSED, after the daemon has exited, is an error. */
static unsigned send_batch(int fd, size_t first, unsigned n)
{
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof(batch));
    for (unsigned i = 0; i < n; i++) {
        batch[i].msg_hdr.msg_iov = &lines[(first + i) % n_lines];
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, batch, n, 0);
    if (sent < 0) {
        perror("udp_send");
        exit(1);
    }
    return (unsigned)sent;
}

int main(int argc, char **argv)
{
    double rate = argc > 2 ? atof(argv[2]) : 0, seconds = argc > 3 ? atof(argv[3]) : 0;
    int n_sockets = argc > 5 ? atoi(argv[5]) : 1;
    if (argc < 5 || rate <= 0 || seconds <= 0 || n_sockets < 1 || n_sockets > SOCKETS_MAX) {
        fprintf(stderr, "usage: udp_send PORT RATE SECONDS FILE [SOCKETS]\n");
        return 2;
    }
    if (read_lines(argv[4])) {
        fprintf(stderr, "udp_send: %s cannot be read or has no lines\n", argv[4]);
        return 1;
    }
    int fds[SOCKETS_MAX];
    for (int i = 0; i < n_sockets; i++)
        fds[i] = open_socket(argv[1]);
    size_t sent = 0;
    double skipped = 0, bytes = 0, start = now(), elapsed;
    for (unsigned i = 0; (elapsed = now() - start) < seconds; i++) {
        double due = elapsed * rate - skipped - (double)sent;
        if (due < 1) {
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
            continue;
        }
        if (due > 8 * BATCH) {
            skipped += due - 8 * BATCH;
            due = 8 * BATCH;
        }
        unsigned n = send_batch(fds[i % (unsigned)n_sockets], sent, due < BATCH ? (unsigned)due : BATCH);
        for (unsigned j = 0; j < n; j++)
            bytes += (double)lines[(sent + j) % n_lines].iov_len;
        sent += n;
    }
    printf("{\"sent\": %zu, \"bytes\": %.0f, \"rate\": %.0f}\n", sent, bytes, (double)sent / elapsed);
    return 0;
}
