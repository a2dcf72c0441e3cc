// Command node is the Kubernetes part of a real node in one file: kubelet and kube-proxy. The first argument says which.
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) > 1 {
		program := os.Args[1]
		os.Args = os.Args[1:]
		switch program {
		case "kubelet":
			os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
		case "kube-proxy":
			os.Exit(cli.Run(proxy.NewProxyCommand()))
		}
	}
	fmt.Fprintln(os.Stderr, "usage: node kubelet|kube-proxy ...")
	os.Exit(2)
}
