{{/* How Dapr's injector is to set up the sidecar. Takes what movie-tasks.pod takes. */}}
{{- define "movie-tasks.daprAnnotations" -}}
{{- $dapr := .root.Values.dapr -}}
dapr.io/enabled: "true"
dapr.io/app-id: {{ .appId | default .app }}
dapr.io/app-port: "8000"
dapr.io/app-protocol: http
dapr.io/config: {{ include "movie-tasks.configuration" .root }}
dapr.io/api-token-secret: {{ $dapr.apiTokenSecret | quote }}
dapr.io/app-token-secret: {{ $dapr.appTokenSecret | quote }}
# Components have the operator read their secrets; nobody here reads any through a sidecar.
dapr.io/disable-builtin-k8s-secret-store: "true"
dapr.io/log-as-json: "true"
dapr.io/log-level: {{ $dapr.logLevel }}
dapr.io/max-body-size: {{ $dapr.maxBodySize | quote }}
dapr.io/graceful-shutdown-seconds: {{ $dapr.gracefulShutdownSeconds | int | quote }}
{{- if $dapr.nativeSidecar }}
dapr.io/enable-native-sidecar: "true"
{{- else }}
dapr.io/enable-native-sidecar: "false"
# The process is heard until it has ended, which its health tells.
dapr.io/block-shutdown-duration: {{ printf "%ds" (sub (int .own.terminationGraceSeconds) 30) | quote }}
dapr.io/enable-app-health-check: "true"
dapr.io/app-health-check-path: /healthz
dapr.io/app-health-probe-interval: "10"
dapr.io/app-health-probe-timeout: "5000"
dapr.io/app-health-threshold: "5"
{{- end }}
dapr.io/sidecar-seccomp-profile-type: RuntimeDefault
dapr.io/sidecar-cpu-request: {{ $dapr.sidecar.cpuRequest | quote }}
dapr.io/sidecar-memory-request: {{ $dapr.sidecar.memoryRequest | quote }}
dapr.io/sidecar-memory-limit: {{ $dapr.sidecar.memoryLimit | quote }}
# A sidecar reads its components when it starts, and hot reloading is off.
movie-tasks/components: {{ printf "%s %s %s" ((.root.Files.Glob "dapr/*.yaml").AsConfig) .root.Values.state.existingSecret .root.Values.broker.existingSecret | sha256sum | trunc 16 | quote }}
{{- end -}}

{{- define "movie-tasks.configuration" -}}movie-tasks{{- end -}}

{{/*
Components, resiliency and configuration: those of the folder dapr, which are the same without Kubernetes, with its secrets
in place of variables.
*/}}
{{- define "movie-tasks.dapr" -}}
{{- $root := . -}}
{{- range $path, $_ := .Files.Glob "dapr/*.yaml" }}
{{- $object := $root.Files.Get $path | fromYaml }}
{{- if ne (dig "spec" "type" "" $object) "secretstores.local.env" }}
{{- $labels := include "movie-tasks.labels" (dict "root" $root "app" "dapr") | fromYaml }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- if eq $object.kind "Component" }}
{{- $_ := set $object "auth" (dict "secretStore" "kubernetes") }}
{{- $secret := ternary $root.Values.state.existingSecret $root.Values.broker.existingSecret (hasPrefix "state." $object.spec.type) }}
{{- range $object.spec.metadata }}
{{- if hasKey . "secretKeyRef" }}
{{- $_ := set .secretKeyRef "name" $secret }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $object.kind "Configuration" }}
{{- $_ := set $object.spec "secrets" (dict "scopes" (list (dict "storeName" "kubernetes" "defaultAccess" "deny"))) }}
{{- $_ := set $object.spec "accessControl" (dict "defaultAction" "deny" "trustDomain" $root.Values.dapr.trustDomain) }}
{{- with $root.Values.tracing }}
{{- if and .endpoint .sidecars }}
{{- $address := urlParse .endpoint }}
{{- $otel := dict "endpointAddress" $address.host "isSecure" (eq $address.scheme "https") "protocol" "http" }}
{{- $_ := set $object.spec "tracing" (dict "samplingRate" (include "movie-tasks.settingText" .sampleRatio) "otel" $otel) }}
{{- end }}
{{- end }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end -}}
