// Pins the Dapr runtime that install.py builds. Never compiled itself: install.py compiles the
// pinned module from its own source tree, so that Dapr's own replace directives and checksums apply.
module movietasks/dapr-runtime

go 1.26.6

require (
	github.com/dapr/dapr v1.18.3
	github.com/dapr/durabletask-go v0.12.2-0.20260720132056-79042da5fe61
)
