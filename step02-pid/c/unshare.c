// unshare.c: leave the namespaces we are in for new ones, by unshare(2).
//
//	unshare [-u] [-i] [-p] [--kill-child SIGNAL] [--no-fork] COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM)
		hint = ": new namespaces need root: use sudo";
	fprintf(stderr, "unshare: %s on %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

static void usage(const char *wrong)
{
	fprintf(stderr, "unshare: %s: use unshare [-u] [-i] [-p] "
		"[--kill-child SIGNAL] [--no-fork] COMMAND [ARG...]\n", wrong);
	exit(125);
}

// number returns the signal that name (HUP, SIGHUP or 1) stands for.
static int number(const char *name)
{
	const char *word = strncasecmp(name, "SIG", 3) ? name : name + 3;

	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (atoi(name) == i || (known && !strcasecmp(word, known)))
			return i;
	}
	fprintf(stderr, "unshare: %s is no signal: name one like SIGKILL\n",
		name);
	exit(125);
}

static void become(char **command)
{
	execvp(command[0], command);
	fail("execve", command[0], errno == ENOENT ? 127 : 126);
}

static const struct option options[] = {
	{"kill-child", required_argument, NULL, 'k'},
	{"no-fork", no_argument, NULL, 'n'},
	{NULL, 0, NULL, 0},
};

static int flags, killChild, noFork;

static void parse(int argc, char **argv)
{
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "+uip", options, NULL)) != -1) {
		if (o == 'u')
			flags |= CLONE_NEWUTS;
		else if (o == 'i')
			flags |= CLONE_NEWIPC;
		else if (o == 'p')
			flags |= CLONE_NEWPID;
		else if (o == 'k')
			killChild = number(optarg);
		else if (o == 'n')
			noFork = 1;
		else
			usage("wrong option");
	}
	if (optind == argc)
		usage("COMMAND is missing");
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	parse(argc, argv);
	if (unshare(flags))
		fail("unshare", "namespaces", 125);
	// A new PID namespace is for our children: its first one is PID 1.
	// When that one ends, the namespace is over, and the next fork fails
	// with ENOMEM: pid_namespaces(7). Hence we fork, and fork once.
	if (noFork)
		become(argv + optind);
	pid = fork();
	if (pid < 0)
		fail("fork", argv[optind], 126);
	if (pid == 0) {
		if (killChild)
			prctl(PR_SET_PDEATHSIG, killChild);
		become(argv + optind);
	}
	if (waitpid(pid, &status, 0) < 0)
		fail("waitpid", argv[optind], 125);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}
