package launcher

// Validate checks a definition: the error has every mistake in it, as vms.Errors with their places, or is
// a *vms.ClashError for what another definition has too.
func Validate(e *Env, ref string) error {
	vm, err := Load(e, ref)
	if err != nil {
		return err
	}
	return e.Store.Clash(vm)
}
