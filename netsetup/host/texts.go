package host

import (
	"embed"
	"strings"
	"text/template"
)

// texts are the files that setup writes, as one can read them.
//
//go:embed texts
var texts embed.FS

// fill is a text with its values. A text that does not parse or asks for a value that is not there is a mistake that
// every golden plan finds.
func fill(name string, values map[string]any) string {
	t, err := template.New(name).Option("missingkey=error").ParseFS(texts, "texts/"+name, "texts/confined")
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		panic(err)
	}
	return b.String()
}
