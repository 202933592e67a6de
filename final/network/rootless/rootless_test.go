package rootless

import (
	"strings"
	"testing"
)

// Without them, the error names what to install.
func TestRootlessMissing(t *testing.T) {
	_, err := look("")
	if err == nil {
		t.Setenv("PATH", "/nonesuch")
		_, err = look("")
	}
	if err == nil || !strings.Contains(err.Error(), "not installed: pasta or "+
		"slirp4netns (apt install passt slirp4netns") {
		t.Error(err)
	}
}
