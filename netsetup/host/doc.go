// Package host sets up a host as root. [Resolve] makes a [Spec] from a [Request] and the [Facts] of the host, and
// [Plan] makes the steps that lead to it. [Setup] and [Apply] apply the steps, [Teardown] undoes them. It is the only
// part of qlaunch that is run by root.
//
// Everything that is read or set is an [Item], whose state is a text. Therefore the next run completes a run that was
// killed at any point, since it skips the items that already have their state; and a step is undone by setting the
// previous state.
package host
