// options.h: the command line, for clone.c.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct container {
	char *hostname, *domainname, *rootfs, *commit;
	char **volumes, **layers, **uids, **gids, **command;
	int chroot, gate[2];
};

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
	{"mount overlay", E2BIG, ": the layers' names fill a page, mount(2)"},
	{"mount overlay", EINVAL,
		": no layer, too many, or TMPDIR is an overlay"},
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

static const struct option options[] = {
	{"hostname", required_argument, NULL, 'h'},
	{"domainname", required_argument, NULL, 'd'},
	{"rootfs", required_argument, NULL, 'r'},
	{"volume", required_argument, NULL, 'v'},
	{"chroot", no_argument, NULL, 'c'},
	{"uid-map", required_argument, NULL, 'u'},
	{"gid-map", required_argument, NULL, 'g'},
	{"layer", required_argument, NULL, 'l'},
	{"commit", required_argument, NULL, 'C'},
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
	char **layer = c->layers = calloc(argc + 1, sizeof *c->layers);
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
		case 'l': *layer++ = optarg; break;
		case 'C': c->commit = optarg; break;
		default: usage(argv[optind - 1]);
		}
	c->command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
	// --rootfs is the lowest layer.
	if (strcmp(c->rootfs, "/")) {
		memmove(c->layers + 1, c->layers, argc * sizeof *c->layers);
		c->layers[0] = c->rootfs;
	}
}
