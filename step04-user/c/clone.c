// clone.c: a container whose root is an ordinary user outside, by clone(2).
//
//	clone [--hostname NAME] [--domainname NAME] [--rootfs DIR] [--chroot]
//		[--volume SRC:DST[:ro]]... [--uid-map INSIDE:HOST:N]...
//		[--gid-map INSIDE:HOST:N]... COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct container {
	char *hostname, *domainname, *rootfs;
	char **volumes, **uids, **gids, **command;
	int chroot, gate[2];
};

static char stack[1024 * 1024] __attribute__((aligned(16)));

// What to do about an errno of a call, where the cause is known.
static const struct {
	const char *call;
	int error;
	const char *todo;
} advice[] = {
	{"clone", ENOSPC, ": raise sysctl user.max_user_namespaces"},
	{"clone", EPERM, ": sysctl, chroot or seccomp forbids it: make doctor"},
	{"sethostname", EPERM,
		": AppArmor restricts user namespaces: make doctor"},
	{"write", EINVAL, ": maps are INSIDE:HOST:N and do not overlap"},
	{"setuid", EINVAL, ": the maps need a 0 inside"},
	{"ask", ENOENT, ": install the package uidmap"},
	{"bind mount", ENOENT, ": make rootfs makes a root filesystem"},
	{"pivot_root", EBUSY, ": give a --rootfs other than /"},
};

static void fail(const char *call, const char *on, int status)
{
	const char *todo = "";

	for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
		if (advice[i].error == errno && !strcmp(advice[i].call, call))
			todo = advice[i].todo;
	fprintf(stderr, "clone: %s %s: %s (%s)%s\n", call, on,
		strerror(errno), strerrorname_np(errno), todo);
	exit(status);
}

#include "mount.h"
#include "pid.h"
#include "user.h"

static int inside(void *arg)
{
	struct container *c = arg;
	char go;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	// Wait at the gate: until the maps are written we are nobody. A parent
	// that fails or dies closes the gate without a word.
	close(c->gate[1]);
	if (read(c->gate[0], &go, 1) != 1)
		return 125;
	becomeRoot(c->gate[0]);
	// A directory of the host's that is still open leads out of here.
	close_range(3, ~0U, 0);
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (sethostname(c->hostname, strlen(c->hostname)))
		fail("sethostname", c->hostname, 125);
	if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)))
		fail("setdomainname", c->domainname, 125);
	setMounts(c->rootfs, c->volumes, c->chroot);
	if ((pid = fork()) == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(c->command[0], c->command);
		fail("execve", c->command[0], errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		fail("fork", c->command[0], 126);
	return supervise(pid);
}

static const struct option options[] = {
	{"hostname", required_argument, NULL, 'h'},
	{"domainname", required_argument, NULL, 'd'},
	{"rootfs", required_argument, NULL, 'r'},
	{"volume", required_argument, NULL, 'v'},
	{"chroot", no_argument, NULL, 'c'},
	{"uid-map", required_argument, NULL, 'u'},
	{"gid-map", required_argument, NULL, 'g'},
	{NULL, 0, NULL, 0},
};

static void usage(const char *wrong)
{
	fprintf(stderr, "clone: %s: use clone [OPTION...] COMMAND\n", wrong);
	exit(125);
}

static void parse(int argc, char **argv, struct container *c)
{
	char **volume = c->volumes = calloc(argc, sizeof *c->volumes);
	char **uid = c->uids = calloc(argc, sizeof *c->uids);
	char **gid = c->gids = calloc(argc, sizeof *c->gids);

	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		switch (o) {
		case 'h': c->hostname = optarg; break;
		case 'd': c->domainname = optarg; break;
		case 'r': c->rootfs = optarg; break;
		case 'v': *volume++ = optarg; break;
		case 'c': c->chroot = 1; break;
		case 'u': *uid++ = optarg; break;
		case 'g': *gid++ = optarg; break;
		default: usage(argv[optind - 1]);
		}
	c->command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
}

int main(int argc, char **argv)
{
	struct container c = {.hostname = "container", .rootfs = "/"};
	int status;
	pid_t pid;

	parse(argc, argv, &c);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	block();
	if (pipe2(c.gate, O_CLOEXEC))
		fail("pipe", "gate", 125);
	pid = clone(inside, stack + sizeof stack, CLONE_NEWPID | CLONE_NEWIPC |
		CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWUSER | SIGCHLD, &c);
	if (pid < 0)
		fail("clone", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	writeMaps(pid, c.uids, c.gids);
	if (write(c.gate[1], "g", 1) < 0)
		fail("write", "gate", 125);
	status = supervise(pid);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	return status;
}
