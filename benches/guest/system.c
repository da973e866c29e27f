/* What the kernel does for a program. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <fcntl.h>
#include <unistd.h>
#include "bench.h"

static void syscalls(uint32_t n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void clock_reads(uint32_t n)
{
	struct timespec t;
	while (n--)
		clock_gettime(CLOCK_MONOTONIC, &t);
	sink = t.tv_nsec;
}

static void faults(uint32_t n)
{
	while (n) {
		uint32_t pages = n < 1024 ? n : 1024;
		volatile char *m = mmap(0, pages * 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m == MAP_FAILED)
			return;
		for (uint32_t i = 0; i < pages; i++)
			m[i * 4096] = 1;
		munmap((void *)m, pages * 4096);
		n -= pages;
	}
}

/* A page whose rights change, with an access in between. */
static void protect(uint32_t n)
{
	volatile char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return;
	while (n--) {
		mprotect((void *)m, 4096, PROT_READ | PROT_WRITE);
		m[0] = n;
		mprotect((void *)m, 4096, PROT_READ);
	}
	munmap((void *)m, 4096);
}

static void on_signal(int number)
{
	sink = number;
}

static void signals(uint32_t n)
{
	signal(SIGUSR1, on_signal);
	while (n--)
		raise(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
}

/* Looking up a path, and a file's data through the page cache. */
static void files(uint32_t n)
{
	static char data[16384];
	/* In memory on the host, too. */
	const char *name = access("/dev/shm", W_OK) ? "/tmp/skep-bench" : "/dev/shm/skep-bench";
	struct stat status;
	while (n--) {
		int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (file < 0 || write(file, data, sizeof data) != sizeof data ||
		    pread(file, data, sizeof data, 0) != sizeof data)
			break;
		close(file);
		stat(name, &status);
	}
	unlink(name);
}

static void forks(uint32_t n)
{
	while (n--) {
		pid_t child = fork();
		if (!child)
			_exit(0);
		waitpid(child, 0, 0);
	}
}

static void execs(uint32_t n)
{
	while (n--) {
		pid_t child = fork();
		if (!child) {
			execl(self, self, "exit", (char *)0);
			_exit(1);
		}
		waitpid(child, 0, 0);
	}
}

/* To a process that sends back what it gets, and from it. */
static int there[2], back[2];

static void pipes_prepare(void)
{
	char c;
	if (pipe(there) || pipe(back)) {
		perror("pipe");
		exit(1);
	}
	if (fork() == 0) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
}

static void pipes(uint32_t n)
{
	char c = 0;
	while (n--)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
}

static const struct row rows[] = {
	{ "getppid", syscalls, 0 },
	{ "clock-gettime", clock_reads, 0 },
	{ "page-fault", faults, 0 },
	{ "mprotect", protect, 0 },
	{ "signal", signals, 0 },
	{ "file", files, 0 },
	{ "fork-exit", forks, 0 },
	{ "fork-exec", execs, 0 },
	{ "pipe", pipes, pipes_prepare },
	{ 0 },
};

const struct group system_group = { "system", rows, 0 };
