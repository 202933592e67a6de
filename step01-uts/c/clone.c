// clone.c: a container with a name of its own, by clone(2).
//
//	clone [--plain] [--hostname NAME] [--domainname NAME] COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct container {
	int plain;
	pid_t parent;
	char *hostname, *domainname;
	char **command;
};

// The child runs on a stack of its own, which we have to bring: 1 MiB. It is
// a copy of us (no CLONE_VM), so the stack need not be shared or freed.
static char stack[1024 * 1024] __attribute__((aligned(16)));

// fail says what failed, on what and why, and ends with Docker's status for
// "not the command, we failed".
static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM)
		hint = ": new namespaces need root: use sudo";
	if (errno == EINVAL)
		hint = ": a name has at most 64 characters";
	fprintf(stderr, "clone: %s on %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

// become replaces this process by the command, and returns never.
static void become(char **command)
{
	execvp(command[0], command);
	fail("execve", command[0], errno == ENOENT ? 127 : 126);
}

// inside is what the child does.
static int inside(void *arg)
{
	struct container *c = arg;

	// When the parent dies, however that happens, so do we.
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	// Unless it was dead by then: whom another has adopted gets no signal.
	if (getppid() != c->parent)
		return 125;
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (c->plain)
		become(c->command);
	if (sethostname(c->hostname, strlen(c->hostname)))
		fail("sethostname", c->hostname, 125);
	if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)))
		fail("setdomainname", c->domainname, 125);
	become(c->command);
	return 0;
}

static const struct option options[] = {
	{"plain", no_argument, NULL, 'p'},
	{"hostname", required_argument, NULL, 'h'},
	{"domainname", required_argument, NULL, 'd'},
	{NULL, 0, NULL, 0},
};

static void usage(const char *wrong)
{
	fprintf(stderr, "clone: %s: use clone [--plain] [--hostname NAME] "
		"[--domainname NAME] COMMAND [ARG...]\n", wrong);
	exit(125);
}

static void parse(int argc, char **argv, struct container *c)
{
	int o;

	opterr = 0;
	// The + ends the options at the first word that is none: COMMAND.
	while ((o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (o == 'p')
			c->plain = 1;
		else if (o == 'h')
			c->hostname = optarg;
		else if (o == 'd')
			c->domainname = optarg;
		else
			usage(argv[optind - 1]);
	}
	c->command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
}

int main(int argc, char **argv)
{
	struct container c = {.hostname = "container", .parent = getpid()};
	int flags, status;
	pid_t pid;

	parse(argc, argv, &c);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	flags = c.plain ? 0 : CLONE_NEWUTS;
	// The stack grows downwards: clone wants its upper end.
	pid = clone(inside, stack + sizeof stack, flags | SIGCHLD, &c);
	if (pid < 0)
		fail("clone", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	if (waitpid(pid, &status, 0) < 0)
		fail("waitpid", "container", 125);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}
