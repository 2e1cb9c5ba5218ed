// Preflight says in one line what keeps the tests from running here, if anything does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/qlaunch/qlaunch/test/preflight"
)

func main() {
	if code, ok := preflight.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	notice, err := preflight.Check(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/preflight: error:", err)
		os.Exit(1)
	}
	if notice != "" {
		fmt.Fprintln(os.Stderr, "test/preflight:", notice)
	}
}
