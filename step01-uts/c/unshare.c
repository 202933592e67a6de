// unshare.c: leave the namespaces we are in for new ones, by unshare(2).
//
//	unshare [-u] COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	fprintf(stderr, "unshare: %s: use unshare [-u] COMMAND [ARG...]\n",
		wrong);
	exit(125);
}

int main(int argc, char **argv)
{
	int flags = 0, o;

	opterr = 0;
	// The + ends the options at the first word that is none: COMMAND.
	while ((o = getopt(argc, argv, "+u")) != -1) {
		if (o == 'u')
			flags |= CLONE_NEWUTS;
		else
			usage("unknown option");
	}
	if (optind == argc)
		usage("COMMAND is missing");
	if (unshare(flags))
		fail("unshare", "uts", 125);
	execvp(argv[optind], argv + optind);
	fail("execve", argv[optind], errno == ENOENT ? 127 : 126);
}
