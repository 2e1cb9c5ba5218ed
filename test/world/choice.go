package world

import (
	"fmt"
	"slices"
	"strings"
)

// choose checks that *value is one of allow; an empty one becomes the first.
func choose(key string, value *string, allow []string) error {
	if *value == "" {
		*value = allow[0]
	}
	if !slices.Contains(allow, *value) {
		return fmt.Errorf("%s = %q: must be one of %s", key, *value, strings.Join(slices.Compact(slices.Sorted(slices.Values(allow))), ", "))
	}
	return nil
}

// onlyRoot says that value is among those that a user namespace cannot have.
func onlyRoot(key, value string, root []string) error {
	if slices.Contains(root, value) {
		return fmt.Errorf("%s = %q: only root can make such a world", key, value)
	}
	return nil
}
