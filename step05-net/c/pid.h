// pid.h: the duties of PID 1 and of the parent, as before, for clone.c.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static sigset_t forwarded, before;

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

// orphaned is true if the parent died before we asked for a signal when it
// does, PR_SET_PDEATHSIG. In a PID namespace getppid(2) is 0 either way; but a
// dead parent holds no pipe open.
static int orphaned(int pipe)
{
	return poll(&(struct pollfd){.fd = pipe}, 1, 0);
}
