// fail.h: one line about a call that failed, for clone.c.

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
