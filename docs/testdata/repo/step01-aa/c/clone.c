#include <stdio.h>

#define LIMIT \
	64

struct box {
	int size;
};

/* Two names, for two
 * boxes. */
static const char *names[] = {
	"one",
	"two",
};

static char stack[1024 * 1024] __attribute__((aligned(16)));

static int child(void *arg);

// child says hello.
static int child(void *arg)
{
	struct box *b = arg;

	return printf("%d %s %p\n", b->size, names[0], (void *)stack);
}

int
main(void)
{
	struct box b = { LIMIT };

	return child(&b);
}
