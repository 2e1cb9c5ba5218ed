#!/bin/sh
# dnsmasq 2.90 (Debian 12, dnsmasq-base 2.90-4~deb12u2, busybox-static 1:1.35.0-4+deb12u1+b1 as the client)
#
# dhcp-name-match=set:TAG,NAME: "Set the tag if the given name is supplied by a DHCP client", dnsmasq(8).
#
# Expected: a client whose name is web has the tag in whichever of DHCP's forms it supplies that name: the host name option alone,
# with a dot, or with the domain that dnsmasq was told (domain=), and the FQDN option. In each of them dnsmasq takes the same name from it: the lease
# is web's, and the DNS answers for web.
#
# Seen: the pattern is compared with what the client sends, domain and all, before the domain is cut off. A client that calls itself
# web.example.test is named web and does not have the tag. A second pattern, NAME.*, is needed for it.
#
# Needs: apt-get with Debian 12's packages, unshare with a user namespace or root, ip. Prints a line for each form; exits 1 when what it sees changes.
set -eu

if [ $# = 0 ]; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	cd "$tmp"
	apt-get download -qq dnsmasq-base=2.90-4~deb12u2 busybox-static=1:1.35.0-4+deb12u1+b1 \
		libdbus-1-3 libidn2-0 libunistring2 libnetfilter-conntrack3 libnfnetlink0 libmnl0 libnftables1 libnettle8 libhogweed6 libgmp10 libsystemd0 libnftnl11 libxtables12 libjansson4 >/dev/null 2>&1
	for deb in *.deb; do dpkg -x "$deb" root; done
	unshare -rnm sh "$OLDPWD/$0" "$tmp"
	exit
fi

# In namespaces of its own: a server at one end of a cable, a client at the other.
tmp=$1
cd "$tmp"
libraries=$tmp/root/usr/lib/x86_64-linux-gnu:$tmp/root/lib/x86_64-linux-gnu
dnsmasq=$tmp/root/usr/sbin/dnsmasq
busybox=$tmp/root/bin/busybox
LD_LIBRARY_PATH=$libraries "$dnsmasq" --version | head -n 1
ip link add server type veth peer name client
ip address add 10.99.0.1/24 dev server
ip link set server up
ip link set client up
LD_LIBRARY_PATH=$libraries "$dnsmasq" --no-daemon --user=root --conf-file=/dev/null --port=0 --interface=server --bind-dynamic --dhcp-authoritative --no-ping --log-dhcp \
	--dhcp-range=10.99.0.10,10.99.0.99,1h --dhcp-leasefile="$tmp/leases" --domain=example.test \
	--dhcp-name-match=set:known,web >"$tmp/log" 2>&1 &
server=$!
trap 'kill $server' EXIT

# ask N NAME OPTION…: a client of its own asks; prints the name of its lease, and whether it has the tag.
ask() {
	n=$1 form=$2
	shift 2
	ip link set client down address "52:54:00:00:00:0$n"
	ip link set client up
	: >"$tmp/log"
	"$busybox" udhcpc -i client -f -n -q -t 5 -T 2 -s /bin/true "$@" >"$tmp/client" 2>&1 || { cat "$tmp/client" "$tmp/log" >&2; exit 1; }
	name=$(awk -v mac="52:54:00:00:00:0$n" '$2 == mac { print $4 }' "$tmp/leases")
	tag=no
	grep -q 'tags:.*known' "$tmp/log" && tag=yes
	echo "$form: lease of $name, tag: $tag"
}
{
	ask 1 'host name web' -x hostname:web
	ask 2 'host name WEB' -x hostname:WEB
	ask 3 'host name web.example.test' -x hostname:web.example.test
	ask 4 'FQDN web' -F web
	ask 5 'FQDN web.example.test' -F web.example.test
} | tee seen
cat >expected <<'END'
host name web: lease of web, tag: yes
host name WEB: lease of WEB, tag: yes
host name web.example.test: lease of web, tag: no
FQDN web: lease of web, tag: yes
FQDN web.example.test: lease of web, tag: no
END
cmp seen expected && echo "as it was: a name with its domain does not match"
