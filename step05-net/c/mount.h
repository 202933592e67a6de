// mount.h: a root directory and mounts of the container's own, for clone.c.
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// What glibc has only since 2.36: see <linux/mount.h>.
enum { TREE_CLONE = 1, RECURSIVE = 0x8000, ATTR_RDONLY = 1 };

static const struct {
	const char *on, *type, *data;
	unsigned long flags;
} mounts[] = {
	{"/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV},
	{"/proc", "proc", "", MS_NOSUID | MS_NOEXEC},
	{"/dev", "tmpfs", "mode=755", MS_NOSUID},
	{"/dev/pts", "devpts", "ptmxmode=0666", MS_NOSUID},
	{"/dev/shm", "tmpfs", "", MS_NOSUID | MS_NODEV},
	{"/dev/mqueue", "mqueue", "", MS_NOSUID | MS_NODEV},
};
enum { ALL = sizeof mounts / sizeof *mounts };

// What every container has of the host's, as volumes.
static char *given[] = {"/sys:/sys:ro", "/dev/null:/dev/null",
	"/dev/zero:/dev/zero", "/dev/full:/dev/full", "/dev/tty:/dev/tty",
	"/dev/random:/dev/random", "/dev/urandom:/dev/urandom", NULL};

static const char *const links[][2] = {{"pts/ptmx", "/dev/ptmx"},
	{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"},
	{"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};

struct volume {
	int tree; // a copy of a part of the host's mounts
	char *on;
};

// private cuts the tie to the host's mounts: see mount_namespaces(7).
static void private(void)
{
	if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL))
		fail("mount", "/", 125);
}

// makeDirectories makes path and what is missing above it.
static void makeDirectories(const char *path)
{
	char part[PATH_MAX];

	for (size_t n = 1; n <= strlen(path) && n < sizeof part; n++)
		if (path[n] == '/' || path[n] == '\0') {
			snprintf(part, n + 1, "%s", path);
			mkdir(part, 0755);
		}
}

static void mountAll(int from, int to)
{
	for (int i = from; i < to; i++) {
		makeDirectories(mounts[i].on);
		if (mount(mounts[i].type, mounts[i].on, mounts[i].type,
				mounts[i].flags, mounts[i].data))
			fail("mount", mounts[i].on, 125);
	}
}

// take is the first half of a bind mount, done while we see the host. The
// copy, unlike an open directory, has no ".." that leads to the host.
static struct volume take(const char *arg)
{
	struct { unsigned long long set, clear, propagation, userns; }
		readonly = {.set = ATTR_RDONLY};
	char *src = strdup(arg), *on = strchr(src, ':'), *mode = NULL;
	int tree;

	if (on && (*on++ = '\0', mode = strchr(on, ':')))
		*mode++ = '\0';
	if (!on || *on != '/' || (mode && *mode && strcmp(mode, "ro"))) {
		fprintf(stderr, "clone: volume %s: not SRC:/DST[:ro]\n", arg);
		exit(125);
	}
	tree = syscall(SYS_open_tree, AT_FDCWD, src,
		TREE_CLONE | O_CLOEXEC | RECURSIVE);
	if (tree < 0 || (mode && *mode && syscall(SYS_mount_setattr, tree, "",
			AT_EMPTY_PATH | RECURSIVE, &readonly, sizeof readonly)))
		fail("open_tree", src, 125);
	return (struct volume){tree, on};
}

// attach is the second half, when the host is out of reach: no symbolic link
// on the way to on can lead there.
static void attach(struct volume v)
{
	struct stat info = {0};
	char file[32], parent[PATH_MAX];

	fstat(v.tree, &info);
	if (!S_ISDIR(info.st_mode)) {
		snprintf(parent, strrchr(v.on, '/') - v.on + 1, "%s", v.on);
		makeDirectories(parent);
		mknod(v.on, S_IFREG | 0644, 0);
	}
	makeDirectories(v.on);
	snprintf(file, sizeof file, "/proc/self/fd/%d", v.tree);
	if (mount(file, v.on, NULL, MS_MOVE, NULL))
		fail("mount", v.on, 125);
}

// enterRoot makes root the root directory: pivot_root(2) puts the host's on
// top of it, and umount2 takes that away. chroot(2) is the old way.
static void enterRoot(const char *root, int old)
{
	char *full = realpath(root, NULL);

	if (!full || mount(full, full, NULL, MS_BIND | MS_REC, NULL) ||
			chdir(full))
		fail("bind mount", root, 125);
	if (old && chroot("."))
		fail("chroot", root, 125);
	if (!old && syscall(SYS_pivot_root, ".", "."))
		fail("pivot_root", root, 125);
	mountAll(0, 2);
	if (!old && umount2(".", MNT_DETACH))
		fail("umount2", "/", 125);
}

static void setMounts(const char *root, char **args, int old)
{
	int count = 0, all = sizeof given / sizeof *given;
	struct volume *volumes;

	private();
	if (!strcmp(root, "/") && !*args)
		return mountAll(0, 2);
	for (char **arg = args; *arg; arg++)
		all++;
	volumes = calloc(all, sizeof *volumes);
	for (char **arg = given; *arg; arg++)
		volumes[count++] = take(*arg);
	for (; *args; args++)
		volumes[count++] = take(*args);
	enterRoot(root, old);
	mountAll(2, ALL);
	for (int i = 0; i < count; i++)
		attach(volumes[i]);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlink(links[i][0], links[i][1]))
			fail("symlink", links[i][1], 125);
}
