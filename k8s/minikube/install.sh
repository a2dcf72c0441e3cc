#!/bin/sh
# From nothing to a stored image on a Minikube of its own. What is there is kept, so that it may run again.
set -eu

cd "$(dirname "$0")/../.."
# shellcheck source=/dev/null
. k8s/versions.env
PROFILE=movie-tasks
PORT=${PORT:-8080}
export NAMESPACE=movie-tasks
# One of its own: yours, and what it points to, stay as they are.
mkdir -p .movie-tasks
export KUBECONFIG="$PWD/.movie-tasks/minikube.kubeconfig"

say() { echo "== $*" >&2; }
random() { openssl rand -hex 32; }
there() { [ -n "$(kubectl --namespace "$NAMESPACE" get secret "$1" --ignore-not-found --output name)" ]; }
# of SECRET KEY
of() { kubectl --namespace "$NAMESPACE" get secret "$1" --output "jsonpath={.data.$2}" | base64 --decode; }
image() {
    name=$1
    shift
    docker build --file services/Dockerfile --tag "localhost/movie-tasks-$name:minikube" "$@" .
}

say "1/7 looking for the programs it takes"
missing=
for program in minikube docker kubectl helm openssl curl movie-tasks; do
    command -v "$program" > /dev/null || missing="$missing $program"
done
[ -z "$missing" ] || { echo "Missing here:$missing" >&2; exit 1; }

say "2/7 starting Minikube: 4 CPUs, 8 GB of memory, 60 GB of disk"
minikube start --profile "$PROFILE" --kubernetes-version "$KUBERNETES_VERSION" --container-runtime docker \
    --cpus 4 --memory 8g --disk-size 60g
minikube update-context --profile "$PROFILE"

say "3/7 building the images inside it; the worker's is 7 GB, which takes a while the first time"
environment=$(minikube docker-env --profile "$PROFILE" --shell bash)
(
    eval "$environment"
    for service in submission scheduling storage notification; do
        image "$service" --build-arg "SERVICE=$service" --target service
    done
    image topics --build-arg SERVICE=submission --target topics
    image gpu-worker --build-arg SERVICE=gpu_worker --target worker
)

say "4/7 installing Dapr, Prometheus, KEDA and Traefik"
TRAEFIK_SERVICE=ClusterIP k8s/install-around.sh

say "5/7 making secrets; starting Redpanda, Postgres and an S3 server"
kubectl create namespace "$NAMESPACE" --dry-run=client --output yaml | kubectl apply --filename -
there postgres || printf %s "$(random)" |
    kubectl --namespace "$NAMESPACE" create secret generic postgres --from-file=password=/dev/stdin
(
    database="postgresql://movie_tasks:$(of postgres password)@postgres:5432"
    # This broker asks nobody who they are.
    export MOVIE_TASKS_BROKERS=broker:9092 MOVIE_TASKS_BROKER_AUTH=none MOVIE_TASKS_BROKER_DISABLE_TLS=true
    export MOVIE_TASKS_BROKER_USER=nobody MOVIE_TASKS_BROKER_PASSWORD=none
    export MOVIE_TASKS_STATE_DSN="$database/state"
    export MOVIE_TASKS_SUBMISSION_DATABASE="$database/submission"
    export MOVIE_TASKS_SCHEDULING_DATABASE="$database/scheduling"
    export MOVIE_TASKS_STORAGE_DATABASE="$database/storage"
    export MOVIE_TASKS_NOTIFICATION_DATABASE="$database/notification"
    AWS_ACCESS_KEY_ID=$(openssl rand -hex 10)
    AWS_SECRET_ACCESS_KEY=$(random)
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    k8s/make-secrets.sh
)
kubectl --namespace "$NAMESPACE" apply --filename k8s/minikube/around.yaml
for name in broker postgres s3; do
    kubectl --namespace "$NAMESPACE" rollout status "statefulset/$name" --timeout 10m
done

say "6/7 installing Movie Tasks"
helm upgrade movie-tasks charts/movie-tasks --install --namespace "$NAMESPACE" --wait --timeout 10m \
    --values k8s/values.yaml --values k8s/minikube/values.yaml

say "7/7 making one image"
kubectl --namespace traefik port-forward service/traefik "$PORT:80" > /dev/null &
forwarding=$!
trap 'kill "$forwarding"' EXIT
export MOVIE_TASKS_URL="http://localhost:$PORT"
tries=0
until curl --silent --fail --output /dev/null "$MOVIE_TASKS_URL/openapi.json"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "$MOVIE_TASKS_URL does not answer" >&2; exit 1; }
    sleep 2
done
if ! there smoke-key; then
    MOVIE_TASKS_ADMIN_KEY=$(of submission MOVIE_TASKS_ADMIN_KEY)
    export MOVIE_TASKS_ADMIN_KEY
    movie-tasks projects create smoke --if-missing
    key=$(movie-tasks keys create smoke --label minikube)
    printf %s "$key" | kubectl --namespace "$NAMESPACE" create secret generic smoke-key --from-file=key=/dev/stdin
fi
MOVIE_TASKS_KEY=$(of smoke-key key)
export MOVIE_TASKS_KEY
movie-tasks smoke

say "It stays up: export KUBECONFIG=$KUBECONFIG. minikube delete --profile $PROFILE removes all of it"
