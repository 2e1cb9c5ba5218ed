package launcher

// Validate checks a definition. The error is a vms.Errors with the positions of all mistakes, or a *vms.ClashError if
// another definition has the same name or MAC.
func Validate(e *Env, ref string) error {
	vm, err := Load(e, ref)
	if err != nil {
		return err
	}
	return e.Store.Clash(vm)
}
