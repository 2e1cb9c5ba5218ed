// Package host is what root does to a host: a [Request] and the [Facts] of the host give a [Spec] ([Resolve]), which
// gives the steps that are to be done ([Plan]); they are applied ([Setup], [Apply]) and undone ([Teardown]). It is the
// only part of qlaunch that is run by root.
//
// Everything is looked at and set as an [Item] with a text for its state. So a run that was killed at any point is
// completed by the next one, which finds done what is done; and the undoing of a step is its setting with the state of
// before.
package host
