package inside

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// RunHooks runs hooks one after the other, each with the container's state on
// its standard input, until one fails.
func RunHooks(kind string, hooks []specs.Hook, s specs.State) error {
	state, _ := json.Marshal(s)
	for i, h := range hooks {
		limit := 24 * time.Hour
		if h.Timeout != nil {
			limit = time.Duration(*h.Timeout) * time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		cmd := exec.CommandContext(ctx, h.Path)
		if len(h.Args) > 0 {
			cmd.Args = h.Args
		}
		cmd.Env = append([]string{}, h.Env...)
		cmd.Stdin = bytes.NewReader(state)
		cmd.WaitDelay = time.Second // for who inherited its output
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			err = fmt.Errorf("no end within %v", limit)
		}
		cancel()
		if err != nil {
			return fmt.Errorf("%s hook %d, %s: %w: %s", kind, i, h.Path, err,
				bytes.TrimSpace(out))
		}
	}
	return nil
}
