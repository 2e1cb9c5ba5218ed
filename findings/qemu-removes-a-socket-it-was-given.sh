#!/bin/sh
# QEMU 7.2 (Debian 12, qemu-system-common 1:7.2+dfsg-7+deb12u18+b3, which has qemu-storage-daemon)
#
# -chardev socket,fd=N,server=on takes a socket that another program has bound and listens on, as sd_listen_fds(3) hands them on.
#
# Expected: the file of the socket belongs to whoever has bound it, and stays when QEMU ends: that program still listens there.
#
# Seen: QEMU asks the descriptor for its name and removes that file when it ends, by quit as by SIGTERM. The other program goes on
# listening where nobody can connect any more: ENOENT, from a moment before the end of QEMU's process. By SIGKILL the file stays.
#
# Needs: apt-get with Debian 12's packages, python3. Prints a line for each end; exits 1 when what it sees changes.
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
apt-get download -qq qemu-system-common=1:7.2+dfsg-7+deb12u18+b3 libaio1 libffi8 libglib2.0-0 libgmp10 libgnutls30 libhogweed6 libidn2-0 libnettle8 libnuma1 libp11-kit0 libpcre2-8-0 libtasn1-6 libunistring2 liburing2 libzstd1  >/dev/null 2>&1
for deb in *.deb; do dpkg -x "$deb" root; done
export LD_LIBRARY_PATH=$tmp/root/usr/lib/x86_64-linux-gnu:$tmp/root/lib/x86_64-linux-gnu
"$tmp/root/usr/bin/qemu-storage-daemon" --version | head -n 1
cat >ends.py <<'END'
import json, os, signal, socket, subprocess, sys
program = sys.argv[1]

def connect():
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect("monitor")
    except OSError as error:
        return type(error).__name__
    return client

def one(name, end):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("monitor")
    listener.listen(1)
    daemon = subprocess.Popen([program, "--chardev", f"socket,id=m,fd={listener.fileno()},server=on,wait=off",
                               "--monitor", "chardev=m"], pass_fds=[listener.fileno()])
    client = connect()
    words = client.makefile("rw")
    words.readline()
    words.write('{"execute": "qmp_capabilities"}\n')
    words.flush()
    words.readline()
    end(daemon, words)
    daemon.wait(10)
    there = os.path.exists("monitor")
    after = connect()
    print(f"{name}: the file {'is there' if there else 'is gone'}, the one who still listens "
          f"{'cannot be reached: ' + after if isinstance(after, str) else 'can be reached'}")
    listener.close()
    if there:
        os.unlink("monitor")

def quit(daemon, words):
    words.write('{"execute": "quit"}\n')
    words.flush()

one("quit", quit)
one("SIGTERM", lambda daemon, words: daemon.send_signal(signal.SIGTERM))
one("SIGKILL", lambda daemon, words: daemon.send_signal(signal.SIGKILL))
END
python3 ends.py "$tmp/root/usr/bin/qemu-storage-daemon" | tee seen
cat >expected <<'END'
quit: the file is gone, the one who still listens cannot be reached: FileNotFoundError
SIGTERM: the file is gone, the one who still listens cannot be reached: FileNotFoundError
SIGKILL: the file is there, the one who still listens can be reached
END
cmp seen expected && echo "as it was: QEMU removes a socket that it has not made"
