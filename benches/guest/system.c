/* What the kernel does for a program. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
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

static void pipes(uint32_t n)
{
	int there[2], back[2];
	char c = 0;
	if (pipe(there) || pipe(back))
		return;
	pid_t child = fork();
	if (!child) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
	while (n--)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
	close(there[0]), close(there[1]);
	close(back[0]), close(back[1]);
	waitpid(child, 0, 0);
}

static const struct row rows[] = {
	{ "getppid", syscalls }, { "clock-gettime", clock_reads }, { "page-fault", faults },
	{ "mprotect", protect }, { "signal", signals },	{ "file", files },
	{ "fork-exit", forks },	 { "fork-exec", execs },	{ "pipe", pipes },
	{ 0 },
};

const struct group system_group = { "system", rows, 0 };
