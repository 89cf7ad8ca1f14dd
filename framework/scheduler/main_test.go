package scheduler

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// victim, if set, makes this binary a process to be killed: see kill_test.go.
var victim func()

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" && victim != nil {
		victim()
		return
	}
	goleak.VerifyTestMain(m)
}

// victimEnv holds what a victim is to do.
const victimEnv = "SCHEDULER_TEST_VICTIM"
