#!/bin/sh
# The real QEMU with TCG in place of KVM, and with KVM's answer to -cpu host: the
# file "host-cpu" beside this one says "starts" or "aborts". The words are those of
# QEMU 7.2 where a nested KVM refuses IA32_ARCH_CAPABILITIES, which is register 0x10a.
answer=$(cat "$(dirname "$0")/host-cpu")
accel= cpu= option=
for word; do
	case $option in
	-accel) accel=$word ;;
	-cpu) cpu=$word ;;
	esac
	option=$word
done
if [ "$accel" = kvm ] && [ "$answer" = aborts ]; then
	case $cpu in
	*,-arch-capabilities*) ;;
	host* | max*)
		echo 'qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69' >&2
		kill -ABRT $$
		;;
	esac
fi
option=
for word; do
	shift
	case $option:$word in
	-accel:kvm) word=tcg ;;
	-cpu:host*) word=max${word#host} ;;
	esac
	set -- "$@" "$word"
	option=$word
done
exec /usr/bin/qemu-system-x86_64 "$@"
