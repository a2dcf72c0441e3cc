//go:build tools

// Programs that are built from this module as they are; see install_linters.py.
package tools

import (
	_ "github.com/norwoodj/helm-docs/cmd/helm-docs"
	_ "github.com/rhysd/actionlint/cmd/actionlint"
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "github.com/zegl/kube-score/cmd/kube-score"
)
