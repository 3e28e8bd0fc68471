/* The clients of the benchmark, in C so that they cost the measured server as little as possible.
 *
 *   load run EXPECT N WAY    N clients read a flood; EXPECT is a file with the exact bytes to come.
 *                            Prints "ready"; the line on stdin starts the flood, by a line into
 *                            the FIFO EXPECT.go (nothing is typed: servers treat typing apart).
 *                            Prints one JSON line when every client has the end mark, or after
 *                            two seconds of silence; a second line on stdin ends it.
 *   load echo COUNT WAY      one client types COUNT letters into a raw `cat`, one at a time.
 *                            Prints "ready", waits for a line, prints a JSON list of microseconds.
 *   load sink WAY            one client reads for ever; ended by a signal.
 *
 *   WAY = frames SOCKET JSON   attach over a node's Unix socket with this request (spec/wire.md)
 *       | pty COMMAND...       run a terminal client, or the program itself, in a PTY of 80x24
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MARK "<<END-OF-BENCH>>"
#define MARK_LENGTH (sizeof MARK - 1)
#define MAX_CLIENTS 256
#define SILENCE_MS 2000

struct client {
    int fd;
    int framed;
    unsigned char header[5];
    size_t header_got;
    uint32_t left;           /* of the frame's payload */
    uint64_t got;            /* output bytes */
    int wrong;               /* a byte differed from EXPECT */
    int done;
    char tail[MARK_LENGTH];  /* the last output bytes, to find a mark cut by two reads */
    char wanted;             /* the letter an echo waits for, 0 when seen */
};

static const char *expected;
static uint64_t expected_length;
static char buffer[1 << 18];

