/* Connections over vsock, or TCP to compare, from Linux's user space: what socat does where there is one.

       arm-linux-gnueabihf-gcc -O2 -static -o vsock vsock.c
       ./vsock cid                       prints the machine's own CID
       ./vsock connect HOST PORT         standard input goes there, standard output comes from there
       ./vsock listen PORT COMMAND...    each connection is a command's standard input and output
       ./vsock tcp-listen PORT COMMAND...
       ./vsock send HOST PORT BYTES      sends zeros, ends that, and waits for the other's end
       ./vsock many HOST PORT N          so many connections at a time: each sends its number and reads
                                         it back
       ./vsock rate HOST PORT N          so many one after the other, each for one byte and its echo

   HOST is a CID (the host is 2), or an IPv4 address with dots. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[64 << 10];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* An address, and its length. */
static socklen_t address(const char *host, unsigned port, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (strchr(host, '.')) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        inet_pton(AF_INET, host, &in->sin_addr);
        return sizeof *in;
    }
    struct sockaddr_vm *vm = (struct sockaddr_vm *)to;
    vm->svm_family = AF_VSOCK;
    vm->svm_cid = strtoul(host, NULL, 0);
    vm->svm_port = port;
    return sizeof *vm;
}

static int connection(const char *host, unsigned port)
{
    struct sockaddr_storage to;
    socklen_t length = address(host, port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&to, length) < 0)
        fail("connect");
    return fd;
}

static void write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0)
            fail("write");
        bytes += written;
        length -= written;
    }
}

/* Everything from one to the other, until it ends. */
static void copy(int from, int to)
{
    ssize_t length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        write_all(to, buffer, length);
    if (length < 0)
        fail("read");
}

/* Standard input there, and what comes from there to standard output, until that ends. Two processes, so
   that neither direction waits for the other. */
static void exchange(int fd)
{
    pid_t sender = fork();
    if (sender < 0)
        fail("fork");
    if (sender == 0) {
        copy(0, fd);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    copy(fd, 1);
    kill(sender, SIGTERM);
    waitpid(sender, NULL, 0);
}

static void serve(const char *host, unsigned port, char **command)
{
    struct sockaddr_storage at;
    socklen_t length = address(host, port, &at);
    int one = 1, fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, length) < 0 || listen(fd, 128) < 0)
        fail("listen");
    signal(SIGCHLD, SIG_IGN);
    printf("listening at %u\n", port);
    fflush(stdout);
    for (;;) {
        int stream = accept(fd, NULL, NULL);
        if (stream < 0)
            fail("accept");
        if (fork() == 0) {
            signal(SIGCHLD, SIG_DFL);
            dup2(stream, 0);
            dup2(stream, 1);
            close(stream);
            close(fd);
            execvp(command[0], command);
            fail(command[0]);
        }
        close(stream);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* One byte there and back. */
static void ping(int fd)
{
    char byte = 'x';
    write_all(fd, &byte, 1);
    if (read(fd, &byte, 1) != 1 || byte != 'x')
        fail("echo");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "cid") && argc == 2) {
        unsigned cid;
        int fd = open("/dev/vsock", O_RDONLY);
        if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
            fail("/dev/vsock");
        printf("%u\n", cid);
    } else if (!strcmp(what, "connect") && argc == 4) {
        exchange(connection(argv[2], atoi(argv[3])));
    } else if (!strcmp(what, "listen") && argc > 3) {
        serve("4294967295", atoi(argv[2]), argv + 3);
    } else if (!strcmp(what, "tcp-listen") && argc > 3) {
        serve("0.0.0.0", atoi(argv[2]), argv + 3);
    } else if (!strcmp(what, "send") && argc == 5) {
        int fd = connection(argv[2], atoi(argv[3]));
        uint64_t left = strtoull(argv[4], NULL, 0);
        while (left > 0) {
            size_t part = left < sizeof buffer ? left : sizeof buffer;
            write_all(fd, buffer, part);
            left -= part;
        }
        shutdown(fd, SHUT_WR);
        while (read(fd, buffer, sizeof buffer) > 0)
            ;
    } else if (!strcmp(what, "many") && argc == 5) {
        int count = atoi(argv[4]);
        int *fds = calloc(count, sizeof *fds);
        for (int i = 0; i < count; i++) {
            fds[i] = connection(argv[2], atoi(argv[3]));
            write_all(fds[i], (char *)&i, sizeof i);
        }
        for (int i = 0; i < count; i++) {
            int number;
            if (read(fds[i], &number, sizeof number) != sizeof number || number != i)
                fail("echo");
        }
        printf("%d connections\n", count);
    } else if (!strcmp(what, "rate") && argc == 5) {
        int count = atoi(argv[4]);
        double start = now();
        for (int i = 0; i < count; i++) {
            int fd = connection(argv[2], atoi(argv[3]));
            ping(fd);
            close(fd);
        }
        double each = (now() - start) / count;
        int fd = connection(argv[2], atoi(argv[3]));
        start = now();
        for (int i = 0; i < count; i++)
            ping(fd);
        printf("%.0f connections/s, %.0f us for an echo\n", 1 / each, (now() - start) / count * 1e6);
    } else {
        fprintf(stderr, "vsock: see the beginning of vsock.c\n");
        return 2;
    }
    return 0;
}
