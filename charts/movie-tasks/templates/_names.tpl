{{/* Before the names of all objects. What is too long to leave room for a service's and a pod's is told apart by a digest. */}}
{{- define "movie-tasks.fullname" -}}
{{- $name := printf "%s-movie-tasks" .Release.Name -}}
{{- if contains "movie-tasks" .Release.Name -}}{{- $name = .Release.Name -}}{{- end -}}
{{- with .Values.fullnameOverride -}}{{- $name = . -}}{{- end -}}
{{- if gt (len $name) 29 -}}
{{- printf "%s-%s" ($name | trunc 20 | trimSuffix "-" | trimSuffix ".") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* Of an object that is the cluster's and not the namespace's. */}}
{{- define "movie-tasks.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "movie-tasks.fullname" .) -}}
{{- end -}}

{{/* Takes root and app. */}}
{{- define "movie-tasks.selector" -}}
app.kubernetes.io/name: movie-tasks
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .app }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Of all workers' pods, also of those that are not enabled any more and finish what they have. */}}
{{- define "movie-tasks.workersSelector" -}}
{{- $components := list }}
{{- range $name, $_ := .Values.workers }}
{{- $components = append $components (printf "gpu-worker-%s" $name) }}
{{- end -}}
app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component in ({{ join "," $components }})
{{- end -}}

{{- define "movie-tasks.labels" -}}
{{ include "movie-tasks.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Takes root and image: the name of an image without movie-tasks-. */}}
{{- define "movie-tasks.image" -}}
{{- $name := printf "%s/movie-tasks-%s" (.root.Values.image.registry | trimSuffix "/") .image -}}
{{- with index .root.Values.image.digests .image -}}
{{- printf "%s@%s" $name . -}}
{{- else -}}
{{- printf "%s:%s" $name (.root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Takes root and kind: services or workers. A class's value cannot be changed, so another value is another class. */}}
{{- define "movie-tasks.priorityClass" -}}
{{- $existing := index .root.Values.priorityClasses.existing .kind -}}
{{- if $existing -}}
{{- $existing -}}
{{- else if .root.Values.priorityClasses.create -}}
{{- printf "%s-%s-%d" (include "movie-tasks.clusterName" .root) .kind (index .root.Values.priorityClasses .kind | int) -}}
{{- end -}}
{{- end -}}

{{/* The services, each with what it has in common with the others, as YAML. */}}
{{- define "movie-tasks.services" -}}
{{- range $app, $own := .Values.services }}
{{ $app }}: {{ mergeOverwrite (deepCopy $.Values.serviceDefaults) $own | toJson }}
{{- end }}
{{- end -}}

{{/* The same of the workers that are enabled, by name. */}}
{{- define "movie-tasks.workers" -}}
{{- range $name, $own := .Values.workers }}
{{- $worker := mergeOverwrite (deepCopy $.Values.workerDefaults) $own }}
{{- /* A volume has one source. */}}
{{- with dig "cache" "volume" dict $own }}
{{- $_ := set $worker.cache "volume" . }}
{{- end }}
{{- $_ := set $worker "medium" ($worker.medium | default $name) }}
{{- if $worker.enabled }}
{{ $name }}: {{ $worker | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Which secrets are needed, with the keys that are read of each: lists by the name of the secret, as YAML. */}}
{{- define "movie-tasks.secretSettings" -}}
submission: [MOVIE_TASKS_SUBMISSION_DATABASE, MOVIE_TASKS_ADMIN_KEY]
scheduling: [MOVIE_TASKS_SCHEDULING_DATABASE]
storage: [MOVIE_TASKS_STORAGE_DATABASE, MOVIE_TASKS_MEDIA_LINK_KEYS]
notification: [MOVIE_TASKS_NOTIFICATION_DATABASE, MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS]
{{- end -}}

{{- define "movie-tasks.brokerSettings" -}}
- MOVIE_TASKS_BROKERS
- MOVIE_TASKS_BROKER_AUTH
- MOVIE_TASKS_BROKER_USER
- MOVIE_TASKS_BROKER_PASSWORD
- MOVIE_TASKS_BROKER_DISABLE_TLS
{{- end -}}

{{/* A quantity of Kubernetes as a number. */}}
{{- define "movie-tasks.quantity" -}}
{{- $factors := dict "m" 0.001 "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- mulf (float64 (trimSuffix $unit $text)) (float64 (index $factors $unit)) -}}
{{- end -}}
