#!/bin/sh
# Installs or upgrades what Movie Tasks needs in a cluster, by its official charts: Dapr, Prometheus, KEDA and Traefik,
# onto the cluster that Helm talks to. TRAEFIK_SERVICE=ClusterIP where no load balancer is to be had.
set -eu

here=$(dirname "$0")
# shellcheck source=/dev/null
. "$here/versions.env"

# chart RELEASE CHART REPOSITORY VERSION NAMESPACE, and what else Helm is to know.
chart() {
    release=$1 name=$2 repository=$3 version=$4 namespace=$5
    shift 5
    echo "-- $name $version, into $namespace" >&2
    helm upgrade "$release" "$name" --install --repo "$repository" --version "$version" \
        --namespace "$namespace" --create-namespace --wait --timeout 10m "$@"
}

# What was set since stays: certificates, by `dapr mtls renew-certificate`.
chart dapr dapr https://dapr.github.io/helm-charts "$DAPR_CHART" dapr-system --reset-then-reuse-values \
    --set dapr_sidecar_injector.sidecarDropALLCapabilities=true
chart prometheus kube-prometheus-stack https://prometheus-community.github.io/helm-charts "$PROMETHEUS_CHART" monitoring \
    --values "$here/prometheus.yaml"
chart keda keda https://kedacore.github.io/charts "$KEDA_CHART" keda
chart traefik traefik https://traefik.github.io/charts "$TRAEFIK_CHART" traefik \
    --set "service.spec.type=${TRAEFIK_SERVICE:-LoadBalancer}"
