package seccomp

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// load makes the accumulator 32 bits of struct seccomp_data.
func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS,
		K: offset}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// jump compares the accumulator to k, and goes yes or no instructions on.
func jump(op uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k,
		Jt: uint8(yes), Jf: uint8(no)}
}

// search returns the code that finds the span of the number in the
// accumulator. A conditional jump goes at most 255 instructions far.
func search(spans []span, bits int) []unix.SockFilter {
	if len(spans) == 1 {
		return answer(&spans[0], bits)
	}
	middle := len(spans) / 2
	low := search(spans[:middle], bits)
	high := search(spans[middle:], bits)
	code := []unix.SockFilter{jump(unix.BPF_JGE, spans[middle].from,
		len(low), 0)}
	if len(low) > 255 {
		code = []unix.SockFilter{
			jump(unix.BPF_JGE, spans[middle].from, 0, 1),
			{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(low))}}
	}
	return append(append(code, low...), high...)
}

// merge joins neighbours that have the same answer.
func merge(spans []span) []span {
	list := spans[:1:1]
	for _, s := range spans[1:] {
		last := &list[len(list)-1]
		if s.rules != nil || last.rules != nil || s.action != last.action {
			list = append(list, s)
		}
	}
	return list
}

// answer tries the rules in their order.
func answer(s *span, bits int) (code []unix.SockFilter) {
	for _, r := range s.rules {
		one := []unix.SockFilter{ret(r.action)}
		for i := range r.args {
			one = append(compare(&r.args[i], bits, len(one)), one...)
		}
		code = append(code, one...)
	}
	return append(code, ret(s.action))
}

// compare goes on to the next instruction if an argument meets the condition,
// else over the next skip ones. An argument is two words of which the machine
// stores the lower one first; where programs have 32 bits the upper one is
// nothing of theirs.
func compare(a *specs.LinuxSeccompArg, bits, skip int) []unix.SockFilter {
	mask, value := ^uint64(0), a.Value
	op, not := uint16(unix.BPF_JEQ), false
	switch a.Op {
	case specs.OpEqualTo:
	case specs.OpNotEqual:
		not = true
	case specs.OpGreaterEqual:
		op = unix.BPF_JGE
	case specs.OpLessThan:
		op, not = unix.BPF_JGE, true
	case specs.OpGreaterThan:
		op = unix.BPF_JGT
	case specs.OpLessEqual:
		op, not = unix.BPF_JGT, true
	case specs.OpMaskedEqual:
		mask, value = a.Value, a.ValueTwo&a.Value
	default:
		return nil
	}
	yes, no := 0, skip // from the end of the code
	if not {
		yes, no = no, yes
	}
	and := unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K}
	offset := 16 + 8*uint32(a.Index)
	code := []unix.SockFilter{load(offset)}
	if and.K = uint32(mask); and.K != 1<<32-1 {
		code = append(code, and)
	}
	code = append(code, jump(op, uint32(value), yes, no))
	if bits == 32 {
		return code
	}
	// The upper word decides, unless it is equal.
	yes, no = yes+len(code), no+len(code)
	upper := []unix.SockFilter{load(offset + 4)}
	if and.K = uint32(mask >> 32); and.K != 1<<32-1 {
		upper = append(upper, and)
	}
	if op != unix.BPF_JEQ {
		upper = append(upper, jump(unix.BPF_JGT, uint32(value>>32), yes+1, 0))
	}
	upper = append(upper, jump(unix.BPF_JEQ, uint32(value>>32), 0, no))
	return append(upper, code...)
}
