package launcher

import (
	"slices"
	"testing"
)

func TestAColonEndsANameAsItDoesForSCP(t *testing.T) {
	for word, want := range map[string]string{
		"web:":      "web",
		"web:a:b/c": "web",
		"./web:a":   "",
		"a/b:c":     "",
		":a":        "",
		"file":      "",
		"":          "",
	} {
		if name, _, ok := inVM(word); ok != (want != "") || ok && name != want {
			t.Errorf("%q: %q, %v", word, name, ok)
		}
	}
}

func TestTheOlderProtocolGetsPathsThatAShellReads(t *testing.T) {
	for _, test := range []struct{ paths, want []string }{
		{[]string{"web:a b", "web:~/*.[ch]", "here it is"}, []string{`qlaunch-web:a\ b`, "qlaunch-web:~/*.[ch]", "here it is"}},
		{[]string{"a b", "$c", "web:~/$(d) '*' größe"}, []string{"a b", "$c", `qlaunch-web:~/\$\(d\)\ \'\*\'\ größe`}},
		{[]string{"web:a~b", "."}, []string{`qlaunch-web:a\~b`, "."}},
	} {
		tr, err := parseTransfer(test.paths)
		if err != nil {
			t.Fatal(err)
		}
		argv := tr.olderArgv(nil, "qlaunch-web")
		if want := append([]string{"scp", "-O", "--"}, test.want...); !slices.Equal(argv, want) {
			t.Errorf("got %q, want %q", argv, want)
		}
	}
}

func TestSCPGetsNoSessionType(t *testing.T) {
	argv := transfer{vm: "web", sources: []string{"a"}, target: "b"}.argv([]sshOption{{"SessionType", "default"}, {"User", "x"}}, "qlaunch-web")
	if want := []string{"scp", "-o", "User=x", "--", "a", "qlaunch-web:b"}; !slices.Equal(argv, want) {
		t.Errorf("got %q, want %q", argv, want)
	}
}
