package host

import (
	"fmt"
	"testing"
)

// A journal that a newer version wrote can have such.
func TestAnItemOfAKindThatIsNotKnownIsLeftAlone(t *testing.T) {
	item := Item{Kind: "gate", Name: "x"}
	if _, err := look(t.Context(), item); fmt.Sprint(err) != "look at gate x: not known" {
		t.Error(err)
	}
	if err := set(t.Context(), Step{Item: item, To: "open"}); fmt.Sprint(err) != "not known" {
		t.Error(err)
	}
}
