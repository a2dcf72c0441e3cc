#!/bin/sh
# Makes the secrets that k8s/values.yaml names, in the namespace NAMESPACE of the cluster that kubectl talks to. What is
# there already stays as it is, so that it may run again. Tokens and keys are random; where broker, database and object
# store are is taken from variables with the names that the secrets' keys have. No value is ever part of a command line.
set -eu

: "${NAMESPACE:=movie-tasks}"

random() { openssl rand -hex 32; }
fernet() { openssl rand -base64 32 | tr '+/' '-_'; }

# secret NAME KEY…: the value of each key is that of the variable of its name.
secret() {
    name=$1
    shift
    if [ -n "$(kubectl --namespace "$NAMESPACE" get secret "$name" --ignore-not-found --output name)" ]; then
        echo "secret $name is there, and stays as it is" >&2
        return
    fi
    content=
    for key in "$@"; do
        value=$(printenv "$key") || {
            echo "$key is not set: secret $name needs it" >&2
            exit 1
        }
        content="$content$key=$value
"
    done
    printf %s "$content" |
        kubectl --namespace "$NAMESPACE" create secret generic "$name" --from-env-file=/dev/stdin
}

MOVIE_TASKS_ADMIN_KEY=${MOVIE_TASKS_ADMIN_KEY:-$(random)}
MOVIE_TASKS_MEDIA_LINK_KEYS=${MOVIE_TASKS_MEDIA_LINK_KEYS:-$(fernet)}
MOVIE_TASKS_PREVIEW_LINK_KEYS=${MOVIE_TASKS_PREVIEW_LINK_KEYS:-$(fernet)}
MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS=${MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS:-$(fernet)}
export MOVIE_TASKS_ADMIN_KEY MOVIE_TASKS_MEDIA_LINK_KEYS MOVIE_TASKS_PREVIEW_LINK_KEYS MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS

secret broker MOVIE_TASKS_BROKERS MOVIE_TASKS_BROKER_AUTH MOVIE_TASKS_BROKER_USER MOVIE_TASKS_BROKER_PASSWORD \
    MOVIE_TASKS_BROKER_DISABLE_TLS
secret state MOVIE_TASKS_STATE_DSN
secret object-store AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
secret submission MOVIE_TASKS_SUBMISSION_DATABASE MOVIE_TASKS_ADMIN_KEY
secret scheduling MOVIE_TASKS_SCHEDULING_DATABASE
secret storage MOVIE_TASKS_STORAGE_DATABASE MOVIE_TASKS_MEDIA_LINK_KEYS MOVIE_TASKS_PREVIEW_LINK_KEYS
secret notification MOVIE_TASKS_NOTIFICATION_DATABASE MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS MOVIE_TASKS_PREVIEW_LINK_KEYS
for name in dapr-api-token dapr-app-token; do
    token=$(random)
    export token
    secret "$name" token
done
