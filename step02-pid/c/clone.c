// clone.c: a container with processes of its own, by clone(2).
//
//	clone [--plain] [--hostname NAME] [--domainname NAME] COMMAND
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct container {
	int plain, alive[2];
	char *hostname, *domainname, **command;
};

static char stack[1024 * 1024] __attribute__((aligned(16)));
static sigset_t forwarded, before;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = errno == EPERM ? ": needs root: use sudo" :
		errno == EINVAL ? ": a name has at most 64 characters" : "";

	fprintf(stderr, "clone: %s on %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

static void become(char **command)
{
	sigprocmask(SIG_SETMASK, &before, NULL);
	execvp(command[0], command);
	fail("execve", command[0], errno == ENOENT ? 127 : 126);
}

// block keeps signals pending until supervise takes them. PID 1 would lose
// those that it neither blocks nor handles: signal(7).
static void block(void)
{
	int signals[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
		SIGUSR2};

	sigemptyset(&forwarded);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaddset(&forwarded, signals[i]);
	sigprocmask(SIG_BLOCK, &forwarded, &before);
}

// supervise is PID 1's duty: pass signals on to child, reap every process
// that ends (orphans become ours), and return how child ended. The parent of
// PID 1 does the same for PID 1.
static int supervise(pid_t child)
{
	int sig, status;
	pid_t pid;

	for (;;) {
		sigwait(&forwarded, &sig);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == child)
				return WIFSIGNALED(status) ?
					128 + WTERMSIG(status) : WEXITSTATUS(status);
		// A terminal sends these two to everyone itself.
		if (isatty(0) && (sig == SIGINT || sig == SIGQUIT))
			continue;
		if (sig != SIGCHLD)
			kill(child, sig);
	}
}

static int inside(void *arg)
{
	struct container *c = arg;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	// Was the parent dead by then? In a PID namespace getppid(2) is 0 either
	// way; but a dead parent holds no pipe open.
	close(c->alive[1]);
	if (poll(&(struct pollfd){.fd = c->alive[0]}, 1, 0))
		return 125;
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (c->plain)
		become(c->command);
	if (sethostname(c->hostname, strlen(c->hostname)))
		fail("sethostname", c->hostname, 125);
	if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)))
		fail("setdomainname", c->domainname, 125);
	if ((pid = fork()) == 0)
		become(c->command);
	if (pid < 0)
		fail("fork", c->command[0], 126);
	return supervise(pid);
}

static const struct option options[] = {
	{"plain", no_argument, NULL, 'p'},
	{"hostname", required_argument, NULL, 'h'},
	{"domainname", required_argument, NULL, 'd'},
	{NULL, 0, NULL, 0},
};

static void usage(const char *wrong)
{
	fprintf(stderr, "clone: %s: use clone [OPTION...] COMMAND\n", wrong);
	exit(125);
}

static void parse(int argc, char **argv, struct container *c)
{
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		switch (o) {
		case 'p': c->plain = 1; break;
		case 'h': c->hostname = optarg; break;
		case 'd': c->domainname = optarg; break;
		default: usage(argv[optind - 1]);
		}
	c->command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
}

int main(int argc, char **argv)
{
	struct container c = {.hostname = "container"};
	int flags, status;
	pid_t pid;

	parse(argc, argv, &c);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	block();
	if (pipe2(c.alive, O_CLOEXEC))
		fail("pipe", "container", 125);
	flags = c.plain ? 0 : CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	pid = clone(inside, stack + sizeof stack, flags | SIGCHLD, &c);
	if (pid < 0)
		fail("clone", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	status = supervise(pid);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	return status;
}
