package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// parse parses a command line. kong makes a model of every command and flag before it parses the first word, which
// takes a third of the time of a short command. So it gets only the command that the first word names. If that model
// does not accept the command line, or if the command line is about the commands themselves, the full model parses
// it.
func (s *session) parse(argv []string) (call *kong.Context, verbose bool, err error) {
	if line, ok := oneCommand(argv); ok {
		if parser, err := newParser(line.Addr().Interface(), s); err == nil {
			if call, err := parser.Parse(argv); err == nil {
				return call, line.FieldByName("Verbose").Bool(), nil
			}
		}
	}
	line := &commandLine{}
	parser, err := newParser(line, s)
	if err != nil {
		panic(err) // the command line's struct is wrong: every test that starts the program sees it
	}
	call, err = parser.Parse(argv)
	return call, line.Verbose, err
}

// oneCommand is a commandLine with its flags and only the command that the first word names.
func oneCommand(argv []string) (reflect.Value, bool) {
	if slices.ContainsFunc(argv, asks) {
		return reflect.Value{}, false
	}
	i := slices.IndexFunc(argv, func(word string) bool { return word != "-v" && word != "--verbose" })
	if i < 0 {
		return reflect.Value{}, false
	}
	var fields []reflect.StructField
	found := false
	for field := range reflect.TypeFor[commandLine]().Fields() {
		_, command := field.Tag.Lookup("cmd")
		if command && !called(field, argv[i]) {
			continue
		}
		found = found || command
		field.Offset, field.Index = 0, nil
		fields = append(fields, field)
	}
	if !found {
		return reflect.Value{}, false
	}
	return reflect.New(reflect.StructOf(fields)).Elem(), true
}

// asks reports whether a word needs all commands, as for help.
func asks(word string) bool { return word == "-h" || word == "--help" || word == "complete" }

// called reports whether a word is a command's name or alias.
func called(command reflect.StructField, word string) bool {
	name := command.Tag.Get("name")
	if name == "" {
		name = strings.ToLower(command.Name)
		word = strings.ReplaceAll(word, "-", "") // UnitStart is unit-start; anything else that this makes one, kong refuses
	}
	return name == word || slices.Contains(strings.Split(command.Tag.Get("aliases"), ","), word)
}
