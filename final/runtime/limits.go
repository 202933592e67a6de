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
			return fmt.Errorf("set %s to %d:%d: %w", l.Type, l.Soft, l.Hard, err)
		}
	}
	return nil
}

// setSchedule: sched(7), ioprio_set(2).
func setSchedule(pid int, p *specs.Process) error {
	if s := p.Scheduler; s != nil {
		policy, known := map[specs.LinuxSchedulerPolicy]uint32{
			specs.SchedOther: unix.SCHED_NORMAL, specs.SchedFIFO: unix.SCHED_FIFO,
			specs.SchedRR: unix.SCHED_RR, specs.SchedBatch: unix.SCHED_BATCH,
			specs.SchedIdle: unix.SCHED_IDLE}[s.Policy]
		if !known || len(s.Flags) > 0 {
			return fmt.Errorf("scheduler %s %v: not supported", s.Policy, s.Flags)
		}
		err := unix.SchedSetAttr(pid, &unix.SchedAttr{Policy: policy,
			Size: unix.SizeofSchedAttr, Nice: s.Nice,
			Priority: uint32(s.Priority)}, 0)
		if err != nil {
			return fmt.Errorf("set scheduler %s: %w", s.Policy, err)
		}
	}
	if i := p.IOPriority; i != nil {
		class, known := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1,
			specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[i.Class]
		if !known {
			return fmt.Errorf("ioPriority %q: no such class", i.Class)
		}
		_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(pid),
			uintptr(class<<13|i.Priority))
		if errno != 0 {
			return fmt.Errorf("set ioPriority %s %d: %w", i.Class, i.Priority,
				errno)
		}
	}
	return nil
}
