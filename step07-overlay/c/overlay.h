// overlay.h: a root directory made of layers, for clone.c.
#include <ftw.h>

static char scratch[PATH_MAX]; // where the container writes while it runs
static int leash[2] = {-1, -1};
static pid_t boss, janitor;

// below is the path of one of the directories in scratch.
static char *below(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", scratch, name) < 0)
		abort();
	return path;
}

static int openUp(const char *path, const struct stat *info, int type,
	struct FTW *at)
{
	(void)info, (void)at;
	if ((type == FTW_D || type == FTW_DNR) && getuid() != 0)
		chmod(path, 0700);
	return 0;
}

static int removeOne(const char *path, const struct stat *info, int type,
	struct FTW *at)
{
	(void)info, (void)type, (void)at;
	return remove(path);
}

// sweep removes scratch. overlayfs leaves its work directory closed, and so
// may root inside leave any other. The last process that writes may still
// have to die.
static void sweep(void)
{
	for (int i = 0; i < 100 && !access(scratch, F_OK); i++) {
		nftw(scratch, openUp, 16, FTW_PHYS);
		if (nftw(scratch, removeOne, 16, FTW_PHYS | FTW_DEPTH))
			usleep(50000);
	}
}

// dismiss lets go of the janitor and waits until all is swept. Children of
// ours that end with exit(3) come here, too.
static void dismiss(void)
{
	if (getpid() != boss)
		return;
	close(leash[1]);
	waitpid(janitor, NULL, 0);
}

// hireJanitor starts a process that outlives us, however we die: the kernel
// closes our end of the leash then. A session of its own keeps it from the
// terminal's signals.
static void hireJanitor(void)
{
	char c;

	boss = getpid();
	if (pipe2(leash, O_CLOEXEC) || (janitor = fork()) < 0)
		fail("fork", "janitor", 125);
	if (janitor == 0) {
		setsid();
		close_range(leash[1], leash[1], 0);
		while (read(leash[0], &c, 1) > 0)
			;
		sweep();
		_exit(0);
	}
	atexit(dismiss);
}

// rootOf returns the host's id of root inside.
static int rootOf(char **maps, int id)
{
	for (; *maps; maps++)
		sscanf(*maps, "0:%d:", &id);
	return id;
}

// newLayers makes the directories of an overlay on the host: upper receives
// what the container writes, work is the kernel's, merged the mount point.
// They belong to root inside, and the umask is not for its /.
static void newLayers(struct container *c)
{
	const char *names[] = {"", "upper", "work", "merged"};
	const char *tmp = getenv("TMPDIR") ?: "/tmp";
	uid_t uid = rootOf(c->uids, getuid());
	gid_t gid = rootOf(c->gids, getgid());
	struct stat info;

	if (c->commit && !lstat(c->commit, &info)) {
		errno = EEXIST;
		fail("commit", c->commit, 125);
	}
	snprintf(scratch, sizeof scratch, c->commit ? "%s-%d" :
		"%s/workshop-%d", c->commit ?: tmp, getpid());
	hireJanitor();
	for (int i = 0; i < 4; i++)
		if (mkdir(below(names[i]), 0700) ||
				chown(below(names[i]), uid, gid))
			fail("mkdir", scratch, 125);
	chmod(below("upper"), 0755);
}

// setLayers mounts the overlay, in the container. The layers are named by
// open files: names are free to have colons and commas then, and many fit
// into the one page that mount(2) takes. userxattr keeps overlayfs's own
// marks where a user namespace may write them.
static char *setLayers(char **layers)
{
	char *lower = strdup(""), *data;
	int fd = 0;

	for (; *layers; layers++) {
		fd = open(*layers, O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			fail("open", *layers, 125);
		if (asprintf(&lower, "/proc/self/fd/%d%s%s", fd,
				*lower ? ":" : "", lower) < 0)
			abort();
	}
	fd = open(scratch, O_PATH | O_CLOEXEC);
	if (asprintf(&data, "userxattr,lowerdir=%s,upperdir=/proc/self/fd/%d/"
			"upper,workdir=/proc/self/fd/%d/work", lower, fd, fd) < 0)
		abort();
	if (strlen(data) >= (size_t)getpagesize()) {
		errno = E2BIG;
		fail("mount overlay", scratch, 125);
	}
	if (mount("overlay", below("merged"), "overlay", MS_NODEV, data))
		fail("mount overlay", scratch, 125);
	return below("merged");
}
