//go:build race

package e2e

// raceDetector says that this test was built with -race; qlaunch then is too.
const raceDetector = true
