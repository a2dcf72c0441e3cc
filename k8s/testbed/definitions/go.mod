// Pins where the definitions of KEDA's and of Prometheus' operator's resources are read from. Never compiled. Those of
// Dapr come from the source that dapr-components/runtime pins.
module movietasks/definitions

go 1.26.6

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.83.0
)