static void fail(const char *words) {
    fprintf(stderr, "load: %s: %s\n", words, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_all(int fd, const void *data, size_t length) {
    for (const char *p = data; length;) {
        ssize_t n = write(fd, p, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("write");
        p += n, length -= n;
    }
}

static void send_frame(int fd, int kind, const void *data, uint32_t length) {
    unsigned char frame[4096] = {kind, length >> 24, length >> 16, length >> 8, length};
    if (length > sizeof frame - 5) fail("frame");
    memcpy(frame + 5, data, length);
    write_all(fd, frame, length + 5);
}

static void type_byte(struct client *c, char byte) {
    if (c->framed)
        send_frame(c->fd, 1, &byte, 1);
    else
        write_all(c->fd, &byte, 1);
}

static void take_output(struct client *c, const char *data, size_t length) {
    if (expected && c->framed) {
        if (c->got + length > expected_length || memcmp(expected + c->got, data, length)) c->wrong = 1;
        c->done |= c->got + length >= expected_length;
    } else if (expected) {
        char seam[2 * MARK_LENGTH];
        size_t head = length < MARK_LENGTH ? length : MARK_LENGTH;
        memcpy(seam, c->tail, MARK_LENGTH);
        memcpy(seam + MARK_LENGTH, data, head);
        c->done |= memmem(seam, MARK_LENGTH + head, MARK, MARK_LENGTH) != NULL ||
                   memmem(data, length, MARK, MARK_LENGTH) != NULL;
        if (length >= MARK_LENGTH) {
            memcpy(c->tail, data + length - MARK_LENGTH, MARK_LENGTH);
        } else {
            memmove(c->tail, c->tail + length, MARK_LENGTH - length);
            memcpy(c->tail + MARK_LENGTH - length, data, length);
        }
    }
    if (c->wanted && memchr(data, c->wanted, length)) c->wanted = 0;
    c->got += length;
}

static void take(struct client *c, const char *data, size_t length) {
    if (!c->framed) {
        take_output(c, data, length);
        return;
    }
    while (length) {
        if (c->header_got < 5) {
            c->header[c->header_got++] = *data++, length--;
            const unsigned char *h = c->header;
            if (c->header_got == 5)
                c->left = (uint32_t)h[1] << 24 | h[2] << 16 | h[3] << 8 | h[4];
        } else {
            size_t part = length < c->left ? length : c->left;
            if (c->header[0] == 1) take_output(c, data, part);
            data += part, length -= part, c->left -= part;
        }
        if (c->header_got == 5 && !c->left) c->header_got = 0;
    }
}

/* Read once; 0 when the client has ended. */
static int read_client(struct client *c) {
    ssize_t n = read(c->fd, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return 1;
    if (n <= 0) {
        c->done = 1;
        return 0;
    }
    take(c, buffer, n);
    return 1;
}

static void open_frames(struct client *c, char **way) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char header[5];
    strncpy(address.sun_path, way[0], sizeof address.sun_path - 1);
    c->framed = 1;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    send_frame(c->fd, 0, way[1], strlen(way[1]));
    if (recv(c->fd, header, 5, MSG_WAITALL) != 5) fail("no answer to attach");
    size_t length = header[2] << 16 | header[3] << 8 | header[4];
    if (header[0] || length >= sizeof buffer) fail("odd answer to attach");
    if (recv(c->fd, buffer, length, MSG_WAITALL) != (ssize_t)length) fail("short answer to attach");
    buffer[length] = 0;
    if (!strstr(buffer, "\"Attached\"")) fail(buffer);
}

static void open_pty(struct client *c, char **way) {
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    pid_t pid = forkpty(&c->fd, NULL, NULL, &size);
    if (pid < 0) fail("forkpty");
    if (pid == 0) {
        execvp(way[0], way);
        _exit(127);
    }
    fcntl(c->fd, F_SETFD, FD_CLOEXEC);
}

static void open_client(struct client *c, char **way) {
    if (!strcmp(way[0], "frames"))
        open_frames(c, way + 1);
    else
        open_pty(c, way + 1);
}

static int poll_clients(struct client *clients, int count, int timeout_ms) {
    struct pollfd fds[MAX_CLIENTS];
    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = clients[i].done ? -1 : clients[i].fd, .events = POLLIN};
    int ready = poll(fds, count, timeout_ms);
    for (int i = 0; i < count; i++)
        if (fds[i].revents) read_client(&clients[i]);
    return ready;
}

/* Terminal clients draw a screen when they attach: wait until 400 ms pass without output. */
static void settle(struct client *clients, int count) {
    while (poll_clients(clients, count, 400) > 0) continue;
    for (int i = 0; i < count; i++) clients[i].got = clients[i].done = 0;
}

static void wait_line(void) {
    char byte;
    do {
        if (read(0, &byte, 1) != 1) exit(0);
    } while (byte != '\n');
}

static void say_ready(void) {
    write_all(1, "ready\n", 6);
    wait_line();
}

static void map_expected(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) fail(path);
    expected_length = status.st_size;
    expected = mmap(NULL, expected_length, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (expected == MAP_FAILED) fail("mmap");
}

static void release_flood(const char *expected_path) {
    char fifo[4096];
    snprintf(fifo, sizeof fifo, "%s.go", expected_path);
    int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    if (fd < 0) fail(fifo);
    write_all(fd, "\n", 1);
    close(fd);
}

static int run(const char *expected_path, int count, char **way) {
    static struct client clients[MAX_CLIENTS];
    struct rusage usage;
    for (int i = 0; i < count; i++) open_client(&clients[i], way);
    settle(clients, count);
    say_ready();

    double start = now(), last = start;
    release_flood(expected_path);
    for (int left = count; left;) {
        if (poll_clients(clients, count, SILENCE_MS) == 0) break;
        last = now();
        left = 0;
        for (int i = 0; i < count; i++) left += !clients[i].done;
    }

    getrusage(RUSAGE_SELF, &usage);
    printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"wrong\": [", last - start,
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
    for (int i = 0; i < count; i++) printf("%s%d", i ? ", " : "", clients[i].wrong);
    printf("], \"bytes\": [");
    for (int i = 0; i < count; i++) printf("%s%llu", i ? ", " : "", (unsigned long long)clients[i].got);
    printf("]}\n");
    fflush(stdout);
    wait_line();
    return 0;
}

static int echo(int count, long pause_us, char **way) {
    /* Letters that end no common escape sequence: a terminal client's redraws must not match. */
    static const char letters[] = "vwxyz";
    static struct client c;
    open_client(&c, way);
    settle(&c, 1);
    say_ready();
    for (int i = 0; i < count; i++) {
        struct timespec pause = {0, pause_us * 1000};
        nanosleep(&pause, NULL);
        while (poll_clients(&c, 1, 0) > 0) continue;
        c.wanted = letters[i % (sizeof letters - 1)];
        double start = now();
        type_byte(&c, c.wanted);
        while (c.wanted)
            if (poll_clients(&c, 1, 5000) == 0 || c.done) fail("no echo");
        printf("%s%.1f", i ? ", " : "[", (now() - start) * 1e6);
    }
    printf("]\n");
    fflush(stdout);
    wait_line();
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 5 && !strcmp(argv[1], "run") && atoi(argv[3]) <= MAX_CLIENTS) {
        map_expected(argv[2]);
        return run(argv[2], atoi(argv[3]), argv + 4);
    }
    if (argc > 5 && !strcmp(argv[1], "echo"))
        return echo(atoi(argv[2]), atol(argv[3]), argv + 4);
    if (argc > 3 && !strcmp(argv[1], "sink")) {
        static struct client c;
        open_client(&c, argv + 2);
        while (read_client(&c)) continue;
        return 0;
    }
    fprintf(stderr, "usage: see load.c\n");
    return 2;
}
