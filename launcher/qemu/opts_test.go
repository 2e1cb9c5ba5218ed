package qemu

import (
	"encoding/json"
	"strings"
	"testing"
)

// splitList takes an option apart as QEMU does (util/keyval.c): a comma ends a value, two are one comma in it.
func splitList(option string) []string {
	var words []string
	word := ""
	for i := 0; i < len(option); i++ {
		switch {
		case option[i] != ',':
			word += option[i : i+1]
		case i+1 < len(option) && option[i+1] == ',':
			word += ","
			i++
		default:
			words, word = append(words, word), ""
		}
	}
	return append(words, word)
}

func FuzzAValueComesOutOfAnOptionAsItWentIn(f *testing.F) {
	for _, value := range []string{"", "a", "a,b", ",", ",,", "a=b,c=d", "vm,process=evil", "/a b/ü", "\n"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		option := list("socket", prop{"path", value}, prop{}, prop{"server", "on"})
		words := splitList(option)
		if len(words) != 3 || words[0] != "socket" || words[1] != "path="+value || words[2] != "server=on" {
			t.Errorf("%q became %q", value, words)
		}
		line := object{{"driver", "file"}, {"filename", value}, {"deep", object{{"x", value}}}}.String()
		var back struct {
			Driver, Filename string
			Deep             struct{ X string }
		}
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		valid := strings.ToValidUTF8(value, "\ufffd") // JSON has no other bytes
		if valid == value && (back.Filename != value || back.Deep.X != value || back.Driver != "file") {
			t.Errorf("%q became %+v", value, back)
		}
	})
}

func TestAnOptionsWordsStandInOrder(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{list("", prop{"a", 1}, prop{}, prop{"b", true}), "a=1,b=true"},
		{list("q", prop{"a", 1}), "q,a=1"},
		{object{}.String(), "{}"},
		{object{{"a", 1}}.String(), `{"a":1}`},
		{object{{"b", nil}, {"a", "<&>"}, {"c", object{{"d", false}}}}.String(), `{"b":null,"a":"<&>","c":{"d":false}}`},
	} {
		if test.got != test.want {
			t.Errorf("%s, want %s", test.got, test.want)
		}
	}
}
