package host

import (
	"fmt"
	"testing"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A journal that a newer version wrote can have such.
func TestAnItemOfAKindThatIsNotKnownIsLeftAlone(t *testing.T) {
	item := netsetup.Item{Kind: "gate", Name: "x"}
	if _, err := Look(t.Context(), item); fmt.Sprint(err) != "look at gate x: not known" {
		t.Error(err)
	}
	if err := set(t.Context(), netsetup.Step{Item: item, To: "open"}); fmt.Sprint(err) != "not known" {
		t.Error(err)
	}
}
