package lease

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
)

func ips(words ...string) []netip.Addr {
	var ips []netip.Addr
	for _, w := range words {
		ips = append(ips, netip.MustParseAddr(w))
	}
	return ips
}

func TestWhatAGuestSaysOfItselfIsJudged(t *testing.T) {
	lots := strings.Split(strings.TrimSuffix(strings.Repeat("192.168.122.7,", 1000), ","), ",")
	for _, test := range []struct {
		claim   AgentReply
		verdict string
		best    string
	}{
		{AgentReply{Matched: true, Addresses: ips("192.168.122.62")}, "192.168.122.62: told by the guest", "192.168.122.62"},
		{AgentReply{Matched: true, Addresses: ips("192.168.122.1", "127.0.0.1", "10.0.0.1")},
			"192.168.122.1: refused, the bridge's own address; 127.0.0.1: refused, a loopback address; 10.0.0.1: refused, outside the bridge's 192.168.122.0/24", ""},
		{AgentReply{Matched: true, Addresses: ips("fe80::7")}, "fe80::7%virbr0: told by the guest", ""},
		{AgentReply{Matched: true, Addresses: ips("2001:db8::7", "192.168.122.62")}, "2001:db8::7: told by the guest; 192.168.122.62: told by the guest", "192.168.122.62"},
		{AgentReply{Matched: true}, "no address", ""},
		{AgentReply{Interfaces: 3}, "no interface with 52:54:00:53:52:b1", ""},
		{AgentReply{Err: fs.ErrNotExist}, "not asked: absent", ""},
		{AgentReply{Err: errors.New("silence")}, "not asked: silence", ""},
		{AgentReply{Matched: true, Addresses: ips(lots...)}, strings.TrimSuffix(strings.Repeat("192.168.122.7: told by the guest; ", 16), "; ") + "; and 984 more", "192.168.122.7"},
	} {
		rep := judgeAgentReply(Query{Bridge: "virbr0", MAC: guestMAC}, virbr0, nil, test.claim)
		best, ok := Best([]Report{rep})
		if rep.Verdict != test.verdict || ok != (test.best != "") || ok && best.IP.String() != test.best {
			t.Errorf("%v: %s, best %v; want %s, %s", test.claim, rep.Verdict, best.IP, test.verdict, test.best)
		}
	}
}

func TestWhatOthersSayCountsMoreThanWhatTheGuestDoes(t *testing.T) {
	claim := judgeAgentReply(Query{MAC: guestMAC}, virbr0, nil, AgentReply{Matched: true, Addresses: ips("192.168.122.7")})
	for want, other := range map[string]Address{
		"192.168.122.62": {IP: netip.MustParseAddr("192.168.122.62"), Source: Dnsmasq, Freshness: Unknown},
		"192.168.122.63": {IP: netip.MustParseAddr("192.168.122.63"), Source: Neighbours, Freshness: ThisStart, Live: true},
		"192.168.122.7":  {IP: netip.MustParseAddr("192.168.122.64"), Source: Neighbours, Freshness: Unknown, Neighbour: "STALE"},
	} {
		best, ok := Best([]Report{claim, {Addresses: []Address{other}}})
		if !ok || best.IP.String() != want {
			t.Errorf("%v beside the guest's own: %v, want %s", other, best.IP, want)
		}
	}
}

func TestNobodyIsBelievedOfABridgeThatIsNotThere(t *testing.T) {
	rep := JudgeAgent(Query{Bridge: "nosuch0", MAC: guestMAC}, AgentReply{Matched: true, Addresses: ips("192.168.122.62")})
	if rep.Verdict != "not asked: no such interface" || len(rep.Addresses) > 0 {
		t.Errorf("%+v", rep)
	}
}
