//go:build tools

// Programs that are built from this module as they are; see ../install_kubernetes.py.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
