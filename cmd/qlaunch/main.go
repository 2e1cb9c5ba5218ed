// Command qlaunch launches virtual machines on a bridge, without libvirt, a daemon or root.
package main

func main() {}
