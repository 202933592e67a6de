package runtime

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The place of a name is the number of the limit: getrlimit(2).
var limits = [...]string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS",
	"NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE",
	"NICE", "RTPRIO", "RTTIME"}

func limitNumber(kind string) (int, error) {
	for n, name := range limits {
		if kind == "RLIMIT_"+name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("rlimit %q: there is none of that name", kind)
}

// setLimits needs CAP_SYS_RESOURCE on the host to raise a hard limit.
func setLimits(pid int, list []specs.POSIXRlimit) error {
	for _, l := range list {
		n, err := limitNumber(l.Type)
		if err != nil {
			return err
		}
		want := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		if err := unix.Prlimit(pid, n, &want, nil); err != nil {
			return fmt.Errorf("set %s to %d:%d: %w", l.Type, l.Soft, l.Hard,
				err)
		}
	}
	return nil
}
