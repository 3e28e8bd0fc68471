/* A disk whose fsync takes as long as a test wants: preloaded, then armed by ctypes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int entered = -1, gate = -1;

/* From now on each sync writes a byte to one descriptor and waits for one from the other. */
void arm(int to_tell, int to_wait_for) {
    gate = to_wait_for;
    entered = to_tell;
}

static void pass(void) {
    char byte = 's';
    if (entered < 0)
        return;
    if (write(entered, &byte, 1) != 1 || read(gate, &byte, 1) != 1)
        abort();
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    pass();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    pass();
    return real(fd);
}
