package main

import "runtime/debug"

// version names this build in records and reports: the module's version, and the revision where it is known.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "lifeboat"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "lifeboat " + info.Main.Version + " " + setting.Value[:12]
		}
	}
	return "lifeboat " + info.Main.Version
}
