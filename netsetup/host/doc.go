// Package host does to the host what netsetup.Plan decides: it looks at the things that a plan is about, sets them, keeps
// a journal of what was there before, and puts that back. It is the only part of qlaunch that is run by root.
//
// Everything is looked at and set as an item with a text for its state. So a run that was killed at any point is
// completed by the next one, which finds done what is done; and the undoing of a step is its setting with the state of before.
package host
