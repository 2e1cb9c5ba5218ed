package host

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/qlaunch/qlaunch/netsetup"
)

// texts are the files that setup writes, as one can read them.
//
//go:embed texts
var texts embed.FS

// values are what the texts about our own bridge are filled in with.
func (w Spec) values(facts Facts) map[string]any {
	between := `meta ibrname "` + w.Bridge + `"`
	if !facts.BridgeMeta {
		between = `iifname "tap*" oifname "tap*"`
	}
	first, last := w.pool()
	return map[string]any{
		"Bridge": w.Bridge, "Isolate": w.Isolate, "HostAccess": w.HostAccess, "Inbound": w.Inbound, "Between": between,
		"Host": w.Subnet.Addr(), "HostHex": fmt.Sprintf("%#x", w.Subnet.Addr().AsSlice()), "Net": w.Subnet.Masked(), "First": first, "Last": last, "Mask": mask(w.Subnet),
		"Leases": netsetup.LeaseFile(w.Bridge), "State": netsetup.StateDir, "Config": netsetup.DNSConfig(w.Bridge), "Domain": guestDomain,
		"Program": programPath, "Flags": strings.Join(w.Flags(), " "), "Dnsmasq": facts.Dnsmasq,
		"Names": w.Names, "Matches": nameMatches(w.Names),
	}
}

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
