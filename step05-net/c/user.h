// user.h: who is who in a user namespace, for clone.c.
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void writeFile(pid_t pid, const char *name, const char *text)
{
	char file[64];
	int fd;

	snprintf(file, sizeof file, "/proc/%d/%s", pid, name);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("write", file, 125);
	close(fd);
}

// join makes one text of INSIDE:HOST:N arguments, as the kernel wants them.
static char *join(char **args)
{
	char *text = strdup("");

	for (char *old = text; *args; args++, free(old), old = text)
		if (asprintf(&text, "%s%s\n", old, *args) < 0)
			abort();
	for (char *p = text; (p = strchr(p, ':')); p++)
		*p = ' ';
	return text;
}

// ask lets newuidmap(1) or newgidmap(1) write a map. They may, being root's,
// and do what /etc/subuid and /etc/subgid allow.
static void ask(char *tool, pid_t pid, char *text)
{
	char *argv[1024] = {tool}, number[16];
	int n = 1, status;
	pid_t child;

	snprintf(number, sizeof number, "%d", pid);
	argv[n++] = number;
	for (char *s = strtok(text, " \n"); s && n < 1023; s = strtok(NULL, " \n"))
		argv[n++] = s;
	if ((child = fork()) == 0) {
		execvp(tool, argv);
		fail("ask", tool, 125);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		fail("fork", tool, 125);
	if (status)
		exit(125); // it has said why
}

// writeMaps tells the kernel who the child's ids are: in the parent, because
// the child is nobody until then. Everybody may map himself, but must give up
// setgroups(2) first: a group can also keep people out.
static void writeMaps(pid_t pid, char **uids, char **gids)
{
	char *uid, *gid, own[2][32];
	char *ownUid[] = {own[0], NULL}, *ownGid[] = {own[1], NULL};

	snprintf(own[0], sizeof own[0], "0:%d:1", getuid());
	snprintf(own[1], sizeof own[1], "0:%d:1", getgid());
	uid = join(*uids ? uids : ownUid);
	gid = join(*gids ? gids : ownGid);
	if (!*uids && !*gids)
		writeFile(pid, "setgroups", "deny");
	if ((*uids || *gids) && getuid() != 0) {
		ask("newuidmap", pid, uid);
		ask("newgidmap", pid, gid);
		return;
	}
	writeFile(pid, "uid_map", uid);
	writeFile(pid, "gid_map", gid);
}

// becomeRoot takes the ids that the maps give to root. A change of ids makes
// the kernel forget PDEATHSIG, and hide us from whoever started us. It may
// have died in between; then it holds the gate open no more.
static void becomeRoot(int gate)
{
	setgroups(0, NULL);
	if (setgid(0) || setuid(0))
		fail("setuid", "0", 125);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (orphaned(gate))
		exit(125);
	prctl(PR_SET_DUMPABLE, 1);
}
