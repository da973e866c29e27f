/* Rows that are other programs: a file has a line for each, `NAME|PREPARATION|COMMAND`. Both are for
 * the shell, and only the command is measured. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

/* Runs a command: 0 if it succeeded. */
static int shell(const char *command)
{
	int status = -1;
	pid_t child = fork();
	if (!child) {
		execl("/bin/sh", "sh", "-c", command, (char *)0);
		_exit(127);
	}
	waitpid(child, &status, 0);
	return status;
}

void run_programs(FILE *list)
{
	char *line = 0;
	size_t room = 0;
	while (getline(&line, &room, list) > 0) {
		char *rest = line;
		line[strcspn(line, "\n")] = 0;
		const char *name = strsep(&rest, "|"), *prepare = strsep(&rest, "|");
		if (!rest || !(wanted("programs") || wanted(name)))
			continue;
		if (*prepare && shell(prepare)) {
			printf("failed %s preparation\n", name);
			continue;
		}
		printf("start %s\n", name);
		double begin = now();
		int status = shell(rest);
		double took = now() - begin;
		if (status)
			printf("failed %s %d\n", name, status);
		else
			printf("row programs %s %.0f %.0f\n", name, took, took);
	}
	free(line);
}
